"""Options of `epistax bench`."""

from dataclasses import dataclass
from typing import ClassVar

from epistax.distributed.flags import NON_NEGATIVE, POSITIVE, option
from epistax.distributed.options.shared import Options

SUITES = {
    name: f"epistax.benchmarks.{name}"
    for name in (
        "causal",
        "critic",
        "effects",
        "mmd",
        "moments",
        "rank",
        "ray",
        "response",
        "round",
        "svi",
    )
}


@dataclass(frozen=True, kw_only=True)
class Bench(Options):
    """Measure speed and memory against a reference in the same run."""

    verb: ClassVar[str] = "bench"
    example: ClassVar[str] = "epistax bench moments --json > moments.jsonl"

    suite: str = option(
        ..., "what to measure: {choices}", choices=tuple(SUITES), metavar="SUITE", positional=True
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
