"""Hidden units that are stretched and moved by what is known of a row: FiLM.

Perez et al. 2017, "FiLM: Visual Reasoning with a General Conditioning Layer", eq. 2; one of the
conditionings of the encoder in "Towards Learning Cell Causal-Embeddings", section 4.7.
"""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from epistax.engine.nets.beginning import STILL
from epistax.engine.nets.layers import Linear


class Film(nn.Module):
    """h' = (1 + gamma(e)) h + beta(e), gamma and beta linear in hidden units of e; at first h."""

    hidden: int  # units that read e

    @nn.compact
    def __call__(self, h: Float[Array, "b h"], e: Float[Array, "b v"]) -> Float[Array, "b h"]:
        """As many units as before."""
        read = nn.relu(Linear(self.hidden)(e))
        gamma, beta = jnp.split(Linear(2 * h.shape[1], name=STILL)(read), 2, axis=1)
        return (1 + gamma) * h + beta
