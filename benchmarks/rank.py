"""All pairs of 20,000 perturbations from their single effects, and what random features miss.

Simulated: 1 % of the genes widen 16 features and shift no mean, 40 % do nothing, the others shift
the mean along the direction of their pathway, by log-normal amounts. `rank` embeds the cells, tests
which genes do anything and keeps the nearest 10,000 pairs of those, computed exactly; its reference
is given the genes and makes the same features and the whole matrix with numpy. Beside it stand the
audit (recall of the exact top 1 % of random pairs and of all pairs of some genes) and how many of
the genes that shift no mean are seen, and of their pairs kept, by MMD and by cosine. Of its parts:
`rank.features` are the mean random features alone, `rank.exact` exact MMD of pairs, `rank.cosine`
the cosines of mean effects, whose whole matrix EFAAR makes.
"""

from collections.abc import Iterator
from functools import partial
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from epistax.benchmarks import harness
from epistax.benchmarks.harness import Record, Timed
from epistax.benchmarks.rankdata import (
    KEEP,
    best,
    data,
    numpy_means,
)
from epistax.benchmarks.rankparts import (
    agree_exact,
    cosines,
    dense_cosines,
    exact,
    features,
    numpy_features,
    sklearn_exact,
)
from epistax.engine.interaction import alone, audit, paired
from epistax.engine.interaction.alone import Alone
from epistax.engine.interaction.randomfeatures import frequencies
from epistax.engine.interaction.ranking import MEASURES, of_pairs
from epistax.engine.pairs import Pairs, count, rank
from epistax.engine.screen import Screen
from epistax.engine.stats.fdr import benjamini_hochberg

LEVEL, COUNT = 0.05, 768
AUDITED, AMONG, SHARE = 200_000, 500, 0.01
NEAR = MEASURES["mmd:near"]


class Ranked(NamedTuple):
    """What ours finds."""

    effects: Alone
    active: np.ndarray
    pairs: Pairs
    exact: np.ndarray


def suite(*, size: int | None, repeats: int, seed: int) -> Iterator[Record]:
    """2,000 and 20,000 genes of 200 cells in 64 features, or the given number."""
    run = partial(harness.measure, repeats=repeats)
    for genes in (size,) if size else (2000, 20_000):
        how = {"genes": genes, "cells": 200, "features": 64, "seed": seed}
        turns = run if genes <= 5000 else partial(harness.measure, repeats=min(repeats, 2))
        if genes <= 5000:
            agree(**how)
        record = turns("rank", how, ours, dense, "the same features and matrix, numpy")
        yield record | {"pairs": count(genes)} | audited(**how)
        how |= {"frequencies": 256}
        yield turns("rank.features", how, features, numpy_features, "numpy cos and sin")
    small = {"genes": 200, "cells": 200, "features": 64, "seed": seed, "pairs": 1000}
    agree_exact(**small)
    yield run("rank.exact", small, exact, sklearn_exact, "scikit-learn rbf_kernel, pair by pair")
    wide = {"genes": min(size or 10_000, 10_000), "features": 64, "seed": seed}
    yield run("rank.cosine", wide, cosines, dense_cosines, "whole matrix and argpartition, numpy")


def ours(genes: int, cells: int, features: int, seed: int) -> Timed:
    """Embed, test, rank all pairs of what does anything, compute the kept ones exactly."""
    screen = data(genes, cells, features, seed).screen
    return lambda: ranked(screen, seed).exact


def ranked(screen: Screen, seed: int) -> Ranked:
    """All of it."""
    how = {"kernel": "rbf", "length_scale": paired.bandwidth(screen, seed=seed)}
    effects = alone.embed(screen, count=COUNT, seed=seed, **how)
    q = benjamini_hochberg(effects.p.astype(np.float64))
    active = np.flatnonzero(q <= LEVEL)
    found = best(effects.singles, active, NEAR)
    return Ranked(effects, active, found, alone.exact(screen, effects, found, NEAR.formula, **how))


def dense(genes: int, cells: int, features: int, seed: int) -> Timed:
    """The same with numpy: features gene by gene, one matrix, its upper triangle partitioned."""
    screen = data(genes, cells, features, seed).screen
    active = ranked(screen, seed).active
    scale = paired.bandwidth(screen, seed=seed)
    turns = frequencies("rbf", features, COUNT, length_scale=scale, seed=seed)
    noise = alone.embed(
        screen._replace(first=screen.first[:3], count=screen.count[:3], units=screen.units[:3]),
        kernel="rbf",
        length_scale=scale,
        count=8,
        seed=seed,
    ).singles.origin

    def choose() -> np.ndarray:
        mean = numpy_means(screen, turns)
        vector = (mean[1:] - mean[0])[active]
        square = (vector**2).sum(axis=1)
        value = vector @ vector.T
        value -= noise
        value /= (square[:, None] + square[None, :]) / 2
        value[np.tril_indices(len(active))] = -np.inf
        top = np.argpartition(value, -min(KEEP, count(len(active))), axis=None)[-KEEP:]
        i, j = np.divmod(top, len(active))
        return rank(Pairs(active[i], active[j]), genes)

    return choose


def agree(**how: int) -> None:
    """Both sides choose the same pairs, or there is nothing to compare."""
    found = ranked(data(**how).screen, how["seed"]).pairs
    mine, theirs = rank(found, how["genes"]), dense(**how)()
    if (shared := np.isin(mine, theirs).mean()) < 0.999:
        raise RuntimeError(f"the two sides share {shared:.3f} of the pairs they choose")


def audited(genes: int, cells: int, features: int, seed: int) -> Record:
    """What the random features miss of the exact top, and which genes are seen at all."""
    screen, kind = data(genes, cells, features, seed)
    found = ranked(screen, seed)
    how = {"kernel": "rbf", "length_scale": paired.bandwidth(screen, seed=seed)}
    p, record = len(found.active), {}
    every = np.arange(genes)
    samples = {
        "near": (NEAR, found.active, audit.drawn(p, AUDITED, seed=seed)),
        "near_of_genes": (NEAR, found.active, audit.among(p, min(AMONG, p), seed=seed)),
        "far": (MEASURES["mmd:far"], every, audit.drawn(genes, AUDITED, seed=seed)),
    }
    begun = perf_counter()
    for name, (measure, of, drawn) in samples.items():
        pairs = Pairs(of[drawn.i].astype(np.int32), of[drawn.j].astype(np.int32))
        near = of_pairs(found.effects.singles, pairs, measure.formula)
        exact = alone.exact(screen, found.effects, pairs, measure.formula, **how)
        both = (measure.sign * exact, measure.sign * near.astype(np.float64))
        if name == "near_of_genes":
            recall = audit.of_genes(*both, pairs, SHARE, seed=seed)
        else:
            recall = audit.of_pairs(*both, SHARE)
        record[f"recall_{name}"] = {"pairs": len(exact)} | recall._asdict()
    record["audit_seconds"] = perf_counter() - begun
    return record | {"random_features": 2 * COUNT} | seen(screen, kind, found, seed)


def seen(screen: Screen, kind: np.ndarray, found: Ranked, seed: int) -> dict[str, Any]:
    """Of the genes that shift no mean: how many are active, how many of their pairs are kept."""
    linear = alone.embed(screen, kernel="linear", length_scale=1.0, count=0, seed=seed).singles
    by_mmd = np.isin(np.arange(len(kind)), found.active)
    by_cosine = best(linear, found.active, MEASURES["cosine:near"])

    def widened(pairs: Pairs) -> int:
        return int(((kind[pairs.i] == 2) & (kind[pairs.j] == 2)).sum())

    return {
        "widened": int((kind == 2).sum()),
        "widened_active": int(by_mmd[kind == 2].sum()),
        "widened_pairs_by_mmd": widened(found.pairs),
        "widened_pairs_by_cosine": widened(by_cosine),
        "inert": int((kind == 1).sum()),
        "inert_active": int(by_mmd[kind == 1].sum()),
        "active": int(by_mmd.sum()),
    }


if __name__ == "__main__":
    harness.main(suite)
