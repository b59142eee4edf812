"""Gibbs sampler of mixed effects: a smooth function of singles, genes, factors, noise of genes.

y_c = x_c' w + sum_i a_i + sum_(i<j) u_i' D u_j + e_c         over the genes i, j of combination c
w_l ~ N(0, amp_l),   (a_i, u_i) ~ N(B' z_i, diag(1 / alpha)),   D = diag(1, -1, 1, ...)
e_c ~ N(0, tau delta_c prod_i h_i),   h_i ~ InvGamma(pull / 2, pull exp(gamma s_i) / 2)

x_c are the features of smooth.py, z_i those of a gene. delta is 1 for two genes, and has a value
each for a gene with itself and for more than two. y is in units of its own sd. Additive and
multiplicative effects as in Hoff 2021 (Stat. Sci. 36:34), gene features in the prior mean as in
Simm et al. 2017 (MLSP). alpha ~ Gamma(1, .03 / sqrt r) switches idle factors off. A sweep costs
p d r^2 operations, d being how many combinations the busiest gene is in.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_solve, solve_triangular
from jaxtyping import Array, Bool, Float, Int
from numpy import ndarray

from epistax.engine.effects.smooth import LINEAR
from epistax.engine.stats.variates import gamma
from epistax.engine.types import Key, Scalar

KINDS = 3  # of noise: two genes, one gene with itself, more than two
SLACK = 0.03  # rate of tau's and alpha's priors
FLAT = 10.0  # prior precision of gamma, in genes


class Rows(NamedTuple):
    """Measured combinations of one fit, padded; weight is 1 or 0."""

    y: Float[Array, "n"]
    weight: Float[Array, "n"]
    genes: Int[Array, "n k"]
    first: Bool[Array, "n k"]  # a gene's first place in its combination
    kind: Int[Array, "n"]
    x: Float[Array, "n m"]


class Members(NamedTuple):
    """The rows that each gene is in, padded."""

    rows: Int[Array | ndarray, "p d"]
    there: Bool[Array | ndarray, "p d"]


class Chain(NamedTuple):
    """One state. effect holds a in column 0 of c = r + 1, u in the others."""

    weight: Float[Array, "m"]
    amp: Float[Array, "2"]
    effect: Float[Array, "p c"]
    slope: Float[Array, "f c"]
    precision: Float[Array, "c"]
    spread: Float[Array, "p"]
    tilt: Scalar
    level: Scalar
    kinds: Float[Array, "3"]


def start(key: Key, *, p: int, m: int, f: int, r: int) -> Chain:
    """Small random factors: all zero would be a fixed point of their product."""
    effect = 0.3 * r**-0.25 * jax.random.normal(key, (p, r + 1)).at[:, 0].set(0.0)
    precision, one = jnp.full(r + 1, r**0.5, jnp.float32), jnp.float32(1.0)
    kinds = jnp.ones(KINDS)
    return Chain(
        jnp.zeros(m), jnp.ones(2), effect, jnp.zeros((f, r + 1)), precision, jnp.ones(p),
        0 * one, 0.3 * one, kinds,
    )  # fmt: skip


def sweep(
    key: Key, chain: Chain, rows: Rows, members: Members, z: Float[Array, "p f"], pull: float
) -> Chain:
    """Draw every block once from its conditional; z is (1, s, s^2, ...) of each gene."""
    k_weight, k_effect, k_prior, k_noise = jax.random.split(key, 4)
    weight, amp = weights(k_weight, chain, rows)
    chain = chain._replace(weight=weight, amp=amp)
    effect = effects(k_effect, chain, rows, members, z)
    slope, precision = prior(k_prior, effect, chain.precision, z)
    chain = chain._replace(effect=effect, slope=slope, precision=precision)
    return noise(k_noise, chain, rows, members, z, pull)


def together(effect: Float[Array, "*n k c"]) -> Float[Array, "*n"]:
    """Sum of a_i and of u_i' D u_j over the genes of a combination; 0 in places without one."""
    u, d = effect[..., 1:], signs(effect.shape[-1] - 1)
    total = u.sum(-2)
    return effect[..., 0].sum(-1) + (total**2 - (u**2).sum(-2)) @ d / 2


def found(effect: Float[Array, "p c"], genes: Array, first: Array) -> Float[Array, "n k c"]:
    """Effects of the genes of combinations; a gene's second place holds its a alone."""
    each = jnp.where((genes >= 0)[..., None], effect[genes], 0.0)
    return each * jnp.where(first, 1.0, 0.0)[..., None] + jnp.where(
        first[..., None], 0.0, each.at[..., 1:].set(0.0)
    )


def spreads(spread: Float[Array, "p"], genes: Array, first: Array) -> Float[Array, "n k"]:
    """H of every gene of combinations, once; 1 elsewhere."""
    return jnp.where(first, spread[genes], 1.0)


def variance(chain: Chain, rows: Rows) -> Float[Array, "n"]:
    """Of e_c."""
    h = spreads(chain.spread, rows.genes, rows.first).prod(1)
    return chain.level * chain.kinds[rows.kind] * h


def signs(r: int) -> Float[Array, "r"]:
    """Half of the factors attract like to like, half repel."""
    return jnp.where(jnp.arange(r) % 2 == 0, 1.0, -1.0)


def weights(key: Key, chain: Chain, rows: Rows) -> tuple[Float[Array, "m"], Float[Array, "2"]]:
    """w, and the prior variances of its linear part and of its sines."""
    k_weight, k_amp = jax.random.split(key)
    m = rows.x.shape[1]
    rest = rows.y - together(found(chain.effect, rows.genes, rows.first))
    precision = rows.weight / variance(chain, rows)
    wx = rows.x * precision[:, None]
    own = jnp.where(jnp.arange(m) < LINEAR, chain.amp[0], chain.amp[1])
    root = jnp.linalg.cholesky(rows.x.T @ wx + jnp.diag(1 / own))
    drawn = jax.random.normal(k_weight, (m,))
    half = solve_triangular(root, wx.T @ rest, lower=True) + drawn
    w = solve_triangular(root.T, half, lower=False)
    squares = jnp.stack([(w[:LINEAR] ** 2).sum(), (w[LINEAR:] ** 2).sum()])
    many = jnp.array([LINEAR, m - LINEAR], jnp.float32)
    amp = (jnp.array([1.0, 0.3]) + squares / 2) / gamma(k_amp, 1 + many / 2)
    return w, jnp.clip(amp, 1e-4, 100.0)


def effects(key: Key, chain: Chain, rows: Rows, members: Members, z: Array) -> Float[Array, "p c"]:
    """(a_i, u_i), gene after gene, each given all others."""
    d = signs(chain.effect.shape[1] - 1)
    left = rows.y - rows.x @ chain.weight
    precision = rows.weight / variance(chain, rows)
    shift = (z @ chain.slope) * chain.precision[None, :]
    drawn = jax.random.normal(key, chain.effect.shape)

    def gene(effect: Array, i: Array) -> tuple[Array, None]:
        at = members.rows[i]
        genes = rows.genes[at]
        own = genes == i
        others = found(effect, jnp.where(own, -1, genes), rows.first[at])
        # what multiplies (a_i, u_i) in a row
        x = jnp.concatenate([own.sum(1)[:, None], others[..., 1:].sum(1) * d[None, :]], 1)
        wx = x * jnp.where(members.there[i], precision[at], 0.0)[:, None]
        root = jnp.linalg.cholesky(x.T @ wx + jnp.diag(chain.precision))
        side = wx.T @ (left[at] - together(others)) + shift[i]
        half = solve_triangular(root, side, lower=True) + drawn[i]
        return effect.at[i].set(solve_triangular(root.T, half, lower=False)), None

    return jax.lax.scan(gene, chain.effect, jnp.arange(len(z)))[0]


def prior(key: Key, effect: Array, precision: Array, z: Array) -> tuple[Array, Array]:
    """B and alpha."""
    (p, f), r = z.shape, len(precision) - 1
    k_slope, k_precision = jax.random.split(key)
    root = jnp.linalg.cholesky(z.T @ z + jnp.eye(f))
    drawn = solve_triangular(root.T, jax.random.normal(k_slope, (f, r + 1)), lower=False)
    slope = cho_solve((root, True), z.T @ effect) + drawn / jnp.sqrt(precision)[None, :]
    square = ((effect - z @ slope) ** 2).sum(0) + (slope**2).sum(0)
    shape = jnp.full(r + 1, 1 + (p + f) / 2)
    return slope, gamma(k_precision, shape) / (SLACK * r**-0.5 + square / 2)


def noise(key: Key, chain: Chain, rows: Rows, members: Members, z: Array, pull: float) -> Chain:
    """h, gamma, tau and delta."""
    k_spread, k_level, k_kind = jax.random.split(key, 3)
    mean = rows.x @ chain.weight + together(found(chain.effect, rows.genes, rows.first))
    square = rows.weight * (rows.y - mean) ** 2
    tilt = (z[:, 1] @ jnp.log(chain.spread)) / (z[:, 1] @ z[:, 1] + FLAT)
    centre = pull * jnp.exp(tilt * z[:, 1])
    scaled = square / (chain.level * chain.kinds[rows.kind])
    drawn = gamma(k_spread, (pull + (members.there * rows.weight[members.rows]).sum(1)) / 2)

    def gene(h: Array, i: Array) -> tuple[Array, None]:
        at = members.rows[i]
        others = jnp.where(rows.genes[at] == i, False, rows.first[at])
        part = scaled[at] / spreads(h, rows.genes[at], others).prod(1)
        total = jnp.where(members.there[i], part, 0.0).sum()
        return h.at[i].set((centre[i] + total) / 2 / drawn[i]), None

    h = jax.lax.scan(gene, chain.spread, jnp.arange(len(z)))[0]
    # tau and the common size of h are not both identified: the geometric mean of h is 1
    h = h / jnp.exp(jnp.mean(jnp.log(h)))
    free = square / spreads(h, rows.genes, rows.first).prod(1)
    every = (free / chain.kinds[rows.kind]).sum()
    level = (SLACK + every / 2) / gamma(k_level, 1 + rows.weight.sum() / 2)
    of_kind = rows.kind[:, None] == jnp.arange(KINDS)[None, :]
    many = (of_kind * rows.weight[:, None]).sum(0)
    total = (of_kind * free[:, None]).sum(0) / level
    kinds = (4 + total / 2) / gamma(k_kind, 3 + many / 2)
    return chain._replace(spread=h, tilt=tilt, level=level, kinds=kinds.at[0].set(1.0))
