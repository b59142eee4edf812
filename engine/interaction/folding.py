"""Deal a screen's observations into folds: whole wells, every class evenly."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Float, Int
from numpy import ndarray

from epistax.engine.screen import Screen


class Folds(NamedTuple):
    """A screen's observations, standardised, sorted by fold, class and unit."""

    x: Float[Array | ndarray, "n d"]
    label: Int[Array | ndarray, "n"]  # of the classes kept, 0 the control
    unit: Int[ndarray, "n"]  # within fold and class
    first: Int[ndarray, "k c"]  # where a class lies in a fold
    count: Int[ndarray, "k c"]
    units: Int[ndarray, "k c"]
    members: Int[ndarray, "c 2"]  # what each class carries: (-1, -1), (-1, i) or (i, j)
    rows: Int[ndarray, "n"]  # of the screen

    @property
    def ends(self) -> Int[ndarray, "l"]:
        """Where folds begin, and where the last one ends."""
        return np.r_[0, np.cumsum(self.count.sum(axis=1))]


def fold(
    screen: Screen,
    kept: Bool[ndarray, "c"],
    *,
    folds: int,
    seed: int,
    channels: int | None = None,
    group: Int[ndarray, "n"] | None = None,
) -> Folds:
    """Deal the units of the classes kept into folds; features get mean 0 and variance 1.

    Images are so by their channels, which alternate fastest. Every kept class needs at least as
    many units as there are folds. group has the fold of every observation, where they are dealt
    already; no unit may be torn.
    """
    stands = np.repeat(np.arange(len(screen.count)), screen.count)
    starts = np.r_[0, np.cumsum(screen.units)]
    place = starts[stands] + screen.unit  # units of all classes, numbered through
    if group is None:
        group = deal(screen, folds=folds, seed=seed)[place]
    rows = np.flatnonzero(kept[stands])
    number = np.cumsum(kept) - 1  # a class's number among those kept
    label, group, place = number[stands[rows]], group[rows], place[rows]
    order = np.lexsort((place, label, group))
    rows, label, group, place = (v[order] for v in (rows, label, group, place))
    size = (folds, int(kept.sum()))
    cell = group * size[1] + label
    count = np.bincount(cell, minlength=size[0] * size[1])
    first = np.r_[0, np.cumsum(count)[:-1]]
    new = np.r_[True, (cell[1:] != cell[:-1]) | (place[1:] != place[:-1])]
    through = np.cumsum(new) - 1
    units = np.bincount(cell[new], minlength=len(count))
    unit = through - np.r_[0, np.cumsum(units)[:-1]][cell]
    p = screen.singles
    members = np.full((len(kept), 2), -1)
    members[1 : 1 + p, 1] = np.arange(p)
    members[1 + p :] = np.stack([screen.pairs.i, screen.pairs.j], axis=1)
    shaped = (v.reshape(size) for v in (first, count, units))
    x = standardised(np.asarray(screen.x), rows, channels)
    return Folds(x, label.astype(np.int32), unit.astype(np.int32), *shaped, members[kept], rows)


def deal(screen: Screen, *, folds: int, seed: int) -> Int[ndarray, "u"]:
    """The fold of every unit, units of all classes numbered through; those of a class in turn."""
    starts = np.r_[0, np.cumsum(screen.units)]
    rank = np.random.default_rng([seed, folds]).random(starts[-1])
    owner = np.repeat(np.arange(len(screen.units)), screen.units)
    order = np.lexsort((rank, owner))
    dealt = np.empty(starts[-1], np.int64)
    dealt[order] = (np.arange(starts[-1]) - starts[owner] + owner) % folds
    return dealt


def standardised(
    x: Float[ndarray, "n d"],
    rows: Int[ndarray, "m"],
    channels: int | None,
    *,
    of: Int[ndarray, "l"] | None = None,
) -> Float[ndarray, "m d"]:
    """The rows, each feature or channel of mean 0 and variance 1 over them, or over rows `of`."""
    wide = channels or x.shape[1]
    taken = x[rows].reshape(len(rows), -1, wide)
    over = taken if of is None else x[of].reshape(len(of), -1, wide)
    mean, sd = (f(over, axis=(0, 1), dtype=np.float64).astype(x.dtype) for f in (np.mean, np.std))
    return ((taken - mean) / np.where(sd > 0, sd, 1)).reshape(len(rows), x.shape[1])
