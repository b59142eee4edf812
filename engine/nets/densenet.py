"""A small densely connected encoder of images.

Huang, Liu, van der Maaten and Weinberger 2017, "Densely Connected Convolutional Networks": each
layer sees the maps of all layers before it in its block. GroupNorm stands for BatchNorm: an image
is encoded the same whatever batch it comes in, and there are no statistics to keep.
"""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from epistax.engine.nets.conv import groups
from epistax.engine.nets.mlp import Dense

LAYERS = 4  # of a block


class DenseNet(nn.Module):
    """A 3x3 stem of widths[0] maps, and a block of LAYERS layers for each growth in widths[1:].

    Between blocks 1x1 convolutions halve the number of maps and means of 2x2 their sides. The
    last maps are averaged over the image; dense layers follow.
    """

    shape: tuple[int, int, int]
    widths: tuple[int, ...]
    hidden: tuple[int, ...]
    dropout: float

    @nn.compact
    def __call__(self, x: Float[Array, "b d"], train: bool) -> Float[Array, "b h"]:
        """Hidden units of each image."""
        stem, *growths = self.widths
        maps = nn.Conv(stem, (3, 3), use_bias=False)(x.reshape(len(x), *self.shape))
        for block, growth in enumerate(growths):
            if block:
                half = nn.Conv(maps.shape[-1] // 2, (1, 1), use_bias=False)(Active()(maps))
                maps = nn.avg_pool(half, (2, 2), strides=(2, 2))
            for _ in range(LAYERS):
                new = nn.Conv(growth, (3, 3), use_bias=False)(Active()(maps))
                maps = jnp.concatenate([maps, new], axis=-1)
        return Dense(self.hidden, self.dropout)(jnp.mean(Active()(maps), axis=(1, 2)), train)


class Active(nn.Module):
    """GroupNorm and ReLU, before a convolution."""

    @nn.compact
    def __call__(self, maps: Float[Array, "b r c k"]) -> Float[Array, "b r c k"]:
        """Maps of the same shape."""
        return nn.relu(nn.GroupNorm(groups(maps.shape[-1]))(maps))
