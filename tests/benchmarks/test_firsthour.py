"""The first hour: which pairs the newcomer has, what is timed, how a batch is judged."""

import json

import pytest

from epistax.benchmarks import firsthour
from epistax.benchmarks.firsthour import Typed

ROWS = ["id1,id2,score", "A,negative,1", "A,A,9"] + [
    f"{a},{b},{k}" for k, (a, b) in enumerate((a, b) for a in "ABCDEF" for b in "ABCDEF" if a != b)
]


def test_a_third_of_the_pairs_and_all_singles_are_the_newcomers():
    kept = firsthour.third(ROWS)
    assert kept[:2] == ROWS[:2]
    pairs = {firsthour.pair(row) for row in kept[2:]}
    assert len(pairs) == (15 + 1) // 3
    for row in ROWS[2:]:  # both orders of a pair, or none
        assert (row in kept) == (firsthour.pair(row) in pairs)


def test_a_batch_is_judged_by_what_was_measured_of_its_pairs():
    proposed = ["a,b,acquisition,predicted", "E,F,0,20", "A,B,0,10"]
    found = firsthour.judged(proposed, ROWS)
    scores = {row.rpartition(",")[0]: float(row.rpartition(",")[2]) for row in ROWS[3:]}
    mean = [(scores[f"{a},{b}"] + scores[f"{b},{a}"]) / 2 for a, b in ("EF", "AB")]
    assert found["pairs"] == 2 and found["mean_predicted"] == 15
    assert found["mean_score"] == pytest.approx(sum(mean) / 2)
    assert found["of_the_best_5_percent"] == 1  # of 15 pairs the best one
    assert found["mean_of_all_pairs"] == pytest.approx(sum(scores.values()) / 30)


def test_commands_are_timed_and_what_fails_is_told(tmp_path):
    steps = [Typed("one", "echo first; echo next: more"), Typed("two", "touch here")]
    one, two = firsthour.walked(steps, tmp_path)
    assert one["last_line"] == "next: more" and two["last_line"] == ""
    assert one["seconds"] >= 0 and (tmp_path / "here").exists()
    with pytest.raises(RuntimeError, match="cat nothing: .*nothing"):
        list(firsthour.walked([Typed("one", "cat nothing")], tmp_path))


def test_readme_says_what_was_measured(checkout):
    record = json.loads((checkout / "benchmarks/results/firsthour-epyc-2-cores.json").read_text())
    said = (checkout / "README.md").read_text(encoding="utf-8")
    own = [step for step in record["steps"] if step["part"] != "install"]
    batch = record["batch"]
    words = (
        f"{record['commands']} commands and {record['minutes']:g} minutes",
        f"{sum(step['seconds'] for step in own) / 60:.1f} without the installation",
        f"{batch['of_the_best_5_percent']} of the {batch['pairs']}",
    )
    flat = " ".join(said.split())
    assert all(text in flat for text in words), words
