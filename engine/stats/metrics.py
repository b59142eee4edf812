"""How much of what was worth finding has been found: recall, regret, area, known relations.

And how well a score ranks a known relation: auroc and average_precision.

Recall of the top share and regret per round as in "Automated Discovery of Pairwise Interactions
from Unstructured Data", section 5. Everything takes the true rewards on their raw scale.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from scipy.stats import binomtest, hypergeom, rankdata


def top(reward: Float[ndarray, "q"], fraction: float) -> Bool[ndarray, "q"]:
    """The ceil(fraction * q) largest rewards; ties go to the lower position."""
    count = int(np.ceil(fraction * len(reward) - 1e-9))
    mask = np.zeros(len(reward), bool)
    mask[np.argsort(-reward, kind="stable")[:count]] = True
    return mask


def recall(measured: Bool[ndarray, "q"], wanted: Bool[ndarray, "q"]) -> float:
    """Share of the wanted pairs that are measured; nan when none is wanted."""
    return float(measured[wanted].mean()) if wanted.any() else float("nan")


def regret(
    reward: Float[ndarray, "q"], rounds: list[Int[ndarray, "_"]]
) -> Float[ndarray, "rounds"]:
    """Reward lost to the oracle in each round, >= 0 in sum.

    rho_t = sum of the ranks (t-1) b + 1 .. t b of the oracle's order - sum of what was chosen.
    """
    order = np.sort(reward)[::-1]
    ends = np.cumsum([len(chosen) for chosen in rounds])
    oracle = np.add.reduceat(order[: ends[-1]], np.r_[0, ends[:-1]])
    return oracle - np.array([reward[chosen].sum() for chosen in rounds])


def area(n_measured: Int[ndarray, "t"], found: Float[ndarray, "t"], total: int) -> float:
    """Area under the discovery curve from (0, 0), as a share of the measured range of pairs."""
    x = np.r_[0, n_measured] / total
    return float(np.trapezoid(np.r_[0.0, found], x) / x[-1])


class Known(NamedTuple):
    """Known relations among the measured pairs, with their denominator and the chance level."""

    found: int
    total: int
    expected: float
    low: float
    high: float


def known(measured: Bool[ndarray, "q"], relation: Bool[ndarray, "q"], level: float = 0.95) -> Known:
    """Count against a random choice of as many pairs: hypergeometric mean and central interval."""
    q, total, n = len(relation), int(relation.sum()), int(measured.sum())
    chance = hypergeom(q, total, n)
    low, high = chance.interval(level) if 0 < n < q and total else (n * total / q,) * 2
    found = int((measured & relation).sum())
    return Known(found, total, n * total / q, float(low), float(high))


class Paired(NamedTuple):
    """Two policies on the same seeds: how often the first had more, less, as much."""

    wins: int
    losses: int
    ties: int
    p: float


def sign_test(first: Float[ndarray, "seeds"], second: Float[ndarray, "seeds"]) -> Paired:
    """Two-sided sign test of paired figures; ties say nothing, and without others p is 1."""
    wins, losses = int((first > second).sum()), int((first < second).sum())
    p = binomtest(wins, wins + losses).pvalue if wins + losses else 1.0
    return Paired(wins, losses, len(first) - wins - losses, float(p))


def auroc(score: Float[ndarray, "q"], label: Bool[ndarray, "q"]) -> float:
    """Chance that a true pair scores above a false one, ties counting half; nan with one class."""
    positive = int(label.sum())
    negative = len(label) - positive
    if not positive or not negative:
        return float("nan")
    ranks = rankdata(score.astype(np.float64))[label]
    # the Mann-Whitney statistic; mean first, so that ranks of millions lose nothing
    return float((ranks.mean() - (positive + 1) / 2) / negative)


def average_precision(score: Float[ndarray, "q"], label: Bool[ndarray, "q"]) -> float:
    """Sum over distinct thresholds of (recall gained) x precision; nan where no pair is true.

    Tied pairs enter together, as in scikit-learn; by chance it is the share of true pairs.
    """
    if not label.any() or np.isnan(score).any():
        return float("nan")
    order = np.argsort(-score, kind="stable")
    last = np.flatnonzero(np.r_[np.diff(score[order]) != 0, True])
    found = np.cumsum(label[order])[last]
    return float((np.diff(found, prepend=0) * found / (last + 1)).sum() / label.sum())
