"""Null distributions of |sum_a s_a m^_a|^2 by resampling, and by a gamma distribution.

All work on one pair's Gram matrix of units (cells, or wells) weighted by their share of the arm:
g[u, v] = w_u w_v k(u, v), w summing to 1 within an arm. P-values are (1 + k) / (1 + B).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from epistax.engine.types import Key, Scalar

TIE = 1e-5  # resampled statistics this close to the observed one, relatively, reach it


class Units(NamedTuple):
    """The weighted Gram matrix of all arms' units; share is 0 for padding."""

    gram: Float[Array, "u u"]
    share: Float[Array, "u"]
    arm: Int[Array, "u"]  # 0 .. a-1


def statistic(units: Units, contrast: Float[Array, "a"]) -> Scalar:
    """The squared norm itself, self pairs included (V-statistic)."""
    s = contrast[units.arm]
    return s @ units.gram @ s


def null_form(units: Units, contrast: Float[Array, "a"]) -> Float[Array, "u u"]:
    """The matrix A of the form e'Ae, e ~ N(0, I), that the statistic follows under the null.

    Gram of the units centred within their arms, times s_a sqrt(W_a / (W_a - 1)) on both sides.
    """
    real = units.share > 0
    member = jnp.where(real[:, None], jax.nn.one_hot(units.arm, len(contrast)), 0)
    sums = member.T @ units.gram
    whole = sums @ member
    from_row = units.share[:, None] * sums[units.arm]
    grand = jnp.outer(units.share, units.share) * whole[units.arm][:, units.arm]
    centred = units.gram - from_row - from_row.T + grand
    count = member.sum(axis=0)
    factor = contrast * jnp.sqrt(count / jnp.maximum(count - 1, 1))
    return centred * jnp.outer(factor[units.arm], factor[units.arm])


def gamma(units: Units, contrast: Float[Array, "a"]) -> Scalar:
    """P-value by a gamma distribution of the form's mean tr A and variance 2 tr A^2.

    Its tail is too thin: measured levels stand beside the others' in the README.
    """
    form = null_form(units, contrast)
    mean, variance = jnp.trace(form), 2 * jnp.sum(form**2)
    shape, scale = mean**2 / variance, variance / mean
    return jax.scipy.special.gammaincc(shape, statistic(units, contrast) / scale)


def multiplier(key: Key, units: Units, contrast: Float[Array, "a"], *, draws: int) -> Scalar:
    """P-value by the stratified multiplier (wild) bootstrap: one Gaussian weight a unit.

    Its null hypothesis is the contrast alone; the arms may differ in any other way. The key is
    used up.
    """
    form = null_form(units, contrast)
    e = jax.random.normal(key, (draws, len(form)), form.dtype)
    return exceedance(jnp.sum((e @ form) * e, axis=1), statistic(units, contrast))


def permutation(key: Key, units: Units, contrast: Float[Array, "a"], *, draws: int) -> Scalar:
    """P-value by permuting units over the arms; exact where all arms are of one distribution.

    Otherwise conservative: the permuted arms are more alike than the null asks. The key is used up.
    """
    share = jnp.maximum(units.share, 1e-30)
    mean_gram = units.gram / jnp.outer(share, share)
    real = units.share > 0
    weight = contrast[units.arm] * units.share
    place = jnp.argsort(jnp.argsort(~real, stable=True))
    low = (len(real) - 1).bit_length()

    def shuffled(key: Key) -> Float[Array, "u"]:
        # one sort of whole numbers, random above and a place below, is far faster than argsort
        above = jnp.where(real, jax.random.bits(key, real.shape) >> 1, jnp.uint32(2**32 - 1))
        mixed = jnp.sort((above >> low << low) | jnp.arange(len(real), dtype=jnp.uint32))
        return weight[mixed & jnp.uint32(2**low - 1)][place]

    w = jax.vmap(shuffled)(jax.random.split(key, draws))
    drawn = jnp.sum((w @ jnp.where(real[:, None] & real[None, :], mean_gram, 0)) * w, axis=1)
    return exceedance(drawn, statistic(units, contrast))


def exceedance(drawn: Float[Array, "s"], observed: Scalar) -> Scalar:
    """(1 + k) / (1 + B), k of B draws reaching the observed value.

    Phipson and Smyth 2010, "Permutation p-values should never be zero".
    """
    reached = jnp.sum(drawn >= observed - TIE * jnp.abs(observed))
    return (1 + reached) / (1 + drawn.shape[0])
