"""Options of `epistax export`."""

from dataclasses import dataclass
from typing import ClassVar

from epistax.distributed.flags import option
from epistax.distributed.options.shared import Options

SHAPES = ("anndata", "pertpy", "gears", "cell-eval", "naiad", "batchie", "mageck", "gimap")


@dataclass(frozen=True, kw_only=True)
class Export(Options):
    """Write the results of a run as a file that another tool reads."""

    verb: ClassVar[str] = "export"
    example: ClassVar[str] = (
        "epistax export runs/scores --to anndata --data screen.h5ad --out scored.h5ad"
    )

    directory: str = option(
        ...,
        "run directory of score, rank, effects, response or causal",
        metavar="RUN_DIR",
        positional=True,
    )
    to: str = option(
        ...,
        "whose file: {choices}; anndata holds all results of any run, pertpy, gears and cell-eval "
        "predicted cells beside measured controls, the others a table of pairs or genes",
        choices=SHAPES,
        metavar="SHAPE",
        group="file",
    )
    out: str = option(..., "the file to write", metavar="FILE", group="file")
    data: str | None = option(
        None,
        "of anndata: the screen that the run read, h5ad or zarr; results go into a copy of it",
        metavar="FILE",
        path=True,
        group="file",
        auto="a file whose observations are perturbations",
    )
    test: str | None = option(
        None,
        "which test of score, or measure of rank, a table of pairs is of",
        metavar="NAME",
        group="file",
        auto="needed only where the run has several",
    )
    force: bool = option(False, "replace an earlier file", group="file")
