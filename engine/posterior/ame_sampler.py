"""Gibbs sampler for symmetric additive and multiplicative effects with gene-wise noise.

y_ij = a_i + a_j + sum_k d_k u_ik u_jk + e_ij,   e_ij ~ N(0, tau h_i h_j),   d_k = +1, -1, +1, ...
(a_i, u_i) ~ N(B' z_i, diag(1 / alpha)),   B_lk ~ N(0, 1 / alpha_k)
alpha_k ~ Gamma(1, .1 / sqrt r),   h_i ~ InvGamma(pull / 2, pull / 2),   tau ~ InvGamma(1, .1)

y is in units of its own root mean square; z_i are features of gene i, the first one constant.
A measured value is y_ij + N(0, se_ij^2): e_ij belongs to what is sought, se_ij does not. Where se
are given tau ~ InvGamma(1, .01), so that e may be nothing.
Sources: Hoff 2021 (Stat. Sci. 36:34) for the effects, Salakhutdinov and Mnih 2008 (ICML) for the
sampler, Simm et al. 2017 (MLSP) for gene features in the prior mean. A large alpha_k switches its
factor off, so r is an upper bound. One sweep costs p^2 r^2 operations and memory is p^2.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import cho_solve, solve_triangular
from jaxtyping import Array, Float

from epistax.engine.stats.variates import gamma
from epistax.engine.types import Key, Scalar

TAUS = 10.0 ** np.linspace(-4, 1, 101)


class Table(NamedTuple):
    """Symmetric p x p tables: value (0 where unknown), se, and known (1 or 0, diagonal 0)."""

    value: Float[Array, "p p"]
    se: Float[Array, "p p"]
    known: Float[Array, "p p"]


class Chain(NamedTuple):
    """One state of the sampler. effect holds a in column 0 and u in the other r columns."""

    effect: Float[Array, "p r+1"]
    slope: Float[Array, "d r+1"]
    precision: Float[Array, "r+1"]
    spread: Float[Array, "p"]
    level: Scalar


def start(key: Key, p: int, d: int, r: int) -> Chain:
    """Small random effects: all zero would be a fixed point of the multiplicative part."""
    effect = 0.3 * r**-0.25 * jax.random.normal(key, (p, r + 1)).at[:, 0].set(0.0)
    precision = jnp.full(r + 1, r**0.5, jnp.float32)
    return Chain(effect, jnp.zeros((d, r + 1)), precision, jnp.ones(p), jnp.float32(0.5))


def sweep(
    key: Key, chain: Chain, table: Table, z: Float[Array, "p d"], pull: Scalar | float
) -> Chain:
    """Draw every block once from its conditional: effects, their prior, then the noise."""
    ke, kp, kn = jax.random.split(key, 3)
    effect = _effects(ke, chain, table, z)
    slope, precision = _prior(kp, effect, chain.precision, z)
    spread, level = _noise(kn, chain._replace(effect=effect), table, pull)
    return Chain(effect, slope, precision, spread, level)


def mean(chain: Chain) -> Float[Array, "p p"]:
    """a_i + a_j + u_i' D u_j."""
    a, u = chain.effect[:, 0], chain.effect[:, 1:]
    return a[:, None] + a[None, :] + (u * signs(u.shape[1])[None, :]) @ u.T


def variance(chain: Chain) -> Float[Array, "p p"]:
    """Tau h_i h_j."""
    return chain.level * jnp.outer(chain.spread, chain.spread)


def signs(r: int) -> Float[Array, "r"]:
    """d_k: half of the factors attract like to like, half repel."""
    return jnp.where(jnp.arange(r) % 2 == 0, 1.0, -1.0)


def _effects(key, chain, table, z):
    weight = table.known / (variance(chain) + table.se**2)
    shift = (z @ chain.slope) * chain.precision[None, :]
    noise = jax.random.normal(key, chain.effect.shape)
    sign = jnp.concatenate([jnp.ones(1), signs(noise.shape[1] - 1)])

    def gene(effect, i):
        # row j of x is what multiplies (a_i, u_i) in y_ij
        x = (effect * sign[None, :]).at[:, 0].set(1.0)
        wx = x * weight[i][:, None]
        root = jnp.linalg.cholesky(x.T @ wx + jnp.diag(chain.precision))
        side = wx.T @ (table.value[i] - effect[:, 0]) + shift[i]
        half = solve_triangular(root, side, lower=True) + noise[i]
        return effect.at[i].set(solve_triangular(root.T, half, lower=False)), None

    return jax.lax.scan(gene, chain.effect, jnp.arange(len(z)))[0]


def _prior(key, effect, precision, z):
    p, d = z.shape
    kb, ka = jax.random.split(key)
    root = jnp.linalg.cholesky(z.T @ z + jnp.eye(d))
    noise = solve_triangular(root.T, jax.random.normal(kb, (d, len(precision))), lower=False)
    slope = cho_solve((root, True), z.T @ effect) + noise / jnp.sqrt(precision)[None, :]
    square = jnp.sum((effect - z @ slope) ** 2, 0) + jnp.sum(slope**2, 0)
    rate = 0.1 * (len(precision) - 1) ** -0.5 + square / 2
    return slope, gamma(ka, jnp.full(len(precision), 1 + (p + d) / 2)) / rate


def _noise(key, chain, table, pull):
    kh, kt = jax.random.split(key)
    v, known = variance(chain), table.known
    # the share of e_ij in a residual, and what the measurement error leaves open about it
    keep = v / (v + table.se**2)
    square = known * ((keep * (table.value - mean(chain))) ** 2 + keep * table.se**2)
    drawn = gamma(kh, (pull + known.sum(1)) / 2)

    def gene(h, i):
        return h.at[i].set((pull + (square[i] / h).sum() / chain.level) / 2 / drawn[i]), None

    h = jax.lax.scan(gene, chain.spread, jnp.arange(len(v)))[0]
    # tau and the common size of h are not both identified: the geometric mean of h is 1
    h = h / jnp.exp(jnp.mean(jnp.log(h)))
    total = jnp.sum(square / jnp.outer(h, h)) / 4
    return h, jax.lax.cond(
        (table.se > 0).any(),
        lambda: _level(kt, chain, table, h),
        lambda: (0.1 + total) / gamma(kt, 1.0 + known.sum() / 4),
    )


def _level(key, chain, table, h):
    """Tau on a grid, e_ij integrated out: given the e_ij it would move too slowly towards 0."""
    square, shape = (table.value - mean(chain)) ** 2, jnp.outer(h, h)

    def log_likelihood(tau):
        v = tau * shape + table.se**2
        return -0.25 * (table.known * (jnp.log(v) + square / v)).sum() - 0.01 / tau

    grid = jnp.asarray(TAUS, jnp.float32)
    picked = jax.random.categorical(key, jax.lax.map(log_likelihood, grid))
    return grid[picked]
