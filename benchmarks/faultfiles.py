"""Faults of what lies on disk: deaths while it is written, states that a kill or a user leaves."""

import multiprocessing
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from epistax.benchmarks.faultkernel import (
    SHARED,
    WRITTEN,
    Audit,
    Finding,
    Ranges,
    Trial,
    audit,
    racer,
)
from epistax.engine import pairs

LARGE = (20_000, 46_341, 70_000)  # genes; from the second on, i * n + j leaves 32 bits


def numbering(folder: Path, *, largest: int) -> Finding:
    """The map of pairs to numbers and back: every pair of 2 to `largest` genes, edges beyond."""
    wrong = seen = 0
    for n in range(2, largest + 1):
        every, position = pairs.upper(n), np.arange(pairs.count(n))
        wrong += mismatched(every, position, n)
        seen += len(position)
    for n in LARGE:
        count = pairs.count(n)
        firsts = pairs.rank(pairs.Pairs(np.arange(n - 1), np.arange(1, n)), n)  # of every row
        around = np.unique(np.clip(np.add.outer([-1, 0, 1], firsts), 0, count - 1))
        wrong += mismatched(pairs.unrank(around, n), around, n)
        seen += len(around)
    missed = [f"{wrong} mismatches"] * (wrong > 0)
    figures = {"pairs": seen, "mismatches": wrong}
    return Finding({}, figures=figures, missed=tuple(missed))


def mismatched(these: pairs.Pairs, position: np.ndarray, n: int) -> int:
    """Pairs whose number is not that, or whose number gives another pair, or none at all."""
    i, j = np.asarray(these.i), np.asarray(these.j)
    back = pairs.unrank(position, n)
    good = (pairs.rank(these, n) == position) & (back.i == i) & (back.j == j)
    good &= (i >= 0) & (i < j) & (j < n)
    return int((~good).sum())


# A process that is killed at the n-th system call of a publication.
DEATH = """
import os, signal, sys
from pathlib import Path
from epistax.distributed import atomic
folder, point, size = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[4])
count = 0
def deadly(call):
    def wrapped(*args, **kwargs):
        global count
        count += 1
        if count == point:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*args, **kwargs)
    return wrapped
for name in ("open", "fdopen", "fsync", "link", "replace", "unlink", "close"):
    setattr(os, name, deadly(getattr(os, name)))
getattr(atomic, sys.argv[3])(folder / "target", b"new" * size)
"""


def publication(folder: Path, *, seeds: int, rounds: int) -> Finding:
    """Kill a writer before each of its system calls; let eight writers race for one name."""
    crashes, partial, found = 0, 0, {"publish": 0, "replace": 0}
    for seed in range(seeds):
        for action in found:
            found[action], torn = dying(folder / f"{action}-{seed}", action, WRITTEN + 977 * seed)
            crashes, partial = crashes + found[action], partial + torn
    (folder / "race").mkdir()
    winners = race(folder / "race", rounds)
    missed = [f"{partial} files neither whole nor absent"] * (partial > 0)
    missed += [f"{action} makes {points} calls" for action, points in found.items() if points < 6]
    missed += [f"races won by other than one: {rounds - winners}"] * (winners != rounds)
    injected = {"writers killed": crashes, "races of 8 writers": rounds}
    figures = {"points": found, "partial_files": partial, "races_with_one_winner": winners}
    return Finding(injected, figures=figures, missed=tuple(missed))


def dying(folder: Path, action: str, size: int) -> tuple[int, int]:
    """System calls at which a writer was killed, and files that were then torn."""
    from epistax.distributed import atomic

    whole, before = b"new" * size, b"old" if action == "replace" else None
    torn, there = 0, False
    for point in range(1, 30):
        place = folder / str(point)
        place.mkdir(parents=True)
        target = place / "target"
        if before is not None:
            target.write_bytes(before)
        words = [sys.executable, "-P", "-c", DEATH, str(place), str(point), action, str(size)]
        code = subprocess.run(words, check=False).returncode
        content = target.read_bytes() if target.exists() else None
        torn += content not in (whole, before) or (there and content != whole)
        there = content == whole
        atomic.sweep(place)
        torn += [p.name for p in place.iterdir()] != ["target"] * (content is not None)
        if code == 0:
            return point - 1, torn + (not there)
    raise RuntimeError(f"{action} makes more system calls than are looked at")


def race(folder: Path, rounds: int) -> int:
    """Eight processes publish under the same name at once: how often exactly one is told it won."""
    spawn = multiprocessing.get_context("spawn")
    barrier, answers = spawn.Barrier(8), spawn.Queue()
    racers = [
        spawn.Process(target=racer, args=(folder, barrier, answers, rounds, n)) for n in range(8)
    ]
    for process in racers:
        process.start()
    told = [answers.get(timeout=120) for _ in range(8 * rounds)]
    for process in racers:
        process.join()
    won = {n: [number for k, number, first in told if k == n and first] for n in range(rounds)}
    content = {n: set((folder / f"c{n}").read_bytes()) for n in range(rounds)}
    clean = len(list(folder.iterdir())) == rounds
    return sum(clean and len(won[n]) == 1 and content[n] == set(won[n]) for n in range(rounds))


class Interrupted(Exception):
    """What a kernel dies of that was to die."""


def interruption(folder: Path, *, chunks: int) -> Finding:
    """Stop a run in one process before each of its chunks, and go on."""
    from epistax.distributed.driver import execute

    total, twice = Audit(0, 0, 0, True, ()), 0
    for k in range(chunks):
        trial = Trial(str(folder / str(k)), chunks, "inline")
        calls: list[int] = []
        try:
            execute(trial.plan, Stopping(trial.kernel, calls, k), trial.store)
        except Interrupted:
            pass
        execute(trial.plan, Stopping(trial.kernel, calls, -1), trial.store)
        twice += len(calls) - len(set(calls))
        total += audit(trial)
    missed = [f"{twice} chunks computed twice"] * (twice > 0)
    figures = {"runs": chunks, "chunks": chunks * chunks}
    return Finding({"stops": chunks}, *total[:4], figures=figures, missed=tuple(missed))


class Stopping:
    """A kernel that dies when it has done so many chunks; -1 never."""

    def __init__(self, kernel: Ranges, calls: list[int], last: int) -> None:
        """Calls are kept by the caller."""
        self.kernel, self.calls, self.last = kernel, calls, last

    def __call__(self, chunk: Any) -> Any:
        """Count, and compute."""
        if len(self.calls) == self.last:
            raise Interrupted
        self.calls.append(chunk.id)
        return self.kernel(chunk)


def overhead(
    folder: Path, *, chunks: int, shards: int, limit: float, executors: tuple[str, ...]
) -> Finding:
    """What a chunk of 1,024 rows costs beside its work, and a look through a finished run.

    On a disk that lives in memory, where syncing is free, and on that of `folder`. The look may
    take `limit` seconds.
    """
    import tempfile

    cost: dict[str, float] = {}
    total = Audit(0, 0, 0, True, ())
    with tempfile.TemporaryDirectory(dir=SHARED if SHARED.is_dir() else None) as memory:
        for executor in executors:
            for name, place in (("memory", Path(memory)), ("disk", folder)):
                trial = Trial(str(place / executor), chunks, executor, size=1024)
                trial.run()
                cost[f"{executor}, {name}"] = round(1000 * pace(trial), 2)
                total += audit(trial)
        many = Trial(str(Path(memory) / "scan"), shards, size=1)
        scanned = scan(many)
    missed = [f"{executor}: {cost[f'{executor}, memory']} ms a chunk" for executor in executors
              if cost[f"{executor}, memory"] >= 5]  # fmt: skip
    missed += [f"{shards} shards are looked through in {scanned:.2f} s"] * (scanned >= limit)
    figures = {"ms_a_chunk": cost, "shards": shards, "scan_seconds": round(scanned, 3)}
    return Finding({}, *total[:4], figures=figures, missed=tuple(missed))


def pace(trial: Trial) -> float:
    """Seconds a chunk in the second half of a trial, when all workers are there."""
    times = [event["time"] for event in trial.events("done")]
    half = times[len(times) // 2 :]
    return float(half[-1] - half[0]) / (len(half) - 1)


def scan(trial: Trial) -> float:
    """Seconds to find all shards of a trial done, the least of three."""
    from epistax.distributed import shard

    plan, store, kernel = trial.plan, trial.store, trial.kernel
    for chunk in plan.chunks:
        store.path(chunk, "rows").write_bytes(shard.encode(kernel(chunk), chunk.key))
    times = []
    for _ in range(3):
        begun = time.perf_counter()
        census = store.scan(plan)
        times.append(time.perf_counter() - begun)
        if len(census.done) != len(plan.chunks):
            raise RuntimeError(f"{len(census.todo)} of {len(plan.chunks)} shards are not found")
    return min(times)
