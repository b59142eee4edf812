"""What an approximate ranking misses: recall of the exact top, over pairs drawn at random.

The recall is the share of the exact top that stands in the approximate top of the same size, both
among the pairs drawn; its interval is Wilson's ("Probable inference, the law of succession, and
statistical inference", 1927). Pairs that share a gene are not independent: where all pairs of some
genes are taken the interval is over genes (`known.interval`).
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray
from scipy.stats import binomtest

from epistax.engine.pairs import Pairs, count, unrank, upper
from epistax.engine.stats import known, metrics

LEVEL = 0.95


class Recall(NamedTuple):
    """Of the exact top among some pairs."""

    found: int
    total: int
    recall: float
    low: float
    high: float
    correlation: float  # of both values over all pairs; nan where one of them is constant


def of_pairs(exact: Float[ndarray, "q"], approximate: Float[ndarray, "q"], share: float) -> Recall:
    """Of pairs drawn at random; higher = sooner."""
    wanted, found = tops(exact, approximate, share)
    hits = int(found[wanted].sum())
    total = int(wanted.sum())
    span = binomtest(hits, total).proportion_ci(LEVEL, method="wilson")
    ends = (float(span.low), float(span.high))
    return Recall(hits, total, hits / total, *ends, correlation(exact, approximate))


def of_genes(
    exact: Float[ndarray, "q"],
    approximate: Float[ndarray, "q"],
    pairs: Pairs,
    share: float,
    *,
    seed: int,
) -> Recall:
    """Of all pairs of some genes: the interval is over genes, nan with less than two top pairs."""
    wanted, found = tops(exact, approximate, share)
    inside = Pairs(np.asarray(pairs.i)[wanted], np.asarray(pairs.j)[wanted])
    low, high = known.interval(found[wanted], inside, seed=seed, level=LEVEL)
    hits, total = int(found[wanted].sum()), int(wanted.sum())
    return Recall(hits, total, hits / total, low, high, correlation(exact, approximate))


def tops(
    exact: Float[ndarray, "q"], approximate: Float[ndarray, "q"], share: float
) -> tuple[Bool[ndarray, "q"], Bool[ndarray, "q"]]:
    """Which pairs are in the exact top, and which in the approximate one."""
    return metrics.top(exact, share), metrics.top(approximate, share)


def correlation(exact: Float[ndarray, "q"], approximate: Float[ndarray, "q"]) -> float:
    """Pearson's."""
    if not np.ptp(exact) or not np.ptp(approximate):
        return float("nan")
    return float(np.corrcoef(exact, approximate)[0, 1])


def drawn(p: int, number: int, *, seed: int) -> Pairs:
    """So many of all pairs of p, without replacement; all where there are no more."""
    total = count(p)
    if number >= total:
        return upper(p)
    rng = np.random.default_rng(seed)
    ranks = np.unique(rng.integers(0, total, number))
    while len(ranks) < number:
        ranks = np.union1d(ranks, rng.integers(0, total, number - len(ranks)))
    return unrank(ranks, p)


def among(p: int, genes: int, *, seed: int) -> Pairs:
    """All pairs of so many of p genes, drawn at random."""
    chosen = np.sort(np.random.default_rng(seed).permutation(p)[:genes]).astype(np.int32)
    inside = upper(len(chosen))
    return Pairs(chosen[inside.i], chosen[inside.j])
