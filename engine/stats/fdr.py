"""False discovery rate: adjusted p-values (q-values) of many tests.

Benjamini and Hochberg 1995 for independent or positively dependent tests; Benjamini and Yekutieli
2001, larger by the harmonic sum, for any dependence, such as through a shared control.
"""

import numpy as np
from jaxtyping import Float
from numpy import ndarray


def benjamini_hochberg(p: Float[ndarray, "q"]) -> Float[ndarray, "q"]:
    """q_(r) = min over r' >= r of p_(r') m / r', m counting the finite p-values; nan stays nan."""
    finite = np.flatnonzero(np.isfinite(p))
    order = finite[np.argsort(-p[finite], kind="stable")]
    m = len(order)
    raw = p[order] * m / np.arange(m, 0, -1)
    q = np.full(len(p), np.nan)
    q[order] = np.minimum(np.minimum.accumulate(raw), 1)
    return q


def benjamini_yekutieli(p: Float[ndarray, "q"]) -> Float[ndarray, "q"]:
    """Benjamini-Hochberg times 1 + 1/2 + ... + 1/m, at most 1."""
    m = int(np.isfinite(p).sum())
    return np.minimum(benjamini_hochberg(p) * np.sum(1 / np.arange(1, m + 1)), 1)


ADJUSTMENTS = {"bh": benjamini_hochberg, "by": benjamini_yekutieli}
