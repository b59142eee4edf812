"""The driver: everything once, in order, whatever stops it in between."""

import os
import signal
import subprocess
import sys
import time

import polars as pl
import pytest

from epistax.distributed.crew import Answered, Inline, Ready
from epistax.distributed.driver import execute
from epistax.distributed.errors import Stopped
from epistax.distributed.events import Events
from epistax.distributed.plan import Plan
from epistax.distributed.progress import Progress
from epistax.distributed.store import Store
from epistax.distributed.worker import Answer

N = 7
PLAN = Plan.of("run", [{"seed": s} for s in range(N)])


def kernel(chunk):
    seed = chunk.work["seed"]
    return pl.DataFrame({"seed": [seed] * 20, "x": [seed + i / 7 for i in range(20)]})


@pytest.fixture
def store(tmp_path):
    return fresh(tmp_path, "shards")


def fresh(root, name):
    (root / name / "shards").mkdir(parents=True)
    return Store(root / name / "shards")


def content(store):
    return {p.name: p.read_bytes() for p in store.folder.iterdir()}


def test_all_chunks_in_the_order_of_the_plan(store):
    paths = execute(PLAN, kernel, store).paths
    assert paths == store.paths(PLAN) and all(p.is_file() for p in paths)
    assert store.read(PLAN).equals(pl.concat([kernel(c) for c in PLAN.chunks]))
    assert (store.folder.parent / "manifest.json").is_file()


def test_a_damaged_shard_alone_is_computed_again(store, capsys):
    execute(PLAN, kernel, store)
    before = content(store)
    victim = store.paths(PLAN)[3]
    victim.write_bytes(victim.read_bytes()[:100])
    again = []
    execute(
        PLAN,
        lambda c: again.append(c.id) or kernel(c),
        store,
        progress=Progress("discover"),
    )
    assert again == [3] and content(store) == before
    assert "discover: 1 damaged and 0 foreign shards: computed again" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_finishes_the_chunk_in_flight(number, store, capsys):
    before = signal.getsignal(number)

    def signalled(chunk):
        if chunk.id == 2:
            os.kill(os.getpid(), number)
            time.sleep(0.01)
        return kernel(chunk)

    with pytest.raises(Stopped, match=f"3 of {N} chunks are done"):
        execute(PLAN, signalled, store, progress=Progress("x"))
    assert len(content(store)) == 3
    assert "stopping after the work in flight" in capsys.readouterr().err
    assert signal.getsignal(number) is before
    execute(PLAN, kernel, store)
    assert len(content(store)) == N


def test_the_second_signal_stops_at_once(store):
    def signalled(chunk):
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)
        return kernel(chunk)

    with pytest.raises(KeyboardInterrupt):
        execute(PLAN, signalled, store)
    assert content(store) == {}


def test_a_signal_in_the_last_chunk_is_no_stop(store):
    def signalled(chunk):
        if chunk.id == N - 1:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.01)
        return kernel(chunk)

    assert len(execute(PLAN, signalled, store).paths) == N


def test_a_signal_that_was_ignored_stays_ignored(store):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:

        def signalled(chunk):
            os.kill(os.getpid(), signal.SIGINT)
            return kernel(chunk)

        assert len(execute(PLAN, signalled, store).paths) == N
    finally:
        signal.signal(signal.SIGINT, before)


class Late(Inline):
    """Workers of two chunks each, of whom the last answers first."""

    depth = 2

    def __init__(self, size):
        super().__init__()
        self.size, self.most = size, 0

    def wait(self, timeout):
        events = [Ready(name) for name in self.hired]
        self.hired.clear()
        if self.queue:
            self.most = max(self.most, len(self.queue))
            last = self.queue[-1][0]
            at = next(k for k, (name, _) in enumerate(self.queue) if name == last)
            chunk = self.queue[at][1]
            del self.queue[at]
            self.store.publish(chunk, self.kernel(chunk))
            events.append(Answered(last, Answer(0.0, True)))
        return events


@pytest.mark.parametrize("workers", [1, 4, 16])
def test_the_driver_keeps_any_backend_fed_and_the_order(workers, tmp_path):
    plan = Plan.of("run", [{"seed": s} for s in range(80)])
    store, inline, backend = fresh(tmp_path, "late"), fresh(tmp_path, "inline"), Late(workers)
    execute(plan, kernel, store, backend=backend)
    execute(plan, kernel, inline)
    assert backend.most == 2 * workers and content(store) == content(inline)


def test_a_chunk_costs_little_beside_its_work(store):
    plan = Plan.of("run", [{"seed": s} for s in range(200)])
    began = time.perf_counter()
    execute(plan, kernel, store)
    took = (time.perf_counter() - began) / 200
    frames, began = [kernel(chunk) for chunk in plan.chunks], time.perf_counter()
    other = fresh(store.folder.parent, "bare")
    for chunk, frame in zip(plan.chunks, frames, strict=True):
        other.publish(chunk, frame)
    # beyond writing the shard: a line in the log, and the driver's own steps
    assert took - (time.perf_counter() - began) / 200 < 0.02


def test_the_event_log_outlives_a_torn_line(tmp_path):
    log = Events(tmp_path / "events.jsonl")
    log.write("one", n=1)
    with log.path.open("a") as file:
        file.write('{"event": "two", "n"')
    log.write("three", n=float("nan"))
    assert [(e["event"], e.get("n")) for e in log.read()] == [("one", 1), ("three", None)]
    assert list(Events(tmp_path / "absent.jsonl").read()) == [] and not list(Events().read())


def test_workers_take_cores_that_others_have_not(tmp_path):
    code = (
        "import os, sys; from epistax.distributed import worker; print(worker.pin(1), flush=True);"
        "assert len(os.sched_getaffinity(0)) == 1; sys.stdin.read()"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    words = [sys.executable, "-c", code]
    cores = len(os.sched_getaffinity(0))
    holders = [subprocess.Popen(words, env=environment, **pipes) for _ in range(cores)]
    try:
        taken = [holder.stdout.readline() for holder in holders]
    finally:
        for holder in holders:
            holder.communicate()
    assert len(set(taken)) == cores and all(holder.returncode == 0 for holder in holders)


def test_progress_speaks_in_lines_away_from_a_terminal(store, capsys):
    with Progress("discover", every=0.0) as progress:
        execute(PLAN, kernel, store, progress=progress)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[0].startswith(f"discover: 1 of {N}, ")
    assert err.splitlines()[-1].startswith(f"discover: {N} of {N}, ") and "0 s left" in err
    with Progress("discover", every=0.0, quiet=True) as progress:
        execute(PLAN, kernel, store, progress=progress)
    assert capsys.readouterr() == ("", "")
