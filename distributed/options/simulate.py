"""Options of `epistax simulate`."""

from dataclasses import dataclass
from typing import ClassVar

from epistax.distributed.flags import NON_NEGATIVE, POSITIVE, SHARE, option
from epistax.distributed.options.shared import RunOptions


@dataclass(frozen=True, kw_only=True)
class Simulate(RunOptions):
    """Make data of known truth: the data file and truth.parquet."""

    verb: ClassVar[str] = "simulate"
    example: ClassVar[str] = "epistax simulate morphology --seed 1 --out sim"

    kind: str = option(
        ...,
        "matrix (scores of pairs); small screens: separability, disjointness (vectors), images, "
        "guides (pictures); morphology (a screen of 50 genes)",
        choices=("matrix", "separability", "disjointness", "images", "guides", "morphology"),
        metavar="KIND",
        positional=True,
    )
    genes: int | None = option(
        None,
        "number of genes (matrix, morphology)",
        metavar="N",
        rule=POSITIVE,
        group="size",
        auto="200 of matrix, 50 of morphology",
    )
    cells: int | None = option(
        None,
        "observations a class (small screens), a pair (morphology of cells or mixture)",
        metavar="N",
        rule=POSITIVE,
        group="size",
        auto="2,000 a class (5,000 of separability), 300 a pair",
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
    hit: float = option(
        2.0,
        "mean of a latent that is hit, once or twice; its control has mean 0 and sd 1",
        metavar="MEAN",
        rule=POSITIVE,
        group="separability, images",
    )
    latents: int = option(
        3, "latents, two of which are hit", metavar="K", rule=POSITIVE, group="separability"
    )
    size: int = option(32, "pixels a side", metavar="S", rule=POSITIVE, group="images")
    mode: str = option(
        "wells",
        "{choices}: mean embeddings of wells with guides, plates and batches; single cells whose "
        "axes saturate (separable or not); cells in states (disjoint or not)",
        choices=("wells", "cells", "mixture"),
        metavar="MODE",
        group="morphology",
    )
    pathways: int = option(
        15, "pathways that the genes belong to", metavar="K", rule=POSITIVE, group="morphology"
    )
    features: int = option(
        128, "features of a well's embedding", metavar="D", rule=POSITIVE, group="morphology"
    )
    wells: int = option(
        4,
        "wells a pair of guides; a double has three pairs of guides, a single 72 wells",
        metavar="N",
        rule=POSITIVE,
        group="morphology",
    )
    scale: float = option(
        1.0,
        "what the additive part of doubles is multiplied by; below 1 they are weaker than the sum "
        "of their singles throughout",
        metavar="C",
        rule=POSITIVE,
        group="morphology",
    )
