"""The next round of a campaign: what is known, the batch, and its files.

    belief.npz, then proposal.json, then proposed.csv

The second makes the round; a kill before it leaves nothing that counts, a kill after it nothing
that the next command does not finish. Until results come the same round is given again.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import numpy as np

from epistax.distributed import atomic, backends, drawing
from epistax.distributed.campaign import (
    beliefs,
    constraints,
    dense,
    files,
    history,
    plates,
    streamed,
)
from epistax.distributed.campaign.constraints import Constraints
from epistax.distributed.campaign.files import Campaign
from epistax.distributed.campaign.moment import Batch, Choice, Moment, Proposer
from epistax.distributed.errors import BadInput
from epistax.distributed.flags import build
from epistax.distributed.options.campaign import CampaignNew, CampaignPropose
from epistax.distributed.options.shared import BeliefOptions
from epistax.distributed.record import RECORDED, version
from epistax.distributed.study import decided
from epistax.engine.pairs import Pairs, count
from epistax.engine.policy.rules import admit, cost, empty

Say = Callable[[str], None]


def proposer(choice: Choice) -> Proposer:
    """What proposes for a campaign: over a list of all pairs where they are few, else without."""
    return dense.DENSE if choice.p <= dense.MOST else streamed.STREAMED


def believing(options: CampaignNew, p: int) -> str:
    """The belief by name. BadInput where it cannot serve so many perturbations."""
    name, _, _ = decided(options, p=p, q=count(p), batch=1, top=options.top)
    if p > dense.MOST and (name not in streamed.BELIEFS or options.guide != "normal"):
        raise BadInput(
            f"--belief: {name}{' with guide ' + options.guide if name == 'lowrank' else ''} holds "
            f"tables of all pairs, for at most {dense.MOST:,} genes; {p:,} need one of "
            f"{', '.join(streamed.BELIEFS)}"
        )
    return name


def choice(campaign: Campaign) -> Choice:
    """How the campaign chooses, from campaign.json."""
    told = campaign.record["choice"]
    options = build(BeliefOptions, told["belief"], lambda spec: f"campaign.json: {spec.field}")
    singles = campaign.record["singles"]
    plain = {name: told[name] for name in ("seed", "policy", "reward", "rounds", "top")}
    return Choice(
        **plain,
        batch=constraints.from_json(campaign.record["constraints"]).size,
        options=options,
        p=len(campaign.names),
        singles=None if singles is None else tuple(singles),
        side=str(campaign.path / files.SIDE) if campaign.record["side"] else None,
    )


def places(campaign: Campaign) -> dict[str, int]:
    """Where each perturbation stands."""
    return {name: k for k, name in enumerate(campaign.names)}


def propose(
    campaign: Campaign, made: Constraints, say: Say, options: CampaignPropose
) -> Mapping[str, Any]:
    """Choose the next batch and publish it; the record of the round. The options say who draws."""
    number = next_round(campaign)
    known, place = history.known(campaign), places(campaign)
    if len(known.measured) + len(known.pending) == count(len(place)):
        raise BadInput(nothing(campaign, known, made))
    here, notices = moment(campaign, number, known, made, say)
    if number and here.choice.policy != "random":
        say(f"round {number}: fitting to {len(known.measured):,} measured pairs")
    crew, believer = backends.of(options), partial(beliefs.alone, here.choice)
    folder = campaign.path / drawing.FOLDER
    with drawing.fan(crew, believer, folder, deadline=options.deadline) as fan:
        batch = proposer(here.choice).propose(replace(here, fan=fan))
    if not len(batch.pairs.i):
        raise BadInput(nothing(campaign, known, made))
    if len(batch.pairs.i) < here.rules.size:
        notices.append(
            f"{len(batch.pairs.i):,} pairs instead of {here.rules.size:,}: no other free pair "
            "keeps the rules"
        )
    folder = campaign.round(number)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    data = beliefs.encode(batch.belief) if jax.tree.leaves(batch.belief) else None
    record = written(campaign, number, known, made, batch, notices, data)
    if data is not None:
        atomic.replace(folder / files.BELIEF, data)
    atomic.publish(folder / files.PROPOSAL, files.seal(record))
    atomic.publish(folder / files.PROPOSED, files.proposed(record))
    return record


def next_round(campaign: Campaign) -> int:
    """Round 0 is random; results that are there before it take its place."""
    if campaign.proposals:
        return int(campaign.proposals[-1]["round"]) + 1
    return 1 if campaign.results else 0


def moment(
    campaign: Campaign, number: int, known: history.Known, made: Constraints, say: Say
) -> tuple[Moment, list[str]]:
    """All that the choice depends on, and what a reader should know of it."""
    place = places(campaign)
    out = [*known.measured, *known.pending, *ordered(made, known)]
    rules = constraints.rules_of(made, place, out=history.codes(out, place))
    gone = {*out}
    wanted = [pair for pair in made.included if pair not in gone]
    measured = history.arrays(known.measured, place)
    belief, notices = (None, []) if number < 2 else earlier(campaign, say)
    included = constraints.positions(wanted, place)
    left = len(wanted) - len(admit(rules, empty(rules), included).chosen)
    if left:
        notices.append(f"{left:,} pairs to include do not fit into this batch; they come next time")
    if known.pending:
        notices.append(f"{len(known.pending):,} pairs are pending and not proposed again")
    return Moment(number, choice(campaign), rules, included, measured, belief), notices


def ordered(made: Constraints, known: history.Known) -> list[history.Pair]:
    """Pairs on their way from elsewhere, those that have failed aside."""
    return [pair for pair in made.ordered if pair not in known.failed]


def earlier(campaign: Campaign, say: Say) -> tuple[Any, list[str]]:
    """The belief of the last round: from its file, else fitted again round by round."""
    last = campaign.proposals[-1]
    if last["belief"] is None:
        return None, []
    path, why = campaign.round(last["round"]) / files.BELIEF, "is gone"
    with contextlib.suppress(FileNotFoundError):
        data = path.read_bytes()
        why = "is damaged"
        if files.sha256(data) == last["belief"]:
            before = then(campaign, len(campaign.proposals) - 1, None)
            try:
                return proposer(before.choice).restore(data, before), []
            except beliefs.Unreadable as problem:
                why = f"is not of this version ({problem})"
    told = f"{path} {why}: the belief was fitted again from the results"
    return replayed(campaign, say), [told]


def replayed(campaign: Campaign, say: Say) -> Any:
    """The belief of the last round, by fitting every round to what it knew."""
    belief = None
    rounds = [k for k, proposal in enumerate(campaign.proposals) if proposal["round"]]
    for step, k in enumerate(rounds, 1):
        say(f"fitting again: round {campaign.proposals[k]['round']}, {step} of {len(rounds)}")
        here = then(campaign, k, belief)
        belief, _ = proposer(here.choice).update(here)
    return belief


def then(campaign: Campaign, k: int, belief: Any) -> Moment:
    """What a belief was fitted to when the k-th proposal was made."""
    proposal, place = campaign.proposals[k], places(campaign)
    known = history.known(campaign, results=proposal["results"])
    none = Pairs(np.zeros(0, np.int32), np.zeros(0, np.int32))
    rules = constraints.rules_of(constraints.EMPTY, place)
    measured = history.arrays(known.measured, place)
    return Moment(int(proposal["round"]), choice(campaign), rules, none, measured, belief)


def written(
    campaign: Campaign,
    number: int,
    known: history.Known,
    made: Constraints,
    batch: Batch,
    notices: list[str],
    belief: bytes | None,
) -> dict[str, Any]:
    """The record of a round."""
    told = campaign.record["choice"]
    columns, rows = plates.rows(
        list(picks(campaign, number, known, batch)),
        made,
        key=campaign.key,
        control=told["control"][0] if told["control"] else "control",
        sep=told["sep"],
        seed=(told["seed"], number),
    )
    price = cost(constraints.rules_of(made, places(campaign)), batch.pairs)
    return {
        "campaign": campaign.key,
        "round": number,
        "after": campaign.proposals[-1]["round"] if campaign.proposals else None,
        "results": [entry["id"] for entry in campaign.results],
        "pairs": len(batch.pairs.i),
        "constraints": made.as_json(),
        "measured": len(known.measured),
        "pending": len(known.pending),
        "passes": batch.passes,
        "cost": float(price.sum()) if made.gene_cost or made.pair_cost else None,
        "belief": None if belief is None else files.sha256(belief),
        "proposed": files.sha256(files.table(columns, rows)),
        "versions": {name: version(name) for name in RECORDED},
        "notices": notices,
        "columns": list(columns),
        "rows": rows,
    }


def picks(
    campaign: Campaign, number: int, known: history.Known, batch: Batch
) -> Iterator[plates.Pick]:
    """The chosen pairs with their figures, and why each was chosen."""
    policy = campaign.record["choice"]["policy"]
    names, best = campaign.names, batch.best
    for k, (i, j) in enumerate(zip(*batch.pairs, strict=True)):
        pair = names[i], names[j]
        value, mean, sd = (float(x[k]) for x in (batch.value, batch.mean, batch.sd))
        if k < batch.included:
            reason = "must include"
        elif not number:
            reason = "random first batch"
        elif np.isnan(mean):
            reason = policy
        else:
            reason = f"{policy}: expected {mean:.3g}, sd {sd:.3g}; best open {best:.3g}"
        failures = known.failures.get(pair, 0)
        reason += f"; failed {failures} time{'s' * (failures > 1)} before" * bool(failures)
        yield plates.Pick(*pair, figure(value), figure(mean), figure(sd), reason)


def figure(value: float) -> str:
    """Six digits, nothing for nan."""
    return "" if np.isnan(value) else f"{value:.6g}"


def nothing(campaign: Campaign, known: history.Known, made: Constraints) -> str:
    """No pair can be proposed: where they all are."""
    q = count(len(campaign.names))
    return (
        f"{campaign.path}: no pair can be proposed: of {q:,}, {len(known.measured):,} are measured "
        f"and {len(known.pending):,} pending; {len(made.excluded):,} genes and "
        f"{len(made.excluded_pairs):,} pairs are excluded, {len(made.ordered):,} ordered; "
        "record what is pending, or lift a rule"
    )
