"""What is known of every pair at a moment of a campaign: measured, failed, pending.

A pair is measured once a result of it is a number, failed while all of them are NaN, and pending
from its proposal until a result that the proposal did not know. Repeated measurements become one:
their mean weighted by 1 / se^2, with se = (sum 1 / se^2)^(-1/2), where each has a standard error;
else the plain mean, with the se that their spread gives. Nothing here is as long as the list of
all pairs, and no sum depends on the order in which results came.
"""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from epistax.distributed.campaign.files import Campaign
from epistax.engine.pairs import Pairs, rank

Pair = tuple[str, str]
ELSEWHERE = -1  # the round of pairs that were ordered elsewhere


class Value(NamedTuple):
    """A measured pair; se 0 where unknown."""

    score: float
    se: float
    count: int


class Known(NamedTuple):
    """The pairs of a campaign about which there is something to know."""

    measured: dict[Pair, Value]
    failed: dict[Pair, int]  # not measured, not pending: how many wells failed
    pending: dict[Pair, int]  # the round that proposed it last
    unproposed: set[Pair]  # measured without a proposal
    failures: dict[Pair, int]  # failed wells of any pair, whatever became of it


def known(campaign: Campaign, *, results: Collection[str] | None = None) -> Known:
    """What the results of these names tell (None: all), and the proposals with them."""
    entries = [r for r in campaign.results if results is None or r["id"] in results]
    scores: dict[Pair, list[tuple[float, float | None]]] = {}
    failures: dict[Pair, int] = {}
    told: dict[Pair, set[str]] = {}
    for entry in entries:
        for a, b, score, se in entry["rows"]:
            told.setdefault((a, b), set()).add(entry["id"])
            if score is None:
                failures[a, b] = failures.get((a, b), 0) + 1
            else:
                scores.setdefault((a, b), []).append((score, se))
    proposed: dict[Pair, Mapping[str, Any]] = {}
    for proposal in campaign.proposals:
        proposed |= dict.fromkeys(pairs_of(proposal), proposal)
    pending = {
        pair: int(proposal["round"])
        for pair, proposal in proposed.items()
        if pair not in scores and not told.get(pair, set()) - set(proposal["results"])
    }
    lists = [entry["constraints"] for entry in (campaign.record, *campaign.proposals)]
    ordered = {(a, b) for made in lists for a, b in made.get("ordered", ())}
    pending |= dict.fromkeys(ordered - told.keys() - proposed.keys(), ELSEWHERE)
    return Known(
        {pair: combined(values) for pair, values in scores.items()},
        {pair: n for pair, n in failures.items() if pair not in scores and pair not in pending},
        pending,
        {pair for pair in scores if pair not in proposed},
        failures,
    )


def combined(values: Sequence[tuple[float, float | None]]) -> Value:
    """One value of repeated measurements."""
    count = len(values)
    if count == 1:
        return Value(values[0][0], values[0][1] or 0.0, 1)
    if all(values[k][1] for k in range(count)):
        weights = [1.0 / se**2 for _, se in values if se]
        total = math.fsum(weights)
        mean = math.fsum(w * score for w, (score, _) in zip(weights, values, strict=True)) / total
        return Value(mean, total**-0.5, count)
    mean = math.fsum(score for score, _ in values) / count
    spread = math.fsum((score - mean) ** 2 for score, _ in values) / (count - 1)
    return Value(mean, math.sqrt(spread / count), count)


def pairs_of(proposal: Mapping[str, Any]) -> Iterator[Pair]:
    """The distinct pairs of a proposal, in the order of choice."""
    for row in proposal["rows"][: proposal["pairs"]]:
        yield row[0], row[1]


class Measurements(NamedTuple):
    """Measured pairs as arrays, in the order of their positions."""

    pairs: Pairs
    score: np.ndarray  # float32 [m]
    se: np.ndarray  # float32 [m]


def arrays(measured: Mapping[Pair, Value], place: Mapping[str, int]) -> Measurements:
    """The measured pairs as a belief takes them."""
    index = np.array([[place[a], place[b]] for a, b in measured], np.int32).reshape(-1, 2)
    code = rank(Pairs(index[:, 0], index[:, 1]), len(place))
    order = np.argsort(code)
    i, j = index[order, 0], index[order, 1]
    values = np.array([[v.score, v.se] for v in measured.values()], np.float32).reshape(-1, 2)
    return Measurements(Pairs(i, j), values[order, 0], values[order, 1])


def codes(pairs: Iterable[Pair], place: Mapping[str, int]) -> np.ndarray:
    """Positions of named pairs among all, int64."""
    index = np.array([[place[a], place[b]] for a, b in pairs], np.int32).reshape(-1, 2)
    return rank(Pairs(index[:, 0], index[:, 1]), len(place))
