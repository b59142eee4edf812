"""Options of `epistax discover`."""

from dataclasses import dataclass
from typing import ClassVar

from epistax.distributed.flags import FRACTION, POSITIVE, option
from epistax.distributed.options.shared import BeliefOptions, ScaleOptions, TableOptions

POLICIES = (
    "ids",
    "ids-argmax",
    "ids-self",
    "ids-clusters",
    "ids-var",
    "ids-defl",
    "ids-ts",
    "ts",
    "ts-par",
    "ts-one",
    "greedy",
    "ucb",
    "us",
    "random",
)


@dataclass(frozen=True, kw_only=True)
class SharedOptions(ScaleOptions):
    """Workers that share runs, or the draws of one."""

    workers: int | None = option(
        None,
        "how many; where there are several runs (policies times seeds) they share those, where "
        "there is one they share its posterior draws; each holds about 0.6 GB beside the data",
        metavar="N",
        rule=POSITIVE,
        result=False,
        group="workers",
        auto="as many as have cores; inline has one",
    )


@dataclass(frozen=True, kw_only=True)
class Discover(SharedOptions, TableOptions, BeliefOptions):
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
    truth: str | None = option(
        None,
        "truth.parquet of a simulation: also count the top pairs of the rewards without noise",
        metavar="FILE",
        path=True,
        group="experiment",
    )
    truth_column: str | None = option(
        None,
        "its column of rewards",
        metavar="NAME",
        group="experiment",
        auto="true_score, r; true_interaction",
    )
    tune: bool = option(
        False,
        "first search each policy's rank, draws, lam and beta (the papers' grids) on seeds that "
        "are not reported; what is given is kept",
        group="experiment",
    )
