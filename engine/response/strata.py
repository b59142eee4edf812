"""Cells by stratum and arm: how many, their means, their variances.

Everything on the host in float64: a mean of thousands of cells is compared with another one, and
the difference is small.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.sparse import csr_matrix

from epistax.engine.response.records import Cells

BLOCK = 2**24  # values of cells that are added at once


class Groups(NamedTuple):
    """Cells of every stratum and arm; the mean of a group without cells is 0, its variance too."""

    count: Int[ndarray, "c a"]
    mean: Float[ndarray, "c a g"]
    variance: Float[ndarray, "c a g"]  # with n - 1; 0 of a single cell


def grouped(cells: Cells, *, strata: int, arms: int) -> Groups:
    """The groups of these cells."""
    group = np.asarray(cells.stratum) * arms + np.asarray(cells.arm)
    count, mean, squares = moments(np.asarray(cells.y), group, strata * arms)
    shape = (strata, arms, mean.shape[1])
    variance = squares / np.maximum(count - 1, 1)[:, None]
    return Groups(count.reshape(shape[:2]), mean.reshape(shape), variance.reshape(shape))


def moments(
    y: Float[ndarray, "n g"], group: Int[ndarray, "n"], size: int
) -> tuple[Int[ndarray, "k"], Float[ndarray, "k g"], Float[ndarray, "k g"]]:
    """Count, mean and sum of squared departures of each of `size` groups, float64."""
    count = np.bincount(group, minlength=size)
    mean = summed(y, group, size) / np.maximum(count, 1)[:, None]
    return count, mean, summed(y, group, size, away=mean)


def summed(
    y: Float[ndarray, "n g"],
    group: Int[ndarray, "n"],
    size: int,
    away: Float[ndarray, "k g"] | None = None,
) -> Float[ndarray, "k g"]:
    """Sums by group, of y, or of the squared departures from the group's row of `away`."""
    total = np.zeros((size, y.shape[1]))
    step = max(1, BLOCK // max(1, y.shape[1]))
    for first in range(0, len(y), step):
        part = y[first : first + step].astype(np.float64)
        of = group[first : first + step]
        if away is not None:
            part = (part - away[of]) ** 2
        ones, at = np.ones(len(of)), np.arange(len(of))
        total += csr_matrix((ones, (of, at)), shape=(size, len(of))) @ part
    return total
