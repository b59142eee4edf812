"""Pair matrices of known truth: a low-rank part, a few strong pairs, noise, gaps.

signed: R_ij = sum_r s_r u_ir u_jr, u ~ N(0, 1), s_r = (-1)^r / sqrt(rank): indefinite, and of unit
variance off the diagonal whatever the rank.
positive: R_ij = sum_r (.9 c_r)^2 a_ir^2 a_jr^2, a ~ .6 Exp(1), c = 1, .8, .64, ...: the squared
norm of an interaction along orthogonal axes, as perturbation embeddings of images show it.
Strong pairs add Gamma(9, .5) of either sign, or its positive kin Gamma(9, .14)^2.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from epistax.engine.pairs import Pairs, count, upper
from epistax.engine.types import Key

ADDITIVE = (1.0, 0.25)  # c_1, c_2 of the additive part c_1 (s_i + s_j) + c_2 s_i s_j


class Matrix(NamedTuple):
    """All pairs of p perturbations, off the diagonal; truth beside what a screen would show."""

    pairs: Pairs
    score: Float[Array, "q"]  # with noise
    true_score: Float[Array, "q"]  # without
    true_interaction: Float[Array, "q"]  # true_score without the additive part
    strong: Bool[Array, "q"]
    measured: Bool[Array, "q"]
    single: Float[Array, "p"]  # single effects with noise; 0 without singles
    true_single: Float[Array, "p"]


def matrix(
    key: Key,
    p: int,
    *,
    rank: int,
    strong: int,
    noise: float,
    missing: float,
    positive: bool = False,
    singles: bool = False,
) -> Matrix:
    """One matrix. noise is in units of the sd of the low-rank part (1 where rank is 0).

    strong counts pairs; missing is the probability that a pair is not measured. The key is used
    up. A positive matrix may have negative noisy scores, as a debiased squared norm has.
    """
    k_low, k_strong, k_noise, k_missing, k_single, k_read = jax.random.split(key, 6)
    pairs, q = upper(p), count(p)
    if not 0 <= strong <= q:
        raise ValueError(f"`strong` is {strong} but {p} perturbations have {q} pairs")
    smooth = low_rank(k_low, p, pairs, rank, positive=positive)
    unit = jnp.std(smooth) if rank and q > 1 else jnp.ones(())
    extra, which = strong_pairs(k_strong, q, strong, positive=positive)
    interaction = smooth + extra
    true_single = jax.random.normal(k_single, (p,)) * unit if singles else jnp.zeros(p)
    truth = interaction + additive(true_single[pairs.i], true_single[pairs.j])
    sd = noise * unit
    single = true_single + sd * jax.random.normal(k_read, (p,)) * singles
    return Matrix(
        pairs=Pairs(jnp.asarray(pairs.i), jnp.asarray(pairs.j)),
        score=truth + sd * jax.random.normal(k_noise, (q,)),
        true_score=truth,
        true_interaction=interaction,
        strong=which,
        measured=jax.random.uniform(k_missing, (q,)) >= missing,
        single=single,
        true_single=true_single,
    )


def low_rank(key: Key, p: int, pairs: Pairs, rank: int, *, positive: bool) -> Float[Array, "q"]:
    """The smooth part of every pair, one rank at a time: nothing of size q times rank is made."""
    if positive:
        loading = 0.6 * jax.random.exponential(key, (rank, p))
        factor, weight = loading**2, [(0.9 * 0.8**r) ** 2 for r in range(rank)]
    else:
        factor = jax.random.normal(key, (rank, p))
        weight = [(-1.0) ** r / rank**0.5 for r in range(rank)]
    total = jnp.zeros(len(pairs.i))
    for u, w in zip(factor, weight, strict=True):
        total += w * u[pairs.i] * u[pairs.j]
    return total


def strong_pairs(
    key: Key, q: int, strong: int, *, positive: bool
) -> tuple[Float[Array, "q"], Bool[Array, "q"]]:
    """Effects of their own on `strong` different pairs, 0 elsewhere; and which pairs those are."""
    k_where, k_size, k_sign = jax.random.split(key, 3)
    at = jax.random.choice(k_where, q, (strong,), replace=False)
    size = jax.random.gamma(k_size, 9.0, (strong,))
    sign = jnp.where(jax.random.bernoulli(k_sign, shape=(strong,)), 1.0, -1.0)
    effect = (0.14 * size) ** 2 if positive else 0.5 * sign * size
    return jnp.zeros(q).at[at].set(effect), jnp.zeros(q, bool).at[at].set(True)


def additive(si: Float[Array, "q"], sj: Float[Array, "q"]) -> Float[Array, "q"]:
    """What two effects give without interacting: c_1 (s_i + s_j) + c_2 s_i s_j."""
    c1, c2 = ADDITIVE
    return c1 * (si + sj) + c2 * si * sj
