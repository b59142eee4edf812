"""A matrix of a file, dense or sparse, as float32: block by block, so that no copy is whole."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

BLOCK = 2**26  # bytes of one step in float64
PIECE = 2**17  # values that a processor holds beside itself
READ = 2**24  # bytes of one call to the system


def dense(values: Any, index: np.ndarray, n: int, width: int) -> np.ndarray:
    """The columns at index (ascending) of n x width values, as float32 [n, len(index)].

    values is an array of h5py or zarr, or a group that holds a sparse matrix as anndata does. What
    does not fit into float32 becomes infinite.
    """
    x = np.empty((n, len(index)), np.float32)
    with np.errstate(over="ignore"):
        if hasattr(values, "shape"):
            fill_dense(x, values, index, width)
        else:
            from anndata.io import sparse_dataset

            fill_sparse(x, sparse_dataset(values), index, width)
    return x


def fill_dense(x: np.ndarray, values: Any, index: np.ndarray, width: int) -> None:
    """Rows of whole chunks, so that none is decompressed twice."""
    if len(index) == width and plain(values):
        fill_plain(x, values)
        return
    chunk = (getattr(values, "shards", None) or getattr(values, "chunks", None) or (1,))[0]
    step = -(-lines(width) // chunk) * chunk
    for k in range(0, len(x), step):
        block = values[k : k + step]
        x[k : k + step] = block if len(index) == width else block[:, index]


def plain(values: Any) -> bool:
    """Whether an array of HDF5 lies in its file as it will lie in memory, in one piece."""
    where = getattr(values, "id", None)
    return (
        hasattr(where, "get_offset")
        and hasattr(os, "preadv")
        and values.dtype == np.dtype("<f4") == np.dtype(np.float32)
        and where.get_offset() is not None
        and not values.external
        and values.file.userblock_size == 0
        and os.path.isfile(values.file.filename)
    )


def fill_plain(x: np.ndarray, values: Any) -> None:
    """The bytes of the file, by several threads, where HDF5 reads with one."""
    out, start = memoryview(x).cast("B"), values.id.get_offset()
    with open(values.file.filename, "rb", buffering=0) as file:

        def piece(first: int) -> None:
            last = min(first + READ, len(out))
            while first < last:
                read = os.preadv(file.fileno(), [out[first:last]], start + first)
                if not read:
                    raise OSError("the file is cut short")
                first += read

        side_by_side(piece, range(0, len(out), READ))


def side_by_side(work: Callable[[int], Any], items: Iterable[int]) -> list[Any]:
    """What the work makes of every item, by as many threads as there are processors."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(work, items))


def span(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The least and the greatest value of every column of [n, d]; NaN where one is not there."""
    step = max(1, PIECE // max(1, x.shape[1]))
    many = max(step, -(-len(x) // (4 * (os.cpu_count() or 1))))  # rows of one thread at a time

    def piece(first: int) -> tuple[np.ndarray, np.ndarray]:
        last = min(first + many, len(x))
        low, high = x[first].copy(), x[first].copy()
        for k in range(first, last, step):
            part = x[k : min(k + step, last)]
            np.minimum(low, part.min(axis=0), out=low)
            np.maximum(high, part.max(axis=0), out=high)
        return low, high

    low, high = zip(*side_by_side(piece, range(0, len(x), many)), strict=True)
    return np.min(low, axis=0), np.max(high, axis=0)


def fill_sparse(x: np.ndarray, matrix: Any, index: np.ndarray, width: int) -> None:
    """Rows of a matrix stored by rows, columns of one stored by columns."""
    if matrix.format == "csr":
        step = lines(width)
        for k in range(0, len(x), step):
            block = checked(matrix[k : k + step])
            x[k : k + step] = (block if len(index) == width else block[:, index]).toarray()
        return
    step = lines(len(x))
    for k in range(0, width, step):
        inside = np.flatnonzero((index >= k) & (index < k + step))
        if len(inside):
            block = checked(matrix[:, k : k + step])
            x[:, inside] = block[:, index[inside] - k].toarray()


def checked(block: Any) -> Any:
    """A sparse block whose indices lie inside it; scipy would write beyond its memory."""
    block.check_format(full_check=True)
    return block


def lines(width: int) -> int:
    """Rows (or columns) of one block."""
    return max(1, BLOCK // (8 * max(width, 1)))
