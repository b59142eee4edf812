"""The reliability plan: its quick rows on every change, all of it at full size with `-m slow`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from epistax.benchmarks import faultkills, faultnodes, faults
from epistax.benchmarks.faultkernel import Trial, audit, compared

# tests/test_hostile.py has the inputs one by one; the others take too long, or need ray[default]
LONG = ("actors", "admission", "long", "machine", "score", "states", "stuck")
QUICK = [n for n in faults.ROWS if n not in ("inputs", "strange", "job", *LONG)]
FULL = [n for n in faults.ROWS if n not in ("inputs", "long", "score", "overhead")]
pytestmark = pytest.mark.usefixtures("private")


def held(name, folder, *, quick):
    record = faults.measured(name, quick=quick, folder=folder)
    json.dumps(record)
    assert record["reached"], record


@pytest.mark.parametrize("name", QUICK)
def test_a_row_holds(name, tmp_path):
    held(name, tmp_path, quick=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", FULL)
def test_a_row_holds_at_full_size(name, tmp_path):
    if faults.ROWS[name].jobs and not faultnodes.able():
        pytest.skip("jobs need ray[default]")
    held(name, tmp_path, quick=False)


@pytest.mark.slow
def test_overhead_holds_at_full_size(tmp_path):
    # in a process of its own, without the checked types of the tests, which take time
    words = [sys.executable, "-m", "epistax.benchmarks.faults", "--rows", "overhead"]
    done = subprocess.run(words, cwd=tmp_path, stdout=subprocess.PIPE, text=True, check=True)
    record = json.loads(done.stdout)
    assert record["reached"], record


@pytest.mark.slow
@pytest.mark.parametrize("name", LONG)
def test_a_long_row_holds_at_its_quick_size(name, tmp_path):
    held(name, tmp_path, quick=True)


@pytest.fixture
def damaged(tmp_path):
    """A trial and the same undisturbed, to be told apart."""
    trial = Trial(str(tmp_path / "run"), 6, "inline")
    quiet = trial.undisturbed(str(tmp_path / "quiet"))
    trial.run()
    quiet.run()
    return trial, quiet, trial.store.paths(trial.plan)


def test_the_audit_sees_what_is_lost(damaged):
    trial, quiet, paths = damaged
    assert compared(trial, quiet, ()) == (0, 0, 0, True, ())
    paths[1].unlink()
    paths[4].write_bytes(paths[4].read_bytes()[:-9])
    assert compared(trial, quiet, ())[:4] == (2, 0, 0, False)


def test_the_audit_sees_what_is_twice_or_left_over(damaged):
    trial, quiet, paths = damaged
    paths[2].with_name("c000002-0123456789abcdef.rows.parquet").write_bytes(b"")
    paths[2].with_name(".tmp-abc").write_bytes(b"")
    assert compared(trial, quiet, ())[:4] == (0, 1, 2, True)


def test_the_audit_sees_bytes_that_differ(damaged):
    from epistax.distributed import shard

    trial, quiet, paths = damaged
    chunk = trial.plan.chunks[3]
    rows = trial.kernel.rows(12, 16, "ok")
    paths[3].write_bytes(shard.encode(rows.with_columns(x=rows["x"] + 1e-9), chunk.key))
    assert compared(trial, quiet, ())[:4] == (0, 0, 0, False)
    assert compared(trial, quiet, (13,))[:4] == (0, 0, 0, False)  # no guilt excuses that
    paths[3].write_bytes(shard.encode(trial.kernel.rows(12, 16, "failed"), chunk.key))
    assert compared(trial, quiet, ()).identical is False
    assert compared(trial, quiet, (13,)) == (0, 0, 0, True, (12, 13, 14, 15))


def test_a_driver_of_one_process_is_killed_and_goes_on(tmp_path):
    trial = Trial(str(tmp_path), 30, "inline", nap=0.03)
    toll = faultkills.survive(trial, seed=0, drivers=3)
    assert toll.killed == {"drivers": 3} and toll.exits == {-9: 3, 0: 1}
    assert audit(trial) == (0, 0, 0, True, ())


def test_the_results_are_those_of_the_page(checkout: Path):
    file = checkout / "benchmarks/results/faults-epyc-2-cores.jsonl"
    records = [json.loads(line) for line in file.read_text().splitlines()]
    assert {record["name"].partition(".")[2] for record in records} == set(faults.ROWS)
    for record in records:
        assert not record["lost"] + record["duplicated"] + record["strays"]
        assert record["identical"] is not False
        assert record["reached"] == (not record["missed"])  # what is missed, the table says
        size = {k: v for k, v in faults.ROWS[record["name"].partition(".")[2]].full.items()}
        size.pop("cases", None)
        assert record["size"] == json.loads(json.dumps(size)), record["name"]
    assert faults.table(records) in (checkout / "benchmarks/results/faults.md").read_text()
