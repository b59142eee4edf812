"""Gates that let an environment change few latents.

"Towards Learning Cell Causal-Embeddings", section 4.5: with w = softmax(|mu| / T) the mean of the
prior is mu w, and the log of its sd is gated likewise. T to 0 keeps the largest alone, T to
infinity divides by the number of latents. Temperatures are traced: fits of several train side by
side.
"""

from typing import Literal, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from epistax.engine.types import Scalar

Gate: TypeAlias = Literal["softmax", "max", "none"]


def weights(
    size: Float[Array, "*b d"], temperature: Scalar, *, form: Gate = "softmax"
) -> Float[Array, "*b d"]:
    """The share that each latent keeps, in [0, 1], from how large it would be.

    "softmax", as published: they sum to 1. "max": the largest keeps all of itself, so that many
    latents that are alike do not shrink one another. "none": all keep all.
    """
    if form == "none":
        return jnp.ones_like(size)
    if form == "max":
        return jnp.exp((size - jnp.max(size, axis=-1, keepdims=True)) / temperature)
    return jax.nn.softmax(size / temperature, axis=-1)


def gated(
    mean: Float[Array, "*b d"],
    log_sd: Float[Array, "*b d"],
    temperature: Scalar,
    *,
    form: Gate = "softmax",
    shared: bool = False,
) -> tuple[Float[Array, "*b d"], Float[Array, "*b d"]]:
    """Mean and log of the sd of the prior; shared: one gate, by the sum of both sizes."""
    if shared:
        both = weights(jnp.abs(mean) + jnp.abs(log_sd), temperature, form=form)
        return mean * both, log_sd * both
    own = [weights(jnp.abs(x), temperature, form=form) for x in (mean, log_sd)]
    return mean * own[0], log_sd * own[1]


def annealed(temperature: Scalar, done: Scalar) -> Scalar:
    """From 1, where half of the training is done T: T^(2 done), done in [0, 1]."""
    return temperature ** jnp.minimum(2 * done, 1.0)
