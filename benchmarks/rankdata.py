"""Simulated single perturbations, and numpy's ways of comparing them, for the suite `rank`."""

from typing import NamedTuple

import numpy as np

from epistax.engine import stream
from epistax.engine.interaction.randomfeatures import frequencies
from epistax.engine.interaction.ranking import Measure, Singles
from epistax.engine.pairs import Pairs, count
from epistax.engine.screen import Screen

CONTROLS, PATHWAY, WIDE = 2000, 50, 1.6
KEEP = 10_000
NONE = Pairs(np.zeros(0, np.int32), np.zeros(0, np.int32))


class Cells(NamedTuple):
    """Observations of all genes, and what each gene does."""

    screen: Screen
    kind: np.ndarray  # 0 shifts the mean, 1 nothing, 2 widens


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


def best(singles: Singles, active: np.ndarray, measure: Measure) -> Pairs:
    """The first pairs of the given genes."""
    vector, square, excess = (np.asarray(v)[active] for v in singles[:3])
    held = Singles(vector, square, excess, np.float32(singles.origin))
    p = len(active)
    number = min(KEEP, count(p))
    top = stream.ranked(measure.score, stream.space(p, NONE), held, p=p, batch=number)
    return Pairs(active[top.pairs.i].astype(np.int32), active[top.pairs.j].astype(np.int32))


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


def unrank_flat(place: np.ndarray, p: int) -> Pairs:
    """Rows and columns of places in a square matrix."""
    i, j = np.divmod(place, p)
    return Pairs(i.astype(np.int32), j.astype(np.int32))
