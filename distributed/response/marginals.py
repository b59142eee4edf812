"""Average effects of arms in strata that have seen them: estimates with their intervals.

Training cells of a stratum, all that they measured and what a model makes of each under an arm,
give the mean of the arm: by the model alone (naive), by the arm's own cells (sample), by both
(robust), and by robust drawn towards the model (combined). Judged by the test cells of the group,
and by the truth where it is known. The intervals take the model as given, which has learned from
these cells: they can be too narrow.
"""

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import polars as pl

from epistax.distributed.response.dividing import Division
from epistax.distributed.response.judging import Judged
from epistax.distributed.response.truth import Truth
from epistax.engine.response.averages import BLOCK, thinned
from epistax.engine.response.evaluation import Targets, scored
from epistax.engine.response.marginal import Marginal, marginal
from epistax.engine.response.records import Cells, Method, rows

ESTIMATORS = Marginal._fields
MARGINAL = {
    "model": pl.String,
    "estimator": pl.String,
    "stratum": pl.String,
    "arm": pl.String,
    "gene": pl.String,
    "mean": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "measured": pl.Float64,
    "true": pl.Float64,
}
ESTIMATES = {
    "model": pl.String,
    "estimator": pl.String,
    "groups": pl.Int64,
    "r2_all": pl.Float64,
    "r2_de": pl.Float64,
    "rmse_true": pl.Float64,
    "covered_95": pl.Float64,
}
estimate = jax.jit(marginal)


def marginals(
    name: str,
    method: Method,
    fits: Any,
    division: Division,
    judged: Judged,
    truth: Truth | None,
    most: int | None,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Of the first fit: estimates of the DE genes of the test groups, and how good they are."""
    first = jax.tree.map(lambda leaf: leaf[:1], fits)
    found = list(estimated(method, first, division, judged.targets, most))
    if not found:
        return pl.DataFrame(schema=MARGINAL), pl.DataFrame(schema=ESTIMATES)
    kept = np.array([k for k, _ in found])
    targets = Targets(*(np.asarray(x)[kept] for x in judged.targets))
    c, a = targets.stratum, targets.arm
    true = None if truth is None or truth.mean is None else truth.mean[c, a]
    k, g = np.nonzero(targets.strongest)
    strata, arms, genes = (np.array(x, object) for x in (
        division.table.strata, division.table.arms.names, division.table.genes))  # fmt: skip
    frames, rates = [], []
    for at, kind in enumerate(ESTIMATORS):
        mean, low, high = (np.stack([one[at][j] for _, one in found]) for j in range(3))
        scores = scored(targets, mean[None])
        known = {} if true is None else {
            "rmse_true": float(np.sqrt(np.nanmean((mean - true) ** 2))),
            "covered_95": float(np.mean(((low <= true) & (true <= high))[np.isfinite(low)])),
        }  # fmt: skip
        rates.append({
            "model": name,
            "estimator": kind,
            "groups": len(kept),
            "r2_all": float(scores.r2_all[0]),
            "r2_de": float(scores.r2_de[0]),
        } | known)  # fmt: skip
        frames.append(pl.DataFrame({
            "model": [name] * len(k),
            "estimator": [kind] * len(k),
            "stratum": strata[c[k]].tolist(),
            "arm": arms[a[k]].tolist(),
            "gene": genes[g].tolist(),
            "mean": mean[k, g],
            "low": low[k, g],
            "high": high[k, g],
            "measured": targets.mean[k, g],
            "true": np.full(len(k), np.nan) if true is None else true[k, g],
        }, schema=MARGINAL).with_columns(pl.col(pl.Float64).fill_nan(None)))  # fmt: skip
    return pl.concat(frames), pl.DataFrame(rates, schema=ESTIMATES)


def estimated(
    method: Method, fit: Any, division: Division, targets: Targets, most: int | None
) -> Iterator[tuple[int, list[tuple[np.ndarray, np.ndarray, np.ndarray]]]]:
    """The number of each group that has trained, and mean, low and high of each estimator."""
    train = division.cells("train")
    for c in np.unique(targets.stratum):
        own = rows(train, thinned(np.flatnonzero(train.stratum == c), most))
        within = np.ones(len(own.arm), bool)
        for k in np.flatnonzero(targets.stratum == c):
            treated = own.arm == targets.arm[k]
            if treated.sum() < 2:
                continue
            told = predicted(method, fit, own, int(targets.arm[k]))
            both = estimate(told, own.y, treated, within)
            yield (
                int(k),
                [
                    tuple(np.asarray(x, np.float64) for x in (one.mean, *one.interval()))
                    for one in both
                ],
            )


def predicted(method: Method, fit: Any, cells: Cells, arm: int) -> np.ndarray:
    """What each cell is told to express under an arm, in blocks, [n, g]."""
    n, step = len(cells.arm), max(1, BLOCK // max(1, cells.y.shape[1]))
    parts = [rows(cells, np.arange(k, min(k + step, n))) for k in range(0, n, step)]
    told = (method.predict(fit, one, np.full(len(one.arm), arm, np.int32)).mean for one in parts)
    return np.concatenate([np.asarray(one)[0] for one in told])
