"""What several verbs ask for: where results go, how labels, pairs and screens are read."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from epistax.distributed.flags import NON_NEGATIVE, POSITIVE, option


@dataclass(frozen=True, kw_only=True)
class Options:
    """Shared by every verb."""

    verb: ClassVar[str]
    example: ClassVar[str]

    config: str | None = option(
        None,
        "TOML file with any of these options by name; flags win over it",
        metavar="FILE.toml",
        result=False,
        group="output",
    )
    json: bool = option(
        False, "print the summary as JSON, and nothing else", result=False, group="output"
    )
    quiet: bool = option(False, "no progress on stderr", result=False, group="output")


@dataclass(frozen=True, kw_only=True)
class RunOptions(Options):
    """Shared by every verb that writes a run directory."""

    out: str = option(
        ..., "directory for the results; new or empty", metavar="DIR", result=False, group="run"
    )
    resume: bool = option(False, "go on with an unfinished run in --out", result=False, group="run")
    force: bool = option(False, "replace an earlier run in --out", result=False, group="run")
    seed: int = option(0, "seed of every random draw", metavar="N", rule=NON_NEGATIVE, group="run")
    executor: str = option(
        "inline",
        "where the work runs",
        choices=("inline",),
        metavar="NAME",
        result=False,
        group="run",
    )
    workers: int = option(
        1,
        "workers of the executor (inline has one)",
        metavar="N",
        rule=POSITIVE,
        result=False,
        group="run",
    )


@dataclass(frozen=True, kw_only=True)
class ScaleOptions(RunOptions):
    """Shared by every verb whose work can be spread over processes or machines."""

    executor: str = option(
        "inline",
        "where the work runs: {choices}; process is this machine's cores, ray a cluster",
        choices=("inline", "process", "ray"),
        metavar="NAME",
        result=False,
        group="workers",
    )
    ray: str | None = option(
        None,
        "the cluster: local starts one, auto and HOST:PORT join one that runs; means --executor "
        "ray",
        metavar="ADDRESS",
        result=False,
        group="workers",
        auto="local",
    )
    workers: int | None = option(
        None,
        "how many; each holds about 0.6 GB beside the data, which a machine holds once",
        metavar="N",
        rule=POSITIVE,
        result=False,
        group="workers",
        auto="as many as have cores; inline has one",
    )
    cores: int | None = option(
        None,
        "cores of each worker; results are equal to the last bit for equal cores",
        metavar="N",
        rule=POSITIVE,
        group="workers",
        auto="1; inline all",
    )
    gpus: float = option(
        0.0,
        "of ray: GPUs of each worker, or a share of one; inline takes what it finds",
        metavar="X",
        rule=NON_NEGATIVE,
        group="workers",
    )
    deadline: float = option(
        60.0,
        "seconds that a chunk of work may take, if no other took a tenth of that; ten times as "
        "many where programs are compiled",
        metavar="S",
        rule=POSITIVE,
        result=False,
        group="workers",
    )


@dataclass(frozen=True, kw_only=True)
class ControlOptions(Options):
    """Shared by every verb that tells controls from perturbations."""

    control: tuple[str, ...] = option(
        (),
        "label that means no perturbation; repeat for more",
        metavar="LABEL",
        group="reading",
        auto="control, ctrl, non-targeting, NTC, negative, DMSO, vehicle in any case",
    )


@dataclass(frozen=True, kw_only=True)
class LabelOptions(ControlOptions):
    """Shared by every verb that reads labels of perturbations."""

    sep: str = option("+", "separator of the names in one label", metavar="TEXT", group="reading")


@dataclass(frozen=True, kw_only=True)
class TableOptions(LabelOptions):
    """Shared by every verb that reads labelled pairs."""

    columns: tuple[str, ...] = option(
        (),
        "names of the two label columns and of the score column",
        metavar="A,B,SCORE",
        group="reading",
        auto="found by name",
        split=True,
    )
    test: str | None = option(
        None,
        "which test's rows to read from a scores.parquet",
        metavar="NAME",
        group="reading",
        auto="needed only where the file holds several",
    )


@dataclass(frozen=True, kw_only=True)
class BeliefOptions(Options):
    """Shared by every verb that chooses pairs: what predicts, and how the policies are set."""

    belief: str = option(
        "auto",
        "what predicts unmeasured pairs: {choices}; auto is ame up to 1,500 names, informed "
        "beyond; the last three start from single effects, as `epistax effects` does",
        choices=(
            "auto",
            "ame",
            "informed",
            "lowrank",
            "gibbs",
            "mixed",
            "naiad",
            "naiad-symmetric",
        ),  # fmt: skip
        metavar="NAME",
        group="belief",
    )
    side: str | None = option(
        None,
        "what is known of every perturbation before any pair is measured: a table with a column "
        "of names (gene) and columns of numbers, such as an embedding of its own effect",
        metavar="FILE",
        path=True,
        group="belief",
    )
    graph: tuple[str, ...] = option(
        (),
        "known interactions, or gene sets, to inform the belief: perturbations that are close in "
        "this graph are expected to act alike; repeat for more",
        metavar="FILE",
        path=True,
        group="belief",
    )
    guide: str = option(
        "normal",
        "approximate posterior of lowrank: {choices}",
        choices=("normal", "lowrank"),
        metavar="NAME",
        group="belief",
    )
    rank: int | Literal["auto"] = option(
        "auto", "rank of the pair matrix", metavar="R", rule=POSITIVE, group="belief"
    )
    draws: int | None = option(
        None,
        "ids: posterior draws a round",
        metavar="S",
        rule=POSITIVE,
        group="belief",
        auto="256; fewer above a million pairs",
    )
    lam: float | None = option(
        None,
        "ids: weight of what is learned against what is lost",
        metavar="L",
        rule=NON_NEGATIVE,
        group="belief",
        auto="16 of ids and ids-defl, 4 of the others",
    )
    beta: float | None = option(
        None,
        "ucb: how many sd to add",
        metavar="B",
        rule=NON_NEGATIVE,
        group="belief",
        auto="0.5",
    )


@dataclass(frozen=True, kw_only=True)
class ScreenOptions(LabelOptions):
    """Shared by every verb that reads screens: many observations of every perturbation."""

    label_col: tuple[str, ...] = option(
        (),
        "column of the labels; twice where a pair stands in two columns",
        metavar="NAME",
        group="screen",
        auto="perturbation, condition, target_gene, ... found by name",
        split=True,
    )
    layer: str | None = option(
        None, "h5ad, zarr: layer to read in place of X", metavar="NAME", group="screen"
    )
    obsm: str | None = option(
        None, "h5ad, zarr: embedding to read in place of X", metavar="NAME", group="screen"
    )
    features: tuple[str, ...] = option(
        (),
        "feature columns, also as patterns such as emb_*; !NAME leaves one out",
        metavar="NAME,...",
        group="screen",
        auto="all of an array; of a table those numbered alike (emb_0, emb_1, ...)",
        split=True,
    )
    batch_col: str | None = option(
        None, "column of the batch", metavar="NAME", group="screen", auto="batch, else plate"
    )
    plate_col: str | None = option(
        None, "column of the plate", metavar="NAME", group="screen", auto="plate"
    )
    well_col: str | None = option(
        None,
        "column of the well: observations of one well count as one draw in p-values",
        metavar="NAME",
        group="screen",
        auto="well",
    )
    guide_col: tuple[str, ...] = option(
        (),
        "column of the guide or reagent; twice where a pair stands in two columns",
        metavar="NAME",
        group="screen",
        auto="guide, guide_id",
        split=True,
    )
    start: tuple[str, ...] = option(
        (),
        "counts: samples of the start, one a replicate",
        metavar="NAME,...",
        group="screen",
        split=True,
    )
    end: tuple[str, ...] = option(
        (),
        "counts: samples of later times, replicates in the order of --start within each time",
        metavar="NAME,...",
        group="screen",
        split=True,
    )
    min_count: int = option(
        10,
        "counts: constructs with fewer reads at the start are left out",
        metavar="N",
        rule=NON_NEGATIVE,
        group="screen",
    )
