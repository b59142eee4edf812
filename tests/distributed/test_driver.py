"""The driver: everything once, in order, whatever stops it in between."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections import deque

import polars as pl
import pytest

from epistax.distributed.backends import Inline, Receipt
from epistax.distributed.driver import execute
from epistax.distributed.errors import Stopped
from epistax.distributed.plan import Plan
from epistax.distributed.progress import Progress
from epistax.distributed.store import Store

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


class Interrupted(Exception):
    """What a test's kernel dies of."""


def test_all_chunks_in_the_order_of_the_plan(store):
    paths = execute(PLAN, kernel, store)
    assert paths == store.paths(PLAN) and all(p.is_file() for p in paths)
    assert store.read(PLAN).equals(pl.concat([kernel(c) for c in PLAN.chunks]))
    assert (store.folder.parent / "manifest.json").is_file()


def test_stopped_after_every_chunk_and_resumed_is_byte_identical(tmp_path):
    whole = fresh(tmp_path, "whole")
    execute(PLAN, kernel, whole)
    for k in range(N):
        store, calls = fresh(tmp_path, str(k)), []

        def dying(chunk, k=k, calls=calls):
            if len(calls) == k:
                raise Interrupted
            calls.append(chunk.id)
            return kernel(chunk)

        with pytest.raises(Interrupted):
            execute(PLAN, dying, store)
        assert len(content(store)) == k
        assert not (store.folder.parent / "manifest.json").exists()
        again = []
        execute(PLAN, lambda c, again=again: again.append(c.id) or kernel(c), store)
        assert calls + again == list(range(N))  # nothing twice
        assert content(store) == content(whole)
        manifests = [s.folder.parent / "manifest.json" for s in (store, whole)]
        assert manifests[0].read_bytes() == manifests[1].read_bytes()


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

    assert len(execute(PLAN, signalled, store)) == N


def test_a_signal_that_was_ignored_stays_ignored(store):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:

        def signalled(chunk):
            os.kill(os.getpid(), signal.SIGINT)
            return kernel(chunk)

        assert len(execute(PLAN, signalled, store)) == N
    finally:
        signal.signal(signal.SIGINT, before)


class Late(Inline):
    """Three in flight, handed back in reverse: what a pool of workers may do."""

    capacity = 3

    def __init__(self):
        super().__init__()
        self.most = 0

    def collect(self, timeout):
        self.most = max(self.most, len(self.queue))
        self.queue = deque(reversed(self.queue))
        chunk = self.queue.popleft()
        self.store.publish(chunk, self.kernel(chunk))
        return [Receipt(chunk, True, 0.0)]


def test_the_driver_keeps_any_backend_fed_and_the_order(store, tmp_path):
    backend, inline = Late(), fresh(tmp_path, "inline")
    execute(PLAN, kernel, store, backend=backend)
    execute(PLAN, kernel, inline)
    assert backend.most == 3 and content(store) == content(inline)


VICTIM = textwrap.dedent("""
    import sys, time, polars as pl
    from pathlib import Path
    from epistax.distributed.driver import execute
    from epistax.distributed.plan import Plan
    from epistax.distributed.store import Store
    def kernel(chunk):
        print(chunk.id, flush=True)
        time.sleep(0.03)
        return pl.DataFrame({"seed": [chunk.work["seed"]] * 1000})
    plan = Plan.of("run", [{"seed": s} for s in range(12)])
    execute(plan, kernel, Store(Path(sys.argv[1])))
    print("finished")
""")


def test_killed_again_and_again_it_still_ends_with_every_chunk_once(tmp_path):
    (tmp_path / "shards").mkdir()
    words = [sys.executable, "-c", VICTIM, str(tmp_path / "shards")]
    kills = 0
    while True:
        process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        seen = [process.stdout.readline() for _ in range(4)]
        if kills < 3 and "finished\n" not in seen:
            process.kill()
            kills += 1
            process.wait()
            continue
        assert "finished" in "".join(seen) + process.stdout.read()
        assert process.wait() == 0
        break
    assert kills == 3
    plan = Plan.of("run", [{"seed": s} for s in range(12)])
    store = Store(tmp_path / "shards")
    frame = store.read(plan)
    assert frame["seed"].value_counts()["count"].to_list() == [1000] * 12
    assert sorted(content(store)) == sorted(p.name for p in store.paths(plan))


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
