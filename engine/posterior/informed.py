"""Low-rank posterior of many perturbations from few pairs, told apart by side information.

The model and its mean-field fit are those of blocks.py, the start that of spectral.py. What no
measured pair holds is predicted from what is known of it, h_i; its own part keeps the prior.
Mean-field variances are too small: those of the factors are multiplied by kappa, up to the prior's,
which shadow fits on parts of the measured pairs teach (heldout.py). The rank is that of the
greatest held-out likelihood.
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy import ndarray

from epistax.engine import reward as rewards
from epistax.engine.pairs import Pairs
from epistax.engine.posterior import blocks, draws, heldout, moments, spectral
from epistax.engine.posterior.blocks import Data, State
from epistax.engine.posterior.partners import layout
from epistax.engine.protocols import Posterior
from epistax.engine.screen import Measured
from epistax.engine.types import Belief, Info, Key, Scalar, Values

LEARN, SETTLE = 5, 10  # steps before precisions are learned; steps after the axes are turned
IDLE = 0.02  # variance of a component that is switched off
ANEW = 2  # a fit starts anew when so many times more pairs are measured than at its last start
MAIN = 0


@dataclass(frozen=True)
class Informed:
    """Settings. A cold fit tries larger ranks while no component is idle; a warm one keeps it.

    steps: of a cold fit, before the last SETTLE; minibatch: the most rows of partners in a step.
    """

    ranks: tuple[int, ...] = (8, 16)
    steps: int = 50
    minibatch: int = 100_000


class Fitted(NamedTuple):
    """A belief: the fit and its shadows on a leading axis, kappa, sigma, the scale of the rewards.

    born is how many pairs were measured at its start.
    """

    states: State
    kappa: Scalar
    sigma: Scalar
    scale: rewards.Level
    born: Scalar


def informed(
    config: Informed,
    *,
    p: int,
    reward: rewards.Kind,
    singles: Float[Array, "p"] | None = None,
    side: Float[ndarray, "p d"] | None = None,
) -> Posterior:
    """The posterior over p perturbations; side is put on a standard scale here."""
    h = known(side, p)

    def fit(key: Key, belief: Belief | None, measured: Measured) -> tuple[Fitted, Info]:
        data = observed(measured, reward, singles, h)
        keeps = heldout.shown(data, heldout.folds(len(data.value), p))
        count = data.keep.sum()
        if belief is not None and (
            count > ANEW * belief.born or len(keeps) != len(belief.states.variance)
        ):
            belief = None
        ranks = config.ranks if belief is None else (belief.states.sign.shape[-1],)
        best = None
        for rank in ranks:
            states = None if belief is None else belief.states
            states = moved(key, states, data, keeps, config, rank)
            found = (states, *heldout.calibrated(states, data, keeps))
            best = found if best is None else max((best, found), key=held_out)
            if rank != ranks[-1] and idle(states):
                break
        states, kappa, sigma, held = best
        born = count if belief is None else belief.born
        finite = jnp.isfinite(held) & jnp.isfinite(states.mean).all()
        info = {"held_out": held, "kappa": kappa, "sigma": sigma, "finite": finite}
        made = Fitted(states, kappa, sigma, data.scale, born)
        return made, info | {"rank": states.sign.shape[-1]}

    def sample(key: Key, belief: Fitted, pairs: Pairs) -> Values:
        return draws.rewards(draws.sampled(key, factors(belief, h)), pairs)

    def closed(belief: Fitted, pairs: Pairs) -> tuple[Values, Values]:
        return moments.of_pairs(factors(belief, h), pairs)

    def expected(belief: Fitted, measured: Measured, pairs: Pairs) -> tuple[Values, Values]:
        back = partial(rewards.unlevelled, to=belief.scale, positive=reward != "score")
        return rewards.carried(*closed(belief, pairs), back)

    return Posterior(fit, closed, sample, expected)


def held_out(found: tuple[State, Scalar, Scalar, Scalar]) -> float:
    """The last of what `calibrated` says; a fit that came to nothing is the worst."""
    value = float(found[-1])
    return value if np.isfinite(value) else -np.inf


def known(side: Float[ndarray, "p d"] | None, p: int) -> Float[Array, "p e"]:
    """A column of 1, and columns of mean 0 and sd 1; constant ones are 0."""
    one = jnp.ones((p, 1))
    if side is None:
        return one
    side = np.asarray(side, np.float32)
    sd = side.std(0)
    return jnp.concatenate([one, jnp.asarray((side - side.mean(0)) / np.where(sd > 0, sd, 1.0))], 1)


def observed(
    measured: Measured, reward: rewards.Kind, singles: Array | None, features: Array
) -> Data:
    """What the fit reads: rewards on their standard scale, laid out by perturbation."""
    (i, j), mask = measured.pairs, jnp.asarray(measured.mask)
    si, sj = (None, None) if singles is None else (singles[i], singles[j])
    raw = rewards.reward(reward, measured.score, mask, si, sj)
    scale = rewards.level(raw, mask, positive=reward != "score")
    value = jnp.where(mask, rewards.levelled(raw, scale), 0.0)
    pairs = Pairs(jnp.asarray(i), jnp.asarray(j))
    partners, rows = layout(pairs, mask, len(features))
    se = jnp.asarray(measured.se)
    return Data(partners, rows, pairs, value, se, mask, scale, features)


@partial(jax.jit, static_argnames=("config", "rank"))
def moved(
    key: Key, states: State | None, data: Data, keeps: Array, config: Informed, rank: int
) -> State:
    """The fit and its shadows from their starts, or some steps on from where they were."""
    k_start, k_run, k_end = jax.random.split(key, 3)
    run = partial(blocks.run, minibatch=config.minibatch)

    def one(at: tuple[Array, State | None]) -> State:
        seen, state = data._replace(keep=at[0]), at[1]
        if state is None:
            state = spectral.start(k_start, seen, rank=rank)
            state = run(k_run, state, seen, learn=LEARN, steps=config.steps)
        return run(k_end, spectral.principal(state, seen), seen, learn=0, steps=SETTLE)

    return jax.lax.map(one, (keeps, states))


def idle(states: State) -> bool:
    """Whether a component of the fit is switched off."""
    return bool(((states.mean[MAIN, :, 1:] ** 2).mean(0) < IDLE).any())


def factors(belief: Fitted, side: Float[Array, "p d"]) -> moments.Factors:
    """Independent factors of every perturbation, with variances that kappa has widened."""
    return heldout.spread(jax.tree.map(lambda x: x[MAIN], belief.states), side, belief.kappa)
