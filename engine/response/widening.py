"""How far measured changes lie from those predicted without them: what standard deviations lack.

A share of all combinations of context and arm is left out and predicted from the others, in turn,
until each was; sd^2 becomes (a sd)^2 + (b shift)^2, with a and b such that 90 % of the measured
means lie within 90 % intervals, among large predicted shifts as among small ones.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from epistax.engine.response.expected import Full
from epistax.engine.response.strata import Groups

FOLDS = 4
HOLD, WITHIN = 0.9, 1.6449  # of a normal, within so many sds of its mean
FACTORS = np.geomspace(0.7, 3.0, 16)
SHARES = np.linspace(0.0, 0.6, 13)
LARGE = 0.9  # quantile of |shift| from which it is large


class Wider(NamedTuple):
    """sd^2 becomes (factor sd)^2 + (share shift)^2."""

    factor: float
    share: float


class Missed(NamedTuple):
    """Combinations left out: predicted shift and sd, error, and variance of what was measured."""

    shift: Float[ndarray, "n"]
    sd: Float[ndarray, "n"]
    error: Float[ndarray, "n"]
    variance: Float[ndarray, "n"]


def folds(context: Int[ndarray, "c"], arms: int) -> list[Bool[ndarray, "c a"]]:
    """Combinations of stratum and arm to leave out together, never the control."""
    number = context[:, None] + np.arange(arms)[None, :]
    return [(number % FOLDS == f) & (np.arange(arms) > 0)[None, :] for f in range(FOLDS)]


def without(groups: Groups, out: Bool[ndarray, "c a"]) -> Groups:
    """The groups without these."""
    gone = out[:, :, None]
    return Groups(
        np.where(out, 0, groups.count),
        np.where(gone, 0.0, groups.mean),
        np.where(gone, 0.0, groups.variance),
    )


def missed(
    groups: Groups,
    context: Int[ndarray, "c"],
    predict: Callable[[Groups], Full],
    within: Float[ndarray, "c g"],
) -> Missed:
    """Errors of all that were left out, but of arms that were left in nowhere."""
    found = [Missed(*[np.empty(0)] * 4)]
    for out in folds(context, groups.count.shape[1]):
        rest = without(groups, out)
        judged = out & (groups.count > 1) & (rest.count.sum(0) > 0)[None, :]
        if not judged.any():
            continue
        told = predict(rest)
        c, a = np.nonzero(judged)
        error = groups.mean[c, a] - told.base[c] - told.shift[c, a]
        variance = within[c] / groups.count[c, a][:, None]
        parts = (told.shift[c, a], told.shift_sd[c, a], error, variance)
        found.append(Missed(*(x.reshape(-1) for x in parts)))
    return Missed(*(np.concatenate(x) for x in zip(*found, strict=True)))


def widened(errors: Missed) -> Wider:
    """The factor and share that come nearest to holding; (1, 0) where nothing could be left out."""
    if not len(errors.error):
        return Wider(1.0, 0.0)
    size = np.abs(errors.shift)
    large = size >= np.quantile(size, LARGE)
    best, least = Wider(1.0, 0.0), np.inf
    for factor in FACTORS:
        for share in SHARES:
            spread = (factor * errors.sd) ** 2 + (share * errors.shift) ** 2 + errors.variance
            inside = errors.error**2 <= WITHIN**2 * spread
            off = sum((inside[part].mean() - HOLD) ** 2 for part in (large, ~large) if part.any())
            if off < least:
                best, least = Wider(float(factor), float(share)), off
    return best
