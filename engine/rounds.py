"""One closed-loop round, dense: measured pairs -> belief -> acquisition -> batch; and a whole run.

A run sees the scores of the pairs it has chosen and nothing else: they come one batch at a time
from `measure`, and every other score does not exist inside it.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int
from numpy import ndarray

from epistax.engine.pairs import Pairs
from epistax.engine.policy.wanted import WIDER, Wanted
from epistax.engine.posterior import tabled
from epistax.engine.posterior.pieces import Fan, here
from epistax.engine.protocols import Policy, Posterior
from epistax.engine.screen import Candidates, gather
from epistax.engine.types import Belief, Index, Info, Key, Picked


class Round(NamedTuple):
    """One finished round: positions chosen, their acquisition values, what the fit reported."""

    number: int
    chosen: Int[ndarray, "b"]
    value: Float[ndarray, "b"]
    info: Info
    belief: Belief


def campaign(
    key: Key,
    posterior: Posterior,
    policy: Policy,
    pairs: Pairs,
    measure: Callable[[Int[ndarray, "b"]], tuple[Float[ndarray, "b"], Float[ndarray, "b"]]],
    *,
    batch: int,
    rounds: int,
    first: Int[ndarray, "b"],
    wanted: Wanted | None = None,
    fan: Fan = here,
) -> Iterator[Round]:
    """Round 0 measures `first`; each of `rounds` further rounds fits, chooses and measures a batch.

    measure(positions) returns scores and their standard errors. The last batch is cut short where
    the pairs run out, and the iteration ends there. Round t's keys are fold_in(key, t). The draws
    that are wanted of a round are made before the policy chooses, by whom `fan` says.
    """
    q = len(pairs.i)
    score, se = np.full(q, np.nan, np.float32), np.zeros(q, np.float32)
    table = Pairs(jnp.asarray(pairs.i), jnp.asarray(pairs.j))
    chosen, belief = np.asarray(first), None
    open = np.ones(q, bool)
    total = min(q, len(first) + batch * rounds)
    for number in range(rounds + 1):
        info: Info = {}
        value = np.full(len(chosen), np.nan, np.float32)
        if number:
            k_fit, k_choose = keys(key, number)
            measured = gather(pairs, score, se, np.flatnonzero(~open), length=total)
            belief, info = posterior.fit(k_fit, belief, measured)
            left = total - int((~open).sum())
            chosen, value = choose(
                k_choose, posterior, policy, belief, table, open, left, wanted=wanted, fan=fan
            )
            size = min(batch, left)
            chosen, value = chosen[:size], value[:size]
        if not len(chosen):
            return
        score[chosen], se[chosen] = measure(chosen)
        open[chosen] = False
        yield Round(number, chosen, value, info, belief)


def keys(key: Key, number: int) -> tuple[Key, Key]:
    """The keys of round `number` of a run, to fit and to choose."""
    k_fit, k_choose = jax.random.split(jax.random.fold_in(key, number))
    return k_fit, k_choose


def choose(
    key: Key,
    posterior: Posterior,
    policy: Policy,
    belief: Belief,
    pairs: Pairs,
    open: Bool[ndarray, "q"],
    left: int,
    *,
    wanted: Wanted | None = None,
    fan: Fan = here,
) -> tuple[Int[ndarray, "b"], Float[ndarray, "b"]]:
    """The policy's batch among the open pairs, best first; left counts the picks still to come.

    Where fewer pairs are open than the policy picks, the last ones mean nothing.
    """
    candidates = Candidates(pairs, jnp.asarray(open), jnp.int32(left))
    if wanted is None:
        return _chosen(key, posterior, policy, belief, candidates)
    q, now = len(open), (wanted.key(key), posterior, belief, pairs, candidates.open)
    best = None if wanted.best is None else min(wanted.best, q)
    while True:
        held = tabled.table(*now, count=wanted.count, best=best, fan=fan)
        chosen, value = _chosen(key, tabled.tabled(posterior), policy, held, candidates)
        # where others took all that was kept of a draw, more of each is kept
        enough = np.isfinite(value[: int(open.sum())]).all()
        if best is None or best == q or enough:
            return chosen, value
        best = min(WIDER * best, q)


def _chosen(
    key: Key, posterior: Posterior, policy: Policy, belief: Belief, candidates: Candidates
) -> tuple[Int[ndarray, "b"], Float[ndarray, "b"]]:
    chosen, value = _choose(key, belief, candidates, posterior=posterior, policy=policy)
    return np.asarray(chosen), np.asarray(value)


@partial(jax.jit, static_argnames=("posterior", "policy"))
def _choose(
    key: Key, belief: Belief, candidates: Candidates, *, posterior: Posterior, policy: Policy
) -> tuple[Index, Picked]:
    return policy.choose(key, posterior, belief, candidates)


def shared_first(key: Key, q: int, batch: int) -> Int[Array, "b"]:
    """The random first batch that all policies of a seed have in common."""
    return jax.random.choice(key, q, (batch,), replace=False)
