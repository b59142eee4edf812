"""A matrix of a file, dense or sparse, as float32: block by block, so that no copy is whole."""

from typing import Any

import numpy as np

BLOCK = 2**26  # bytes of one step in float64


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
    chunk = (getattr(values, "shards", None) or getattr(values, "chunks", None) or (1,))[0]
    step = -(-lines(width) // chunk) * chunk
    for k in range(0, len(x), step):
        block = values[k : k + step]
        x[k : k + step] = block if len(index) == width else block[:, index]


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
