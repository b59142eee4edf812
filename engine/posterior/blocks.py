"""Structured mean field of the low-rank reward: one full covariance a perturbation.

    y_ij = a_i + a_j + sum_k d_k u_ik u_jk + e_ij,   e_ij ~ N(0, sigma^2 + se_ij^2),   d_k = +-1
    x_i = (a_i, u_i) ~ N(B' z_i, diag(1 / alpha)),   z_i = (1, h_i),   B_lk ~ N(0, 1 / beta_k)

q(x_i) = N(m_i, V_i). Given the others its optimum is that of a regression on f_j = (1, d u_j):

    V_i^-1 = diag(alpha) + L_i,   L_i = sum_j w_ij E f_j f_j',   w_ij = 1 / (sigma^2 + se_ij^2)
    m_i = V_i (alpha B' z_i + eta_i),   eta_i = sum_j w_ij (y_ij E f_j - E a_j f_j).

L and eta of all perturbations move together, by a step of natural gradient (Hoffman et al. 2013,
J. Mach. Learn. Res. 14:1303; half a step, as both members of a pair answer to its residual: for
one number x, y = x^2, that is Newton's x <- (x + y / x) / 2). Of many rows a minibatch is drawn,
scaled to all, and the step shortened. B is regressed on eta with every x_i integrated out. alpha,
beta ~ Gamma(1, .1 / sqrt r) switch components off (Hoff 2021, Stat. Sci. 36:34, with such priors).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from epistax.engine import reward as rewards
from epistax.engine.pairs import Pairs
from epistax.engine.posterior.partners import Partners, total
from epistax.engine.types import Key, Scalar, Values

HALF = 0.5  # of a step
FLAT = 0.1  # prior precision of B's first row
RATE = 0.1
LEAST = 1e-4  # of sigma^2
SOLVES = 10  # conjugate gradients a step; each starts where the last one ended
NOISE = 16_384  # pairs that sigma is told from


class State(NamedTuple):
    """L, eta, m, B, precisions, sigma^2 and d."""

    information: Float[Array, "p k k"]
    shift: Float[Array, "p k"]
    mean: Float[Array, "p k"]
    slope: Float[Array, "d k"]
    alpha: Float[Array, "k"]
    beta: Float[Array, "k"]
    variance: Scalar
    sign: Float[Array, "r"]


class Data(NamedTuple):
    """What a fit reads. keep: which measured pairs it may see; se is in the units of the score."""

    partners: Partners
    rows: Scalar  # of partners, in use
    pairs: Pairs
    value: Values  # on the standard scale
    se: Values
    keep: Bool[Array, "q"]
    scale: rewards.Level
    features: Float[Array, "p d"]  # z


def run(
    key: Key, state: State, data: Data, *, learn: int | Array, steps: int, minibatch: int
) -> State:
    """So many steps; the precisions alpha and beta are left as they are for the first `learn`."""

    def body(t: Array, state: State) -> State:
        moved = step(jax.random.fold_in(key, t), state, data, minibatch)
        alpha, beta = (
            jnp.where(t >= learn, new, old)
            for new, old in ((moved.alpha, state.alpha), (moved.beta, state.beta))
        )
        return moved._replace(alpha=alpha, beta=beta)

    return jax.lax.fori_loop(0, steps, body, state)


def step(key: Key, state: State, data: Data, minibatch: int) -> State:
    """One step: of all rows, or of so many drawn ones."""
    k_rows, k_noise = jax.random.split(key)
    z, seen = data.features, touched(data)
    noise = state.variance + errors(state, data)
    weight = jnp.where(data.keep, 1 / noise, 0.0)
    partners, scale = drawn(k_rows, data, minibatch)
    rho = HALF / jnp.maximum(scale, 1.0)  # as long as the share of the data that a step reads
    found = regression(state, partners, weight, data.value, covariance(state))
    information, shift = (
        (1 - rho) * old + rho * scale * new
        for old, new in zip((state.information, state.shift), found, strict=True)
    )
    state = state._replace(information=information, shift=shift)
    cov = covariance(state)
    state = state._replace(slope=slope(state, cov, z))
    prior = z @ state.slope
    mean = jnp.einsum("pkl,pl->pk", cov, shift + state.alpha[None, :] * prior)
    state = state._replace(mean=mean)
    square = (mean - prior) ** 2 + jnp.diagonal(cov, axis1=1, axis2=2)
    alpha = precision(jnp.where(seen[:, None], square, 0.0).sum(0), seen.sum(), state)
    told = jnp.where(seen[:, None], gained(state, cov), 0.0).sum(0)
    free = len(state.slope) - 1
    square = (state.slope[1:] ** 2).sum(0) + free / (told + state.beta)
    beta = precision(square * max(free, 1), jnp.float32(free), state) * max(free, 1)
    variance = residual(k_noise, state, cov, data)
    return state._replace(alpha=alpha, beta=beta, variance=variance)


def precision(square: Array, count: Array, state: State) -> Array:
    """The mean of a precision given the sum of so many squares."""
    return (1 + count / 2) / (RATE * len(state.sign) ** -0.5 + square / 2)


def drawn(key: Key, data: Data, minibatch: int) -> tuple[Partners, Array]:
    """All rows, or a minibatch and how many rows each of it stands for."""
    if len(data.partners.one) <= minibatch:
        return data.partners, jnp.ones(())
    at = jax.random.randint(key, (minibatch,), 0, jnp.maximum(data.rows, 1).astype(int))
    few = jax.tree.map(lambda x: x[at], data.partners)
    return few, data.rows / minibatch


def regression(
    state: State, partners: Partners, weight: Values, value: Values, cov: Array
) -> tuple[Array, Array]:
    """L and eta given the others."""
    p, k = state.mean.shape
    d, a, mean = directions(state), state.mean[:, :1], state.mean
    first = (mean * d[None, :]).at[:, 0].set(1.0)
    second = (cov + mean[:, :, None] * mean[:, None, :]) * jnp.outer(d, d)[None]
    second = second.at[:, 0, :].set(first).at[:, :, 0].set(first)
    with_a = ((cov[:, :, 0] + mean * a) * d[None, :]).at[:, 0].set(a[:, 0])
    w = jnp.where(partners.filled, weight[partners.entry], 0.0)
    both = total(partners, w, jnp.concatenate([second.reshape(p, k * k), with_a], 1))
    shift = total(partners, w * value[partners.entry], first) - both[:, k * k :]
    return both[:, : k * k].reshape(p, k, k), shift


def slope(state: State, cov: Array, z: Array) -> Array:
    """B given L and eta: each x_i integrated out, conjugate gradients from the present one."""
    alpha, d = state.alpha[None, :], len(state.slope)
    ridge = jnp.where(jnp.arange(d)[:, None] == 0, FLAT, state.beta[None, :])

    def normal(b: Array) -> Array:
        x = alpha * (z @ b)
        return z.T @ (x - alpha * jnp.einsum("pkl,pl->pk", cov, x)) + ridge * b

    right = z.T @ (alpha * jnp.einsum("pkl,pl->pk", cov, state.shift))
    found = jax.scipy.sparse.linalg.cg(normal, right, x0=state.slope, maxiter=SOLVES)[0]
    return HALF * (state.slope + found)


def gained(state: State, cov: Array) -> Array:
    """What the pairs of a perturbation tell about its prior mean, by component: precisions."""
    a = state.alpha[None, :]
    return a - a**2 * jnp.diagonal(cov, axis1=1, axis2=2)


def residual(key: Key, state: State, cov: Array, data: Data) -> Array:
    """sigma^2 from what is left beyond the standard errors, on at most NOISE pairs."""
    at = jnp.arange(len(data.value))
    if len(at) > NOISE:
        at = jax.random.randint(key, (NOISE,), 0, len(at))
    i, j = (x[at] for x in data.pairs)
    mean, var = of_pairs(state, cov, Pairs(i, j))
    known = rewards.error_at(mean, data.se[at], data.scale) ** 2
    weight = jnp.where(data.keep[at], 1 / (state.variance + known) ** 2, 0.0)
    beyond = (data.value[at] - mean) ** 2 + var - known
    return jnp.maximum((weight * beyond).sum() / jnp.maximum(weight.sum(), 1e-12), LEAST)


def of_pairs(state: State, cov: Array, pairs: Pairs) -> tuple[Values, Values]:
    """Mean and variance of the reward of each pair under the full covariances."""
    (i, j), d, m = pairs, directions(state), state.mean
    f, g = ((m[x] * d[None, :]).at[:, 0].set(1.0) for x in (i, j))
    mean = m[i, 0] + (m[j] * f).sum(1)  # a_j once: f_i0 = 1
    var = jnp.einsum("qk,qkl,ql->q", g, cov[i], g) + jnp.einsum("qk,qkl,ql->q", f, cov[j], f)
    square = jnp.outer(d[1:], d[1:])[None]
    return mean, var + (cov[i][:, 1:, 1:] * square * cov[j][:, 1:, 1:]).sum((1, 2))


def errors(state: State, data: Data) -> Values:
    """se^2 of the measured pairs on the standard scale, where the belief expects them.

    The slope of the scale at the value measured would favour values that came out high.
    """
    i, j = data.pairs
    f = (state.mean[i] * directions(state)[None, :]).at[:, 0].set(1.0)
    mean = state.mean[i, 0] + (state.mean[j] * f).sum(1)
    return rewards.error_at(mean, data.se, data.scale) ** 2


def directions(state: State) -> Float[Array, "k"]:
    """D: 1 for a, d_k for u."""
    return jnp.concatenate([jnp.ones(1), state.sign])


def touched(data: Data) -> Bool[Array, "p"]:
    """Which perturbations are in a pair that counts."""
    p = len(data.features)
    some = (data.partners.filled & data.keep[data.partners.entry]).any(1)
    return jnp.zeros(p, bool).at[data.partners.one].max(some, mode="drop")


def covariance(state: State) -> Float[Array, "p k k"]:
    """V of every perturbation."""
    return inverse(state.information + jnp.diag(state.alpha)[None])


def inverse(matrix: Float[Array, "p k k"]) -> Float[Array, "p k k"]:
    """Inverses of positive definite matrices."""
    one = jnp.broadcast_to(jnp.eye(matrix.shape[-1]), matrix.shape)
    return jax.scipy.linalg.cho_solve((jnp.linalg.cholesky(matrix), True), one)
