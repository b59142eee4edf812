"""Every bad input of hostile.toml gets one line that helps, exit code 2, and leaves no trace."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from epistax.benchmarks import faultstates

CASES = tomllib.loads(Path(__file__).with_name("hostile.toml").read_text(encoding="utf-8"))["case"]


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_bad_input_is_answered_in_one_line(case: dict[str, Any], tmp_path: Path) -> None:
    assert faultstates.attempt(case, tmp_path) == []


def test_names_are_told_apart() -> None:
    names = [case["name"] for case in CASES]
    assert len(set(names)) == len(names)


def test_a_case_that_is_not_answered_well_is_noticed(tmp_path: Path) -> None:
    good = {"files": {"pairs.csv": "id1,id2,score\nA,B,1\nA,C,2\nB,C,3\n"}, "says": []}
    (tmp_path / "a").mkdir()
    assert faultstates.attempt({**good, "command": "check pairs.csv"}, tmp_path / "a") != []
    (tmp_path / "b").mkdir()
    case = {"command": "check nosuch.csv", "says": ["no such file", "elsewhere"]}
    (wrong,) = faultstates.attempt(case, tmp_path / "b")
    assert wrong.startswith("'elsewhere' is not in")
