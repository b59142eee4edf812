"""Where a campaign stands, as plain values: for the terminal, for --json and for the report."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from epistax.distributed.campaign import constraints, files, history
from epistax.distributed.campaign.files import Campaign
from epistax.engine.pairs import count
from epistax.engine.reward import reward

SHOWN = 10  # best pairs that are listed


def standing(campaign: Campaign) -> dict[str, Any]:
    """Rounds, results, pairs by what is known of them, the best, damage, the next step."""
    known, told = history.known(campaign), campaign.record["choice"]
    q = count(len(campaign.names))
    made = constraints.from_json(campaign.record["constraints"])
    return {
        "campaign": campaign.key,
        "directory": str(campaign.path),
        "perturbations": len(campaign.names),
        "pairs": q,
        "policy": told["policy"],
        "belief": told["belief"]["belief"],
        "reward": told["reward"],
        "seed": told["seed"],
        "batch": made.size,
        "constraints": campaign.record["constraints"],
        "rounds_planned": told["rounds"],
        "rounds_proposed": len(campaign.proposals),
        "results_recorded": len(campaign.results),
        "measured": len(known.measured),
        "pending": len(known.pending),
        "failed": len(known.failed),
        "unproposed": len(known.unproposed),
        "open": q - len(known.measured) - len(known.pending),
        "rounds": list(by_round(campaign, known)),
        "results": [
            {"file": entry["file"], "given": entry["given"], **entry["counts"]}
            for entry in campaign.results
        ],
        "best": best(campaign, known),
        "damaged": [
            {"file": str(f.path), "problem": f.problem, "remedy": f.remedy, "fatal": f.fatal}
            for f in campaign.faults
        ],
        "next": following(campaign, known),
    }


def by_round(campaign: Campaign, known: history.Known) -> Iterator[dict[str, Any]]:
    """What became of the pairs of each round."""
    for proposal in campaign.proposals:
        pairs = list(history.pairs_of(proposal))
        scores = [known.measured[pair].score for pair in pairs if pair in known.measured]
        number = proposal["round"]
        yield {
            "round": number,
            "proposed": len(pairs),
            "measured": len(scores),
            "pending": sum(known.pending.get(pair) == number for pair in pairs),
            "failed": sum(pair in known.failed for pair in pairs),
            "mean_score": float(np.mean(scores)) if scores else None,
            "best_score": max(scores, default=None),
            "cost": proposal["cost"],
            "file": str(campaign.round(number) / files.PROPOSED),
        }


def best(campaign: Campaign, known: history.Known) -> list[dict[str, Any]]:
    """The measured pairs of the highest reward; singles make the reward of `interaction`."""
    pairs = sorted(known.measured)
    if not pairs:
        return []
    score = np.array([known.measured[pair].score for pair in pairs], np.float32)
    sought = rewards(campaign, pairs, score)
    rounds = {
        pair: proposal["round"]
        for proposal in campaign.proposals
        for pair in history.pairs_of(proposal)
    }
    return [
        {
            "a": pairs[k][0],
            "b": pairs[k][1],
            "reward": float(sought[k]),
            "score": known.measured[pairs[k]].score,
            "se": known.measured[pairs[k]].se or None,
            "wells": known.measured[pairs[k]].count,
            "round": rounds.get(pairs[k]),
        }
        for k in np.argsort(-sought, kind="stable")[:SHOWN]
    ]


def rewards(campaign: Campaign, pairs: list[history.Pair], score: np.ndarray) -> np.ndarray:
    """What is sought, of every measured pair; only `interaction` is worth starting jax for."""
    kind = campaign.record["choice"]["reward"]
    if kind != "interaction":
        return score if kind == "score" else np.abs(score)
    single = dict(zip(campaign.names, campaign.record["singles"], strict=True))
    sides = (np.array([single[pair[k]] for pair in pairs], np.float32) for k in (0, 1))
    return np.asarray(reward(kind, score, np.ones(len(score), bool), *sides))


def following(campaign: Campaign, known: history.Known) -> str:
    """The next step."""
    fatal = [fault for fault in campaign.faults if fault.fatal]
    if fatal:
        return f"mend {fatal[0].path}: {fatal[0].remedy}"
    record = f"epistax campaign record {campaign.path} RESULTS.csv"
    propose = f"epistax campaign propose {campaign.path}"
    number = campaign.proposals[-1]["round"] if campaign.proposals else None
    measure = ""
    if number is not None and number in known.pending.values():
        measure = f"measure {campaign.round(number) / files.PROPOSED}, then: {record}"
    if number is not None and not campaign.fresh:
        return measure or record
    if len(known.measured) + len(known.pending) == count(len(campaign.names)):
        return measure or (record if known.pending else "nothing: every pair is measured")
    whole = sum(value == number for value in known.pending.values())
    if measure and whole == campaign.proposals[-1]["pairs"]:
        return f"{measure}; or go on without: {propose}"
    return propose
