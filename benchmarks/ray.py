"""What workers cost and what they gain, by processes and by Ray actors.

`ray.overhead`: chunks of about a second by one worker, published and noted, against the calls
alone, timed where they run: what else the machine does is in both.
`ray.scaling`: MMD tests with p-values by one worker and by two, a core each; from the moment when
every worker has done its first chunk, so that neither starting nor compiling counts.
`ray.pinned`: two workers of a core each against one that has both.
`ray.checksum`: the shards of one run by one process, and by one, two and four actors.
`ray.draws`: posterior draws (raydraws.py).
"""

import hashlib
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from epistax.benchmarks import harness, mmd, raydraws
from epistax.benchmarks.harness import Record

CELLS, FEATURES, PAIRS = 300, 50, 128  # of a class, of a cell, of a chunk
SECONDS, CHUNKS = 1.0, 12  # of a chunk; chunks


class Run(NamedTuple):
    """What a run by some workers took once they were warm."""

    seconds: float  # a chunk, of all workers together
    checksum: str
    facts: dict[str, Any]
    alone: tuple[float, ...] = ()  # seconds of each call, where the kernel says


class Busy:
    """A chunk of so many sines, which one core computes, and the time that it took."""

    def __init__(self, loops: int) -> None:
        """As many passes over a small array."""
        self.loops, self.x = loops, np.linspace(0, 1, 20_000)

    def __call__(self, chunk: Any) -> Any:
        """A table that all passes went into."""
        import polars as pl

        begun, total = time.perf_counter(), np.zeros_like(self.x)
        for k in range(self.loops):
            total += np.sin(self.x + k)
        seconds = time.perf_counter() - begun
        return pl.DataFrame({"x": total[:1000]}).with_columns(seconds=seconds)


def suite(*, size: int | None, repeats: int, seed: int) -> Iterator[Record]:
    """Overhead and scaling of both executors, checksums, draws; 80 and 20,000 genes, or `size`."""
    for executor in ("process", "ray"):
        yield overhead(executor)
    how = {"genes": size or 80, "cells": CELLS, "features": FEATURES, "seed": seed}
    kernel, work = scorer(**how), chunks(how["genes"])
    runs = {}
    for executor, workers in (("process", 1), ("process", 2), ("ray", 1), ("ray", 2), ("ray", 4)):
        runs[executor, workers] = crew(kernel, work, executor, workers)
    for executor in ("process", "ray"):
        one, two = runs[executor, 1], runs[executor, 2]
        name, peak = f"{executor}, one worker", two.facts["peak_mb"]
        yield record("ray.scaling", how | {"executor": executor}, two, one, name, peak)
    unpinned = crew(kernel, work, "process", 1, cores=2)
    for executor in ("process", "ray"):
        two = runs[executor, 2]
        name, peak = "process, one worker of two cores", two.facts["peak_mb"]
        yield record("ray.pinned", how | {"executor": executor}, two, unpinned, name, peak)
    sums = {f"{executor} {workers}": run.checksum for (executor, workers), run in runs.items()}
    yield {"name": "ray.checksum", "size": how, "equal": len(set(sums.values())) == 1, **sums}
    yield from raydraws.rows(size=size, seed=seed)


def record(
    name: str, size: dict[str, Any], ours: Run, reference: Run, reference_name: str, peak: float
) -> Record:
    """A line as the other suites have it; seconds are those of a chunk."""
    return {
        "name": name,
        "size": size,
        "ours_seconds": ours.seconds,
        "reference": reference_name,
        "reference_seconds": reference.seconds,
        "ratio": reference.seconds / ours.seconds,
        "peak_rss_mb": peak,
        "device": harness.device(),
        "versions": harness.versions(),
    }


def overhead(executor: str) -> Record:
    """One worker, chunk after chunk."""
    loops = 100
    while timed(Busy(loops)) < SECONDS:
        loops = int(loops * 1.5)
    run = crew(Busy(loops), [{"n": n} for n in range(CHUNKS)], executor, 1)
    alone = Run(float(np.mean(run.alone[1:])), "", run.facts)
    size, name = {"chunks": CHUNKS, "executor": executor}, "the calls alone"
    line = record("ray.overhead", size, run, alone, name, run.facts["peak_mb"])
    return line | {"overhead": run.seconds / alone.seconds - 1}


def timed(kernel: Busy) -> float:
    """One call."""
    from epistax.distributed.plan import Chunk

    begun = time.perf_counter()
    kernel(Chunk(0, "", {}))
    return time.perf_counter() - begun


def scorer(genes: int, cells: int, features: int, seed: int) -> Any:
    """The kernel of `score --test mmd` on a simulated screen."""
    from epistax.distributed.options import Score
    from epistax.distributed.prepare import Prepared
    from epistax.distributed.scoring import Scorer

    made = mmd.data(genes, genes * (genes - 1) // 2, cells, features, seed)
    names = tuple(f"g{k:04d}" for k in range(genes))
    columns = tuple(f"x_{k}" for k in range(features))
    options = Score(data="simulated", out="nowhere", test=("mmd",), bandwidth=mmd.LENGTH)
    return Scorer(options, Prepared(names, columns, made, False))


def chunks(genes: int) -> list[dict[str, Any]]:
    """Ranges of pairs."""
    count = genes * (genes - 1) // 2
    firsts = range(0, count, PAIRS)
    return [{"test": "mmd", "first": k, "last": min(count, k + PAIRS)} for k in firsts]


def crew(
    kernel: Any, work: list[dict[str, Any]], executor: str, workers: int, cores: int = 1
) -> Run:
    """Run it in a folder of its own; pace by the event log."""
    from epistax.distributed.backends import backend
    from epistax.distributed.driver import execute
    from epistax.distributed.events import NAME, Events
    from epistax.distributed.plan import Plan
    from epistax.distributed.store import Store

    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "shards")
        store.folder.mkdir()
        plan = Plan.of("bench", work)
        done = execute(plan, kernel, store, backend=backend(executor, workers, cores=cores))
        told = [e for e in Events(store.beside(NAME)).read() if e["event"] == "done"]
        content = b"".join(path.read_bytes() for path in done.paths)
        frames = [store.frame(chunk, store.tables[0]) for chunk in plan.chunks]
        alone = tuple(frame["seconds"][0] for frame in frames if "seconds" in frame.columns)
    first = {}
    for event in told:
        first.setdefault(event["worker"], event["time"])
    warm = max(first.values())
    rest = [event["time"] for event in told if event["time"] > warm]
    pace = (rest[-1] - warm) / len(rest) if rest else float("nan")
    return Run(pace, hashlib.sha256(content).hexdigest()[:16], dict(done.facts), alone)


if __name__ == "__main__":
    harness.main(suite)
