"""Ours against a reference, measured in the same process, in turns.

A side is a module-level maker: `maker(**size)` prepares the data and returns the function that is
timed. Being importable by name it can also run alone in a child process, whose peak memory is
ours and nobody else's. A suite is a module with

    def suite(*, size: int | None, repeats: int, seed: int) -> Iterator[Record]: ...

    if __name__ == "__main__":
        harness.main(suite)

Needs jax and numpy only, so that it runs where the rest of the house is not installed.
"""

import argparse
import importlib
import importlib.metadata
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import jax
import numpy as np

Size: TypeAlias = Mapping[str, int | float | str]
Timed: TypeAlias = Callable[[], Any]  # arrays it returns are waited for
Maker: TypeAlias = Callable[..., Timed]
Record: TypeAlias = dict[str, Any]
VERSIONS = ("epistax", "jax", "jaxlib", "numpy", "numpyro", "scipy", "scikit-learn", "torch")


def measure(
    name: str,
    size: Size,
    ours: Maker,
    reference: Maker | None = None,
    reference_name: str | None = None,
    *,
    repeats: int = 5,
) -> Record:
    """Median seconds of both sides after one warm-up call each; ratio above 1 means ours is faster.

    compile_seconds is what ours' first call took beyond the median; cpu_seconds are those of all
    threads. peak_rss_mb (and, on an
    accelerator, peak_device_mb) is that of a child that made and called ours once. Without a
    reference its fields are null.
    """
    if repeats < 1:
        raise ValueError(f"repeats is {repeats}: at least one call a side is needed")
    peaks = alone(ours, size)  # first: the child needs the memory that this process will take
    sides = [maker(**size) for maker in (ours, reference) if maker is not None]
    first = [seconds(side) for side in sides][0]
    times: list[list[float]] = [[] for _ in sides]
    spent: list[list[float]] = [[] for _ in sides]
    for turn in range(repeats):
        # each side goes first in every other turn: neither gains from a drift of the machine
        for which in range(len(sides)) if turn % 2 == 0 else reversed(range(len(sides))):
            before = time.process_time()
            times[which].append(seconds(sides[which]))
            spent[which].append(time.process_time() - before)
    mine, theirs = (statistics.median(values) if values else None for values in (*times, [])[:2])
    cpu_mine, cpu_theirs = (statistics.median(x) if x else None for x in (*spent, [])[:2])
    assert mine is not None
    return {
        "name": name,
        "size": dict(size),
        "ours_seconds": mine,
        "reference": reference_name,
        "reference_seconds": theirs,
        "ratio": theirs and theirs / mine,
        "cpu_seconds": cpu_mine,
        "reference_cpu_seconds": cpu_theirs,
        "compile_seconds": max(first - mine, 0.0),
        "repeats": repeats,
        "ours_range": [min(times[0]), max(times[0])],
        "reference_range": [min(times[1]), max(times[1])] if theirs else None,
        **peaks,
        "device": device(),
        "versions": versions(),
        "revision": revision(),
    }


def exponents(rows: Sequence[Record], axis: str, since: int | None = None) -> Record:
    """Slopes of log time and log memory in the log size: over all rows, and from `since` on."""
    size = np.array([row["size"][axis] for row in rows], float)
    chosen = {"": size > 0} | ({f"_from_{since}": size >= since} if since else {})
    fitted: Record = {}
    for name, key in (("seconds", "ours_seconds"), ("memory", "peak_rss_mb")):
        value = np.log([row[key] for row in rows])
        for label, some in chosen.items():
            slope = np.polyfit(np.log(size[some]), value[some], 1)[0]
            fitted[f"{name}_exponent{label}"] = round(float(slope), 3)
    scale = {axis: size.astype(int).tolist()}
    return {"name": rows[0]["name"] + ".exponent", "size": scale, **fitted}


def seconds(call: Timed) -> float:
    """Wall time of one call, its arrays ready."""
    started = time.perf_counter()
    jax.block_until_ready(call())
    return time.perf_counter() - started


def alone(maker: Maker, size: Size) -> dict[str, float]:
    """Peak memory of a fresh process that makes and calls one side once."""
    where = json.dumps([module_name(maker), maker.__qualname__, dict(size)])
    paths = os.pathsep.join(p or os.getcwd() for p in sys.path)
    # without preallocation the child finds room beside this process on an accelerator
    extra = {"PYTHONPATH": paths, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    done = subprocess.run(
        [sys.executable, "-c", "from epistax.benchmarks import harness; harness.child()", where],
        env={**os.environ, **extra},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{maker.__qualname__} failed alone in a child; its complaint is above")
    peaks: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return peaks


def child() -> None:
    """What runs in that process: the maker's address and size are its argument."""
    module, name, size = json.loads(sys.argv[1])
    maker = getattr(importlib.import_module(module), name)
    jax.block_until_ready(maker(**size)())
    peaks = {"peak_rss_mb": peak_rss() / 2**20}
    on_device = jax.devices()[0].memory_stats()
    if on_device and jax.default_backend() != "cpu":
        peaks["peak_device_mb"] = on_device["peak_bytes_in_use"] / 2**20
    print(json.dumps(peaks))


def peak_rss() -> int:
    """Bytes. The kernel's own mark where there is one: getrusage may remember the parent."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def module_name(maker: Maker) -> str:
    """The name a child can import, also when the suite runs as a script (python -m)."""
    if "." in maker.__qualname__:
        raise ValueError(
            f"{maker.__qualname__} is not a module-level function: it cannot run alone"
        )
    if maker.__module__ != "__main__":
        return maker.__module__
    spec = sys.modules["__main__"].__spec__
    if spec is None:
        raise ValueError("run the suite as python -m PACKAGE.MODULE, not by its file")
    return spec.name


def device() -> str:
    """What the figures were measured on, in words."""
    found = jax.devices()[0]
    return f"{found.device_kind}, {os.cpu_count()} CPU cores" if found.platform != "cpu" else cpu()


def cpu() -> str:
    """Processor and number of cores."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(x.split(":")[1].strip() for x in lines if x.startswith("model name"))
    except (OSError, StopIteration):
        model = platform.machine()
    return f"{model}, {os.cpu_count()} cores"


def versions() -> dict[str, str]:
    """Installed versions of what the figures depend on."""
    found = {"python": platform.python_version()}
    for name in VERSIONS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


@lru_cache
def revision() -> str | None:
    """The commit that is measured, with a + where files differ from it; None outside a checkout."""
    git = ["git", "-C", str(Path(__file__).resolve().parent)]
    try:
        said = [
            subprocess.check_output([*git, *words], stderr=subprocess.DEVNULL, text=True).strip()
            for words in (["rev-parse", "--short=12", "HEAD"], ["status", "--porcelain"])
        ]
    except (OSError, subprocess.CalledProcessError):
        return None
    return said[0] + ("+" if said[1] else "")


def missing(extra: str) -> Record:
    """What a row without its reference says; the extra is named on standard error too."""
    remedy = f"pip install 'epistax[{extra}]'"
    print(f"bench: a reference is not installed: {remedy}", file=sys.stderr)
    return {"missing": remedy}


def main(suite: Callable[..., Iterator[Record]]) -> None:
    """Run a suite as a script: one JSON object a line."""
    parser = argparse.ArgumentParser(description="one JSON object per measurement")
    parser.add_argument("--size", type=int, help="size of the problem; the suite's own if absent")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for record in suite(size=options.size, repeats=options.repeats, seed=options.seed):
        print(json.dumps(record), flush=True)
