"""Leading principal components of standardised observations, block by block."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.linalg import eigh

from epistax.engine.stats import knn

ROWS = 10_000  # observations, at least where there are so many, that components come from
WIDE, FEWER = 2048, 2000  # features beyond which fewer observations do, by their inner products


def leading(
    x: Float[ndarray, "n d"], mean: Float[ndarray, "d"], sd: Float[ndarray, "d"], *, count: int
) -> tuple[Float[ndarray, "n c"], float]:
    """The `count` principal components (x - mean) / sd has, and their share of its variance.

    Found from every so many rows: from all classes, where the rows of one lie together.
    """
    top, share = axes(x, mean, sd, count=count, rows=ROWS)
    return np.concatenate([z @ top for z in blocks(x, mean, sd)]), float(share.sum())


def axes(
    x: Float[ndarray, "n d"],
    mean: Float[ndarray, "d"],
    sd: Float[ndarray, "d"],
    *,
    count: int,
    rows: int,
) -> tuple[Float[ndarray, "d c"], Float[ndarray, "c"]]:
    """The orthonormal axes of these components, the last the largest; each one's share of variance.

    From about `rows` of the observations, or FEWER of WIDE ones.
    """
    d = x.shape[1]
    if d <= WIDE:
        some = x[:: max(1, len(x) // rows)]
        square = sum((z.T @ z for z in blocks(some, mean, sd)), np.zeros((d, d)))
        values, top = eigh(square, subset_by_index=[d - count, d - 1])
    else:
        some = np.concatenate(list(blocks(x[:: -(-len(x) // FEWER)], mean, sd)))
        count = min(count, len(some))
        square = some @ some.T
        values, left = eigh(square, subset_by_index=[len(some) - count, len(some) - 1])
        top = some.T @ (left / np.sqrt(np.maximum(values, np.finfo(float).tiny)))
    largest = np.argmax(np.abs(top), axis=0)[None, :]
    top = top * np.sign(np.take_along_axis(top, largest, axis=0))  # no sign is left to chance
    return top, values / np.trace(square)


def blocks(
    x: Float[ndarray, "n d"], mean: Float[ndarray, "d"], sd: Float[ndarray, "d"]
) -> Iterator[Float[ndarray, "b d"]]:
    """Standardised observations, as many at a time as are held."""
    tall = max(1, knn.HELD // x.shape[1])
    for first in range(0, len(x), tall):
        yield (x[first : first + tall] - mean) / sd
