"""Options of `epistax rank`."""

from dataclasses import dataclass
from typing import ClassVar

from epistax.distributed.flags import FRACTION, NON_NEGATIVE, POSITIVE, option
from epistax.distributed.options.shared import RunOptions, ScreenOptions

MEASURES = ("mmd", "cosine", "cosine:abs", "additive")
TESTS = ("additive", "mmd")


@dataclass(frozen=True, kw_only=True)
class Rank(RunOptions, ScreenOptions):
    """Rank all pairs by what their members do alone, without measuring one of them."""

    verb: ClassVar[str] = "rank"
    example: ClassVar[str] = "epistax rank singles.h5ad --obsm X_pca --out run"

    data: str = option(
        ...,
        "screen with controls: h5ad, zarr, npz, csv or parquet of observations",
        metavar="DATA",
        positional=True,
        path=True,
    )
    measure: tuple[str, ...] = option(
        (),
        "how pairs are compared: {choices}; repeat for more; mmd sees all that changes in a "
        "distribution, as a part of what both do (0 the same, 1 nothing in common); cosine is that "
        "of mean effects, additive the size of their sum, largest first",
        choices=MEASURES,
        metavar="NAME",
        group="ranking",
        auto="mmd",
    )
    order: str = option(
        "near",
        "which pairs come first: {choices}; near is those that do the same, and with them share a "
        "pathway or a target; far is the largest MMD, or opposite directions",
        choices=("near", "far"),
        metavar="NAME",
        group="ranking",
    )
    active: float = option(
        0.05,
        "rank only perturbations that differ from the control at this q-value, but for additive "
        "and for far by mmd, which put them last anyway; 1 ranks all",
        metavar="Q",
        rule=FRACTION,
        group="ranking",
    )
    keep: int = option(
        10_000,
        "pairs to keep; mmd is computed exactly for them and orders them",
        metavar="N",
        rule=POSITIVE,
        group="ranking",
    )
    kernel: str = option(
        "rbf",
        "of mmd: {choices}",
        choices=("rbf", "matern52"),
        metavar="NAME",
        group="ranking",
    )
    bandwidth: float | None = option(
        None,
        "of mmd's kernel, in units of the features",
        metavar="L",
        rule=POSITIVE,
        group="ranking",
        auto="median distance of 2,000 observations",
    )
    frequencies: int = option(
        768,
        "of mmd: random frequencies by which all pairs are compared, two features each",
        metavar="N",
        rule=POSITIVE,
        group="ranking",
    )
    audit: int | None = option(
        None,
        "random pairs for which mmd is computed exactly too, to state what is missed; 0 is none",
        metavar="N",
        rule=NON_NEGATIVE,
        group="audit",
        auto="200,000, fewer where perturbations have more than 200 observations",
    )
    audit_genes: int | None = option(
        None,
        "perturbations whose every pair is audited besides",
        metavar="N",
        rule=NON_NEGATIVE,
        group="audit",
        auto="200, likewise",
    )
    test: tuple[str, ...] = option(
        (),
        "of kept pairs whose double is in DATA: {choices}, as score has them; repeat",
        choices=TESTS,
        metavar="NAME",
        group="tests",
        auto="both",
    )
    units: str = option(
        "auto",
        "what counts as one independent draw in p-values: {choices}; auto is wells where known",
        choices=("auto", "wells", "observations"),
        metavar="NAME",
        group="tests",
    )
    log2: bool = option(False, "take log2 of the features", group="features")
    center: str | None = option(
        None,
        "what to subtract: {choices}; batch is each batch's control mean",
        choices=("none", "batch"),
        metavar="NAME",
        group="features",
        auto="batch where batches are known, else none",
    )
    whiten: bool = option(False, "divide out the covariance of the controls", group="features")
