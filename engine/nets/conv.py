"""Two plain convolutional encoders of images, rows by columns by channels."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from epistax.engine.nets.mlp import Dense

GROUPS = 8  # at most
FLAT = 4  # side of the largest last map that is flattened
MOMENTUM = 0.9  # of running statistics: ten steps or so, for short trainings too


class Strided(nn.Module):
    """Convolutions 3x3 of stride 2, GroupNorm, leaky ReLU; dense layers where `hidden` has any.

    A last map of at most FLAT x FLAT is flattened, a larger one averaged: what an image shows may
    be where a thing is, which averaging forgets, while flattening a large map makes most of the
    parameters belong to the layer after it.
    """

    shape: tuple[int, int, int]
    widths: tuple[int, ...]
    hidden: tuple[int, ...]
    dropout: float

    @nn.compact
    def __call__(self, x: Float[Array, "b d"], train: bool) -> Float[Array, "b h"]:
        """Hidden units of each image."""
        maps = x.reshape(len(x), *self.shape)
        for width in self.widths:
            maps = nn.Conv(width, (3, 3), strides=2, use_bias=False)(maps)
            maps = nn.leaky_relu(nn.GroupNorm(groups(width))(maps))
        small = max(maps.shape[1:3]) <= FLAT
        flat = maps.reshape(len(x), -1) if small else jnp.mean(maps, axis=(1, 2))
        return Dense(self.hidden, self.dropout)(flat, train)


class Pooled(nn.Module):
    """Convolutions 3x3, BatchNorm, ReLU, the largest of each 2x2; then dense layers."""

    shape: tuple[int, int, int]
    widths: tuple[int, ...]
    hidden: tuple[int, ...]
    dropout: float

    @nn.compact
    def __call__(self, x: Float[Array, "b d"], train: bool) -> Float[Array, "b h"]:
        """Hidden units of each image."""
        maps = x.reshape(len(x), *self.shape)
        for width in self.widths:
            maps = nn.Conv(width, (3, 3), use_bias=False)(maps)
            maps = nn.relu(nn.BatchNorm(not train, momentum=MOMENTUM)(maps))
            maps = nn.max_pool(maps, (2, 2), strides=(2, 2))
        return Dense(self.hidden, self.dropout)(maps.reshape(len(x), -1), train)


def groups(channels: int) -> int:
    """The largest number of equal groups, GROUPS at most, of two channels or more.

    One channel alone on a map of one point is normalised to 0, whatever the image.
    """
    sizes = range(1, min(GROUPS, channels // 2) + 1)
    return max((size for size in sizes if channels % size == 0), default=1)
