"""A round over an implicit pair space: every policy, exact, without a list of pairs.

UCB, uncertainty and greedy are closed-form moments, tile by tile. Thompson sampling takes certified
maxima of draws. Information-directed sampling has E max R from certified maxima too; its
information is the variance of R in closed form (`ids-var`), or is estimated from draws on a
shortlist (shortlist.py).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from epistax.engine import pairs as pairing
from epistax.engine import stream
from epistax.engine.pairs import Pairs
from epistax.engine.policy import ids
from epistax.engine.policy.batch import PROPOSED
from epistax.engine.policy.catalogue import ALIASES, NAMES, Settings, weight
from epistax.engine.posterior import moments
from epistax.engine.posterior.maxima import Maxima
from epistax.engine.posterior.pieces import Fan, here
from epistax.engine.shortlist import Open, directed, expectation, kept
from epistax.engine.types import Info, Key

SLOTS = 4  # of each draw's best pairs, looked at first: others may have taken the best
WIDER = 4  # times as many where all of them are taken
TOGETHER = 64  # slots at most whose lists are made longer at once


class Chosen(NamedTuple):
    """A batch: pairs, acquisition values, means and sds of their rewards, how they were found."""

    pairs: Pairs
    value: Float[ndarray, "b"]
    mean: Float[ndarray, "b"]
    sd: Float[ndarray, "b"]
    info: Info


def choose(
    name: str,
    settings: Settings,
    key: Key,
    factors: moments.Factors,
    measured: Pairs,
    *,
    remaining: int | None = None,
    allowed: Bool[ndarray, "p"] | None = None,
    size: int = stream.TILE,
    mesh: Mesh | None = None,
    fan: Fan = here,
) -> Chosen:
    """The batch that the policy of this name chooses among all pairs that are not measured.

    measured is sorted or not, i < j. remaining counts the selections still to come (None: this
    batch alone). Fewer pairs than settings.batch come back where no more are open. `fan` says who
    makes the draws.
    """
    name = ALIASES.get(name, name)
    if name not in NAMES:
        raise ValueError(f"policy {name!r} is not one of {', '.join(NAMES)}")
    where = stream.space(len(factors.a), measured, size=size)
    now = Open(factors, measured, where, size, allowed, mesh, fan)
    lam = weight(name, settings)
    if name == "random":
        found, info = at_random(key, now, settings.batch), {}
    elif name in ("ucb", "greedy"):
        beta = jnp.float32(settings.beta if name == "ucb" else 0.0)
        found, info = now.best(stream.confidence, factors, beta, batch=settings.batch), {}
    elif name == "us":
        found, info = now.best(stream.uncertainty, factors, batch=settings.batch), {}
    elif name == "ts-one":
        one = now.tops(key, 1, settings.batch)
        found, info = stream.Ranked(Pairs(one.i[0], one.j[0]), one.value[0]), kept(one)
    elif name == "ts-par":
        found, info = thompson(key, now, settings.batch)
    elif name == "ids-ts":
        found, info = proposed(key, now, settings.batch, lam)
    elif name == "ids-var":
        expected, info = expectation(now.tops(key, settings.draws))
        score = stream.variance_directed(lam)
        found = now.best(score, factors, expected, batch=settings.batch)
    else:
        found, info = directed(name, key, now, settings, lam, remaining or settings.batch)
    there = found.value > -np.inf
    pairs = Pairs(*(v[there] for v in found.pairs))
    mean, var = (np.asarray(v) for v in moments.of_pairs(factors, pairs))
    return Chosen(pairs, found.value[there], mean, np.sqrt(var), info)


def at_random(key: Key, now: Open, size: int) -> stream.Ranked:
    """Open pairs, uniformly; the value is 0."""
    p = len(now.factors.a)
    free = np.arange(p) if now.allowed is None else np.flatnonzero(now.allowed)
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)).ravel())
    taken = np.sort(pairing.rank(now.measured, p))
    every, chosen = pairing.count(len(free)), np.zeros(0, np.int64)
    tried = size
    while True:  # a sample without replacement: the first of distinct uniform ones
        some = rng.choice(every, min(tried, every), replace=False, shuffle=True)
        low = pairing.unrank(some, len(free))
        ranks = pairing.rank(Pairs(free[low.i], free[low.j]), p)
        chosen = ranks[~np.isin(ranks, taken)][:size]
        if len(chosen) == size or tried >= every:
            return stream.Ranked(pairing.unrank(chosen, p), np.zeros(len(chosen), np.float32))
        tried *= 2


def thompson(key: Key, now: Open, size: int) -> tuple[stream.Ranked, Info]:
    """Each slot takes the best pair of its own draw that no earlier slot took; exact."""
    tops = now.tops(key, size, SLOTS)
    return in_turn(key, now, tops, tops.value), kept(tops)


def proposed(key: Key, now: Open, size: int, lam: float) -> tuple[stream.Ranked, Info]:
    """Each slot takes the least Psi among the best pairs of its own draw that are not taken."""
    tops = now.tops(key, size, PROPOSED)
    expected, info = expectation(tops)

    def worth(i: Int[ndarray, "n"], j: Int[ndarray, "n"]) -> Float[ndarray, "n"]:
        mean, var = moments.of_pairs(now.factors, Pairs(np.maximum(i, 0), np.maximum(j, 0)))
        return -np.asarray(ids.ratio(jnp.maximum(expected - mean, 0), var, var, lam))

    all_of_them = worth(tops.i.ravel(), tops.j.ravel()).reshape(tops.i.shape)
    found = in_turn(key, now, tops, all_of_them)
    return found._replace(value=worth(*found.pairs)), info


def in_turn(key: Key, now: Open, tops: Maxima, worth: Float[ndarray, "s c"]) -> stream.Ranked:
    """Slot by slot the worthiest of a draw's best pairs that is not taken; the draw's values.

    Where all of a draw's best are taken, its list is made longer and the best free one is taken.
    Draws that agree need long lists all of them: each time, those of more slots are made at once.
    """
    taken: set[tuple[int, int]] = set()
    chosen: list[tuple[float, int, int]] = []
    longer: dict[int, tuple[ndarray, ndarray, ndarray]] = {}
    together = 1
    for slot in range(len(worth)):
        value, i, j = (v[slot] for v in (tops.value, tops.i, tops.j))
        wanted, free = worth[slot], untaken(i, j, taken)
        while not free.any() and value[-1] > -np.inf:
            if slot not in longer or len(longer[slot][0]) <= len(value):
                slots = np.arange(slot, min(slot + together, len(worth)))
                again = now.tops(key, slots, WIDER * len(value))
                rows = zip(again.value, again.i, again.j, strict=True)
                longer |= dict(zip(slots.tolist(), rows, strict=True))
                together = min(2 * together, TOGETHER)
            value, i, j = longer[slot]
            wanted, free = value, untaken(i, j, taken)
        if not free.any():
            break
        n = int(np.where(free, wanted, -np.inf).argmax())
        chosen.append((float(value[n]), int(i[n]), int(j[n])))
        taken.add(chosen[-1][1:])
    values, left, right = zip(*chosen, strict=True) if chosen else ((), (), ())
    pairs = Pairs(np.array(left, np.int32), np.array(right, np.int32))
    return stream.Ranked(pairs, np.array(values, np.float32))


def untaken(
    i: Int[ndarray, "c"], j: Int[ndarray, "c"], taken: set[tuple[int, int]]
) -> Bool[ndarray, "c"]:
    """Which pairs exist and are not taken."""
    pairs = zip(i.tolist(), j.tolist(), strict=True)
    return np.array([pair[0] >= 0 and pair not in taken for pair in pairs])
