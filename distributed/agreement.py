"""How far tests rank the same pairs alike: Spearman correlations of their scores."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from scipy.stats import rankdata

MOST = 200_000  # pairs that are ranked: more would not change the second decimal
LEAST = 3


def agreement(frame: pl.DataFrame, tests: Sequence[str]) -> dict[str, Any] | None:
    """`tests`, `pairs` and `spearman`, over pairs that every test has a score of.

    None of one test, or of fewer than 3 such pairs. A test that scores all of them alike has null.
    """
    columns = {name: frame.filter(pl.col("test") == name)["score"].to_numpy() for name in tests}
    scores = np.stack(list(columns.values()), axis=1).astype(np.float64)
    known = np.flatnonzero(np.isfinite(scores).all(axis=1))
    if len(tests) < 2 or len(known) < LEAST:
        return None
    chosen = np.sort(np.random.default_rng(0).permutation(known)[:MOST])
    ranks = rankdata(scores[chosen], axis=0)
    ranks -= ranks.mean(axis=0)
    length = np.linalg.norm(ranks, axis=0)
    unit = ranks / np.where(length > 0, length, np.nan)
    cells = [
        [None if np.isnan(v) else round(v, 4) for v in row] for row in (unit.T @ unit).tolist()
    ]
    return {"tests": list(tests), "pairs": len(chosen), "spearman": cells}
