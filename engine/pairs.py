"""Unordered pairs of p perturbations, as two int32 vectors with i < j.

Never the product i*p + j in 32 bits: it overflows above 46,340 perturbations.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Int
from numpy import ndarray


class Pairs(NamedTuple):
    """Pairs (i, j), i < j, as indices into the list of perturbations."""

    i: Int[Array | ndarray, "q"]
    j: Int[Array | ndarray, "q"]


def upper(p: int) -> Pairs:
    """All p(p-1)/2 pairs, row by row: (0,1), (0,2), ..., (p-2,p-1)."""
    i, j = np.triu_indices(p, k=1)
    return Pairs(i.astype(np.int32), j.astype(np.int32))


def count(p: int) -> int:
    """The number of unordered pairs of p perturbations."""
    return p * (p - 1) // 2


def rank(pairs: Pairs, p: int) -> Int[ndarray, "q"]:
    """Position of each pair in `upper(p)`, int64: exact for any p below 2**31."""
    i, j = np.asarray(pairs.i, np.int64), np.asarray(pairs.j, np.int64)
    return i * (2 * p - i - 1) // 2 + (j - i - 1)


def unrank(position: Int[ndarray, "q"], p: int) -> Pairs:
    """The pairs at these positions of `upper(p)`; the inverse of `rank`."""
    position = np.asarray(position, np.int64)
    b = 2 * p - 1
    i = np.floor((b - np.sqrt(b * b - 8.0 * position)) / 2).astype(np.int64)
    # the float square root may be off by one row next to a row's first pair
    i -= i * (2 * p - i - 1) // 2 > position
    i += (i + 1) * (2 * p - i - 2) // 2 <= position
    j = position - i * (2 * p - i - 1) // 2 + i + 1
    return Pairs(i.astype(np.int32), j.astype(np.int32))


def roomy(n: int) -> int:
    """The next power of two: lengths that grow from round to round then compile a few times."""
    return 1 << max(n - 1, 0).bit_length()


def lengthened(pairs: Pairs) -> Pairs:
    """Pairs with as many (0, 0), which is none, behind them as give a roomy length."""
    return Pairs(*(np.pad(np.asarray(x), (0, roomy(len(x)) - len(x))) for x in pairs))


def tiles(p: int, size: int) -> Int[ndarray, "tiles 2"]:
    """First row and first column of every tile of the upper triangle, diagonal tiles included."""
    blocks = -(-p // size)
    row, column = np.triu_indices(blocks)
    return np.stack([row, column], axis=1).astype(np.int32) * size
