"""Every bad input of hostile.toml gets one line that helps, exit code 2, and leaves no trace."""

import base64
import gzip
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest

from epistax.cli import main

CASES = tomllib.loads(Path(__file__).with_name("hostile.toml").read_text(encoding="utf-8"))["case"]


def make(case: dict[str, Any], folder: Path) -> None:
    """Write the files of a case."""
    content = {name: text.encode() for name, text in case.get("files", {}).items()}
    content |= {name: base64.b64decode(text) for name, text in case.get("base64", {}).items()}
    for name, text in case.get("gzip", {}).items():
        whole = gzip.compress(text.encode(), mtime=0)
        content[name] = whole[: len(whole) - case.get("cut", 0)]
    for name, data in content.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def tree(folder: Path) -> dict[str, bytes | None]:
    """Everything below a folder, with contents."""
    paths = sorted(folder.rglob("*"))
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in paths}


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_bad_input_is_answered_in_one_line(
    case: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    make(case, tmp_path)
    before = tree(tmp_path)
    monkeypatch.chdir(tmp_path)
    code = main(shlex.split(case["command"]))
    error = capfd.readouterr().err
    assert code == 2, error
    assert error.count("\n") == 1, error
    assert "Traceback" not in error
    for words in case["says"]:
        assert words in error
    assert tree(tmp_path) == before


def test_names_are_told_apart() -> None:
    names = [case["name"] for case in CASES]
    assert len(set(names)) == len(names)
