"""One frozen dataclass a verb: its flags, its TOML keys, its run.json.

Defaults and help live here only. To add a verb: a class here, a line in VERBS and a module in
`verbs/` with `run(options) -> dict` (for a two-word verb such as `campaign new`: the function
`new` of `verbs/campaign.py`). Imports no array library: `--help` answers at once.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from epistax.distributed.flags import FRACTION, NON_NEGATIVE, POSITIVE, SHARE, option

POLICIES = (
    "ids",
    "ids-argmax",
    "ids-self",
    "ids-clusters",
    "ids-var",
    "ids-defl",
    "ts",
    "ts-par",
    "ts-one",
    "greedy",
    "ucb",
    "us",
    "random",
)
# the plain name is the default form: mmd has the RBF kernel, severity that of the sum
TESTS = (
    "additive",
    "mmd",
    "mmd:rbf",
    "mmd:matern",
    "cosine",
    "severity",
    "severity:min",
    "severity:max",
    "severity:sum",
    "severity:double",
)
SUITES = {name: f"epistax.benchmarks.{name}" for name in ("mmd", "moments", "svi")}


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
class LabelOptions(Options):
    """Shared by every verb that reads labels of perturbations."""

    control: tuple[str, ...] = option(
        (),
        "label that means no perturbation; repeat for more",
        metavar="LABEL",
        group="reading",
        auto="control, ctrl, non-targeting, NTC, negative, DMSO, vehicle in any case",
    )
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


@dataclass(frozen=True, kw_only=True)
class Check(TableOptions, ScreenOptions):
    """Read files and say what is in them, what will be dropped and why."""

    verb: ClassVar[str] = "check"
    example: ClassVar[str] = "epistax check screen.h5ad --known complexes.txt"

    files: tuple[str, ...] = option(
        ...,
        "pair tables, square matrices or screens to read",
        metavar="FILE",
        positional=True,
        path=True,
    )
    known: tuple[str, ...] = option(
        (),
        "file of known interactions, or of gene sets, to match with the labels; repeat for more",
        metavar="FILE",
        path=True,
        group="reading",
    )


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


@dataclass(frozen=True, kw_only=True)
class Score(RunOptions, ScreenOptions):
    """Test every measured pair of a screen: does the double do what its singles say it should."""

    verb: ClassVar[str] = "score"
    example: ClassVar[str] = (
        "epistax score screen.h5ad --obsm X_pca --test additive --test mmd --out run"
    )

    data: str = option(
        ...,
        "screen: h5ad, zarr, npz, csv or parquet of observations, or guide-pair counts",
        metavar="DATA",
        positional=True,
        path=True,
    )
    test: tuple[str, ...] = option(
        (),
        "what to compute: {choices}; repeat for more",
        choices=TESTS,
        metavar="NAME",
        group="tests",
        auto="additive and mmd",
    )
    kernel: str | None = option(
        None,
        "of mmd: {choices}",
        choices=("rbf", "matern52"),
        metavar="NAME",
        group="tests",
        auto="rbf",
    )
    bandwidth: float | None = option(
        None,
        "of mmd's kernel, in units of the features",
        metavar="L",
        rule=POSITIVE,
        group="tests",
        auto="median distance of 2,000 observations",
    )
    null: str = option(
        "spectral",
        "where p-values come from: {choices}; spectral is calibrated and costs next to nothing",
        choices=("spectral", "gamma", "multiplier", "permutation", "none"),
        metavar="NAME",
        group="tests",
    )
    draws: int = option(
        1000,
        "of multiplier and permutation: the smallest p-value is 1 / (1 + B)",
        metavar="B",
        rule=POSITIVE,
        group="tests",
    )
    fdr: str = option(
        "bh",
        "how q-values are made: {choices} (by holds under any dependence)",
        choices=("bh", "by"),
        metavar="NAME",
        group="tests",
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
        "what to subtract: {choices}; batch is each batch's control mean, fit a fit of batch and "
        "main effects, for screens of doubles without controls",
        choices=("none", "batch", "fit"),
        metavar="NAME",
        group="features",
        auto="batch where batches are known, else none",
    )
    whiten: bool = option(
        False,
        "divide out the covariance of the controls (of replicates with --center fit)",
        group="features",
    )
    truth: tuple[str, ...] = option(
        (),
        "test and column of truth.parquet beside DATA to judge it by; repeat for more",
        metavar="NAME=COLUMN",
        group="judging",
        auto="additive=interacting, mmd=disjoint, cosine and severity=same_pathway",
    )
    known: tuple[str, ...] = option(
        (),
        "file of known interactions, or of gene sets, to judge all tests by; repeat",
        metavar="FILE",
        path=True,
        group="judging",
    )
    compose: bool = option(
        False,
        "also write composed.parquet: predicted effects h_i + h_j of the pairs not measured",
        group="output",
    )


@dataclass(frozen=True, kw_only=True)
class Discover(RunOptions, TableOptions):
    """Replay the choice of pairs on a measured table: which policy finds the best ones first."""

    verb: ClassVar[str] = "discover"
    example: ClassVar[str] = (
        "epistax discover pairs.csv --policy ids --policy random --seeds 3 --out run"
    )

    pairs: str = option(
        ...,
        "pair table (id1,id2,score), scores.parquet or square matrix",
        metavar="PAIRS",
        positional=True,
        path=True,
    )
    policy: tuple[str, ...] = option(
        (),
        "how to choose: {choices}; repeat to compare",
        choices=POLICIES,
        metavar="NAME",
        group="experiment",
        auto="ids and random",
    )
    reward: str = option(
        "score",
        "what is sought: {choices}; the largest win (interaction = departure from additivity)",
        choices=("score", "abs", "interaction"),
        metavar="KIND",
        group="experiment",
    )
    batch: int | None = option(
        None,
        "pairs measured a round",
        metavar="B",
        rule=POSITIVE,
        group="experiment",
        auto="2.5 % of the pairs",
    )
    rounds: int | None = option(
        None,
        "rounds after the random round 0",
        metavar="T",
        rule=POSITIVE,
        group="experiment",
        auto="until 42.5 % of the pairs are measured",
    )
    seeds: int = option(
        1,
        "runs a policy, with seeds seed .. seed+K-1",
        metavar="K",
        rule=POSITIVE,
        group="experiment",
    )
    top: float = option(
        0.05,
        "share of the pairs that counts as the top",
        metavar="F",
        rule=FRACTION,
        group="experiment",
    )
    at: tuple[float, ...] = option(
        (0.1, 0.2, 0.4),
        "measured shares at which to report; commas or repeat",
        metavar="F,...",
        rule=FRACTION,
        split=True,
        group="experiment",
    )
    known: tuple[str, ...] = option(
        (),
        "file of known interactions, or of gene sets, to count as they are found; repeat",
        metavar="FILE",
        path=True,
        group="experiment",
    )
    belief: str = option(
        "auto",
        "what predicts unmeasured pairs: {choices}; auto is ame up to 1,500 names, then lowrank",
        choices=("auto", "ame", "lowrank", "gibbs"),
        metavar="NAME",
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
        auto="4",
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


VERBS: dict[str, type[Options]] = {v.verb: v for v in (Check, Simulate, Score, Discover, Bench)}
