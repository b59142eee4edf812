"""Work on many draws, cut into pieces that are the same whoever does them.

Draw n depends on a key and n alone. But XLA compiles a program for every length, and two programs
may round differently: so draws are always made so many at a time, and put together in their order.
One process and many then give the same bits.
"""

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Int
from numpy import ndarray

DRAWS = 32  # of a piece
# (numbers, *shared, **static) -> arrays with a leading axis as long as the numbers; a plain
# function of a module, which can be named to another process
Piece: TypeAlias = Callable[..., tuple[Any, ...]]
Arrays: TypeAlias = tuple[ndarray, ...]
# who does the pieces: a function of the kind of `here`
Fan: TypeAlias = Callable[..., Arrays]


def here(piece: Piece, *shared: Any, count: int, size: int = DRAWS, **static: Any) -> Arrays:
    """What the piece gives for the numbers 0 .. count - 1, in their order, by this process.

    static are keyword arguments of the piece that are no arrays.
    """
    made = (piece(part, *shared, **static) for part in numbers(count, size))
    return together(made, count)


def whole(piece: Piece, *shared: Any, count: int, size: int = DRAWS, **static: Any) -> Any:
    """All numbers as one piece, under a trace too: of the shapes of `here`, not of its bits."""
    return piece(np.arange(count, dtype=np.int32), *shared, **static)


def numbers(count: int, size: int = DRAWS) -> list[Int[ndarray, "n"]]:
    """The numbers of every piece: all as long, so the last may go beyond the count."""
    size = min(size, count)
    return [np.arange(first, first + size, dtype=np.int32) for first in range(0, count, size)]


def together(parts: Iterable[tuple[Any, ...]], count: int) -> Arrays:
    """The arrays of all pieces one behind the other, cut at the count."""
    whole: Arrays = ()
    first = 0
    for part in parts:
        arrays = [np.asarray(x) for x in part]
        whole = whole or tuple(np.empty((count, *x.shape[1:]), x.dtype) for x in arrays)
        for out, x in zip(whole, arrays, strict=True):
            out[first : first + len(x)] = x[: count - first]
        first += len(arrays[0])
    return whole
