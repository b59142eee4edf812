"""A screen as read: many observations of every perturbation, with what each one carries.

Readers of every format end here: anndata.py (h5ad, zarr), arrays.py (npz), longtable.py (csv, tsv,
parquet) and counts.py (dual-guide read counts).
"""

from dataclasses import dataclass

import numpy as np

from epistax.distributed.formats.census import Census


@dataclass(frozen=True)
class ScreenTable:
    """n observations of d features; columns of the experiment are numbers into their names."""

    names: tuple[str, ...]  # perturbations, sorted by code point, controls excluded
    codes: np.ndarray  # int32 [n, 2], sorted within a row: (-1, -1) control, (-1, i), (i, j), i < j
    x: np.ndarray  # float32 [n, d], finite
    features: tuple[str, ...]  # [d]
    batch: np.ndarray | None  # int32 [n]
    batches: tuple[str, ...]
    well: np.ndarray | None  # int32 [n]: distinct (batch, plate, well); None where no well is known
    sides: np.ndarray | None  # int32 [n, 2]: guide, else name, of either label column as written;
    # None where the labels stand in one column; controls count as names of their own
    census: Census
    image: tuple[int, int, int] | None = None  # height, width, channels, of which a row of x is one
    # after another, channels fastest; None where x holds vectors
