"""Options of `epistax campaign new`, `propose`, `record` and `status`."""

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

from epistax.distributed.flags import FRACTION, NON_NEGATIVE, POSITIVE, option
from epistax.distributed.options.discover import POLICIES
from epistax.distributed.options.shared import (
    BeliefOptions,
    LabelOptions,
    Options,
    ScaleOptions,
)


def directory() -> Any:
    """The first word of every verb; a field of each, since a class's own words come first."""
    return option(..., "directory of the campaign", metavar="DIR", positional=True)


def scale(name: str) -> Any:
    """The field of this name as verbs with --out have it."""
    found = {field.name: field for field in dataclasses.fields(ScaleOptions)}[name]
    return dataclasses.field(default=found.default, metadata=found.metadata)


@dataclass(frozen=True, kw_only=True)
class DrawOptions(Options):
    """Who makes the posterior draws of a round."""

    executor: str = scale("executor")
    ray: str | None = scale("ray")
    workers: int | None = scale("workers")
    cores: int | None = scale("cores")
    gpus: float = scale("gpus")
    deadline: float = scale("deadline")


@dataclass(frozen=True, kw_only=True)
class BatchOptions(Options):
    """What a batch must keep, for a whole campaign or for its next round."""

    batch: int | None = option(
        None,
        "distinct pairs a round, controls and replicates not counted",
        metavar="B",
        rule=POSITIVE,
        group="batch",
        auto="what the plates hold",
    )
    quota: int | None = option(
        None, "most pairs of one gene in a batch", metavar="N", rule=POSITIVE, group="batch"
    )
    exclude: str | None = option(
        None,
        "file of what is not proposed: a gene a row, or a pair a,b",
        metavar="FILE",
        path=True,
        group="batch",
    )
    include: str | None = option(
        None,
        "file of pairs a,b that are proposed first, in the order of the file",
        metavar="FILE",
        path=True,
        group="batch",
    )
    ordered: str | None = option(
        None,
        "file of pairs a,b that are on their way already: not proposed until they fail",
        metavar="FILE",
        path=True,
        group="batch",
    )
    cost: str | None = option(
        None,
        "file of prices: gene,cost (a pair costs the sum of its two) or a,b,cost",
        metavar="FILE",
        path=True,
        group="batch",
    )
    budget: float | None = option(
        None,
        "most that the pairs of a round may cost, replicates included",
        metavar="X",
        rule=POSITIVE,
        group="batch",
    )
    plate_size: int | None = option(
        None, "wells of a plate, such as 96 or 384", metavar="N", rule=POSITIVE, group="plates"
    )
    plates: int | None = option(
        None, "plates a round", metavar="N", rule=POSITIVE, group="plates", auto="1 of --plate-size"
    )
    controls: int | None = option(
        None,
        "wells of every plate that stay without perturbation, as extra rows",
        metavar="N",
        rule=NON_NEGATIVE,
        group="plates",
        auto="0",
    )
    replicates: int | None = option(
        None,
        "wells of every pair, as extra rows",
        metavar="R",
        rule=POSITIVE,
        group="plates",
        auto="1",
    )


@dataclass(frozen=True, kw_only=True)
class CampaignNew(BatchOptions, BeliefOptions, LabelOptions):
    """Begin a campaign: rounds of pairs to measure, chosen by what was measured before."""

    verb: ClassVar[str] = "campaign new"
    example: ClassVar[str] = (
        "epistax campaign new screen1 --genes genes.txt --batch 90 --rounds 5 --quota 8"
    )

    directory: str = directory()
    genes: str = option(
        ...,
        "the perturbations: a list (a name a line, or the first column of a csv), or a screen or "
        "pair table that has them",
        metavar="FILE",
        path=True,
        group="campaign",
    )
    start: str | None = option(
        None,
        "results of pairs that are measured already (a,b,score[,se]); they take the place of the "
        "random round 0",
        metavar="RESULTS.csv",
        path=True,
        group="campaign",
    )
    singles: str | None = option(
        None,
        "single effects (gene,effect), which reward interaction needs",
        metavar="FILE",
        path=True,
        group="campaign",
    )
    policy: str = option(
        "ids", "how to choose: {choices}", choices=POLICIES, metavar="NAME", group="campaign"
    )
    reward: str = option(
        "score",
        "what is sought: {choices}; the largest win (interaction = departure from additivity)",
        choices=("score", "abs", "interaction"),
        metavar="KIND",
        group="campaign",
    )
    rounds: int = option(
        10,
        "rounds that are planned after round 0; going on beyond them is allowed",
        metavar="T",
        rule=POSITIVE,
        group="campaign",
    )
    top: float = option(
        0.05,
        "share of the pairs that counts as the top",
        metavar="F",
        rule=FRACTION,
        group="campaign",
    )
    seed: int = option(
        0, "seed of every random draw", metavar="N", rule=NON_NEGATIVE, group="campaign"
    )


@dataclass(frozen=True, kw_only=True)
class CampaignPropose(DrawOptions, BatchOptions):
    """Propose the next batch of a campaign; options of the batch are for this round only."""

    verb: ClassVar[str] = "campaign propose"
    example: ClassVar[str] = "epistax campaign propose screen1 --batch 60"

    directory: str = directory()


@dataclass(frozen=True, kw_only=True)
class CampaignRecord(Options):
    """Record results of a campaign; in parts, in any order, also of pairs nobody proposed."""

    verb: ClassVar[str] = "campaign record"
    example: ClassVar[str] = "epistax campaign record screen1 plate1.csv"

    directory: str = directory()
    results: str = option(
        ...,
        "table of results a,b,score[,se]: NaN is a failed well, an empty score no result yet",
        metavar="RESULTS",
        positional=True,
        path=True,
    )
    columns: tuple[str, ...] = option(
        (),
        "names of the two label columns, of the score and perhaps of its standard error",
        metavar="A,B,SCORE",
        group="reading",
        auto="found by name",
        split=True,
    )
    replicates: bool = option(
        False,
        "rows that other files hold to the last digit are new measurements; without it they are "
        "taken for the same ones, as in a table that grows",
        group="reading",
    )


@dataclass(frozen=True, kw_only=True)
class CampaignStatus(Options):
    """Say where a campaign stands: rounds, results, what is pending, damaged files, what next."""

    verb: ClassVar[str] = "campaign status"
    example: ClassVar[str] = "epistax campaign status screen1"

    directory: str = directory()
