"""A decoder that is the best one in every environment at once: invariant risk minimisation.

Arjovsky et al. 2019, eq. IRMv1, on the decoder's output x^ as "Towards Learning Cell
Causal-Embeddings", section 4.7, has it. With R_e(w) = mean |w x^ - x|^2 over the rows of e the
penalty is the sum over environments of (dR_e/dw at w = 1)^2, and dR_e/dw = 2 mean <x^ - x, x^>.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from epistax.engine.types import Scalar


def penalty(
    told: Float[Array, "b g"],
    x: Float[Array, "b g"],
    environment: Int[Array, "b"],
    *,
    environments: int,
    halves: bool = False,
) -> Scalar:
    """Of the rows of a minibatch; the squares of its features are summed.

    The square of a mean of few rows is too large on average. halves: the product of the means over
    every other row is not, but can be negative; environments without a row in both count 0.
    """
    rows = jnp.arange(len(x)) % 2 == 0
    one = slopes(told, x, environment, rows | (not halves), environments)
    other = slopes(told, x, environment, ~rows, environments) if halves else one
    return jnp.sum(one * other)


def slopes(
    told: Float[Array, "b g"],
    x: Float[Array, "b g"],
    environment: Int[Array, "b"],
    keep: Bool[Array, "b"],
    environments: int,
) -> Float[Array, "e"]:
    """dR_e/dw at 1 of each environment, over the rows kept; 0 without any."""
    each = jnp.where(keep, 2 * jnp.sum((told - x) * told, axis=1), 0.0)
    total = jax.ops.segment_sum(each, environment, environments)
    count = jax.ops.segment_sum(keep.astype(each.dtype), environment, environments)
    return total / jnp.maximum(count, 1)


def weighed(loss: Scalar, penalty: Scalar, weight: Scalar) -> Scalar:
    """Both; a weight above 1 divides them, so that its step up is none in the slopes' size."""
    return (loss + weight * penalty) / jnp.maximum(1.0, weight)
