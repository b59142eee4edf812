"""Workers that die, hang, raise or never start: every pair once, or listed as failed."""

import json
import os
import pickle
import signal
import time
from collections import Counter
from dataclasses import dataclass

import numpy as np
import polars as pl
import pytest

from epistax.benchmarks.faultkernel import SIZE, Trial, audit
from epistax.benchmarks.faultsystem import alive, until
from epistax.distributed.backends import backend
from epistax.distributed.crew import KernelFailed
from epistax.distributed.driver import execute, seconds
from epistax.distributed.errors import BadInput, Stopped
from epistax.distributed.events import Events
from epistax.distributed.parcel import pack, unpack
from epistax.distributed.plan import Plan
from epistax.distributed.store import Store
from epistax.distributed.worker import Answer

WHOLE = (0, 0, 0, True, ())


class Indivisible:
    """A kernel whose work cannot be cut."""

    def __call__(self, chunk):
        if chunk.id == 1:
            raise ValueError("chunk 1 is no good")
        return pl.DataFrame({"i": [chunk.id]})


class Deadly:
    """Whoever unpacks it dies."""

    def __setstate__(self, state):
        os.kill(os.getpid(), signal.SIGKILL)

    def __getstate__(self):
        return {"x": 1}

    def __call__(self, chunk):
        raise AssertionError


class Impossible(Deadly):
    def __setstate__(self, state):
        raise ImportError("No module named 'nosuch'")


@dataclass(frozen=True)
class Silent(Store):
    """A store whose writers die before they can say that they have written, now and then."""

    def publish(self, chunk, frames):
        published = super().publish(chunk, frames)
        if chunk.id % 4 == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return published


@dataclass(frozen=True)
class Full(Store):
    def publish(self, chunk, frames):
        raise OSError(28, "No space left on device")


@pytest.fixture
def trial(tmp_path):
    """A run of so many chunks in a folder of its own."""

    def made(chunks, executor="process", **how):
        return Trial(str(tmp_path / "run"), chunks, executor, **how)

    return made


def fresh(root, name="run", cls=Store):
    (root / name / "shards").mkdir(parents=True)
    return cls(root / name / "shards")


def events(store, *names):
    return [e for e in Events(store.beside("events.jsonl")).read() if e["event"] in names]


@pytest.mark.parametrize("workers", [1, 2])
def test_processes_write_the_same_bytes_as_inline(workers, trial):
    run = trial(30, workers=workers, nap=0.03)
    facts = run.run().facts
    assert audit(run) == WHOLE
    ready = run.events("ready")
    assert len(ready) == workers and facts["deaths"] == 0 and facts["peak_mb"] > 0
    if workers == 2 and len(os.sched_getaffinity(0)) > 1:
        assert all(len(e["cores"]) == 1 for e in ready)
    assert len(run.events("done")) == 30
    assert list(seconds(Events(run.store.beside("events.jsonl")))) == [""]


def test_arrays_are_shared_and_aligned():
    value = {"a": np.arange(5000.0), "b": np.ones((3, 7), np.float32), "c": "text"}
    memory, parcel = pack(value)
    try:
        held, found = unpack(parcel)
        assert found["c"] == "text" and len(parcel.head) < 1000
        for name in ("a", "b"):
            np.testing.assert_array_equal(found[name], value[name])
            assert not found[name].flags.writeable and found[name].ctypes.data % 64 == 0
        del found
        held.close()
    finally:
        memory.close()
        memory.unlink()


def test_what_does_not_fit_the_shared_memory_is_refused(monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000}))
    with pytest.raises(BadInput, match="shared memory"):
        pack(np.zeros(1000))


@pytest.mark.parametrize("executor", ["inline", "process"])
def test_what_raises_is_isolated_and_listed(executor, trial):
    run = trial(6, executor, errors=(9, 10))
    run.run()
    assert audit(run, (9, 10)) == (0, 0, 0, True, (9, 10))
    found = json.loads((run.store.beside("failed") / "c000002.json").read_text())
    assert [entry["work"] for entry in found["failed"]] == [
        {"first": 9, "last": 10},
        {"first": 10, "last": 11},
    ]
    assert "9 .. 10 is no good" in found["failed"][0]["why"]
    assert list(run.store.beside("pieces").iterdir()) == []
    assert json.loads(run.store.beside("manifest.json").read_text())["failed"] == [2]


def test_what_kills_is_isolated_and_takes_nobody_along(trial):
    run = trial(12, kills=(25,))
    run.run()
    assert audit(run, (25,)) == (0, 0, 0, True, (25,))
    assert {e["chunk"] for e in run.events("strike")} == {25 // SIZE}
    # once in the pool, four times alone, then twice a level of two halvings
    assert len(run.events("death")) == 5 + 2 * 2


def test_what_cannot_be_cut_is_the_callers(tmp_path):
    plan = Plan.of("run", [{"n": n} for n in range(3)])
    with pytest.raises(ValueError, match="chunk 1 is no good"):
        execute(plan, Indivisible(), fresh(tmp_path, "a"))
    with pytest.raises(KernelFailed, match="ValueError: chunk 1 is no good"):
        execute(plan, Indivisible(), fresh(tmp_path, "b"), backend=backend("process", 1))


def test_workers_that_die_before_they_are_ready_blame_no_chunk(trial):
    run = trial(5)
    with pytest.raises(Stopped, match="0 of 5 chunks.*die one after another.*signal 9"):
        execute(run.plan, Deadly(), run.store, backend=backend("process", 1))
    assert not run.events("strike") and 5 <= len(run.events("death")) <= 9


def test_a_worker_that_cannot_be_made_ends_the_run_at_once(trial):
    run = trial(5)
    with pytest.raises(KernelFailed, match="No module named 'nosuch'"):
        execute(run.plan, Impossible(), run.store, backend=backend("process", 1))
    assert len(run.events("unfit")) == 1 and not run.events("death")


def test_a_shard_without_a_word_counts(trial):
    run = trial(12)
    execute(run.plan, run.kernel, Silent(run.store.folder), backend=backend("process", 2))
    assert audit(run) == WHOLE
    assert len(run.events("death")) == 3 and not run.events("strike")


@pytest.mark.parametrize("executor", ["inline", "process"])
def test_a_full_disk_is_said_in_a_line(executor, trial, tmp_path):
    run, store = trial(5), fresh(tmp_path, "full", Full)
    with pytest.raises(BadInput, match="cannot be written to: No space left.*--resume"):
        execute(run.plan, run.kernel, store, backend=backend(executor, 1))


def test_strikes_outlive_the_driver(trial):
    run = trial(4, workers=1, kills=(6,))
    path, key = run.store.beside("events.jsonl"), run.plan.chunks[1].key
    for _ in range(4):
        Events(path).write("strike", key=key, kind="death", cause="signal 9")
    with path.open("a") as file:
        file.write('{"time": 1, "event": "str')  # torn by the same kill
    run.run()
    assert audit(run, (6,)).failed == (6,)
    assert len(run.events("death")) == 1 + 2 * 2


def test_forgiven_strikes_are_gone(trial):
    run = trial(4, "inline")
    log = Events(run.store.beside("events.jsonl"))
    for _ in range(9):
        log.write("strike", key=run.plan.chunks[1].key, kind="death", cause="signal 9")
    log.write("forgiven", chunks=1)
    run.run()
    assert audit(run) == WHOLE and len(run.events("done")) == 4


def test_everything_failing_ends_the_run(trial):
    with pytest.raises(Stopped, match="more than 200 pieces of work fail, the last.*is no good"):
        trial(60, "inline", errors=tuple(range(240))).run()


def test_a_chunk_that_takes_too_long_does_not_hold_up_a_stop(trial):
    run = trial(60, nap=30.0)
    process = run.start()
    assert until(lambda: run.events("ready"), 60.0)
    workers, asked = run.living(), time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 75 and 2 < time.monotonic() - asked < 8
    assert until(lambda: not any(map(alive, workers)), 1.0)


def test_workers_and_memory_go_with_a_killed_driver(trial):
    run, before = trial(60, nap=0.05), set(os.listdir("/dev/shm"))
    process = run.start()
    assert until(lambda: run.done >= 4, 60.0)
    workers = run.living()
    process.kill()
    process.wait()
    assert workers and until(lambda: not any(map(alive, workers)), 5.0)

    def left():
        return {n for n in set(os.listdir("/dev/shm")) - before if n.startswith("psm_")}

    assert until(lambda: not left(), 10.0)


def test_strikes_are_counted_by_chunk_and_not_by_worker(trial):
    run = trial(8, kills=(3, 17))
    run.run()
    assert audit(run, (3, 17)) == (0, 0, 0, True, (3, 17))
    assert set(Counter(e["chunk"] for e in run.events("strike"))) == {0, 4}


def test_an_answer_is_small():
    assert len(pickle.dumps(Answer(1.5, True, peak_mb=512))) < 1000
