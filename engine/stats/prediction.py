"""How well effects are predicted: error, correlation, the strongest found, intervals that hold.

"NAIAD: Gene Interaction Prediction using Active Learning", section 4: root mean squared error, and
the true positive rate among the lowest. All in float64.
"""

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.stats import norm

LEVEL = 0.9  # share of the rows that intervals are to hold


def rmse(measured: Float[ndarray, "q"], predicted: Float[ndarray, "q"]) -> float:
    """Root mean squared error, in units of the effects."""
    return float(np.sqrt(np.mean((measured - predicted) ** 2)))


def pearson(measured: Float[ndarray, "q"], predicted: Float[ndarray, "q"]) -> float:
    """Correlation; nan where one of them is constant."""
    if np.ptp(measured) == 0 or np.ptp(predicted) == 0:
        return float("nan")
    return float(np.corrcoef(measured, predicted)[0, 1])


def lowest_shared(
    measured: Float[ndarray, "q"], predicted: Float[ndarray, "q"], count: int
) -> float:
    """Share of the lowest `count` that are among the lowest predicted; ties go to the first row."""
    one, other = (np.argsort(x, kind="stable")[:count] for x in (measured, predicted))
    return len(np.intersect1d(one, other)) / count


def reach(level: float = LEVEL) -> float:
    """Half the width of a normal interval that holds this share, in sds: 1.645 of 0.9."""
    return float(norm.ppf((1 + level) / 2))


def covered(error: Float[ndarray, "q"], half: Float[ndarray, "q"]) -> float:
    """Share of the rows whose error is within half the width of their interval."""
    return float(np.mean(np.abs(error) <= half))


def relative_width(error: Float[ndarray, "q"], half: Float[ndarray, "q"]) -> float:
    """Mean width over that of the constant one that holds as many rows; nan where none is held.

    Below 1: the sds know which rows are predicted well.
    """
    size, held = np.sort(np.abs(error)), int(np.sum(np.abs(error) <= half))
    if not held or size[held - 1] == 0:
        return float("nan")
    return float(np.mean(half) / size[held - 1])


def holding(error: Float[ndarray, "q"], sd: Float[ndarray, "q"]) -> float:
    """The number of sds within which LEVEL of these errors lie, and of as many others to come.

    The (q + 1) LEVEL-th least of |error| / sd, rounded up: "Distribution-free predictive inference
    for regression" (Lei et al. 2018), algorithm 2 with scaled residuals.
    """
    size = np.sort(np.abs(error) / np.maximum(sd, 1e-12))
    return float(size[min(len(size), int(np.ceil((len(size) + 1) * LEVEL))) - 1])
