"""Guesses at what a file means: said, and never where there is nothing to say."""

import json

import pytest

from epistax.cli import main
from epistax.distributed import hints


def test_the_sign_that_splits_most_names_is_told():
    names = ["A", "B", "C", "A_B", "B_C", "A|C"]
    assert hints.separator(names, "+") == "; 'A_B' looks like one: --sep '_'"
    assert hints.separator(names, "_") == "; 'A|C' looks like one: --sep '|'"
    assert hints.separator(["A", "B", "A_X", "HLA-A"], "+") == ""  # X and HLA stand nowhere alone


def test_a_control_by_another_name_is_told():
    assert hints.control(["TP53", "Mock"]) == "; 'Mock' looks like one: --control Mock"
    assert hints.control(["TP53", "MOCKED1"]) == ""


@pytest.mark.parametrize(
    ("path", "said"),
    [("s3://bucket/x.h5ad", "address"), ("plates/*.csv", "pattern"), ("pairs.csv", "no such file")],
)
def test_what_is_not_there_is_told(path, said):
    assert said in hints.absent(path)


def test_files_of_other_programs_are_told_by_name():
    assert "R file" in hints.foreign("screen.RDS") and "archive" in hints.foreign("a.tar.gz")
    assert hints.foreign("pairs.csv.gz") == hints.foreign("cards.csv") == ""


def test_check_counts_names_that_a_spreadsheet_made(tmp_path, capsys):
    path = tmp_path / "pairs.csv"
    path.write_text("id1,id2,score\n1-Mar,2-Sep,1\nA,2-Sep,2\nA,1-Mar,3\nA,NKX2-1,3\n")
    assert main(["check", str(path), "--json"]) == 0
    (census,) = json.loads(capsys.readouterr().out)["files"]
    assert census["like_dates"] == 2
