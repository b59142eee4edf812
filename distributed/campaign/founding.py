"""The beginning of a campaign: what is decided once, and the directory that holds it.

    genes.txt, side.npz, results of --start, then campaign.json

The last makes the campaign. The same command again finds it there and changes nothing; another one
is told what differs.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from epistax.distributed import atomic, flags
from epistax.distributed.beforehand import beforehand
from epistax.distributed.campaign import (
    beliefs,
    constraints,
    files,
    lists,
    proposing,
    recording,
)
from epistax.distributed.campaign.files import Campaign
from epistax.distributed.errors import BadInput
from epistax.distributed.options.campaign import CampaignNew
from epistax.distributed.options.shared import BeliefOptions
from epistax.distributed.record import RECORDED, version
from epistax.distributed.rundir import make, passing
from epistax.engine.beliefs import EFFECTS
from epistax.engine.pairs import count

OURS = (
    "LOCK",
    files.GENES,
    files.SIDE,
    files.RESULTS,
)  # of a beginning that was killed


def found(options: CampaignNew) -> tuple[Campaign, list[str], bool]:
    """Read everything, then write it; the campaign, what to say, and whether it was there."""
    path = Path(options.directory)
    record, names, notices, side = decide(options)
    place = {name: k for k, name in enumerate(names)}
    start = None
    if options.start is not None:
        start = recording.read(options.start, record["choice"], place, key=record["campaign"])
        record["start"] = start.content
    check(path, record)
    if (path / files.RECORD).is_file():
        return files.read(path), notices, True
    make(path)
    with files.held(path):
        check(path, record)
        campaign = Campaign(path, record, names, (), (), ())
        first = None
        if start is not None:
            first = recording.entry(campaign, start, replicates=True)
        clean(path / files.RESULTS, first)
        atomic.replace(path / files.GENES, listing(names))
        if side is not None:
            atomic.replace(path / files.SIDE, side)
        if start is not None and first is not None:
            recording.publish(path, start, first)
        atomic.publish(path / files.RECORD, files.seal(record))
    return files.read(path), notices, False


def decide(
    options: CampaignNew,
) -> tuple[dict[str, Any], tuple[str, ...], list[str], bytes | None]:
    """campaign.json, the perturbations, what was found on the way, side.npz."""
    names, where, notices = lists.read_genes(
        options.genes, control=options.control, sep=options.sep
    )
    p = len(names)
    if p < 2:
        raise BadInput(f"{options.genes}: holds {p} gene{'s' * (p != 1)}; a pair needs two")
    place = {name: k for k, name in enumerate(names)}
    made = constraints.read(options, place)
    singles = None if options.singles is None else lists.read_singles(options.singles, place)
    if options.reward == "interaction" and singles is None:
        raise BadInput("--reward: 'interaction' needs single effects; give them with --singles")
    most = -(-count(p) // made.size) - 1
    if options.rounds > most:
        notices.append(f"{options.rounds} rounds were asked for; the pairs end after {most}")
    belief = {
        name: getattr(options, name)
        for name in flags.specs(BeliefOptions)
        if flags.specs(BeliefOptions)[name].own and getattr(options, name) is not None
    }
    for name in ("side", "graph"):  # the campaign has its own copy
        belief.pop(name, None)
    belief["belief"] = proposing.believing(options, p)
    if belief["belief"] in EFFECTS and singles is None:
        raise BadInput(
            f"--belief: {belief['belief']!r} starts from single effects; give them with --singles"
        )
    side, known = None, None
    if (beside := beforehand(options, names)) is not None:
        side = beliefs.encode((beside.values,))
        known = {"columns": list(beside.columns), "sha256": files.sha256(side)}
        notices += beside.remarks
    told = {
        "seed": options.seed,
        "policy": options.policy,
        "reward": options.reward,
        "rounds": min(options.rounds, most),
        "top": options.top,
        "belief": belief,
        "control": list(options.control),
        "sep": options.sep,
    }
    record: dict[str, Any] = {
        "genes": {"count": p, "from": where, "sha256": files.sha256(listing(names))},
        "choice": told,
        "constraints": made.as_json(),
        "singles": singles,
        "side": known,
        "start": None,
    }
    key = files.sha256(files.seal(record))[:12]
    versions = {name: version(name) for name in RECORDED}
    return {"campaign": key, **record, "versions": versions}, names, notices, side


def listing(names: tuple[str, ...]) -> bytes:
    """genes.txt."""
    return "".join(f"{name}\n" for name in names).encode()


def check(path: Path, record: dict[str, Any]) -> None:
    """Refuse a directory that is another campaign's, or no campaign's."""
    if path.exists() and not path.is_dir():
        raise BadInput(f"DIR: {path} is a file; name a directory")
    if (path / files.RECORD).is_file():
        earlier = files.read(path).record
        for name in ("genes", "choice", "constraints", "singles", "side", "start"):
            if files.plainly(earlier[name]) != files.plainly(record[name]):
                what = difference(name, earlier[name], record[name])
                raise BadInput(f"DIR: {path} is another campaign: {what}; name a new directory")
        return
    if path.is_dir():
        strange = [p for p in path.iterdir() if p.name not in OURS and not passing(p)]
        if strange:
            raise BadInput(
                f"DIR: {path} holds {strange[0].name}, which is no campaign's; name a new directory"
            )


def clean(folder: Path, first: Mapping[str, Any] | None) -> None:
    """Refuse results that a beginning with other ones left: nothing of a user's is removed."""
    ours = set() if first is None else {first["file"], f"{first['id']}.json"}
    strange = sorted(p.name for p in folder.glob("*") if p.name not in ours)
    if strange:
        raise BadInput(f"DIR: {folder} holds {strange[0]} of another beginning; name a new "
                       "directory")  # fmt: skip


def difference(name: str, earlier: Any, record: Any) -> str:
    """In what two records differ."""
    if name in ("choice", "constraints"):
        both = {**earlier, **record}
        key = next(k for k in both if files.plainly(earlier.get(k)) != files.plainly(record.get(k)))
        values = (earlier.get(key), record.get(key))
        if all(isinstance(value, str | int | float | None) for value in values):
            return f"its {key} is {values[0]}, not {values[1]}"
        return f"its {key} is not the same"
    return f"its {'list of genes' if name == 'genes' else name} is not the same"
