"""Random variates without rejection loops, which vectorised code would have to compile."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from epistax.engine.types import Key


def gamma(key: Key, shape: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """Gamma(shape, 1) by the cube of a normal (Wilson and Hilferty 1931).

    From shape 5 on its quantiles are within .3 % between 5 and 99 %, and 2 % low at 1 %.
    """
    root = 1 - 1 / (9 * shape) + jax.random.normal(key, shape.shape) / (3 * jnp.sqrt(shape))
    return shape * jnp.maximum(root, 0.05) ** 3
