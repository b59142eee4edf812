"""Curves of reconstruction errors: over epochs, and out of distribution.

Figures 5, 7 to 11 and 13 of "Towards Learning Cell Causal-Embeddings".
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Array, Float
from numpy import ndarray

OFFSETS = np.linspace(-20.0, 20.0, 41)  # T of environments (T, 0) and (0, T)


def worst_rise(validation: Float[Array | ndarray, "t"], warmup: int) -> float:
    """The largest ratio of an epoch's error to the least up to it, of epochs from `warmup` on.

    1 of a curve that only falls; infinite where an error, at any epoch, is no finite number.
    """
    curve = np.asarray(validation, np.float64)
    if warmup >= len(curve):
        raise ValueError(f"`warmup` is {warmup} but there are {len(curve)} epochs; train longer")
    if not np.isfinite(curve).all():
        return float("inf")
    after, least = curve[warmup:], np.minimum.accumulate(curve)[warmup:]
    # an error of 0 that stays 0 has not risen
    ratio = np.divide(after, least, out=np.full_like(after, np.inf), where=least > 0)
    return float(np.where(after == least, 1.0, ratio).max())


def outside(
    reconstruct: Callable[
        [Float[Array | ndarray, "n g"], Float[Array | ndarray, "n v"]],
        Float[Array | ndarray, "m n g"],
    ],
    x: Float[Array | ndarray, "t n g"],
    vectors: Float[Array | ndarray, "t v"],
) -> Float[ndarray, "m t"]:
    """Mean square per feature in each of t environments: samples x, known by their vectors."""
    errors = []
    for own, vector in zip(x, vectors, strict=True):
        rows = np.broadcast_to(np.asarray(vector), (len(own), len(vector)))
        errors.append(np.asarray(((reconstruct(own, rows) - own[None]) ** 2).mean(axis=(1, 2))))
    return np.stack(errors, axis=1)
