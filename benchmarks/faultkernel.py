"""Runs that go wrong on purpose: their kernel, their driver, and what is left of them.

A `Trial` is a run in a folder of its own, of rows that are known beforehand; some of its integers
kill the worker that computes them, hang, raise, or take memory. `audit` compares what it published
with the same run undisturbed.
"""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from epistax.benchmarks.faultsystem import alive

SIZE = 4  # integers of a chunk
WRITTEN = 100_000  # bytes of a publication
HOG = 3 << 30  # bytes that a hog takes, if it is let
SHARED = Path("/dev/shm")  # where syncing a file costs nothing


@dataclass
class Ranges:
    """Rows of a range of integers by a shared table; some integers do harm."""

    table: np.ndarray
    kills: Sequence[int] = ()
    hangs: Sequence[int] = ()
    errors: Sequence[int] = ()
    hogs: Sequence[int] = ()
    naps: Sequence[int] = ()  # three seconds of sleep
    nap: float = 0.0

    def __call__(self, chunk: Any) -> Any:
        """The rows of one chunk, or the harm."""
        first, last = chunk.work["first"], chunk.work["last"]
        within = range(first, last)
        time.sleep(self.nap)
        if any(k in within for k in self.kills):
            os.kill(os.getpid(), signal.SIGKILL)
        if any(k in within for k in self.hangs):
            time.sleep(600)
        if any(k in within for k in self.naps):
            time.sleep(3)
        if any(k in within for k in self.errors):
            raise ValueError(f"{first} .. {last} is no good")
        if any(k in within for k in self.hogs):
            hog()
        return self.rows(first, last, "ok")

    def halves(self, work: Any) -> tuple[dict[str, int], ...]:
        """A range in two; none of a single integer."""
        first, last = work["first"], work["last"]
        middle = (first + last) // 2
        pieces = {"first": first, "last": middle}, {"first": middle, "last": last}
        return pieces if last - first > 1 else ()

    def failed(self, work: Any) -> Any:
        """Rows that say no more than that there are none."""
        return self.rows(work["first"], work["last"], "failed")

    def rows(self, first: int, last: int, status: str) -> Any:
        """A row an integer."""
        import polars as pl  # here: the other suites run where it is not installed

        i = np.arange(first, last)
        x = np.where(status == "ok", self.table[first:last], np.nan)
        return pl.DataFrame({"i": i, "x": x, "status": [status] * len(i)})


def hog() -> None:
    """Take memory until somebody objects."""
    held = []
    for _ in range(HOG >> 25):
        held.append(np.ones(1 << 22))
        time.sleep(0.01)
    time.sleep(5)


@dataclass(frozen=True)
class Trial:
    """One run: its folder, size, executor, and the integers that do harm."""

    folder: str
    chunks: int
    executor: str = "process"
    workers: int = 2
    address: str = "local"
    size: int = SIZE
    nap: float = 0.0
    deadline: float = 60.0
    kills: Sequence[int] = ()
    hangs: Sequence[int] = ()
    errors: Sequence[int] = ()
    hogs: Sequence[int] = ()
    naps: Sequence[int] = ()

    @property
    def kernel(self) -> Ranges:
        """What computes its rows."""
        table = np.sin(np.arange(self.chunks * self.size))
        harm = (self.kills, self.hangs, self.errors, self.hogs, self.naps)
        return Ranges(table, *harm, nap=self.nap)

    @property
    def plan(self) -> Any:
        """Its chunks."""
        from epistax.distributed.plan import Plan

        starts = range(0, self.chunks * self.size, self.size)
        return Plan.of("run", [{"first": k, "last": k + self.size} for k in starts])

    @property
    def store(self) -> Any:
        """Its shards, in a folder that is made where absent."""
        from epistax.distributed.store import Store

        folder = Path(self.folder) / "shards"
        folder.mkdir(parents=True, exist_ok=True)
        return Store(folder)

    def run(self) -> Any:
        """Drive it from this process."""
        from epistax.distributed.backends import backend
        from epistax.distributed.driver import execute

        crew = backend(self.executor, self.workers, ray=self.address)
        return execute(self.plan, self.kernel, self.store, backend=crew, deadline=self.deadline)

    def command(self) -> list[str]:
        """Drive it from a process of its own; exit codes are those of the command line."""
        words = json.dumps(dataclasses.asdict(self))
        return [sys.executable, "-P", "-m", "epistax.benchmarks.faultdriver", words]

    def start(self, **environment: str) -> subprocess.Popen[str]:
        """That process, in the folder of the trial."""
        assert self.store.folder.is_dir()
        with (Path(self.folder) / "driver.log").open("a") as log:
            return subprocess.Popen(
                self.command(),
                env=os.environ | environment,
                cwd=self.folder,
                stdout=log,
                stderr=log,
                text=True,
            )

    def undisturbed(self, folder: str) -> "Trial":
        """The same work by one process, without harm."""
        return Trial(folder, self.chunks, "inline", size=self.size)

    @property
    def done(self) -> int:
        """Chunks that are published."""
        return sum(name.startswith("c") for name in os.listdir(Path(self.folder) / "shards"))

    def events(self, *names: str) -> list[dict[str, Any]]:
        """What was logged under these names."""
        from epistax.distributed.events import NAME, Events

        return [e for e in Events(Path(self.folder) / NAME).read() if e["event"] in names]

    def living(self) -> list[int]:
        """Process numbers of the last driver's workers that are ready and not known to be dead."""
        ready: dict[str, int] = {}
        for event in self.events("start", "ready", "death"):
            if event["event"] == "start":
                ready = {}
            elif event["event"] == "ready":
                ready[event["worker"]] = event["pid"]
            else:
                ready.pop(event["worker"], None)
        return [pid for pid in ready.values() if alive(pid)]


class Finding(NamedTuple):
    """What a row of the plan found."""

    injected: dict[str, int]  # faults by name
    lost: int = 0
    duplicated: int = 0
    strays: int = 0
    identical: bool | None = None  # None where nothing is written
    figures: dict[str, Any] = {}  # never changed
    missed: tuple[str, ...] = ()  # goals that were not reached, in words


class Audit(NamedTuple):
    """What a trial has published, against the same run undisturbed."""

    lost: int  # chunks without a whole shard
    duplicated: int  # shards beyond one a chunk, and integers that have several rows
    strays: int  # files that nobody needs
    identical: bool  # bytes of every shard, and of the manifest where nothing failed
    failed: tuple[int, ...]  # integers whose rows say so

    def __add__(self, other: "Audit") -> "Audit":  # type: ignore[override]
        """Of two trials."""
        return Audit(
            self.lost + other.lost,
            self.duplicated + other.duplicated,
            self.strays + other.strays,
            self.identical and other.identical,
            self.failed + other.failed,
        )


def audit(trial: Trial, guilty: Sequence[int] = ()) -> Audit:
    """Count what is lost, twice or left over; chunks of the guilty are compared by rows."""
    with tempfile.TemporaryDirectory(dir=SHARED if SHARED.is_dir() else None) as folder:
        quiet = trial.undisturbed(folder)
        quiet.run()
        return compared(trial, quiet, guilty)


def compared(trial: Trial, quiet: Trial, guilty: Sequence[int]) -> Audit:
    """One store against another."""
    import polars as pl

    plan, ours, theirs = trial.plan, trial.store, quiet.store
    names = {path.name for path in ours.paths(plan)}
    found = [path.name for path in ours.folder.iterdir()]
    lost = sum(not ours.has(chunk) for chunk in plan.chunks)
    numbers = Counter(name.partition("-")[0] for name in found if name.startswith("c"))
    pieces = ours.beside("pieces")
    left = [*(set(found) - names), *(pieces.iterdir() if pieces.is_dir() else ())]
    if lost:
        return Audit(lost, sum(numbers.values()) - len(numbers), len(left), False, ())
    rows = ours.read(plan)
    twice = len(rows) - rows["i"].n_unique() + sum(numbers.values()) - len(numbers)
    bad = {k // trial.size for k in guilty}
    same = all(
        ours.path(c, "rows").read_bytes() == theirs.path(c, "rows").read_bytes()
        for c in plan.chunks
        if c.id not in bad
    )
    good = pl.col("status") == "ok"
    failed = tuple(rows.filter(~good)["i"].to_list())
    # of a chunk that was taken apart, what did not fail is as it would have been
    expected = theirs.read(plan).filter(~pl.col("i").is_in(list(failed)))
    same = same and rows.filter(good).equals(expected)
    if not guilty:
        manifests = [store.beside("manifest.json").read_bytes() for store in (ours, theirs)]
        same = same and manifests[0] == manifests[1]
    return Audit(lost, twice, len(left), same, failed)


def racer(folder: Path, barrier: Any, answers: Any, rounds: int, number: int) -> None:
    """One of several processes that publish under the same names, nothing but its number."""
    from epistax.distributed import atomic

    for n in range(rounds):
        barrier.wait()
        first = atomic.publish(folder / f"c{n}", bytes([number]) * WRITTEN)
        answers.put((n, number, first))
