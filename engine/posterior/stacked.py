"""Belief over pair rewards: the effects model of a signed score, and the reward of its draws.

Additive, multiplicative and noise effects of every gene are stacked in one hierarchical model
(effects.py), whose posterior draws are the belief: no cross-validation is needed to weigh them,
and genes whose pairs scatter widely are known to hold extreme rewards. For `interaction` the
signed score is the residual of the expectation E(s_i, s_j); measured pairs are a biased sample, so
E is refitted in every draw to the table of measured scores completed by that draw.
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import ndtr
from jaxtyping import Array, Float

from epistax.engine.pairs import Pairs
from epistax.engine.posterior import effects
from epistax.engine.posterior.effects import Chain, Table
from epistax.engine.protocols import Posterior
from epistax.engine.reward import Kind, signed
from epistax.engine.screen import Measured
from epistax.engine.types import Info, Key, Scalar, Values


@dataclass(frozen=True)
class Stacked:
    """rank None: by the number of genes; pull: prior weight of h_i = 1, in measured pairs."""

    rank: int | None = None
    cold: int = 60
    warm: int = 60
    draws: int = 64
    pull: float = 10.0


class Drawn(NamedTuple):
    """s posterior draws, the moments of the reward over them, and the table they complete."""

    last: Chain
    chains: Chain
    plane: Float[Array, "s 3"]
    mean: Float[Array, "p p"]
    var: Float[Array, "p p"]
    table: Table
    unit: Scalar


def stacked(
    config: Stacked, *, p: int, reward: Kind, singles: Float[Array, "p"] | None
) -> Posterior:
    """Posterior over rewards in the units of score; singles are the single effects, if known.

    A measured pair has its measured reward, with no variance but that of the expectation.
    Rounds share one compilation as long as the measured table keeps its length.
    """
    if reward == "interaction" and singles is None:
        raise ValueError("reward 'interaction' needs singles; give them or choose 'score' or 'abs'")
    if singles is not None and len(singles) != p:
        raise ValueError(f"singles has {len(singles)} values for {p} genes")
    r = config.rank or max(2, min(16, p // 6))
    s = jnp.zeros(p) if singles is None else jnp.asarray(singles, jnp.float32)
    z = _features(s) if singles is not None else jnp.ones((p, 1))

    def fit(key: Key, belief: Drawn | None, measured: Measured) -> tuple[Drawn, Info]:
        ks, kf = jax.random.split(key)
        chain = effects.start(ks, p, z.shape[1], r) if belief is None else belief.last
        burn = config.cold if belief is None else config.warm
        return _fit(kf, chain, burn, measured, s, z, config.pull, kind=reward, draws=config.draws)

    def moments(belief: Drawn, pairs: Pairs) -> tuple[Values, Values]:
        return belief.mean[pairs.i, pairs.j], belief.var[pairs.i, pairs.j]

    def sample(key: Key, belief: Drawn, pairs: Pairs) -> Values:
        return _sample(key, belief, pairs, s, kind=reward)

    return Posterior(fit, moments, sample)


def _features(s: Float[Array, "p"]) -> Float[Array, "p 3"]:
    z = (s - s.mean()) / jnp.maximum(s.std(), 1e-12)
    return jnp.stack([jnp.ones_like(z), z, z * z], 1)


@partial(jax.jit, static_argnames=("kind", "draws"))
def _fit(key, chain, burn, measured, s, z, pull, *, kind, draws):
    table, unit = _table(measured, s, kind)
    kb, kd = jax.random.split(key)
    step = lambda t, c: effects.sweep(jax.random.fold_in(kb, t), c, table, z, pull)
    chain = jax.lax.fori_loop(0, burn, step, chain)
    solve = _projector(s)

    def draw(carry, k):
        chain, first, second = carry
        chain = effects.sweep(k, chain, table, z, pull)
        m = jnp.where(table.known > 0, table.value, effects.mean(chain))
        v = jnp.where(table.known > 0, 0.0, effects.variance(chain))
        b = solve(m) if kind == "interaction" else jnp.zeros(3)
        m = m - _plane(b, s[:, None], s)
        one = m if kind == "score" else _folded(m, v)
        return (chain, first + one, second + m * m + v), (chain, b)

    zero = jnp.zeros_like(table.value)
    carry, (chains, plane) = jax.lax.scan(draw, (chain, zero, zero), jax.random.split(kd, draws))
    mean = carry[1] / draws
    var = jnp.maximum(carry[2] / draws - mean**2, 0.0)
    info = {"unit": unit, "noise": jnp.mean(chains.level)}
    info["rank"] = jnp.sum(jnp.mean(chains.effect[:, :, 1:] ** 2, (0, 1)) > 0.01)
    return Drawn(carry[0], chains, plane, unit * mean, unit**2 * var, table, unit), info


def _table(measured, s, kind):
    """Signed, centred scores as a symmetric table in units of their root mean square."""
    (i, j), mask = measured.pairs, measured.mask
    n = jnp.maximum(mask.sum(), 1)
    score = jnp.where(mask, measured.score, 0.0)
    y = jnp.where(mask, signed(kind, score, mask, s[i], s[j]), 0.0)
    unit = jnp.maximum(jnp.sqrt(jnp.sum(y**2) / n), 1e-12)
    spread = lambda x: (t := jnp.zeros((len(s), len(s))).at[i, j].add(jnp.where(mask, x, 0.0))) + t.T
    count = spread(jnp.ones_like(y))
    average = lambda x: spread(x) / jnp.maximum(count, 1.0)
    known = jnp.minimum(count, 1.0)
    return Table(average(y / unit), average(measured.se / unit), known), unit


def _projector(s):
    """Least squares of an off-diagonal symmetric table on [1, s_i + s_j, s_i s_j]."""
    off = 1.0 - jnp.eye(len(s))
    x = jnp.stack([jnp.ones_like(off), s[:, None] + s, s[:, None] * s]) * off
    gram = jnp.einsum("aij,bij->ab", x, x)
    # singles may all be equal or missing: then the columns are dependent
    inverse = jnp.linalg.pinv(gram, rtol=1e-6)
    return lambda table: inverse @ jnp.einsum("aij,ij->a", x, table)


def _plane(b, si, sj):
    return b[0] + b[1] * (si + sj) + b[2] * si * sj


def _folded(m, v):
    """E|x| of x ~ N(m, v)."""
    sd = jnp.sqrt(jnp.maximum(v, 1e-20))
    density = jnp.exp(-0.5 * (m / sd) ** 2) * (2 / jnp.pi) ** 0.5
    return jnp.where(v > 0, sd * density + m * (2 * ndtr(m / sd) - 1), jnp.abs(m))


@partial(jax.jit, static_argnames=("kind",))
def _sample(key, belief, pairs, s, *, kind):
    kd, ke = jax.random.split(key)
    d = jax.random.randint(kd, (), 0, len(belief.plane))
    chain = jax.tree.map(lambda x: x[d], belief.chains)
    i, j = pairs
    noise = jax.random.normal(ke, i.shape) * jnp.sqrt(effects.variance(chain)[i, j])
    known = belief.table.known[i, j] > 0
    y = jnp.where(known, belief.table.value[i, j], effects.mean(chain)[i, j] + noise)
    y = belief.unit * (y - _plane(belief.plane[d], s[i], s[j]))
    return y if kind == "score" else jnp.abs(y)
