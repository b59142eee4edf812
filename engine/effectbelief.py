"""Beliefs over pair rewards by models of effects: what campaigns and discovery choose by.

An ensemble of networks ("NAIAD", section 3.3), or the draws of the default model of effects, become
joint draws of the reward of every pair: the measured score itself, its size, or its departure from
what single effects lead to expect. Rewards are told on the scale of posterior/ame.py,
f(R) = 1 / (1 + exp((cut - R) / width)), steep at the reward that the best `top` of all pairs reach.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from numpy import ndarray

from epistax.engine.effects import catalogue
from epistax.engine.effects.mixed import Mixed, joint, mixed
from epistax.engine.effects.neural import Neural, neural
from epistax.engine.effects.records import Combos, Jobs, Table
from epistax.engine.pairs import Pairs, rank, upper
from epistax.engine.protocols import Posterior
from epistax.engine.reward import Kind, expectation, features
from epistax.engine.screen import Measured
from epistax.engine.types import Belief, Info, Key, Scalar, Values

Model: TypeAlias = Literal["mixed", "naiad", "naiad-symmetric"]
TINY, NEAR = 1e-37, 1e-7  # no nearer to 0 and 1 are values of f
HELD = 10  # a member's validation rows are one in so many of the measured


@dataclass(frozen=True)
class EffectBelief:
    """Which model; members of an ensemble of networks; joint draws kept; share of pairs sought."""

    model: Model
    members: int = 8
    draws: int = 64
    top: float = 0.05


class Believed(NamedTuple):
    """f(R) of all pairs, row by row of the upper triangle, in every draw, and its moments."""

    draws: Float[Array, "s q"]
    mean: Float[Array, "q"]
    var: Float[Array, "q"]
    cut: Scalar
    width: Scalar


def effect_belief(
    config: EffectBelief,
    *,
    p: int,
    reward: Kind,
    singles: Float[Array | ndarray, "n"] | None,
    side: Float[ndarray, "p d"] | None = None,
) -> Posterior:
    """The posterior over f(R); every fit starts anew. Memory is draws p^2 / 2.

    ValueError without the single effects of all p perturbations, which these models start from.
    """
    if singles is None or len(singles) != p or not np.isfinite(np.asarray(singles)).all():
        raise ValueError(f"belief {config.model!r} needs the single effects of all {p} genes")
    s, every = np.asarray(singles, np.float32), upper(p)
    genes = np.stack([every.i, every.j], 1)
    combos = Combos(genes, s[genes])

    def fit(key: Key, belief: Belief | None, measured: Measured) -> tuple[Believed, Info]:
        k_fit, k_draw = jax.random.split(key)
        mask = np.asarray(measured.mask)
        at = np.where(mask, rank(measured.pairs, p), -1).astype(np.int32)
        value = np.full(len(genes), np.nan, np.float32)
        value[at[mask]] = np.asarray(measured.score)[mask]
        table = Table(combos, value)
        made = {"mixed": by_draws}.get(config.model, by_members)
        effect = made(k_fit, k_draw, config, table, at, s, side)
        rewards, cut, width = rewarded(effect, measured, combos, reward, s, config.top)
        drawn = jax.nn.sigmoid((rewards - cut) / width)
        return Believed(drawn, drawn.mean(0), drawn.var(0), cut, width), {"cut": cut}

    def place(pairs: Pairs) -> Int[Array, "m"]:
        i, j = jnp.asarray(pairs.i), jnp.asarray(pairs.j)
        return i * (2 * p - i - 1) // 2 + (j - i - 1)

    def moments(belief: Believed, pairs: Pairs) -> tuple[Values, Values]:
        at = place(pairs)
        return belief.mean[at], belief.var[at]

    def sample(key: Key, belief: Believed, pairs: Pairs) -> Values:
        return belief.draws[jax.random.randint(key, (), 0, config.draws), place(pairs)]

    def expected(belief: Believed, measured: Measured, pairs: Pairs) -> tuple[Values, Values]:
        f = jnp.clip(belief.draws[:, place(pairs)], TINY, 1 - NEAR)
        r = belief.cut + belief.width * jax.scipy.special.logit(f)
        return r.mean(0), r.std(0)

    return Posterior(fit, moments, sample, expected)


def by_draws(
    k_fit: Key, k_draw: Key, config: EffectBelief, table: Table, at: Int[ndarray, "n"],
    s: Float[ndarray, "p"], side: Float[ndarray, "p d"] | None,
) -> Float[Array, "s q"]:  # fmt: skip
    """Effects of all pairs in joint draws of the default model."""
    method = mixed(Mixed(), singles=s, side=side)
    fits = method.fit(k_fit[None], table, Jobs(at[None], np.full((1, 1), -1, np.int32)))
    one = jax.tree.map(lambda x: x[0], fits)
    combos = Combos(*map(jnp.asarray, table.combos))
    return joint(k_draw, one, combos, jnp.asarray(s), config=Mixed(), count=config.draws)


def by_members(
    k_fit: Key, k_draw: Key, config: EffectBelief, table: Table, at: Int[ndarray, "n"],
    s: Float[ndarray, "p"], side: Float[ndarray, "p d"] | None,
) -> Float[Array, "s q"]:  # fmt: skip
    """Effects of all pairs by members of an ensemble in turn, each with its validation error."""
    known = at[at >= 0]
    settings = catalogue.settings(config.model, genes=len(s), n=len(known))
    assert isinstance(settings, Neural)
    rng = np.random.default_rng(np.asarray(jax.random.key_data(k_fit)).ravel())
    train, held = (np.full((config.members, len(at)), -1, np.int32) for _ in range(2))
    for row, validation in zip(train, held, strict=True):
        order = rng.permutation(known)
        few = max(1, len(known) // HELD)
        row[: len(known) - few], validation[:few] = order[few:], order[:few]
    method = neural(settings, side=side)
    fits = method.fit(jax.random.split(k_fit, config.members), table, Jobs(train, held))
    mean = method.predict(fits, table.combos).mean
    turn = jnp.arange(config.draws) % config.members
    noise = jax.random.normal(k_draw, (config.draws, mean.shape[1]))
    return mean[turn] + jnp.sqrt(fits.loss)[turn][:, None] * noise


def rewarded(
    effect: Float[Array, "s q"], measured: Measured, combos: Combos, reward: Kind,
    s: Float[ndarray, "p"], top: float,
) -> tuple[Float[Array, "s q"], Array, Array]:  # fmt: skip
    """Rewards of drawn effects, the reward that the best `top` reach, and the width there."""
    if reward == "interaction":
        si, sj = (jnp.asarray(s)[v] for v in measured.pairs)
        b = expectation(jnp.where(measured.mask, measured.score, 0.0), measured.mask, si, sj)
        one, other = (jnp.asarray(v) for v in np.asarray(combos.singles).T)
        effect = effect - (features(one, other) @ b)[None, :]
    value = effect if reward == "score" else jnp.abs(effect)
    middle, cut = jnp.quantile(value, jnp.array([0.5, 1 - top]), axis=1).mean(1)
    return value, cut, jnp.maximum((cut - middle) / 3, 1e-6)
