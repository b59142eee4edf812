"""How far predicted group means are off: an sd for each gene, and what it takes to hold 90 %.

The errors are those of groups that a fit had not seen. An error is part sampling noise of what was
measured, which is known; what is left is the model's own, larger where a larger change is told.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from epistax.engine.stats.prediction import LEVEL, holding, reach

SLOPES = tuple(k / 20 for k in range(21))
LARGE = 0.02  # share of the means whose changes are the largest


class Spread(NamedTuple):
    """Errors of predicted means: sd^2 = own^2 + (slope x change)^2, x factor for 90 %."""

    own: Float[ndarray, "g"]
    slope: float  # of SLOPES
    factor: float

    def sd(self, change: Float[ndarray, "*k g"]) -> Float[ndarray, "*k g"]:
        """The sd of a mean that is told to change so much."""
        out: Float[ndarray, "*k g"] = np.sqrt(self.own**2 + (self.slope * change) ** 2)
        return out

    def half(
        self, change: Float[ndarray, "*k g"], noise: Float[ndarray, "*k g"]
    ) -> Float[ndarray, "*k g"]:
        """Half the interval that holds 90 % of means measured with so much sampling variance."""
        model = (self.factor * self.sd(change)) ** 2
        out: Float[ndarray, "*k g"] = np.sqrt(model + reach() ** 2 * noise)
        return out


def spread(
    error: Float[ndarray, "k g"],
    change: Float[ndarray, "k g"],
    noise: Float[ndarray, "k g"],
    *,
    least: float = 0.0,
) -> Spread:
    """From errors of k groups, their predicted changes, and the sampling variance of each mean.

    The slope is the least of SLOPES, from `least`, with which the largest changes are held as often
    as all. Where groups are small their noise hides it: give the slope of larger ones.
    """
    size = np.abs(change)
    large = size >= np.quantile(size, 1 - LARGE)
    for slope in (one for one in SLOPES if one >= least):
        found = with_slope(error, change, noise, slope)
        if np.mean((np.abs(error) <= found.half(change, noise))[large]) >= LEVEL:
            break
    return found


def with_slope(
    error: Float[ndarray, "k g"],
    change: Float[ndarray, "k g"],
    noise: Float[ndarray, "k g"],
    slope: float,
) -> Spread:
    """The spread of this slope."""
    own2 = np.maximum(0.0, (error**2 - noise - (slope * change) ** 2).mean(0))
    # a gene whose errors are noise alone is not known exactly: this much could hide in it
    own2 = np.maximum(own2, 0.5 * noise.mean(0) / np.sqrt(max(1, len(error))))
    found = Spread(np.sqrt(own2), slope, 1.0)
    # noise is normal, so what else it takes to hold 90 % is the model's: its errors have long tails
    beyond = np.sqrt(np.maximum(0.0, error**2 - reach() ** 2 * noise))
    return found._replace(factor=holding(beyond.ravel(), found.sd(change).ravel()))
