"""Counts in units of a common library, on a log scale; which genes vary more than their mean says.

Highly variable genes as the `seurat` flavour of scanpy has them: log variance over mean of the
expression off the log scale, standardised among genes of like mean.
"""

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

BINS = 20  # of the mean
BLOCK = 2**23  # values looked at in one step


def normalise(counts: Float[ndarray, "n g"], library: Float[ndarray, "n"]) -> float:
    """log1p of counts x (median library) / (library of the cell), in place; the median library."""
    unit = float(np.median(library))
    factor = (unit / library).astype(np.float32)
    step = max(1, BLOCK // max(1, counts.shape[1]))
    for first in range(0, len(counts), step):
        part = counts[first : first + step]
        part *= factor[first : first + step, None]
        np.log1p(part, out=part)
    return unit


def variable(y: Float[ndarray, "n g"], count: int) -> Bool[ndarray, "g"]:
    """The `count` most variable genes of log expression; ties go to the first."""
    score = dispersion(y)
    chosen = np.zeros(len(score), bool)
    chosen[np.argsort(-np.nan_to_num(score, nan=-np.inf), kind="stable")[:count]] = True
    return chosen


def dispersion(y: Float[ndarray, "n g"]) -> Float[ndarray, "g"]:
    """Log variance over mean, less its mean and over its sd in a bin; nan of a constant gene."""
    mean, variance = np.empty((2, y.shape[1]))
    step = max(1, BLOCK // max(1, len(y)))
    for first in range(0, y.shape[1], step):
        part = np.expm1(y[:, first : first + step].astype(np.float64))
        mean[first : first + step] = part.mean(0)
        variance[first : first + step] = part.var(0, ddof=1)
    ratio = variance / np.where(mean == 0, 1e-12, mean)
    score = np.log(np.where(ratio > 0, ratio, np.nan))
    return standardised(score, binned(np.log1p(mean)))


def binned(x: Float[ndarray, "g"]) -> Int[ndarray, "g"]:
    """Which of BINS equal parts of its range a value is in; an edge is of the part below."""
    edges = np.linspace(x.min(), x.max(), BINS + 1)
    return np.clip(np.searchsorted(edges, x, side="left") - 1, 0, BINS - 1)


def standardised(x: Float[ndarray, "g"], part: Int[ndarray, "g"]) -> Float[ndarray, "g"]:
    """Departures from the mean of the bin in its sds; 1 for the only gene of a bin."""
    out = np.full(len(x), np.nan)
    for one in np.unique(part):
        inside = (part == one) & ~np.isnan(x)
        values = x[inside]
        if len(values) == 1:
            out[inside] = 1.0
        elif len(values):
            sd = values.std(ddof=1)
            out[inside] = (values - values.mean()) / sd if sd > 0 else 0.0
    return out
