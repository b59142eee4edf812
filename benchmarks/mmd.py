"""MMD tests of pairs: shared blocks and a spectral null, against scikit-learn pair by pair.

The reference pools the four arms of a pair, lets scikit-learn make their Gram matrix and takes
w'Kw; its p-value permutes the labels 999 times in one matrix product. Ours prepares the screen
once (part of the first call), then tests its pairs; every call takes all pairs.
"""

from collections.abc import Iterator

import numpy as np

from epistax.benchmarks import harness
from epistax.benchmarks.harness import Record, Timed
from epistax.engine.interaction import paired
from epistax.engine.interaction.disjointness import CONTRAST
from epistax.engine.pairs import upper
from epistax.engine.screen import Screen, screen

PERMUTATIONS = 999
LENGTH = 10.0  # of the RBF kernel: about the median distance of 50 features


def suite(*, size: int | None, repeats: int, seed: int) -> Iterator[Record]:
    """Twenty genes, 190 pairs: 100 cells of 50 features, 300 cells of 128; or `size` cells."""
    cases = [(100, 50), (300, 128)] if size is None else [(size, 50)]
    for cells, d in cases:
        scale = {"genes": 20, "pairs": 190, "cells": cells, "features": d, "seed": seed}
        agree(**scale)
        name = "scikit-learn rbf_kernel, pooled per pair"
        yield harness.measure(
            "mmd.estimate", scale, estimate, sklearn_estimate, name, repeats=repeats
        )
        name = f"scikit-learn rbf_kernel, {PERMUTATIONS} permutations"
        yield harness.measure("mmd.pvalue", scale, pvalue, sklearn_pvalue, name, repeats=repeats)


def agree(**scale: int) -> None:
    """Both sides compute the same number, or there is nothing to compare."""
    ours, theirs = np.asarray(estimate(**scale)()), np.asarray(sklearn_estimate(**scale)())
    if not np.allclose(ours, theirs, atol=1e-6):
        raise RuntimeError(f"estimates differ by up to {np.abs(ours - theirs).max():.3g}")


def data(genes: int, pairs: int, cells: int, features: int, seed: int) -> Screen:
    """Every class as many cells; genes shift a few features, doubles both genes'."""
    rng = np.random.default_rng(seed)
    shift = rng.normal(size=(genes, features)) * (rng.random((genes, features)) < 0.1)
    i, j = upper(genes)
    codes = np.r_[[[-1, -1]], [[-1, k] for k in range(genes)], np.stack([i, j], axis=1)]
    mean = np.stack([sum((shift[k] for k in row if k >= 0), np.zeros(features)) for row in codes])
    rows = np.repeat(np.arange(len(codes)), cells)
    x = (mean[rows] + rng.normal(size=(len(rows), features))).astype(np.float32)
    return screen(x, codes[rows], p=genes, well=None)


def estimate(genes: int, pairs: int, cells: int, features: int, seed: int) -> Timed:
    """Ours without a null distribution: the V-statistics of all pairs."""
    made = data(genes, pairs, cells, features, seed)
    test = paired.disjoint(made, kernel="rbf", length_scale=LENGTH, seed=0, inference=False)
    every = np.arange(pairs)
    return lambda: test(every).biased


def pvalue(genes: int, pairs: int, cells: int, features: int, seed: int) -> Timed:
    """Ours: statistic, standard error and p-value of all pairs."""
    made = data(genes, pairs, cells, features, seed)
    test = paired.disjoint(made, kernel="rbf", length_scale=LENGTH, seed=0)
    every = np.arange(pairs)
    return lambda: test(every).p


def sklearn_estimate(genes: int, pairs: int, cells: int, features: int, seed: int) -> Timed:
    """Pair by pair, w'Kw of the pooled arms."""
    made = data(genes, pairs, cells, features, seed)
    w = np.repeat(CONTRAST, cells) / cells
    return lambda: np.array([w @ pooled_gram(made, k) @ w for k in range(pairs)])


def sklearn_pvalue(genes: int, pairs: int, cells: int, features: int, seed: int) -> Timed:
    """The same with permuted weights."""
    made = data(genes, pairs, cells, features, seed)
    rng = np.random.default_rng(seed)
    w = (np.repeat(CONTRAST, cells) / cells).astype(np.float32)
    shuffled = rng.permuted(np.tile(w, (PERMUTATIONS, 1)), axis=1)

    def one(k: int) -> float:
        gram = pooled_gram(made, k)
        drawn = np.einsum("bu,bu->b", shuffled @ gram, shuffled)
        return (1 + int((drawn >= w @ gram @ w).sum())) / (1 + PERMUTATIONS)

    return lambda: np.array([one(k) for k in range(pairs)])


def pooled_gram(made: Screen, k: int) -> np.ndarray:
    """Gram matrix of control, both singles and the pair."""
    from sklearn.metrics.pairwise import rbf_kernel

    i, j = int(made.pairs.i[k]), int(made.pairs.j[k])
    parts = [0, 1 + i, 1 + j, 1 + made.singles + k]
    spans = [slice(made.first[c], made.first[c] + made.count[c]) for c in parts]
    x = np.concatenate([made.x[span] for span in spans])
    return rbf_kernel(x, gamma=0.5 / LENGTH**2)


if __name__ == "__main__":
    harness.main(suite)
