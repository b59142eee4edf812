import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from epistax.cli import main

Write = Callable[..., Path]
TABLE = "id1,id2,score\nA,B,1\nB,A,2\nA,ctrl,.5\nB,ctrl,.25\nA,C,\nD,C,3\nnan,C,3\n"


def test_census_for_a_reader(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(write(TABLE))]) == 0
    out, err = capsys.readouterr()
    text = " ".join(out.split())
    assert err == ""
    assert max(len(x) for x in out.splitlines() if not x.startswith("next: ")) <= 80
    for words in (
        "perturbations 4",
        "pairs measured 2 of 6 possible (33.3%)",
        "single effects 2 2 missing: C, D",
        "control names 1 ctrl",
        "averaged 1 pairs, from 2 rows; median sd within a pair 0.707",
        "scores 1.5 .. 3",
        "--reward interaction for 1 pairs",
        "left out 1 without a score",
        "nobody knows what was perturbed: nan",
    ):
        assert words in text


def test_summary_as_json(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    matrix = write(",A,B\nA,,1\nB,1,\n", "matrix.csv")
    known = write("A,B\nB,D\n", "known.txt")
    command = ["check", str(write(TABLE)), str(matrix), "--known", str(known), "--json"]
    assert main(command) == 0
    table, square = json.loads(capsys.readouterr().out)["files"]
    assert (table["pairs"], table["kind"], table["rewards"]) == (
        2,
        "pair table",
        ["score", "abs", "interaction"],
    )
    assert table["left_out"]["unmeasured"]["count"] == 1
    assert (square["kind"], square["rewards"]) == ("square matrix", ["score", "abs"])
    assert [table["known"][0]["in_screen"], square["known"][0]["in_screen"]] == [2, 1]
    assert [table["known"][0]["measured"], square["known"][0]["measured"]] == [1, 1]


def test_scores_that_are_all_equal_are_said_so(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(write("a,b,score\nA,B,1\nA,C,1\n"))]) == 0
    assert "no best ones" in capsys.readouterr().out


def test_options_reach_the_reader(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    path = write("x,y,s\nA|B,safe,1\nA,safe,2\nB,safe,2\n")
    words = ["--columns", "x,y,s", "--sep", "|", "--control", "safe", "--json"]
    assert main(["check", str(path), *words]) == 0
    found = json.loads(capsys.readouterr().out)["files"][0]
    assert (found["pairs"], found["singles"], found["controls_examples"]) == (1, 2, ["safe"])


def test_the_good_file_is_told_before_the_bad_one(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(write(TABLE)), str(tmp_path / "absent.csv")]) == 2
    out, err = capsys.readouterr()
    assert "pairs measured" in out
    assert err.count("\n") == 1
    assert "absent.csv: no such file" in err


SCREEN = """gene_a,gene_b,well,e1,e2
A,ctrl,1,.5,2
A,B,2,1,3
B,ctrl,2,2,5
ctrl,ctrl,3,0,0
nan,,3,1,1
"""


def test_census_of_a_screen(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    known = write("A,B\nB,D\n", "known.txt")
    path = write(SCREEN, "screen.csv")
    assert main(["check", str(path), "--known", str(known)]) == 0
    out, err = capsys.readouterr()
    text = " ".join(out.split())
    assert err == ""
    assert max(len(x) for x in out.splitlines() if not x.startswith("next: ")) <= 80
    for words in (
        "screen.csv: screen (table)",
        "observations 4 of 5",
        "features 2 e1, e2",
        "perturbations 2",
        "control names 1 ctrl",
        "control alone 1 observations",
        "singles measured 2",
        "pairs measured 1 of 1 possible (100.0%)",
        "measured once 1 pairs: A+B",
        "wells 3",
        "columns labels gene_a, gene_b; well well",
        "left out 1 nobody knows what was perturbed: (empty), nan",
        "of these, measured 1",
        "the file can be used",
    ):
        assert words in text


def test_a_screen_and_pairs_as_json(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    known = write("A,B\n", "known.txt")
    paths = [str(write(SCREEN, "screen.csv")), str(write(TABLE))]
    assert main(["check", *paths, "--known", str(known), "--json"]) == 0
    screen, table = json.loads(capsys.readouterr().out)["files"]
    assert (screen["kind"], screen["observations"], screen["features"]) == ("screen (table)", 4, 2)
    assert screen["features_examples"] == ["e1", "e2"]
    assert screen["left_out"]["unassigned"]["count"] == 1
    assert screen["known"][0]["measured"] == 1
    assert "rewards" not in screen and table["rewards"] == ["score", "abs", "interaction"]


def test_columns_make_a_pair_table_of_it(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    path = write("perturbation,e1,e2\nA+B,1,2\nA,2,3\n")
    assert main(["check", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["files"][0]["kind"] == "screen (table)"
    assert main(["check", str(path), "--columns", "perturbation,e2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["files"][0]["kind"] == "pair table"


def test_the_readers_wait_for_no_library_that_they_do_not_need() -> None:
    code = (
        "import sys; import epistax.distributed.verbs.check;"
        "print([m for m in ('anndata', 'h5py', 'zarr', 'pandas', 'jax') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
