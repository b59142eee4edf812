"""`epistax campaign new | propose | record | status`: rounds of a screen, kept in plain files.

`new` reads the genes and what every batch must keep, `propose` chooses the next batch, `record`
takes results in, `status` says where the campaign stands, what is damaged and what comes next.
"""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from epistax.distributed import backends
from epistax.distributed.campaign import (
    constraints,
    files,
    founding,
    proposing,
    recording,
    standing,
)
from epistax.distributed.campaign.files import Campaign
from epistax.distributed.errors import BadInput
from epistax.distributed.options.campaign import (
    CampaignNew,
    CampaignPropose,
    CampaignRecord,
    CampaignStatus,
)
from epistax.distributed.progress import Progress
from epistax.distributed.report import page
from epistax.distributed.report.campaign import describe
from epistax.distributed.report.sections import campaign as section

__all__ = ["describe", "new", "propose", "record", "status"]


def new(options: CampaignNew) -> dict[str, Any]:
    """Begin; the same command again changes nothing."""
    campaign, notices, there = founding.found(options)
    if there:
        notices = [f"{campaign.path} is this campaign already: nothing to do", *notices]
    with files.held(campaign.path):
        return finish("new", campaign, notices=notices, genes=campaign.record["genes"]["from"])


def propose(options: CampaignPropose) -> dict[str, Any]:
    """Choose the next batch, or give the last one again while no result has come."""
    options = backends.settled(options)
    path = Path(options.directory)
    files.read(path)  # before the lock: a mistyped name makes nothing
    with files.held(path), Progress("campaign propose", quiet=options.quiet) as progress:
        campaign = files.read(path).sound()
        notices = files.mend(campaign)
        place = proposing.places(campaign)
        base = constraints.from_json(campaign.record["constraints"])
        made = constraints.read(options, place, base)
        if campaign.proposals and not campaign.fresh:
            record = campaign.proposals[-1]
            repeat(campaign, record, made, base)
            notices.append(f"round {record['round']} is already proposed and has no results yet")
        else:
            record = proposing.propose(campaign, made, progress.say, options)
            notices += record["notices"]
            campaign = files.read(path)
        draw(campaign)
        at = str(campaign.round(record["round"]) / files.PROPOSED)
        shown = {name: record[name] for name in ("round", "cost", "passes", "columns", "rows")}
        return finish("propose", campaign, notices=notices, proposed=at,
                      batch_pairs=record["pairs"], **shown)  # fmt: skip


def repeat(
    campaign: Campaign,
    record: Mapping[str, Any],
    made: constraints.Constraints,
    base: constraints.Constraints,
) -> None:
    """The round that is proposed stays as it is: refuse other rules, and a file that was edited."""
    number = record["round"]
    if made != base and files.plainly(made.as_json()) != record["constraints"]:
        raise BadInput(
            f"round {number} is proposed already, under other rules; record results of it first"
        )
    at = campaign.round(number) / files.PROPOSED
    for fault in campaign.faults:
        if fault.path == at:
            raise BadInput(str(fault))


def record(options: CampaignRecord) -> dict[str, Any]:
    """Take a file of results in, once."""
    path = Path(options.directory)
    campaign = files.read(path)
    place, told = proposing.places(campaign), campaign.record["choice"]
    given = recording.read(options.results, told, place, key=campaign.key, columns=options.columns)
    with files.held(path):
        campaign = files.read(path)
        earlier = recording.same(campaign, given.data)
        if earlier is not None:
            notices = [f"recorded already, as {files.RESULTS}/{earlier['file']}: nothing to do"]
            return finish("record", campaign, notices=[*files.mend(campaign), *notices], recorded=0)
        entry = recording.entry(campaign, given, replicates=options.replicates)
        others = [f for f in campaign.faults if f.fatal and f.path.stem != entry["id"]]
        if others:
            raise BadInput(f"{others[0]}; nothing was recorded")
        notices = [*files.mend(campaign), *recording.told(entry)]
        if not entry["rows"]:
            notices.append("every row is recorded already: nothing to do")
            return finish("record", campaign, notices=notices, recorded=0)
        recording.publish(path, given, entry)
        return finish("record", files.read(path), notices=notices, recorded=len(entry["rows"]),
                      counts=entry["counts"], read=entry["read"])  # fmt: skip


def status(options: CampaignStatus) -> dict[str, Any]:
    """Read everything; only the report is written."""
    path = Path(options.directory)
    campaign = files.read(path)
    with contextlib.suppress(BadInput), files.held(path):  # of a copy for reading: no report
        return finish("status", campaign, notices=[])
    return summary("status", campaign, notices=[])


def draw(campaign: Campaign) -> None:
    """The belief that chose the last batch, as a picture beside the report; once."""
    from epistax.distributed.campaign.expected import expected
    from epistax.distributed.report import beliefmap, pictures

    name = f"{section.MAP}-{campaign.proposals[-1]['round']:04d}"
    at = [campaign.path / "figures" / f"{name}.{kind}" for kind in ("svg", "png")]
    found = None if all(path.exists() for path in at) else expected(campaign)
    if found is not None:
        drawn = pictures.rendered(name, beliefmap.maps(found.names, found.mean, found.sd))
        page.keep(dict(zip(at, drawn, strict=True)))


def finish(step: str, campaign: Campaign, **more: Any) -> dict[str, Any]:
    """The summary of a step, and report.html with the state after it."""
    made = summary(step, campaign, **more)
    last = campaign.proposals[-1] if campaign.proposals else None
    page.publish(campaign.path, [section.section(made, last, campaign.path / "figures")])
    return made


def summary(step: str, campaign: Campaign, **more: Any) -> dict[str, Any]:
    """What a step did, and where the campaign stands."""
    report = str(campaign.path / files.REPORT)
    return {"step": step, **more, **standing.standing(campaign), "report": report}
