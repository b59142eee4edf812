"""Dense layers: the encoder of vectors, and what follows the convolutions of images."""

import flax.linen as nn
from jaxtyping import Array, Float


class Dense(nn.Module):
    """A dense layer of each width, each with its ReLU and dropout; the last is the output."""

    widths: tuple[int, ...]
    dropout: float

    @nn.compact
    def __call__(self, x: Float[Array, "b d"], train: bool) -> Float[Array, "b h"]:
        """Hidden units of each row."""
        for width in self.widths:
            x = nn.relu(nn.Dense(width)(x))
            x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return x
