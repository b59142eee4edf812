"""What any method must beat: the mean profile, and principal components of the same width.

Both are blind to environments and learnt from training samples alone. A linear autoencoder can do
no better on these than their principal components.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Float
from numpy import ndarray

from epistax.engine.stats.components import axes

ZERO = 1e-12  # share of variance: below it an axis is one of rounding errors
BLOCK = 4096  # samples reconstructed at a time


class Principal(NamedTuple):
    """A mean profile and orthonormal axes; of width 0, the mean profile alone."""

    mean: Float[ndarray, "g"]
    axes: Float[ndarray, "g r"]


def fitted(x: Float[ndarray, "n g"], width: int) -> Principal:
    """The `width` leading components of training samples, or as many as have any variance."""
    n, g = x.shape
    mean = x.mean(axis=0, dtype=np.float64)
    if width < 1:
        return Principal(mean, np.zeros((g, 0)))
    top, share = axes(x, mean, np.ones(g), count=min(width, n, g), rows=n)
    return Principal(mean, top[:, share > ZERO])


def reconstructed(
    principal: Principal, x: Float[Array | ndarray, "n g"]
) -> Float[Array | ndarray, "n g"]:
    """The nearest point to each sample that has the mean profile and the axes alone."""
    scores = (x - principal.mean[None, :]) @ principal.axes
    return scores @ principal.axes.T + principal.mean[None, :]


def error(principal: Principal, x: Float[ndarray, "n g"]) -> float:
    """Mean square per feature of what is lost of samples."""
    total = 0.0
    for first in range(0, len(x), BLOCK):
        part = x[first : first + BLOCK]
        total += float(((part - reconstructed(principal, part)) ** 2).sum())
    return total / x.size
