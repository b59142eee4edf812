"""How well the effect of an arm on a single cell is predicted: judged where the truth is simulated.

A method that predicts the mean of a stratum for every cell of it has the group means right and
knows nothing of cells. So the departures from the stratum's mean are judged too: how they
correlate with the true ones, and how large they are beside them.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from epistax.engine.response.differential import STRONGEST


class Individual(NamedTuple):
    """Means over groups of cells of one stratum under one arm; nan where there is none."""

    within_stratum_corr: float  # of departures from the mean effect; nan where none is predicted
    sd_ratio: float  # of predicted departures to true ones
    rmse_individual: float  # of effects, log expression
    pearson_individual: float  # of effects, over cells and genes


def judged(
    true: Float[ndarray, "e a g"],
    predicted: Float[ndarray, "e a g"],
    stratum: Int[ndarray, "e"],
    groups: tuple[tuple[int, int], ...],
    *,
    count: int = STRONGEST,
) -> Individual:
    """Effects of a arms on e cells, in the (stratum, arm) groups given.

    Only the `count` genes of largest true mean effect in the group are looked at.
    """
    found = []
    for c, a in groups:
        rows = np.flatnonzero(stratum == c)
        if len(rows) < 2:
            continue
        effect = true[rows, a].astype(np.float64)
        genes = np.argsort(-np.abs(effect.mean(0)), kind="stable")[:count]
        found.append(of_group(effect[:, genes], predicted[rows, a][:, genes].astype(np.float64)))
    table = np.array(found).reshape(len(found), len(Individual._fields))
    there = np.isfinite(table)
    mean = np.where(there, table, 0).sum(0) / np.maximum(there.sum(0), 1)
    return Individual(*(float(x) for x in np.where(there.any(0), mean, np.nan)))


def of_group(
    true: Float[ndarray, "e g"], told: Float[ndarray, "e g"]
) -> tuple[float, float, float, float]:
    """The figures of one group, pooled over its genes."""
    x, y = true - true.mean(0), told - told.mean(0)
    sx, sy = (np.sqrt(np.mean(v**2)) for v in (x, y))
    flat = sy <= 1e-6 * (1 + np.abs(told).max())  # rounding of single precision
    error = float(np.sqrt(np.mean((true - told) ** 2)))
    within = float("nan") if flat or sx == 0 else float(np.mean(x * y) / (sx * sy))
    ratio = float("nan") if sx == 0 else float(0.0 if flat else sy / sx)
    whole = np.ptp(true) > 0 and np.ptp(told) > 0
    pearson = float(np.corrcoef(true.ravel(), told.ravel())[0, 1]) if whole else float("nan")
    return within, ratio, error, pearson
