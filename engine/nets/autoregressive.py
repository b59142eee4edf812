"""Causal variables out of independent noises, layer by layer.

"Towards Learning Cell Causal-Embeddings", section 4.9: C_l = f_l(C_1 .. C_(l-1)) + Z_l for the
variables of layer l. Any graph whose longest path has fewer edges than there are layers can be
so written. dC/dZ is lower triangular with ones on its diagonal, so that its log determinant is 0.
"""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from epistax.engine.nets.beginning import STILL
from epistax.engine.nets.layers import Linear

HIDDEN = 32  # units of each f


class Autoregressive(nn.Module):
    """Layers of so many variables each, the first of which depends on nothing; at first C = Z."""

    widths: tuple[int, ...]

    @nn.compact
    def __call__(self, z: Float[Array, "b d"]) -> Float[Array, "b d"]:
        """C, of noises in the order of the layers."""
        c, first = z[:, : self.widths[0]], self.widths[0]
        for layer, width in enumerate(self.widths[1:]):
            read = nn.relu(Linear(HIDDEN, name=f"read_{layer}")(c))
            caused = Linear(width, name=f"{STILL}_{layer}")(read)
            c = jnp.concatenate([c, caused + z[:, first : first + width]], axis=1)
            first += width
        return c


def widths(latents: int, depth: int) -> tuple[int, ...]:
    """Of so many layers, as even as can be; with as many layers as latents any graph fits."""
    least, more = divmod(latents, depth)
    return (least + 1,) * more + (least,) * (depth - more)
