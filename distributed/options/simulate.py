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
        "guides (pictures); morphology (a screen of 50 genes); cells (single cells of known "
        "regulation); scm (environments that shift latents), l1000 (the same as compounds do)",
        choices=(
            "matrix",
            "separability",
            "disjointness",
            "images",
            "guides",
            "morphology",
            "cells",
            "scm",
            "l1000",
        ),
        metavar="KIND",
        positional=True,
    )
    genes: int | None = option(
        None,
        "number of genes (matrix, morphology, cells, l1000), of observed features (scm)",
        metavar="N",
        rule=POSITIVE,
        group="size",
        auto="200 of matrix, 50 of morphology, 400 of cells, 978 of l1000, 10 or 20 of scm",
    )
    cells: int | None = option(
        None,
        "observations a class (small screens), a pair (morphology of cells or mixture), in all "
        "(cells), an environment (scm)",
        metavar="N",
        rule=POSITIVE,
        group="size",
        auto="2,000 a class (5,000 of separability), 300 a pair, 6,000 in all, 1,000 an "
        "environment (200 of sparse)",
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
    regulators: int = option(
        30, "genes that regulate others", metavar="R", rule=POSITIVE, group="cells"
    )
    perturbations: int = option(
        16,
        "perturbations, each of a regulator of its own",
        metavar="P",
        rule=POSITIVE,
        group="cells",
    )
    types: int = option(
        3,
        "cell types, which differ in expression and in the edges that are open",
        metavar="K",
        rule=POSITIVE,
        group="cells",
    )
    donors: int = option(2, "donors of every cell type", metavar="D", rule=POSITIVE, group="cells")
    doses: tuple[float, ...] = option(
        (1.0,),
        "doses of every perturbation, such as .3,.6,1",
        metavar="X,X",
        rule=POSITIVE,
        split=True,
        group="cells",
    )
    depth: float = option(
        1500.0, "counts of the median cell", metavar="N", rule=POSITIVE, group="cells"
    )
    confounded: float = option(
        0.0,
        "how strongly the state of a cell decides its perturbation; 0 is at random",
        metavar="RHO",
        rule=NON_NEGATIVE,
        group="cells",
    )
    followed: int = option(
        200,
        "cells whose expression under every perturbation is written",
        metavar="N",
        rule=POSITIVE,
        group="cells",
    )
    case: str = option(
        "sparse",
        '{choices}: two latents, as in sections 6.1, 6.2 and 6.3 of "Towards Learning Cell '
        'Causal-Embeddings"; five on a growing network (6.4); many environments, each of one '
        "latent, half of them held out",
        choices=("independent", "dependent", "two-environments", "growing", "sparse"),
        metavar="CASE",
        group="scm",
    )
    environments: int | None = option(
        None,
        "environments (growing, sparse) or compounds, beside the control",
        metavar="E",
        rule=POSITIVE,
        group="scm, l1000",
        auto="10 of growing, 8 a latent of sparse, 1,017 of l1000",
    )
    targets: int | None = option(
        None,
        "latents that environments shift (growing, sparse, l1000)",
        metavar="D",
        rule=POSITIVE,
        group="scm, l1000",
        auto="5, 50 of l1000",
    )
    error: float | None = option(
        None,
        "sd of what is added to every feature",
        metavar="SD",
        rule=NON_NEGATIVE,
        group="scm",
        auto="0.1 of sparse, 0 of the others",
    )
    mixing: str = option(
        "linear",
        "how features follow from latents (sparse): {choices}",
        choices=("linear", "relu"),
        metavar="FORM",
        group="scm",
    )
    network: bool = option(
        False, "latents on a growing network instead of independent ones (sparse)", group="scm"
    )
    spread: float = option(
        0.0,
        "sd of the logarithm of what a target's sd is multiplied by (sparse)",
        metavar="SD",
        rule=NON_NEGATIVE,
        group="scm",
    )
    offset_is_variance: bool = option(
        False, "offsets of variance 5 instead of sd 5 (growing)", group="scm"
    )
