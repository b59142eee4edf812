"""Policies by name: the settings they share and the one builder that the verbs call.

`ids` is the recommended IDS, `ts` is parallel Thompson sampling. Values returned beside the
chosen pairs are higher = sooner for every policy (minus Psi for the IDS family).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from epistax.engine.policy import bandits, batch, ids
from epistax.engine.protocols import Policy, Posterior
from epistax.engine.screen import Candidates
from epistax.engine.types import Belief, Index, Key, Picked, Values

Draws: TypeAlias = Float[Array, "s q"]
ALIASES = {"ids": "ids-defl", "ts": "ts-par"}
LAM = {"ids-defl": 16.0}  # lambda where none is given; 4, the papers' middle, for the others
NAMES = (
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


@dataclass(frozen=True)
class Settings:
    """batch pairs a round; draws S for the IDS family; lam = lambda of Psi; beta of UCB.

    lam None is each estimator's own: with deflation, which makes for variety by itself, 16 was best
    or level with the best on every screen and simulation tried. noise is the variance of one
    measurement on the belief's scale, for `ids-defl`.
    """

    batch: int
    draws: int = 256
    lam: float | None = None
    beta: float = 0.5
    noise: float = 0.25


@lru_cache(maxsize=128)  # a policy is a record of closures: one per settings, or jit starts anew
def policy(name: str, settings: Settings, *, p: int) -> Policy:
    """The policy of this name over pairs of p perturbations. ValueError for an unknown name."""
    name = ALIASES.get(name, name)
    if name not in NAMES:
        raise ValueError(f"policy {name!r} is not one of {', '.join(NAMES)}")
    size, lam = settings.batch, weight(name, settings)

    def choose(
        key: Key, posterior: Posterior, belief: Belief, candidates: Candidates
    ) -> tuple[Index, Picked]:
        if name in THOMPSON:
            return THOMPSON[name](key, posterior, belief, candidates, size)
        if name in INDICES:
            mean, var = posterior.moments(belief, candidates.pairs)
            return batch.best(INDICES[name](mean, var, settings), candidates, size)
        if name == "random":
            return batch.best(jax.random.uniform(key, candidates.open.shape), candidates, size)
        return directed(key, posterior, belief, candidates)

    def directed(
        key: Key, posterior: Posterior, belief: Belief, candidates: Candidates
    ) -> tuple[Index, Picked]:
        k_draw, k_group = jax.random.split(key)
        if name == "ids-ts":  # one draw a slot, as Thompson sampling has it
            s = draws(key, posterior, belief, candidates, size)
            mean, var = posterior.moments(belief, candidates.pairs)
            best = jnp.where(candidates.open[None, :], s, -jnp.inf).max(1).mean()
            psi = ids.ratio(jnp.maximum(best - mean, 0), var, var, lam)
            index, psi = batch.proposed(s, psi, candidates.open, size)
            return index, -psi
        s = draws(k_draw, posterior, belief, candidates, settings.draws)
        delta = ids.regret(s, candidates.open)
        if name == "ids-defl":
            index, psi = batch.deflate(s, delta, candidates.open, settings.noise, lam, size)
            return index, -psi
        information = ESTIMATORS[name](k_group, s, candidates, p)
        psi = ids.ratio(delta, information, s.var(0), lam)
        return batch.best(-psi, candidates, size)

    return Policy(choose)


def weight(name: str, settings: Settings) -> float:
    """The lambda that an estimator of this name works with."""
    own = LAM.get(ALIASES.get(name, name), 4.0)
    return own if settings.lam is None else settings.lam


THOMPSON = {"ts-par": bandits.thompson_parallel, "ts-one": bandits.thompson_one}
INDICES: dict[str, Callable[[Values, Values, Settings], Values]] = {
    "greedy": lambda mean, var, settings: mean,
    "us": lambda mean, var, settings: jnp.sqrt(var),
    "ucb": lambda mean, var, settings: bandits.upper_confidence(mean, var, settings.beta),
}
ESTIMATORS: dict[str, Callable[[Key, Draws, Candidates, int], Values]] = {
    "ids-var": lambda key, s, c, p: s.var(0),
    "ids-self": lambda key, s, c, p: ids.information_self(s, c.open, c.remaining),
    "ids-argmax": lambda key, s, c, p: ids.information_argmax(s, c.open, c.remaining),
    "ids-clusters": lambda key, s, c, p: ids.information_clusters(
        key, s, c.open, c.remaining, c.pairs, p
    ),
}


def draws(
    key: Key, posterior: Posterior, belief: Belief, candidates: Candidates, count: int
) -> Draws:
    """Joint draws of all pairs; draw s depends on (key, s) only: any number of workers agrees."""

    def one(n: Array) -> Values:
        return posterior.sample(jax.random.fold_in(key, n), belief, candidates.pairs)

    return jax.lax.map(one, jnp.arange(count), batch_size=min(count, 16))
