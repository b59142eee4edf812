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

import jax
import numpy as np

from epistax.benchmarks import harness
from epistax.benchmarks.harness import Record, Timed
from epistax.engine import stream
from epistax.engine.interaction import alone, audit, paired
from epistax.engine.interaction.alone import Alone
from epistax.engine.interaction.arms import Arm
from epistax.engine.interaction.randomfeatures import frequencies, mean_features
from epistax.engine.interaction.ranking import MEASURES, Measure, Singles, of_pairs
from epistax.engine.pairs import Pairs, count, rank
from epistax.engine.screen import Screen
from epistax.engine.stats.fdr import benjamini_hochberg

CONTROLS, PATHWAY, WIDE = 2000, 50, 1.6
KEEP, LEVEL, COUNT = 10_000, 0.05, 768
AUDITED, AMONG, SHARE = 200_000, 500, 0.01
NONE = Pairs(np.zeros(0, np.int32), np.zeros(0, np.int32))
NEAR = MEASURES["mmd:near"]


class Cells(NamedTuple):
    """Observations of all genes, and what each gene does."""

    screen: Screen
    kind: np.ndarray  # 0 shifts the mean, 1 nothing, 2 widens


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


def data(genes: int, cells: int, features: int, seed: int, **_: int) -> Cells:
    """Sorted by gene and made in place: the observations are held once."""
    rng = np.random.default_rng(seed)
    pathway = rng.integers(max(1, genes // PATHWAY), size=genes)
    kind = rng.choice(3, size=genes, p=[0.59, 0.4, 0.01])
    direction = rng.normal(size=(pathway.max() + 1, features))
    direction /= np.linalg.norm(direction, axis=1)[:, None]
    own = rng.normal(size=(genes, features)) / features**0.5
    amount = np.exp(rng.normal(0, 0.6, size=genes)) * (kind == 0)
    shift = amount[:, None] * (direction[pathway] + 0.5 * own)
    wide = np.ones((4, features))
    for row in wide:
        row[rng.permutation(features)[:16]] = WIDE
    scale = np.where((kind == 2)[:, None], wide[pathway % 4], 1)
    x = rng.standard_normal((CONTROLS + genes * cells, features), dtype=np.float32)
    counts = np.r_[CONTROLS, np.full(genes, cells)]
    first = np.r_[0, np.cumsum(counts)[:-1]]
    for g in range(genes):
        block = x[first[1 + g] : first[1 + g] + cells]
        block *= scale[g].astype(np.float32)
        block += shift[g].astype(np.float32)
    unit = np.concatenate([np.arange(n, dtype=np.int32) for n in counts])
    owner = np.repeat(np.arange(1 + genes, dtype=np.int32), counts)
    return Cells(Screen(x, unit, owner, first, counts, counts.copy(), NONE), kind)


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


def best(singles: Singles, active: np.ndarray, measure: Measure) -> Pairs:
    """The first pairs of the given genes."""
    vector, square, excess = (np.asarray(v)[active] for v in singles[:3])
    held = Singles(vector, square, excess, np.float32(singles.origin))
    p = len(active)
    number = min(KEEP, count(p))
    top = stream.ranked(measure.score, stream.space(p, NONE), held, p=p, batch=number)
    return Pairs(active[top.pairs.i].astype(np.int32), active[top.pairs.j].astype(np.int32))


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


def features(genes: int, cells: int, features: int, seed: int, frequencies: int) -> Timed:
    """Ours: mean random features of all genes, block by block."""
    screen = data(genes, cells, features, seed).screen
    turns = jax.numpy.asarray(drawn_frequencies(features, frequencies, seed))
    every = np.arange(1 + genes)

    def means() -> np.ndarray:
        out = np.empty((1 + genes, 2 * frequencies), np.float32)
        for batch, arms in alone.arms_of(screen, every, None, lambda done: None):
            out[batch.index[: batch.real]] = np.asarray(of_arms(arms, turns))[: batch.real]
        return out

    return means


@jax.jit
def of_arms(arms: Arm, turns: jax.Array) -> jax.Array:
    """Mean features of the classes of a block."""
    return jax.lax.map(lambda arm: mean_features(arm.x, arm.weight, turns), arms)


def numpy_features(genes: int, cells: int, features: int, seed: int, frequencies: int) -> Timed:
    """The same with numpy, gene by gene."""
    screen = data(genes, cells, features, seed).screen
    turns = drawn_frequencies(features, frequencies, seed)
    return lambda: numpy_means(screen, turns)


def drawn_frequencies(d: int, number: int, seed: int) -> np.ndarray:
    """At the length scale of unit noise."""
    return frequencies("rbf", d, number, length_scale=(2 * d) ** 0.5, seed=seed)


def numpy_means(screen: Screen, turns: np.ndarray) -> np.ndarray:
    """Mean cosines and sines of every class."""
    out = np.empty((len(screen.count), 2 * turns.shape[1]), np.float32)
    angle = (2 * np.pi * turns).astype(np.float32)
    for c, (first, n) in enumerate(zip(screen.first, screen.count, strict=True)):
        phase = screen.x[first : first + n] @ angle
        out[c] = np.concatenate([np.cos(phase).mean(axis=0), np.sin(phase).mean(axis=0)])
    return out / turns.shape[1] ** 0.5


def exact(genes: int, cells: int, features: int, seed: int, pairs: int) -> Timed:
    """Ours: exact unbiased MMD^2 of random pairs."""
    screen = data(genes, cells, features, seed).screen
    how = {"kernel": "rbf", "length_scale": (2 * features) ** 0.5}
    effects = alone.embed(screen, count=8, seed=seed, **how)
    some, formula = audit.drawn(genes, pairs, seed=seed), MEASURES["mmd:far"].formula
    return lambda: alone.exact(screen, effects, some, formula, **how)


def sklearn_exact(genes: int, cells: int, features: int, seed: int, pairs: int) -> Timed:
    """Three Gram matrices a pair, those of the genes made once."""
    from sklearn.metrics.pairwise import rbf_kernel

    screen, gamma = data(genes, cells, features, seed).screen, 0.25 / features
    some = audit.drawn(genes, pairs, seed=seed)
    x = [screen.x[first : first + cells] for first in screen.first[1:]]
    within = [(rbf_kernel(v, gamma=gamma).sum() - cells) / cells / (cells - 1) for v in x]

    def one(i: int, j: int) -> float:
        return within[i] + within[j] - 2 * rbf_kernel(x[i], x[j], gamma=gamma).mean()

    return lambda: np.array([one(int(i), int(j)) for i, j in zip(*some, strict=True)])


def agree_exact(**how: int) -> None:
    """Both sides compute the same number."""
    mine, theirs = exact(**how)(), sklearn_exact(**how)()
    if not np.allclose(mine, theirs, atol=2e-6):
        raise RuntimeError(f"MMD differs by up to {np.abs(mine - theirs).max():.3g}")


def effects(genes: int, features: int, seed: int) -> np.ndarray:
    """Mean effects in pathways."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(genes // PATHWAY + 1, features))
    own = rng.normal(size=(genes, features))
    return (shared[rng.integers(len(shared), size=genes)] + own).astype(np.float32)


def cosines(genes: int, features: int, seed: int) -> Timed:
    """Ours: the first pairs by a running best over tiles."""
    h = effects(genes, features, seed)
    zero = np.zeros(genes, np.float32)
    held = Singles(h, (h**2).sum(axis=1), zero, 0.0)
    return lambda: best(held, np.arange(genes), MEASURES["cosine:near"])


def dense_cosines(genes: int, features: int, seed: int) -> Timed:
    """The whole matrix, its upper triangle partitioned."""
    h = effects(genes, features, seed)

    def choose() -> Pairs:
        unit = h / np.linalg.norm(h, axis=1, keepdims=True)
        value = unit @ unit.T
        value[np.tril_indices(genes)] = -np.inf
        return unrank_flat(np.argpartition(value, -KEEP, axis=None)[-KEEP:], genes)

    return choose


def unrank_flat(place: np.ndarray, p: int) -> Pairs:
    """Rows and columns of places in a square matrix."""
    i, j = np.divmod(place, p)
    return Pairs(i.astype(np.int32), j.astype(np.int32))


if __name__ == "__main__":
    harness.main(suite)
