"""`score` of a simulated screen through Ray, from the command line: pace and memory by its size.

The screen is that of `simulate morphology` with more genes than it makes: wells of every pair,
three of each. Memory of the driver is the most that the command itself held.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from epistax.benchmarks.faultkernel import Finding, Trial
from epistax.benchmarks.faultkills import END
from epistax.benchmarks.faultsystem import named, short, until

TESTS = ("additive", "mmd")
FEATURES = 19  # the fewest that hold the pathways and the axes of interaction
GROWTH = 16  # MB by which the driver may grow while chunks are given out and done
FLAT = 1024  # bytes a pair by which the whole command may grow with the screen


def scores(folder: Path, *, genes: tuple[int, ...], workers: int) -> Finding:
    """Every size in turn: pairs a second; the most memory of an actor and of the driver, MB.

    And what the driver takes while the work is done, beside what it has read before.
    """
    keys = ("pairs", "seconds", "pairs_a_second", "actor_mb", "driver_mb", "driver_grows_mb")
    figures: dict[str, Any] = {key: [] for key in keys}
    lost = left = 0
    for p in genes:
        data, out = screen(folder / f"{p}.npz", p), folder / str(p)
        pairs = p * (p - 1) // 2
        with short() as place:
            taken, memory = commanded(data, out, workers, place)
            until(lambda place=place: not named(str(place)), END)
            left += len(named(str(place)))
        found, missing = told(out, pairs, memory)
        lost += missing
        figures["pairs"].append(pairs)
        figures["seconds"].append(round(taken, 1))
        for key, value in found.items():
            figures[key].append(value)
    missed = [f"{left} processes left"] * (left > 0)
    if len(genes) > 1:
        more = (figures["driver_mb"][-1] - figures["driver_mb"][0]) * 2**20
        each = round(more / (figures["pairs"][-1] - figures["pairs"][0]))
        figures["driver_bytes_a_pair"] = each
        missed += [f"the driver takes {each:,} bytes more a pair"] * (each > FLAT)
    most = max(figures["driver_grows_mb"])
    missed += [f"the driver grows by {most} MB at work"] * (most > GROWTH)
    return Finding({}, lost, figures=figures, missed=tuple(missed))


def screen(path: Path, genes: int) -> Path:
    """An npz file of the wells of so many genes and all their pairs."""
    import jax

    from epistax.distributed.simulated.screenfiles import labels
    from epistax.engine.simulate import morphology, morphology_wells

    k_genes, k_data = jax.random.split(jax.random.key(0))
    drawn = morphology.biology(k_genes, genes, d=FEATURES)
    made = morphology_wells.wells(k_data, drawn, double=1)
    names = np.array([f"g{k:04d}" for k in range(genes)])
    np.savez(path, x=np.asarray(made.x), perturbation=labels(made.codes, names))
    return path


def commanded(
    data: Path, out: Path, workers: int, place: Path
) -> tuple[float, list[tuple[float, int, int]]]:
    """Seconds of the whole command; and by time the memory it held, and the most so far, MB."""
    words = [word for test in TESTS for word in ("--test", test)]
    how = ("--executor", "ray", "--workers", str(workers), "--quiet")
    begun, memory = time.monotonic(), []
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "epistax.cli", "score", str(data), "--out", str(out), *words,
         *how],
        env=os.environ | {"TMPDIR": str(place)},
        cwd=place,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    while process.poll() is None:
        memory.append((time.time(), *held(process.pid)))
        time.sleep(0.05)
    if process.returncode != 0:
        raise RuntimeError(f"score ends with {process.returncode}; its complaint is above")
    return time.monotonic() - begun, memory


def held(pid: int) -> tuple[int, int]:
    """Memory of a process now, and the most so far, MB; 0 of one that is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0, 0
    found = dict(line.split(":") for line in lines)
    now, most = (int(found.get(key, "0").split()[0]) // 1024 for key in ("VmRSS", "VmHWM"))
    return now, most


def told(
    out: Path, pairs: int, memory: list[tuple[float, int, int]]
) -> tuple[dict[str, float], int]:
    """Pace from the first worker that was ready to the last chunk done, memory; missing rows."""
    import polars as pl

    events = Trial(str(out), 0).events("ready", "done")
    ready = min(e["time"] for e in events if e["event"] == "ready")
    last = max(e["time"] for e in events if e["event"] == "done")
    actor = max(e.get("peak_mb", 0) for e in events)
    rows = pl.read_parquet(out / "scores.parquet", columns=["a", "b", "test"]).n_unique()
    work = [now for when, now, _ in memory if ready <= when <= last]
    found = {"pairs_a_second": round(pairs / (last - ready)), "actor_mb": actor}
    found |= {"driver_mb": max(most for *_, most in memory), "driver_grows_mb": max(work) - work[0]}
    return found, pairs * len(TESTS) - rows
