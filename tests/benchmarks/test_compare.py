"""Two runs of the suites beside each other, from the command line."""

import json

import pytest

from epistax.benchmarks import compare
from epistax.cli import main


def record(name="toy", seconds=1.0, theirs=None, **about):
    reference = None if theirs is None else "numpy"
    return {"name": name, "size": {"n": 3}, "ours_seconds": seconds, "reference": reference,
            "reference_seconds": theirs, "ratio": theirs and theirs / seconds, "peak_rss_mb": 1.0,
            "device": "a device", **about}  # fmt: skip


@pytest.fixture
def files(tmp_path):
    def write(*sides):
        paths = [tmp_path / name for name in ("before.jsonl", "after.jsonl")]
        for path, records in zip(paths, sides, strict=True):
            path.write_text("".join(json.dumps(r) + "\n" for r in records))
        return [str(path) for path in paths]

    return write


def test_a_slower_machine_is_not_a_slower_program():
    found = compare.compare(
        [record(seconds=1.0, theirs=4.0)], [record(seconds=2.0, theirs=8.0)], 1.1
    )
    (row,) = found["compared"]
    assert row["by"] == "ratio" and row["change"] == 1.0 and found["slower"] == 0


def test_without_a_reference_seconds_are_compared():
    found = compare.compare([record(seconds=1.0)], [record(seconds=1.2)], 1.1)
    (row,) = found["compared"]
    assert row["by"] == "seconds" and row["change"] == pytest.approx(1.2) and found["slower"] == 1
    assert compare.compare([record(seconds=1.0)], [record(seconds=1.2)], 1.25)["slower"] == 0


def test_what_is_in_one_file_only_is_named():
    before = [record("a"), record("b", theirs=2.0)]
    after = [record("a"), record("b"), record("c", device="another")]
    found = compare.compare(before, after, 1.1)
    assert [row["name"] for row in found["compared"]] == ["a"]
    assert [row["name"] for row in found["only_before"]] == ["b"]  # its reference is another
    assert [row["name"] for row in found["only_after"]] == ["b", "c"]


def test_the_gate_closes_with_exit_code_three(files, capsys):
    slow = files([record("a"), record("b")], [record("a", 1.05), record("b", 3.0)])
    assert main(["bench", "compare", *slow]) == 3
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[0] == "b" and "3 !" in lines[1] and "1 of 2 slower" in lines[-1]
    assert main(["bench", "compare", *slow, "--gate", "3.5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["slower"] == 0


def test_lines_without_seconds_are_left_out(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(record()) + "\n\n" + json.dumps({"name": "toy.exponent"}) + "\n")
    assert [r["name"] for r in compare.read(path)] == ["toy"]
