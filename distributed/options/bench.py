"""Options of `epistax bench`."""

from dataclasses import dataclass
from typing import ClassVar

from epistax.distributed.flags import NON_NEGATIVE, POSITIVE, Rule, option
from epistax.distributed.options.shared import Options

AT_LEAST_ONE = Rule(lambda v: v >= 1, "a number of at least 1")

SUITES = {
    name: f"epistax.benchmarks.{name}"
    for name in (
        "causal",
        "critic",
        "effects",
        "knn",
        "mmd",
        "growth",
        "limits",
        "moments",
        "rank",
        "ray",
        "response",
        "round",
        "svi",
    )
} | {"io": "epistax.benchmarks.reading"}


@dataclass(frozen=True, kw_only=True)
class Bench(Options):
    """Measure speed and memory against a reference in the same run; all suites, or one."""

    verb: ClassVar[str] = "bench"
    example: ClassVar[str] = "epistax bench moments --json > moments.jsonl"

    suite: str = option(
        "all",
        "what to measure: {choices}",
        choices=("all", *SUITES),
        metavar="SUITE",
        positional=True,
    )
    size: int | None = option(
        None,
        "size of the problem (genes)",
        metavar="N",
        rule=POSITIVE,
        group="measurement",
        auto="the suite's own sizes",
    )
    repeats: int = option(
        5,
        "runs of each side, in turns; the median counts",
        metavar="K",
        rule=POSITIVE,
        group="measurement",
    )
    device: str | None = option(
        None,
        "where our side runs",
        choices=("cpu", "gpu"),
        metavar="NAME",
        group="measurement",
        auto="the fastest present",
    )
    seed: int = option(
        0, "seed of every random draw", metavar="N", rule=NON_NEGATIVE, group="measurement"
    )
    out: str | None = option(
        None,
        "directory for results.jsonl and run.json",
        metavar="DIR",
        result=False,
        group="run",
    )
    resume: bool = option(False, "accept a finished run in --out", result=False, group="run")
    force: bool = option(False, "replace an earlier run in --out", result=False, group="run")


@dataclass(frozen=True, kw_only=True)
class BenchCompare(Options):
    """Compare two files of measurements; exit 3 if one became slower than the gate allows."""

    verb: ClassVar[str] = "bench compare"
    example: ClassVar[str] = "epistax bench compare before.jsonl after.jsonl --gate 1.1"

    before: str = option(
        ..., "measurements as `epistax bench --json` prints them", metavar="BEFORE", positional=True
    )
    after: str = option(..., "later ones", metavar="AFTER", positional=True)
    gate: float = option(
        1.1,
        "how many times as slow is too slow",
        metavar="X",
        rule=AT_LEAST_ONE,
        group="comparison",
    )
