"""The default belief over pair rewards: an AME model of the signed score, rewards of its draws.

Additive and multiplicative effects and a noise level of every gene form one hierarchical model
(ame_sampler.py), whose posterior draws are the belief: nothing is left to weigh by
cross-validation, and genes whose pairs scatter widely are known to hold extreme rewards. For
`interaction` the signed score is the residual of the expectation E(s_i, s_j); measured pairs are
a biased sample, so E is refitted in every draw to the measured scores completed by that draw.

Rewards are told on the scale f(R) = 1 / (1 + exp((cut - R) / width)): cut is the belief's own
estimate of the reward that the best `top` of all pairs reach, width a third of its distance from
the median. f rises with R, and so steeply at the cut that its mean ranks pairs much as
P(R > cut) does; its maximum is near 1 in every draw, so that regrets differ between pairs. A score
of squared lengths, positive with a long tail, is modelled on its logarithm, for which R stands.
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy import ndarray

from epistax.engine.pairs import Pairs
from epistax.engine.posterior import ame_sampler as sampler
from epistax.engine.posterior.ame_sampler import Chain, Table
from epistax.engine.posterior.informed import known
from epistax.engine.protocols import Posterior
from epistax.engine.reward import (
    NODES,
    WEIGHTS,
    Kind,
    Level,
    Tail,
    drawn_in,
    error_at,
    let_out,
    signed,
    tail,
)
from epistax.engine.screen import Measured
from epistax.engine.types import Belief, Info, Key, Scalar, Values


@dataclass(frozen=True)
class AME:
    """Settings. rank None: p / 6 within 2..16, an upper bound that the prior prunes.

    cold, warm: sweeps before the first kept draw without and with an earlier belief; pull: prior
    weight of a common noise level, in measured pairs per gene; top: the share of pairs sought.
    """

    rank: int | None = None
    cold: int = 60
    warm: int = 60
    draws: int = 64
    pull: float = 10.0
    top: float = 0.05


class Drawn(NamedTuple):
    """s draws of all unknowns in units of `unit`, and the moments of f(R) over them.

    last is where the next fit starts; plane holds each draw's refit of E; tail is how the score
    was drawn in, cut and width are on that scale.
    """

    last: Chain
    chains: Chain
    plane: Float[Array, "s 3"]
    table: Table
    unit: Scalar
    tail: Tail
    cut: Scalar
    width: Scalar
    mean: Float[Array, "p p"]
    var: Float[Array, "p p"]


def ame(
    config: AME,
    *,
    p: int,
    reward: Kind,
    singles: Float[Array, "p"] | None,
    side: Float[ndarray, "p d"] | None = None,
) -> Posterior:
    """The posterior over f(R); singles are the single effects, known from the start, if any.

    side is what else is known of every perturbation: with the single effects and their squares
    it makes the prior mean of its effects, and is as large as one column, however many there are.
    A measured pair has its measured reward: it varies with the expectation only. Rounds share
    one compilation as long as the measured table keeps its length. Memory is draws p r + p^2.
    """
    if reward == "interaction" and singles is None:
        raise ValueError("reward 'interaction' needs singles; give them or choose 'score' or 'abs'")
    if singles is not None and len(singles) != p:
        raise ValueError(f"singles has {len(singles)} values for {p} genes")
    r = config.rank or max(2, min(16, p // 6))
    s = jnp.zeros(p) if singles is None else jnp.asarray(singles, jnp.float32)
    z, told = jnp.ones((p, 1)) if singles is None else _features(s), known(side, p)[:, 1:]
    z = jnp.concatenate([z, told / np.sqrt(max(told.shape[1], 1))], 1)

    def fit(key: Key, belief: Belief | None, measured: Measured) -> tuple[Drawn, Info]:
        k_start, k_fit = jax.random.split(key)
        chain = sampler.start(k_start, p, z.shape[1], r) if belief is None else belief.last
        burn = config.cold if belief is None else config.warm
        return _fit(
            k_fit, chain, burn, measured, s, z, config.pull, config.top,
            kind=reward, draws=config.draws,
        )  # fmt: skip

    def moments(belief: Drawn, pairs: Pairs) -> tuple[Values, Values]:
        return belief.mean[pairs.i, pairs.j], belief.var[pairs.i, pairs.j]

    def sample(key: Key, belief: Drawn, pairs: Pairs) -> Values:
        k_draw, k_noise = jax.random.split(key)
        d = jax.random.randint(k_draw, (), 0, config.draws)
        chain, plane = jax.tree.map(lambda x: x[d], (belief.chains, belief.plane))
        m, v = _signed(chain, plane, belief.table, s)
        noise = jax.random.normal(k_noise, pairs.i.shape)
        m, v = m[pairs.i, pairs.j], v[pairs.i, pairs.j]
        value = belief.unit * _reward(m + jnp.sqrt(v) * noise, reward)
        return jax.nn.sigmoid((value - belief.cut) / belief.width)

    def expected(belief: Drawn, measured: Measured, pairs: Pairs) -> tuple[Values, Values]:
        return _expected(belief, s, pairs, kind=reward)

    return Posterior(fit, moments, sample, expected)


def scale(belief: Drawn, reward: Float[Array | ndarray, "..."]) -> Float[Array, "..."]:
    """f(R) of rewards in the units of score."""
    return jax.nn.sigmoid((drawn_in(reward, belief.tail) - belief.cut) / belief.width)


@partial(jax.jit, static_argnames=("kind", "draws"))
def _fit(key, chain, burn, measured, s, z, pull, top, *, kind, draws):
    k_sweep, k_cut = jax.random.split(key)
    table, unit, drawn, errors = _table(measured, s, kind)
    project = _projection(s)

    def step(t, carry):
        chain, chains, plane = carry
        seen = table._replace(se=errors(sampler.mean(chain)))
        chain = sampler.sweep(jax.random.fold_in(k_sweep, t), chain, seen, z, pull)
        full = jnp.where(table.known > 0, table.value, sampler.mean(chain))
        b = project(full) if kind == "interaction" else jnp.zeros(3)
        row = jnp.maximum(t - burn, 0)  # burn-in writes row 0 over and over
        chains = jax.tree.map(lambda x, y: x.at[row].set(y), chains, chain)
        return chain, chains, plane.at[row].set(b)

    empty = jax.tree.map(lambda x: jnp.zeros((draws, *x.shape), x.dtype), chain)
    carry = (chain, empty, jnp.zeros((draws, 3)))
    last, chains, plane = jax.lax.fori_loop(0, burn + draws, step, carry)
    cut, width = _cut(k_cut, chains, plane, table, s, top, kind)
    mean, var = _moments(chains, plane, table, s, cut, width, kind)
    info = {
        "unit": unit,
        "cut": unit * cut,
        "noise": jnp.mean(jax.vmap(sampler.variance)(chains)),
        "factors": jnp.sum(jnp.mean(chains.effect[:, :, 1:] ** 2, (0, 1)) > 0.03),
    }
    cut, width = unit * cut, unit * width
    return Drawn(last, chains, plane, table, unit, drawn, cut, width, mean, var), info


@partial(jax.jit, static_argnames="kind")
def _expected(belief, s, pairs, *, kind):
    """Mean and sd of rewards in the units of score, by the draws; `_moments` says how."""

    def average(of):
        def add(total, draw):
            m, v = (x[pairs.i, pairs.j] for x in _signed(*draw, belief.table, s))
            for node, weight in zip(NODES, WEIGHTS, strict=True):
                drawn = belief.unit * _reward(m + float(node) * jnp.sqrt(v), kind)
                total = total + float(weight) * of(let_out(drawn, belief.tail))
            return total, None

        draws = belief.chains, belief.plane
        return jax.lax.scan(add, jnp.zeros(pairs.i.shape), draws)[0] / len(belief.plane)

    mean = average(lambda r: r)
    return mean, jnp.sqrt(average(lambda r: (r - mean) ** 2))


def _features(s):
    z = (s - s.mean()) / jnp.maximum(s.std(), 1e-12)
    return jnp.stack([jnp.ones_like(z), z, z * z], 1)


def _table(measured, s, kind):
    """Signed scores as a symmetric table in units of their root mean square, unit and tail.

    And the table of standard errors where the scores are expected to be: at the values measured,
    those that came out high would count for more on a logarithm.
    """
    (i, j), mask = measured.pairs, measured.mask
    score = jnp.where(mask, measured.score, 0.0)
    y = jnp.where(mask, signed(kind, score, mask, s[i], s[j]), 0.0)
    shape, se = tail(y, mask), measured.se
    if kind == "score":
        y = drawn_in(y, shape)
    else:
        shape = shape._replace(long=jnp.zeros((), bool))
    unit = jnp.maximum(jnp.sqrt(jnp.sum(y**2) / jnp.maximum(mask.sum(), 1)), 1e-12)

    def spread(x):
        half = jnp.zeros((len(s), len(s))).at[i, j].add(jnp.where(mask, x, 0.0))
        return half + half.T

    count = jnp.maximum(spread(jnp.ones_like(y)), 1.0)
    known = jnp.minimum(spread(jnp.ones_like(y)), 1.0)
    scale = Level(shape, jnp.zeros(()), unit)

    def errors(expected):
        return jax.lax.cond(
            (se > 0).any(),
            lambda: spread(error_at(expected[i, j], se, scale)) / count,
            lambda: jnp.zeros_like(known),
        )

    return Table(spread(y / unit) / count, jnp.zeros_like(known), known), unit, shape, errors


def _projection(s):
    """Least squares of an off-diagonal symmetric table on [1, s_i + s_j, s_i s_j]."""
    off = 1.0 - jnp.eye(len(s))
    x = jnp.stack([off, off * (s[:, None] + s[None, :]), off * jnp.outer(s, s)])
    # the columns are dependent where all singles are equal
    inverse = jnp.linalg.pinv(jnp.einsum("aij,bij->ab", x, x), rtol=1e-6)
    return lambda table: inverse @ jnp.einsum("aij,ij->a", x, table)


def _signed(chain, plane, table, s):
    """Mean and variance of every signed score given one draw; a measured one has variance 0."""
    known = table.known > 0
    expectation = plane[0] + plane[1] * (s[:, None] + s[None, :]) + plane[2] * jnp.outer(s, s)
    m = jnp.where(known, table.value, sampler.mean(chain)) - expectation
    return m, jnp.where(known, 0.0, sampler.variance(chain))


def _reward(y, kind):
    return y if kind == "score" else jnp.abs(y)


def _cut(key, chains, plane, table, s, top, kind):
    """The reward that the best `top` of all pairs reach, and the width: means over 8 draws."""
    above = jnp.triu(jnp.ones_like(table.known), 1) > 0

    def one(n):
        d = n * len(plane) // 8
        m, v = _signed(jax.tree.map(lambda x: x[d], chains), plane[d], table, s)
        noise = jax.random.normal(jax.random.fold_in(key, n), m.shape)
        reward = jnp.where(above, _reward(m + jnp.sqrt(v) * noise, kind), jnp.nan)
        return jnp.nanquantile(reward, jnp.array([0.5, 1 - top]))

    middle, cut = jnp.mean(jax.lax.map(one, jnp.arange(8)), 0)
    return cut, jnp.maximum((cut - middle) / 3, 1e-6)


def _moments(chains, plane, table, s, cut, width, kind):
    """E f(R) and Var f(R): Gauss-Hermite over the noise of a pair, mean over draws."""

    def add(total, draw):
        m, v = _signed(*draw, table, s)
        sd, first, second = jnp.sqrt(v), 0.0, 0.0
        for node, weight in zip(NODES, WEIGHTS, strict=True):
            f = jax.nn.sigmoid((_reward(m + float(node) * sd, kind) - cut) / width)
            first, second = first + float(weight) * f, second + float(weight) * f * f
        return (total[0] + first, total[1] + second), None

    zero = jnp.zeros_like(table.value)
    total = jax.lax.scan(add, (zero, zero), (chains, plane))[0]
    mean, square = total[0] / len(plane), total[1] / len(plane)
    return mean, jnp.maximum(square - mean**2, 0.0)
