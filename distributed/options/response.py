"""Options of `epistax response fit`, `predict`, `benchmark` and `refine`."""

from dataclasses import dataclass
from typing import Any, ClassVar

from epistax.distributed.flags import NON_NEGATIVE, POSITIVE, Rule, option
from epistax.distributed.options.shared import LabelOptions, RunOptions, ScaleOptions

MODELS = ("default", "graphvci", "vci", "cpa", "cevae", "ganite", "ae")
PROTOCOLS = ("classic", "native")


def data() -> Any:
    """The first word; a field of each verb, since a class's own words come first."""
    return option(
        ...,
        "cells: an h5ad file or a zarr folder with a matrix of counts or log expression and, in "
        "obs, a column of perturbations",
        metavar="DATA",
        positional=True,
        path=True,
    )


@dataclass(frozen=True, kw_only=True)
class CellOptions(LabelOptions):
    """Shared by every verb that reads cells under perturbations."""

    values: str | None = option(
        None,
        "what the matrix holds: {choices}; counts are brought to the median library and log1p",
        choices=("counts", "log"),
        metavar="KIND",
        group="cells",
        auto='what uns["values"] says; one of the two must',
    )
    layer: str | None = option(None, "layer to read in place of X", metavar="NAME", group="cells")
    perturbation_col: str | None = option(
        None,
        "obs column of the perturbations (A, A+B)",
        metavar="NAME",
        group="cells",
        auto='uns["fields"], else perturbation, condition, ... found by name',
    )
    control_col: str | None = option(
        None,
        "obs column that is 1 of a control cell",
        metavar="NAME",
        group="cells",
        auto='uns["fields"], else controls are found by their labels',
    )
    dose_col: str | None = option(
        None,
        "obs column of the doses (0.3, or 0.1+0.3 of A+B)",
        metavar="NAME",
        group="cells",
        auto='uns["fields"], else dose; without it every dose is 1',
    )
    covariate: tuple[str, ...] = option(
        (),
        "obs columns that cells are told apart by, such as cell_type,donor; none for none",
        metavar="NAME,...",
        group="cells",
        auto='uns["fields"], else cell_type and donor where they are',
        split=True,
    )
    hvg: int | None = option(
        None,
        "how many of the most variable genes are used, beside those that are perturbed",
        metavar="N",
        rule=POSITIVE,
        group="cells",
        auto="all genes up to 5,000, else 2,000",
    )
    graph: str | None = option(
        None,
        "who regulates whom: a table source,target of genes",
        metavar="FILE",
        path=True,
        group="model",
    )


@dataclass(frozen=True, kw_only=True)
class ResponseModelOptions(CellOptions):
    """Shared by the verbs that train models of responses."""

    epochs: int | None = option(
        None,
        "passes over the training cells, at most",
        metavar="N",
        rule=POSITIVE,
        group="model",
        auto="by the model",
    )
    setting: tuple[str, ...] = option(
        (),
        "another setting of the models that have it, such as omega1=10, kl=true or rate=0.001; "
        "repeat for more",
        metavar="NAME=VALUE",
        group="model",
    )


@dataclass(frozen=True, kw_only=True)
class ResponseFit(RunOptions, ResponseModelOptions):
    """Learn what cells express under perturbations, in strata that have seen them and others."""

    verb: ClassVar[str] = "response fit"
    example: ClassVar[str] = "epistax response fit cells.h5ad --graph graph.csv --out fit"

    data: str = data()
    model: str = option(
        "default", "what predicts: {choices}", choices=MODELS, metavar="NAME", group="model"
    )
    members: int = option(
        1, "fits that are averaged, side by side", metavar="M", rule=POSITIVE, group="model"
    )
    parts: int | None = option(
        None,
        "fits by which intervals are known, each without a fifth of the combinations of stratum "
        "and perturbation",
        metavar="K",
        rule=Rule(lambda v: 1 <= v <= 5, "1 to 5"),
        group="model",
        auto="5 of default, 1 of the networks",
    )


@dataclass(frozen=True, kw_only=True)
class ResponsePredict(RunOptions, LabelOptions):
    """Predict the expression of strata under perturbations with a fit."""

    verb: ClassVar[str] = "response predict"
    example: ClassVar[str] = "epistax response predict fit --to STAT1 --out predictions"

    directory: str = option(
        ..., "run directory of response fit", metavar="RUN_DIR", positional=True, path=True
    )
    to: tuple[str, ...] = option(
        (),
        "perturbation, with its dose where that is not 1 (A, A@0.3, A+B@0.1+0.3); repeat for more",
        metavar="PERT[@DOSE]",
        group="experiment",
        auto="every arm that the fit has seen",
    )
    stratum: tuple[str, ...] = option(
        (),
        "stratum, levels joined by _; repeat for more",
        metavar="NAME",
        group="experiment",
        auto="all",
    )
    cells: bool = option(
        False,
        "also write what each control cell would have expressed: cells.h5ad",
        group="experiment",
    )


@dataclass(frozen=True, kw_only=True)
class ResponseBenchmark(ScaleOptions, ResponseModelOptions):
    """Compare models of responses on combinations of stratum and perturbation left out."""

    verb: ClassVar[str] = "response benchmark"
    example: ClassVar[str] = (
        "epistax response benchmark cells.h5ad --graph graph.csv --model default --model graphvci "
        "--seeds 3 --out run"
    )

    data: str = data()
    model: tuple[str, ...] = option(
        (),
        "what predicts: {choices}; repeat to compare",
        choices=MODELS,
        metavar="NAME",
        group="experiment",
        auto="default",
    )
    held_out: str | None = option(
        None,
        "the category in which the hardest perturbations are held out",
        metavar="COVARIATE=LEVEL",
        group="experiment",
        auto="the largest of the first covariate that has several; none where none has",
    )
    hardest: int | None = option(
        None,
        "how many perturbations are held out in it: those whose cells lie farthest from all others",
        metavar="N",
        rule=NON_NEGATIVE,
        group="experiment",
        auto="a third of them, at most 20",
    )
    seeds: int = option(
        3,
        "how many fits: --seed and those after it",
        metavar="K",
        rule=POSITIVE,
        group="experiment",
    )
    evaluation: str = option(
        "classic",
        "what a group is predicted from: {choices}; all controls with the stratum overwritten, or "
        "all cells of its stratum",
        choices=PROTOCOLS,
        metavar="NAME",
        group="experiment",
    )
    leak_free: bool = option(
        False,
        "choose what is hardest, and DE genes, without a look at held-out cells; the published "
        "evaluation looks at all cells",
        group="experiment",
    )
    fewest: tuple[int, ...] = option(
        (),
        "cells that a group has more than: of train, test and ood",
        metavar="N,N,N",
        rule=NON_NEGATIVE,
        group="experiment",
        auto="30 each; 5 of test where few of its groups have more than 30",
        split=True,
    )
    inputs: int | None = option(
        None,
        "cells that a group is predicted from, at most; an even choice of them",
        metavar="N",
        rule=POSITIVE,
        group="experiment",
        auto="all, as published",
    )


@dataclass(frozen=True, kw_only=True)
class ResponseRefine(RunOptions, CellOptions):
    """Weigh the edges of a graph by the cells, and find those that it lacks."""

    verb: ClassVar[str] = "response refine"
    example: ClassVar[str] = "epistax response refine cells.h5ad --graph graph.csv --out refined"

    data: str = data()
    method: str = option(
        "default",
        "how edges are weighed: {choices}; masked is the published autoencoder",
        choices=("default", "masked"),
        metavar="NAME",
        group="model",
    )
    targets: str | None = option(
        None,
        "known targets of regulators (GMT: a set a regulator, named by it): how well edges are "
        "ranked, those of the graph and new ones apart",
        metavar="GMT",
        path=True,
        group="experiment",
    )
