"""What has been measured, as arrays.

`Measured` is the pair table a belief is fitted to, one score a pair; `Screen` is what such scores
come from, many observations of every perturbation.
"""

import math
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Shaped
from numpy import ndarray

from epistax.engine.pairs import Pairs


class Measured(NamedTuple):
    """Pairs measured so far, padded to a fixed length so that no round compiles again.

    score is as read, 0 where mask is False; se is its standard error where known, else 0.
    """

    pairs: Pairs
    score: Float[Array | ndarray, "q"]
    se: Float[Array | ndarray, "q"]
    mask: Bool[Array | ndarray, "q"]


class Candidates(NamedTuple):
    """The pool a policy chooses from: every pair of a run, which are open, how many remain to pick.

    remaining counts all selections still to be made in the run, this batch included
    (spec: q_t = b (T - t + 1)), and never exceeds the number of open pairs.
    """

    pairs: Pairs
    open: Bool[Array, "q"]
    remaining: Int[Array, ""]


def gather(
    pairs: Pairs,
    score: Float[ndarray, "q"],
    se: Float[ndarray, "q"],
    chosen: Int[ndarray, "m"],
    *,
    length: int,
) -> Measured:
    """The table of the chosen pairs, padded to length; nothing else of score is looked at."""
    if len(chosen) > length:
        raise ValueError(f"{len(chosen)} measured pairs do not fit a table of {length}; raise it")
    index = np.zeros(length, np.int64)
    index[: len(chosen)] = chosen
    mask = np.arange(length) < len(chosen)
    i, j = (jnp.asarray(np.asarray(x)[index].astype(np.int32)) for x in pairs)
    score, se = (
        jnp.asarray(np.where(mask, np.asarray(x)[index], 0).astype(np.float32)) for x in (score, se)
    )
    return Measured(Pairs(i, j), score, se, jnp.asarray(mask))


class Screen(NamedTuple):
    """n observations of d features, sorted by class, and where each class lies.

    Class 0 is the control, 1 .. p are the single perturbations, p + 1 .. p + q the pairs. A unit
    is what was drawn independently: a well, or the observation itself; units are numbered within
    their class. owner is the class an observation was made in: it differs from the class it
    stands in where singles are represented by the pairs they occur in (`marginal`).
    """

    x: Float[Array | ndarray, "n d"]
    unit: Int[Array | ndarray, "n"]
    owner: Int[Array | ndarray, "n"]
    first: Int[ndarray, "c"]
    count: Int[ndarray, "c"]
    units: Int[ndarray, "c"]
    pairs: Pairs

    @property
    def singles(self) -> int:
        """The number p of perturbations, measured alone or not."""
        return len(self.first) - 1 - len(self.pairs.i)


def screen(
    x: Float[ndarray, "n d"], codes: Int[ndarray, "n 2"], *, p: int, well: Int[ndarray, "n"] | None
) -> Screen:
    """Observations by what they carry: codes are (-1, -1), (-1, i) or (i, j) with i < j < p."""
    owner, pairs = classes(codes, p)
    return arrange(x, np.arange(len(x)), owner, owner, p=p, pairs=pairs, well=well)


def marginal(
    x: Float[ndarray, "n d"],
    codes: Int[ndarray, "n 2"],
    *,
    p: int,
    well: Int[ndarray, "n"] | None,
    most: int,
    seed: int,
) -> Screen:
    """The same for residuals of a fit of main effects, where no single stands for itself.

    The control is a random sample of the pairs' observations and a single one of those of the
    pairs it occurs in, at most `most` each: around zero, whatever does not interact.
    """
    owner, pairs = classes(codes, p)
    both = np.flatnonzero(codes[:, 0] >= 0)
    order = np.random.default_rng(seed).permutation(both)
    rows, stands = [order[: 5 * most], both], [np.zeros(len(order[: 5 * most]), int), owner[both]]
    member = codes[order].ravel()  # an observation's two side by side: neither kind goes first
    by_member = np.argsort(member, kind="stable")
    starts = np.searchsorted(member[by_member], np.arange(p + 1))
    for i in range(p):
        chosen = order[by_member[starts[i] : starts[i + 1]][:most] // 2]
        rows.append(chosen)
        stands.append(np.full(len(chosen), 1 + i))
    place = np.concatenate(rows)
    return arrange(x, place, np.concatenate(stands), owner[place], p=p, pairs=pairs, well=well)


def classes(codes: Int[ndarray, "n 2"], p: int) -> tuple[Int[ndarray, "n"], Pairs]:
    """The class of every observation, and the pairs that occur, by (i, j)."""
    low, high = codes[:, 0].astype(np.int64), codes[:, 1].astype(np.int64)
    key = low * p + high
    found, number = np.unique(key[low >= 0], return_inverse=True)
    owner = np.where(high >= 0, 1 + high, 0)
    owner[low >= 0] = 1 + p + number
    return owner, Pairs((found // p).astype(np.int32), (found % p).astype(np.int32))


def taken(x: Shaped[ndarray, "n ..."], rows: Int[ndarray, "m"]) -> Shaped[ndarray, "m ..."]:
    """x[rows], where a processor's programs can read it in place: at a multiple of 64 bytes."""
    shape = (len(rows), *x.shape[1:])
    room = np.empty(x.itemsize * math.prod(shape) + 64, np.uint8)
    first = -room.ctypes.data % 64
    out = room[first : len(room) - 64 + first].view(x.dtype).reshape(shape)
    return np.take(x, rows, axis=0, out=out, mode="clip")  # "raise" would make a copy first


def arranged(stands: Int[ndarray, "n"], draw: Int[ndarray, "n"]) -> Int[ndarray, "n"]:
    """The order that a screen keeps its observations in: by class, then by what was drawn."""
    return np.lexsort((draw, stands))


def arrange(
    x: Float[ndarray, "n d"],
    rows: Int[ndarray, "m"],
    stands: Int[ndarray, "m"],
    owner: Int[ndarray, "m"],
    *,
    p: int,
    pairs: Pairs,
    well: Int[ndarray, "n"] | None,
) -> Screen:
    """Rows of x sorted by the class they stand in, units numbered within each."""
    draw = rows if well is None else well[rows]
    order = arranged(stands, draw)
    stands, draw = stands[order], draw[order]
    size = 1 + p + len(pairs.i)
    count = np.bincount(stands, minlength=size)
    first = np.r_[0, np.cumsum(count)[:-1]]
    new = np.r_[True, (stands[1:] != stands[:-1]) | (draw[1:] != draw[:-1])]
    number = np.cumsum(new) - 1
    unit = number - number[np.minimum(first, len(rows) - 1)][stands]
    units = np.bincount(stands[new], minlength=size)
    kept = (taken(x, rows[order]), unit.astype(np.int32), owner[order].astype(np.int32))
    return Screen(*kept, first.astype(np.int64), count, units, pairs)
