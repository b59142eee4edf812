"""Options of `epistax effects fit`, `predict`, `benchmark` and `discover`."""

from dataclasses import dataclass
from typing import Any, ClassVar

from epistax.distributed.flags import NON_NEGATIVE, POSITIVE, SHARE, Rule, option
from epistax.distributed.options.shared import (
    LabelOptions,
    RunOptions,
    ScaleOptions,
    TableOptions,
)

MODELS = (
    "default",
    "linear",
    "naiad",
    "naiad-symmetric",
    "naiad-gaussian",
    "pheno",
    "embed",
    "mlp",
    "recover",
    "recover-symmetric",
    "transformer",
    "transformer-cls",
    "gears",
)
ACQUISITIONS = (
    "uniform",
    "mpe",
    "uncertainty",
    "residual",
    "ucb",
    "mean+sd",
    "optimistic",
    "probability",
)
SEVERAL = Rule(lambda v: v > 1, "2 or more")
LEVELS = ("pair", "gene", "both_genes")


def pairs() -> Any:
    """The first word; a field of each verb, since a class's own words come first."""
    return option(
        ...,
        "pair table (id1,id2,score) with rows (gene, control) for single effects; rows of more "
        "genes have a third column, id3, or labels A+B+C",
        metavar="PAIRS",
        positional=True,
        path=True,
    )


def model() -> Any:
    """What predicts, where there is one."""
    return option(
        "default", "what predicts: {choices}", choices=MODELS, metavar="NAME", group="model"
    )


@dataclass(frozen=True, kw_only=True)
class ModelOptions(TableOptions):
    """Shared by every verb that trains models of effects."""

    side: str | None = option(
        None,
        "what is known of every gene beforehand: a table with a column of names (gene) and "
        "columns of numbers; for all models but linear and pheno",
        metavar="FILE",
        path=True,
        group="model",
    )
    graph: tuple[str, ...] = option(
        (),
        "known interactions, or gene sets: gears has them as its graph, the others each gene's "
        "position among them; repeat for more",
        metavar="FILE",
        path=True,
        group="model",
    )
    widths: str = option(
        "paper",
        "width of a network's embeddings: {choices}; by the table of the NAIAD paper, by its "
        "program, or the best of the paper's and its neighbours on the validation rows",
        choices=("paper", "code", "validated"),
        metavar="NAME",
        group="model",
    )
    keep: str = option(
        "best",
        "which epoch a network predicts with: {choices}; best is by the validation rows",
        choices=("best", "last"),
        metavar="NAME",
        group="model",
    )
    epochs: int | None = option(
        None,
        "passes of a network over its training rows",
        metavar="N",
        rule=POSITIVE,
        group="model",
        auto="500 up to 200 genes, 200 beyond",
    )
    draws: int | None = option(
        None,
        "posterior draws of default",
        metavar="S",
        rule=POSITIVE,
        group="model",
        auto="400",
    )


@dataclass(frozen=True, kw_only=True)
class EffectsFit(RunOptions, ModelOptions):
    """Learn to predict what combinations do, and how far predictions can be trusted."""

    verb: ClassVar[str] = "effects fit"
    example: ClassVar[str] = "epistax effects fit pairs.csv --side embedding.csv --out fit"

    pairs: str = pairs()
    model: str = model()
    members: int | None = option(
        None,
        "fits that are averaged, each with validation rows of its own",
        metavar="M",
        rule=POSITIVE,
        group="model",
        auto="5 of a network, 1 of default and linear",
    )
    folds: int = option(
        5,
        "parts of the rows, each predicted by fits of the others",
        metavar="K",
        rule=SEVERAL,
        group="model",
    )


@dataclass(frozen=True, kw_only=True)
class EffectsPredict(RunOptions, LabelOptions):
    """Predict combinations with a fit: mean, sd, and an interval that holds 90 %."""

    verb: ClassVar[str] = "effects predict"
    example: ClassVar[str] = "epistax effects predict fit wanted.csv --out predictions"

    directory: str = option(
        ..., "run directory of effects fit", metavar="RUN_DIR", positional=True, path=True
    )
    wanted: str = option(
        ...,
        "table of combinations: two or three columns of labels; a score, if it has one, is "
        "compared with what is predicted",
        metavar="PAIRS",
        positional=True,
        path=True,
    )
    columns: tuple[str, ...] = option(
        (),
        "names of the two or three label columns",
        metavar="A,B",
        group="reading",
        auto="found by name",
        split=True,
    )
    singles: str | None = option(
        None,
        "single effects (gene,effect) of genes that the fit has none of",
        metavar="FILE",
        path=True,
        group="reading",
    )


@dataclass(frozen=True, kw_only=True)
class EffectsBenchmark(ScaleOptions, ModelOptions):
    """Compare models of effects: error on rows left out, by how many they were trained on."""

    verb: ClassVar[str] = "effects benchmark"
    example: ClassVar[str] = (
        "epistax effects benchmark pairs.csv --model default --model naiad --seeds 3 --out run"
    )

    pairs: str = pairs()
    model: tuple[str, ...] = option(
        (),
        "what predicts: {choices}; repeat to compare",
        choices=MODELS,
        metavar="NAME",
        group="experiment",
        auto="default, naiad and linear",
    )
    n_train: tuple[int, ...] = option(
        (),
        "training rows; repeat for a curve",
        metavar="N",
        rule=POSITIVE,
        group="experiment",
        auto="so many that a gene is seen about 4, 10 and 20 times",
        split=True,
    )
    seeds: int = option(
        3,
        "how many splits: --seed and those after it",
        metavar="K",
        rule=POSITIVE,
        group="experiment",
    )
    hold_out: str = option(
        "pair",
        "what is new in a tested row: {choices}; its pair, one of its genes, or all of them",
        choices=LEVELS,
        metavar="LEVEL",
        group="experiment",
    )


@dataclass(frozen=True, kw_only=True)
class EffectsDiscover(ScaleOptions, ModelOptions):
    """Replay rounds of measuring what a model of effects chooses: are the strongest found?"""

    verb: ClassVar[str] = "effects discover"
    example: ClassVar[str] = (
        "epistax effects discover pairs.csv --acquisition probability --acquisition uniform "
        "--seeds 3 --out run"
    )

    pairs: str = pairs()
    model: str = model()
    acquisition: tuple[str, ...] = option(
        (),
        "how to choose: {choices}; repeat to compare",
        choices=ACQUISITIONS,
        metavar="NAME",
        group="experiment",
        auto="probability and uniform of default, mpe and uniform of the others",
    )
    start: int | None = option(
        None,
        "rows measured at random in round 0",
        metavar="N",
        rule=POSITIVE,
        group="experiment",
        auto="100 up to 150 genes, 500 beyond",
    )
    step: int | None = option(
        None,
        "rows measured in every further round",
        metavar="N",
        rule=POSITIVE,
        group="experiment",
        auto="as --start",
    )
    rounds: int = option(
        4, "rounds after round 0", metavar="T", rule=NON_NEGATIVE, group="experiment"
    )
    members: int | None = option(
        None,
        "fits of an ensemble",
        metavar="M",
        rule=POSITIVE,
        group="experiment",
        auto="3 of a network, 1 of default and linear",
    )
    seeds: int = option(
        3,
        "how many orders of the rows: --seed and those after it",
        metavar="K",
        rule=POSITIVE,
        group="experiment",
    )
    seed_list: tuple[int, ...] = option(
        (),
        "seeds by name in place of --seed and --seeds; 89,773,654 are the NAIAD authors'",
        metavar="N,...",
        rule=NON_NEGATIVE,
        group="experiment",
        split=True,
    )
    direction: str = option(
        "negative",
        "which effects are strong: {choices}",
        choices=("negative", "positive", "absolute"),
        metavar="NAME",
        group="experiment",
    )
    test_share: float = option(
        0.3,
        "share of the rows that is never measured: the error is told on it",
        metavar="F",
        rule=SHARE,
        group="experiment",
    )
    top: int = option(
        200, "how many of the strongest are sought", metavar="N", rule=POSITIVE, group="experiment"
    )
