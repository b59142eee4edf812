"""What each sample adds to an estimate of KL: its standard error, by units, from one pass.

The influence of a sample on D is the first-order change of D as its weight grows; their sum over
the samples is 0, and the sum of squares over independent units is D's variance. First-order von
Mises expansions of the estimators in `divergence`.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from epistax.engine.stats import divergence
from epistax.engine.stats.divergence import Clip, Ratios
from epistax.engine.types import Scalar


class Influence(NamedTuple):
    """Of each sample of p and of q; 0 where no row exists."""

    p: Float[Array, "n"]
    q: Float[Array, "m"]


def bridge(ratios: Ratios, tau: Clip) -> Influence:
    """Of mean_p T - c, c the root of log mean_p sigma(c - T) = log mean_q sigma(T - c)."""
    c = divergence.bridge_shift(ratios)
    low, high = jax.nn.sigmoid(c - ratios.p), jax.nn.sigmoid(ratios.q - c)
    on_p, slope_p = relative(low, ratios.p_mask), weighted(low, ratios.p_mask)
    on_q, slope_q = relative(high, ratios.q_mask), weighted(high, ratios.q_mask)
    slope = slope_p + slope_q
    return Influence(centred(ratios.p, ratios.p_mask) + on_p / slope, -on_q / slope)


def weighted(weight: Float[Array, "n"], mask: Bool[Array, "n"]) -> Scalar:
    """How fast the logarithm of the mean of sigma grows: the mean of 1 - sigma under sigma."""
    total = jnp.sum(jnp.where(mask, weight, 0))
    return jnp.sum(jnp.where(mask, weight * (1 - weight), 0)) / total


def naive(ratios: Ratios, tau: Clip) -> Influence:
    """Of mean_p T."""
    return Influence(centred(ratios.p, ratios.p_mask), jnp.zeros_like(ratios.q))


def smile(ratios: Ratios, tau: Clip) -> Influence:
    """Of mean_p T - log mean_q of the clipped e^T."""
    level = divergence.log_partition(ratios, tau)
    share = jnp.exp(jnp.clip(ratios.q, -tau, tau) - level)
    return Influence(centred(ratios.p, ratios.p_mask), -centred(share, ratios.q_mask))


def mile(ratios: Ratios, tau: Clip) -> Influence:
    """Of mean_p T - log mean_q e^T."""
    return smile(ratios, jnp.inf)


def truncated(ratios: Ratios, tau: Clip) -> Influence:
    """Of mean_p T - log (A + C) + log (B + C), as `divergence.truncated` names them."""
    clipped = jnp.exp(jnp.clip(ratios.q, -tau, tau))
    outside = jnp.where(jnp.abs(ratios.q) > tau, clipped, 0.0)
    inside = jnp.where(jnp.abs(ratios.p) <= tau, 1.0, 0.0)
    upper = divergence.mean(clipped, ratios.q_mask)
    lower = divergence.mean(inside, ratios.p_mask) + divergence.mean(outside, ratios.q_mask)
    of_p = centred(ratios.p, ratios.p_mask) + centred(inside, ratios.p_mask) / lower
    of_q = centred(outside, ratios.q_mask) / lower - centred(clipped, ratios.q_mask) / upper
    return Influence(of_p, of_q)


INFLUENCES: dict[str, Callable[[Ratios, Clip], Influence]] = {
    "bridge": bridge,
    "smile": smile,
    "mile": mile,
    "mc": naive,
    "ts": truncated,
}


def centred(values: Float[Array, "n"], mask: Bool[Array, "n"]) -> Float[Array, "n"]:
    """The influence of each row on the mean of values."""
    return jnp.where(mask, values - divergence.mean(values, mask), 0) / jnp.sum(mask)


def relative(values: Float[Array, "n"], mask: Bool[Array, "n"]) -> Float[Array, "n"]:
    """The influence of each row on the logarithm of the mean of values."""
    return centred(values, mask) / divergence.mean(values, mask)


def variance(influence: Float[Array, "n"], unit: Int[Array, "n"], mask: Bool[Array, "n"]) -> Scalar:
    """Of a sum of influences whose rows come in independent units, numbered below n."""
    return jnp.sum(of_units(influence, unit, mask) ** 2)


def of_units(
    influence: Float[Array, "n"], unit: Int[Array, "n"], mask: Bool[Array, "n"]
) -> Float[Array, "n"]:
    """The departure of each unit's share from their mean, so wide that its squares sum to variance.

    nan where there is one unit only, 0 past the last.
    """
    size = influence.shape[0]
    by_unit = jax.ops.segment_sum(jnp.where(mask, influence, 0), unit, num_segments=size)
    there = jax.ops.segment_max(mask.astype(jnp.int32), unit, num_segments=size) > 0
    count = jnp.sum(there)
    departure = jnp.where(there, by_unit - jnp.sum(by_unit) / jnp.maximum(count, 1), 0)
    inflated = count / jnp.maximum(count - 1, 1)
    return jnp.where(count > 1, departure * jnp.sqrt(inflated), jnp.nan)
