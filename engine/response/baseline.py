"""Mean expression of a stratum's controls, told from all its cells and from strata like it."""

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

TINY = 1e-12  # variance
LEAST = 1e-4  # variance between strata that an additive model does not tell


def additive(strata: Int[ndarray, "c m"]) -> Float[ndarray, "c l"]:
    """Columns of an additive model of strata: a constant and each level of each covariate."""
    columns = [np.ones(len(strata))]
    for levels in strata.T:
        columns += [levels == level for level in np.unique(levels)]
    return np.stack(columns, axis=1).astype(float)


def settled(
    mean: Float[ndarray, "c g"], variance: Float[ndarray, "c g"], strata: Int[ndarray, "c m"]
) -> tuple[Float[ndarray, "c g"], Float[ndarray, "c g"]]:
    """Means drawn towards those of an additive model of strata, by how well it holds; variances.

    variance is that of each mean, inf where nothing was measured: there the model says all.
    """
    known = np.isfinite(variance).all(1)
    mean = np.where(known[:, None], mean, 0.0)
    spent = np.where(known[:, None], variance, 0.0)
    x = additive(strata)
    root = np.where(known, np.maximum(spent.mean(1), TINY) ** -0.5, 0.0)[:, None]
    told = x @ (np.linalg.pinv(x * root) @ (mean * root))
    free = known.sum() - np.linalg.matrix_rank(x[known])
    if free < 1:  # nothing to judge the model by
        typical = spent.sum(0) / max(known.sum(), 1)
        return np.where(known[:, None], mean, told), np.where(known[:, None], variance, typical)
    excess = ((mean - told)[known] ** 2).sum() / free / mean.shape[1]
    between = max(excess - spent[known].mean(), LEAST)
    keep = np.where(known[:, None], between / (between + spent), 0.0)
    return told + keep * (mean - told), np.where(known[:, None], keep * spent, between)
