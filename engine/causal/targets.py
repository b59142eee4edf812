"""Which true latent each environment is said to act on, and whether that is right.

Latents have no names: they are matched with the true ones by the correlations of encoded means
with true latents over samples of the reference, where no environment has moved anything, so that
the matching knows nothing of targets. An environment then acts on the latent that it shifts most.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.optimize import linear_sum_assignment

NOBODY = -1  # a true latent without a partner; a latent that is nobody's


class Matched(NamedTuple):
    """The latent of each of d true ones."""

    latent: Int[ndarray, "d"]  # NOBODY where there are too few
    correlation: Float[ndarray, "d"]  # 0 .. 1, in size
    mcc: float  # their mean


class Scores(NamedTuple):
    """How well targets are named: both 0 .. 1."""

    f1: float  # mean over the true latents that are targets at all
    accuracy: float  # share of environments


def matched(encoded: Float[ndarray, "n k"], truth: Float[ndarray, "n d"]) -> Matched:
    """The matching of largest total |correlation|, over samples of the reference."""
    d = truth.shape[1]
    size = np.abs(correlations(encoded, truth))
    row, column = linear_sum_assignment(-size)
    latent, correlation = np.full(d, NOBODY), np.zeros(d)
    latent[row], correlation[row] = column, size[row, column]
    return Matched(latent, correlation, float(correlation.mean()))


def correlations(
    encoded: Float[ndarray, "n k"], truth: Float[ndarray, "n d"]
) -> Float[ndarray, "d k"]:
    """Of every true latent with every encoded one; 0 where one of them does not vary."""
    both = [(x - x.mean(axis=0)[None, :]).astype(np.float64) for x in (truth, encoded)]
    lengths = np.linalg.norm(both[0], axis=0)[:, None] * np.linalg.norm(both[1], axis=0)[None, :]
    product = both[0].T @ both[1]
    return np.divide(product, lengths, out=np.zeros_like(product), where=lengths > 0)


def named(shift: Float[ndarray, "e k"], match: Matched) -> Int[ndarray, "e"]:
    """The true latent that each environment shifts most, NOBODY where its latent has no match.

    shift is in sds of the reference, of either sign.
    """
    truth = np.full(shift.shape[1], NOBODY)
    known = np.flatnonzero(match.latent != NOBODY)
    truth[match.latent[known]] = known
    return truth[np.argmax(np.abs(shift), axis=1)]


def scores(named: Int[ndarray, "e"], target: Int[ndarray, "e"]) -> Scores:
    """Against the true targets, of environments that have one."""
    f1 = []
    for latent in np.unique(target):
        said, true = named == latent, target == latent
        f1.append(2 * float((said & true).sum()) / float(said.sum() + true.sum()))
    return Scores(float(np.mean(f1)), float((named == target).mean()))
