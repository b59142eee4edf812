"""Which cells train, validate and are held out.

The splits of "Predicting Cellular Responses with Variational Causal Inference and Refined
Relational Information": the perturbations that are hardest to predict are held out in one category
of a covariate; of all other cells 80 % train and 20 % validate, at random.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from epistax.engine.response.records import Cells
from epistax.engine.response.strata import Groups

SEED, TRAIN = 42, 0.8


class Split(NamedTuple):
    """Cells by what they are for, each once: positions, ascending."""

    train: Int[ndarray, "n"]
    test: Int[ndarray, "v"]
    ood: Int[ndarray, "o"]
    held: Bool[ndarray, "c a"]  # the combinations that are held out


def distances(
    groups: Groups, label: Int[ndarray, "a"], size: int, strata: Bool[ndarray, "c"]
) -> Float[ndarray, "p"]:
    """How far each perturbation's cells lie from all others: the L2 norm of a difference of means.

    label names the perturbation of an arm, of `size` in all. Only cells of the given strata count;
    -inf where a perturbation, or its complement, has none of them.
    """
    weight = np.where(strata[:, None], groups.count, 0)
    number = np.bincount(label, weights=weight.sum(0), minlength=size)
    each = (weight[:, :, None] * groups.mean).sum(0)
    total = np.zeros((size, groups.mean.shape[2]))
    np.add.at(total, label, each)
    rest = number.sum() - number
    inside = total / np.maximum(number, 1)[:, None]
    outside = (total.sum(0) - total) / np.maximum(rest, 1)[:, None]
    size_of = np.linalg.norm(inside - outside, axis=1)
    return np.where((number > 0) & (rest > 0), size_of, -np.inf)


def hardest(far: Float[ndarray, "p"], there: Bool[ndarray, "p"], count: int) -> Bool[ndarray, "p"]:
    """The perturbations of largest distance among those that are there; ties go to the first."""
    order = np.argsort(np.where(there, -far, np.inf), kind="stable")[: min(count, there.sum())]
    chosen = np.zeros(len(far), bool)
    chosen[order] = True
    return chosen


def split(cells: Cells, held: Bool[ndarray, "c a"], *, seed: int = SEED) -> Split:
    """The cells of held-out combinations apart, the others divided at random."""
    out = held[np.asarray(cells.stratum), np.asarray(cells.arm)]
    rest = np.flatnonzero(~out)
    order = np.random.default_rng(seed).permutation(rest)
    n = int(round(TRAIN * len(rest)))
    return Split(np.sort(order[:n]), np.sort(order[n:]), np.flatnonzero(out), held)
