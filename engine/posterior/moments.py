"""Closed-form moments of the low-rank reward under independent Gaussian factors.

R_ij = b + a_i + a_j + sum_r s_r u_ir u_jr with every b, a, s, u independent Gaussian gives

    E R_ij   = E b + E a_i + E a_j + sum_r E s_r E u_ir E u_jr
    Var R_ij = Var b + Var a_i + Var a_j
               + sum_r ( E s_r^2 E u_ir^2 E u_jr^2 - (E s_r)^2 (E u_ir)^2 (E u_jr)^2 ),  i != j,

so over all pairs they are two matrix products with inner sizes r and 2r. Exact for the mean-field
guide; any other belief uses draws.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int
from numpy import ndarray

from epistax.engine.pairs import Pairs
from epistax.engine.types import Scalar, Values


class Factors(NamedTuple):
    """Means and standard deviations of the independent factors of one belief."""

    b: Scalar
    b_sd: Scalar
    a: Float[Array, "p"]
    a_sd: Float[Array, "p"]
    s: Float[Array, "r"]
    s_sd: Float[Array, "r"]
    u: Float[Array, "p r"]
    u_sd: Float[Array, "p r"]


def of_pairs(factors: Factors, pairs: Pairs) -> tuple[Values, Values]:
    """Mean and variance of the reward of each pair: [q], [q]."""
    left, right = rows(factors, pairs.i), rows(factors, pairs.j)
    scale = factors.s[None, :] * (left.mean * right.mean)
    mean = factors.b + left.effect + right.effect + scale.sum(-1)
    square = factors.s**2 + factors.s_sd**2
    second = square[None, :] * (left.second * right.second)
    var = factors.b_sd**2 + left.effect_var + right.effect_var + (second - scale**2).sum(-1)
    return mean, jnp.maximum(var, 0.0)


def of_tile(
    factors: Factors, i: Int[Array, "m"], j: Int[Array, "n"]
) -> tuple[Float[Array, "m n"], Float[Array, "m n"]]:
    """Mean and variance of every pair of rows i and columns j, as matrix products."""
    left, right = rows(factors, i), rows(factors, j)
    mean = (left.mean * factors.s[None, :]) @ right.mean.T
    mean += factors.b + left.effect[:, None] + right.effect[None, :]
    square = factors.s**2 + factors.s_sd**2
    # one product of inner size 2r: [E s^2 E u_i^2, -(E s)^2 (E u_i)^2] . [E u_j^2, (E u_j)^2]
    power = jnp.concatenate(
        [left.second * square[None, :], -((left.mean * factors.s[None, :]) ** 2)], axis=1
    )
    var = power @ jnp.concatenate([right.second, right.mean**2], axis=1).T
    var += factors.b_sd**2 + left.effect_var[:, None] + right.effect_var[None, :]
    return mean, jnp.maximum(var, 0.0)


class Rows(NamedTuple):
    """The per-perturbation vectors that the moments are products of."""

    effect: Float[Array, "n"]
    effect_var: Float[Array, "n"]
    mean: Float[Array, "n r"]
    second: Float[Array, "n r"]


def rows(factors: Factors, index: Int[Array | ndarray, "n"]) -> Rows:
    """Gather the vectors of these perturbations."""
    mean, sd = factors.u[index], factors.u_sd[index]
    return Rows(factors.a[index], factors.a_sd[index] ** 2, mean, mean**2 + sd**2)
