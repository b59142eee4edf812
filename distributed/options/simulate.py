"""Options of `epistax simulate`."""

from dataclasses import dataclass
from typing import ClassVar

from epistax.distributed.flags import NON_NEGATIVE, POSITIVE, SHARE, option
from epistax.distributed.options.shared import RunOptions


@dataclass(frozen=True, kw_only=True)
class Simulate(RunOptions):
    """Make data of known truth: the data file and truth.parquet."""

    verb: ClassVar[str] = "simulate"
    example: ClassVar[str] = "epistax simulate matrix --genes 300 --out sim"

    kind: str = option(
        ...,
        "what to simulate: {choices} (a screen of 7 genes)",
        choices=("matrix", "disjointness"),
        metavar="KIND",
        positional=True,
    )
    genes: int = option(
        200,
        "number of genes",
        metavar="N",
        rule=POSITIVE,
        group="matrix",
    )
    rank: int = option(
        3, "rank of the smooth part of the matrix", metavar="R", rule=NON_NEGATIVE, group="matrix"
    )
    strong: float = option(
        0.005,
        "share of pairs with a strong effect of their own",
        metavar="F",
        rule=SHARE,
        group="matrix",
    )
    noise: float = option(
        0.1,
        "sd of the noise, in units of the smooth part's sd",
        metavar="SD",
        rule=NON_NEGATIVE,
        group="matrix",
    )
    missing: float = option(
        0.0, "share of pairs left unmeasured", metavar="F", rule=SHARE, group="matrix"
    )
    form: str = option(
        "signed",
        "scores of both signs or positive ones",
        choices=("signed", "positive"),
        metavar="FORM",
        group="matrix",
    )
    singles: bool = option(
        False, "also write the single effects, as rows with the label control", group="matrix"
    )
    cells: int = option(
        2000, "observations a class", metavar="N", rule=POSITIVE, group="disjointness"
    )
