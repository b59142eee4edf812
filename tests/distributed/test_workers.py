"""Workers that die, hang, raise or never start: every pair once, or listed as failed."""

import contextlib
import json
import os
import pickle
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from epistax.distributed.backends import backend
from epistax.distributed.crew import KernelFailed
from epistax.distributed.driver import execute, seconds
from epistax.distributed.errors import BadInput, Stopped
from epistax.distributed.events import Events
from epistax.distributed.parcel import pack, unpack
from epistax.distributed.plan import Plan
from epistax.distributed.store import Store
from epistax.distributed.worker import Answer

SIZE = 4


@dataclass
class Ranges:
    """Rows of a range of integers; some of them kill, hang or raise."""

    kills: tuple[int, ...] = ()
    hangs: tuple[int, ...] = ()
    errors: tuple[int, ...] = ()
    nap: float = 0.0

    def __call__(self, chunk):
        first, last = chunk.work["first"], chunk.work["last"]
        time.sleep(self.nap)
        if any(first <= k < last for k in self.kills):
            os.kill(os.getpid(), signal.SIGKILL)
        if any(first <= k < last for k in self.hangs):
            time.sleep(600)
        if any(first <= k < last for k in self.errors):
            raise ValueError(f"{first} .. {last} is no good")
        return self.rows(first, last, "ok")

    def halves(self, work):
        first, last = work["first"], work["last"]
        middle = (first + last) // 2
        pieces = {"first": first, "last": middle}, {"first": middle, "last": last}
        return pieces if last - first > 1 else ()

    def failed(self, work):
        return self.rows(work["first"], work["last"], "failed")

    @staticmethod
    def rows(first, last, status):
        i = np.arange(first, last)
        x = np.where(status == "ok", np.sin(i), np.nan)
        return pl.DataFrame({"i": i, "x": x, "status": [status] * len(i)})


class Whole:
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


def planned(chunks):
    work = [{"first": SIZE * k, "last": SIZE * k + SIZE} for k in range(chunks)]
    return Plan.of("run", work)


def fresh(root, name="run", cls=Store):
    (root / name / "shards").mkdir(parents=True)
    return cls(root / name / "shards")


def content(store):
    return {p.name: p.read_bytes() for p in store.folder.iterdir()}


def events(store, *names):
    return [e for e in Events(store.beside("events.jsonl")).read() if e["event"] in names]


def status(store, plan):
    return dict(store.read(plan).filter(pl.col("status") != "ok").select("i", "status").rows())


def test_processes_write_the_same_bytes_as_inline(tmp_path):
    plan, inline = planned(30), fresh(tmp_path, "inline")
    execute(plan, Ranges(), inline)
    for workers in (1, 2):
        store = fresh(tmp_path, str(workers))
        kernel = Ranges(nap=0.03)
        facts = execute(plan, kernel, store, backend=backend("process", workers)).facts
        assert content(store) == content(inline)
        manifests = [s.beside("manifest.json").read_bytes() for s in (store, inline)]
        assert manifests[0] == manifests[1]
        ready = events(store, "ready")
        assert len(ready) == workers and facts["deaths"] == 0 and facts["peak_mb"] > 0
        if workers == 2 and len(os.sched_getaffinity(0)) > 1:
            assert all(len(e["cores"]) == 1 for e in ready)
        assert len(events(store, "done")) == 30
        assert list(seconds(Events(store.beside("events.jsonl")))) == [""]


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
def test_what_raises_is_isolated_and_listed(executor, tmp_path):
    plan, store, clean = planned(6), fresh(tmp_path), fresh(tmp_path, "clean")
    execute(plan, Ranges(errors=(9, 10)), store, backend=backend(executor, 2))
    execute(plan, Ranges(), clean)
    assert status(store, plan) == {9: "failed", 10: "failed"}
    same = [k for k in range(6) if k != 2]
    files = [plan.chunks[k].name + ".rows.parquet" for k in same]
    assert all(content(store)[f] == content(clean)[f] for f in files)
    good = store.read(plan).filter(pl.col("status") == "ok")
    assert good.equals(clean.read(plan).filter(~pl.col("i").is_in([9, 10])))
    found = json.loads((store.beside("failed") / "c000002.json").read_text())
    assert [entry["work"] for entry in found["failed"]] == [
        {"first": 9, "last": 10},
        {"first": 10, "last": 11},
    ]
    assert "9 .. 10 is no good" in found["failed"][0]["why"]
    assert list(store.beside("pieces").iterdir()) == []
    assert json.loads(store.beside("manifest.json").read_text())["failed"] == [2]


def test_what_kills_is_isolated_and_takes_nobody_along(tmp_path):
    plan, store = planned(12), fresh(tmp_path)
    execute(plan, Ranges(kills=(25,)), store, backend=backend("process", 2))
    assert status(store, plan) == {25: "failed"}
    assert store.read(plan)["i"].to_list() == list(range(12 * SIZE))
    strikes = Counter(e["chunk"] for e in events(store, "strike"))
    assert set(strikes) == {25 // SIZE}
    # once in the pool, four times alone, then twice a level of two halvings
    assert len(events(store, "death")) == 5 + 2 * 2


def test_what_cannot_be_cut_is_the_callers(tmp_path):
    plan = Plan.of("run", [{"n": n} for n in range(3)])
    with pytest.raises(ValueError, match="chunk 1 is no good"):
        execute(plan, Whole(), fresh(tmp_path, "a"))
    with pytest.raises(KernelFailed, match="ValueError: chunk 1 is no good"):
        execute(plan, Whole(), fresh(tmp_path, "b"), backend=backend("process", 1))


def test_a_hang_is_ended_and_isolated(tmp_path):
    plan = Plan.of("run", [{"first": k, "last": k + 2} for k in (2, 4)])
    store = fresh(tmp_path)
    execute(plan, Ranges(hangs=(5,)), store, backend=backend("process", 2), deadline=0.1)
    assert status(store, plan) == {5: "failed"}
    assert {e["kind"] for e in events(store, "strike")} == {"hang"}


def test_workers_that_die_before_they_are_ready_blame_no_chunk(tmp_path):
    store = fresh(tmp_path)
    with pytest.raises(Stopped, match="0 of 5 chunks.*die one after another.*signal 9"):
        execute(planned(5), Deadly(), store, backend=backend("process", 1))
    assert not events(store, "strike") and 5 <= len(events(store, "death")) <= 9


def test_a_worker_that_cannot_be_made_ends_the_run_at_once(tmp_path):
    store = fresh(tmp_path)
    with pytest.raises(KernelFailed, match="No module named 'nosuch'"):
        execute(planned(5), Impossible(), store, backend=backend("process", 1))
    assert len(events(store, "unfit")) == 1 and not events(store, "death")


def test_a_shard_without_a_word_counts(tmp_path):
    plan, store, plain = planned(12), fresh(tmp_path, cls=Silent), fresh(tmp_path, "plain")
    execute(plan, Ranges(), store, backend=backend("process", 2))
    execute(plan, Ranges(), plain)
    assert content(store) == content(plain)
    assert len(events(store, "death")) == 3 and not events(store, "strike")


@pytest.mark.parametrize("executor", ["inline", "process"])
def test_a_full_disk_is_said_in_a_line(executor, tmp_path):
    with pytest.raises(BadInput, match="cannot be written to: No space left.*--resume"):
        execute(planned(5), Ranges(), fresh(tmp_path, cls=Full), backend=backend(executor, 1))


def test_strikes_outlive_the_driver(tmp_path):
    plan, store = planned(4), fresh(tmp_path)
    log, key = Events(store.beside("events.jsonl")), plan.chunks[1].key
    for _ in range(4):
        log.write("strike", key=key, kind="death", cause="signal 9")
    with store.beside("events.jsonl").open("a") as file:
        file.write('{"time": 1, "event": "str')  # torn by the same kill
    execute(plan, Ranges(kills=(6,)), store, backend=backend("process", 1))
    assert status(store, plan) == {6: "failed"}
    assert len(events(store, "death")) == 1 + 2 * 2


def test_forgiven_strikes_are_gone(tmp_path):
    plan, store = planned(4), fresh(tmp_path)
    log = Events(store.beside("events.jsonl"))
    for _ in range(9):
        log.write("strike", key=plan.chunks[1].key, kind="death", cause="signal 9")
    log.write("forgiven", chunks=1)
    execute(plan, Ranges(), store)
    assert not status(store, plan) and len(events(store, "done")) == 4


def test_everything_failing_ends_the_run(tmp_path):
    with pytest.raises(Stopped, match="more than 200 pieces of work fail, the last.*is no good"):
        execute(planned(60), Ranges(errors=tuple(range(240))), fresh(tmp_path))


def test_random_kills_lose_nothing(tmp_path):
    chaos(tmp_path, chunks=60, kills=3, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_many_random_kills_lose_nothing(seed, tmp_path):
    chaos(tmp_path, chunks=2000, kills=20, seed=seed)


def chaos(folder, *, chunks, kills, seed):
    """Workers killed at random moments; the shards are those of a quiet run."""
    plan, store, quiet = planned(chunks), fresh(folder), fresh(folder, "quiet")
    over, rng, done = threading.Event(), random.Random(seed), []

    def kill():
        while len(done) < kills and not over.wait(rng.uniform(0.3, 1.2)):
            dead = {e["worker"] for e in events(store, "death")}
            alive = [e["pid"] for e in events(store, "ready") if e["worker"] not in dead]
            if alive:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(rng.choice(alive), signal.SIGKILL)
                    done.append(1)

    killer = threading.Thread(target=kill)
    killer.start()
    nap = 2.0 * kills / chunks
    try:
        execute(plan, Ranges(nap=nap), store, backend=backend("process", 2))
    finally:
        over.set()
        killer.join()
    execute(plan, Ranges(), quiet)
    assert len(done) >= kills // 2 and len(events(store, "death")) >= len(done) - 1
    assert content(store) == content(quiet)
    assert store.read(plan)["i"].to_list() == list(range(chunks * SIZE))
    assert not status(store, plan)
    worst = Counter(e["chunk"] for e in events(store, "strike")).values()
    assert max(worst, default=0) < 5


DRIVER = textwrap.dedent("""
    import sys, time
    from pathlib import Path
    import polars as pl
    from epistax.distributed.backends import backend
    from epistax.distributed.driver import execute
    from epistax.distributed.errors import Stopped
    from epistax.distributed.plan import Plan
    from epistax.distributed.store import Store

    class Slow:
        def __call__(self, chunk):
            time.sleep(float(sys.argv[4]))
            return pl.DataFrame({"seed": [chunk.work["seed"]] * 100})

    if __name__ == "__main__":
        plan = Plan.of("run", [{"seed": s} for s in range(int(sys.argv[3]))])
        store = Store(Path(sys.argv[1]))
        try:
            execute(plan, Slow(), store, backend=backend(sys.argv[2], 2))
        except Stopped as stop:
            print(stop)
            sys.exit(75)
""")


def driver(folder, executor="process", chunks=60, nap=0.05):
    """A driver of its own, once its first chunks are done."""
    script = folder / "driver.py"
    script.write_text(DRIVER)
    (folder / "shards").mkdir(exist_ok=True)
    words = [sys.executable, str(script), str(folder / "shards"), executor, str(chunks), str(nap)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)


def some_done(store, count, timeout=60.0):
    until = time.monotonic() + timeout
    while len(list(store.folder.glob("c*"))) < count:
        assert time.monotonic() < until
        time.sleep(0.01)


def pids(store):
    return [e["pid"] for e in events(store, "ready")]


def alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def gone(numbers, within):
    until = time.monotonic() + within
    while time.monotonic() < until and any(alive(pid) for pid in numbers):
        time.sleep(0.05)
    return not any(alive(pid) for pid in numbers)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_drains_and_the_rest_is_done_later(number, tmp_path):
    store = Store(tmp_path / "shards")
    process = driver(tmp_path)
    some_done(store, 4)
    process.send_signal(number)
    asked = time.monotonic()
    assert process.wait(20) == 75
    assert time.monotonic() - asked < 6  # 3 on an idle machine
    assert "of 60 chunks are done" in process.stdout.read()
    assert gone(pids(store), 1) and not list(store.folder.glob(".tmp-*"))
    again = driver(tmp_path, nap=0.0)
    assert again.wait(60) == 0
    plan = Plan.of("run", [{"seed": s} for s in range(60)])
    assert store.read(plan)["seed"].to_list() == [s for s in range(60) for _ in range(100)]


def test_a_chunk_that_takes_too_long_does_not_hold_up_a_stop(tmp_path):
    store = Store(tmp_path / "shards")
    process = driver(tmp_path, nap=30.0)
    until = time.monotonic() + 60
    while not events(store, "ready"):
        assert time.monotonic() < until
        time.sleep(0.05)
    asked = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 75 and 2 < time.monotonic() - asked < 8
    assert gone(pids(store), 1)


def test_workers_and_memory_go_with_a_killed_driver(tmp_path):
    store, before = Store(tmp_path / "shards"), set(os.listdir("/dev/shm"))
    process = driver(tmp_path)
    some_done(store, 4)
    process.kill()
    process.wait()
    assert gone(pids(store), 5)
    until = time.monotonic() + 10
    while set(os.listdir("/dev/shm")) - before and time.monotonic() < until:
        time.sleep(0.05)
    assert not {n for n in set(os.listdir("/dev/shm")) - before if n.startswith("psm_")}
    assert driver(tmp_path, nap=0.0).wait(60) == 0


@pytest.mark.slow
def test_twenty_killed_drivers_lose_nothing(tmp_path):
    store, rng = Store(tmp_path / "shards"), random.Random(1)
    for _ in range(20):
        process = driver(tmp_path, chunks=1000, nap=0.02)
        time.sleep(rng.uniform(1.0, 3.0))
        process.kill()
        process.wait()
    assert driver(tmp_path, chunks=1000, nap=0.0).wait(120) == 0
    plan = Plan.of("run", [{"seed": s} for s in range(1000)])
    assert store.read(plan)["seed"].to_list() == [s for s in range(1000) for _ in range(100)]
    assert len(list(store.folder.iterdir())) == 1000


def test_an_answer_is_small():
    assert len(pickle.dumps(Answer(1.5, True, peak_mb=512))) < 1000
