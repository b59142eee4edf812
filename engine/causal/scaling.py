"""Features in units of the spread of untreated samples.

Genes are measured with heavy tails and on scales of their own, and the squared error of a network
outside the range that it has seen grows with their square: features are centred by a median,
divided by a median deviation and clipped. Nothing is taken from samples that are held out.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Float
from numpy import ndarray

ENOUGH = 20  # reference samples, to know a median deviation
NORMAL = 1.4826  # sds in the median deviation of a normal
CLIP = 10.0  # scaled features beyond it are set to it


class Scaling(NamedTuple):
    """Median and spread of each feature, in its own units."""

    centre: Float[ndarray, "g"]
    spread: Float[ndarray, "g"]


def learned(x: Float[ndarray, "n g"], reference: Bool[ndarray, "n"]) -> Scaling:
    """Of training samples: from the reference among them, or all if these are few.

    The spread is the sd where more than half of the values are equal, 1 where all are.
    """
    rows = x[reference] if reference.sum() >= ENOUGH else x
    centre = np.median(rows, axis=0)
    spread = NORMAL * np.median(np.abs(rows - centre[None, :]), axis=0)
    spread = np.where(spread > 0, spread, rows.std(axis=0, dtype=np.float64))
    # the sd of one number many times need not be 0
    spread = np.where(rows.max(axis=0) > rows.min(axis=0), spread, 1.0)
    return Scaling(centre.astype(x.dtype), spread.astype(x.dtype))


def scaled(scaling: Scaling, x: Float[Array | ndarray, "n g"]) -> Float[Array | ndarray, "n g"]:
    """Features in spreads from the median, at most CLIP."""
    return ((x - scaling.centre[None, :]) / scaling.spread[None, :]).clip(-CLIP, CLIP)


def restored(scaling: Scaling, x: Float[Array | ndarray, "*m g"]) -> Float[Array | ndarray, "*m g"]:
    """Scaled features in their own units again."""
    shape = (1,) * (x.ndim - 1) + (-1,)
    return x * scaling.spread.reshape(shape) + scaling.centre.reshape(shape)
