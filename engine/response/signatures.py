"""How genes vary together among cells of one arm, and what that tells of an arm's effect.

An arm moves a few regulators; the genes it changes vary together already among cells that never
saw it, because those regulators vary. So a cell's score along an arm's signature says how far on
the arm's way it is, and a gene that does not go with the signature in some context is not
regulated there.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from numpy import ndarray

from epistax.engine.response.records import Cells

BLOCK = 4096  # cells that are multiplied at once
SMALL = 1e-6  # variance of a gene that does not vary


class Variation(NamedTuple):
    """Correlations of genes in k contexts, among cells of one arm and stratum, and their sds."""

    correlation: Float[Array, "k g g"]
    sd: Float[Array, "k g"]
    cells: Float[Array, "k"]


def variation(
    cells: Cells, mean: Float[ndarray, "c a g"], context: Int[ndarray, "c"], size: int
) -> Variation:
    """Of cells about the means of their strata and arms."""
    stratum, arm = np.asarray(cells.stratum), np.asarray(cells.arm)
    of, y = context[stratum], np.asarray(cells.y)
    product = []
    for k in range(size):
        rows = np.flatnonzero(of == k)
        total = jnp.zeros((y.shape[1], y.shape[1]))
        for first in range(0, len(rows), BLOCK):
            at = rows[first : first + BLOCK]
            apart = np.zeros((BLOCK, y.shape[1]), np.float32)
            apart[: len(at)] = y[at] - mean[stratum[at], arm[at]]
            total = multiplied(total, apart)
        product.append(total)
    number = np.bincount(of, minlength=size).astype(np.float32)
    covariance = jnp.stack(product) / np.maximum(number, 1)[:, None, None]
    sd = jnp.sqrt(jnp.diagonal(covariance, axis1=1, axis2=2) + SMALL)
    return Variation(covariance / (sd[:, :, None] * sd[:, None, :]), sd, jnp.asarray(number))


@functools.partial(jax.jit, donate_argnums=0)
def multiplied(total: Float[Array, "g g"], apart: Float[Array | ndarray, "b g"]) -> Array:
    """Total and the cross products of these rows."""
    return total + apart.T @ apart


def pooled(variation: Variation) -> Float[Array, "g g"]:
    """The correlations of all contexts, weighted by cells."""
    weight = variation.cells / jnp.sum(variation.cells)
    return jnp.tensordot(weight, variation.correlation, axes=1)


def factored(correlation: Float[Array, "k g g"], ridge: float) -> Float[Array, "k g g"]:
    """Lower triangles L with L L' = C + ridge I."""
    eye = ridge * jnp.eye(correlation.shape[1])
    return jnp.linalg.cholesky(correlation + eye[None])


def scored(
    factor: Float[Array, "g g"], correlation: Float[Array, "g g"], signature: Float[Array, "a g"]
) -> Float[Array, "a g"]:
    """Correlation of every gene with the cells' scores along a signature, its own part left out.

    The score of a cell is that which tells the arm from the control best, w = (C + ridge I)^-1 v.
    """
    w = jax.scipy.linalg.cho_solve((factor, True), signature.T).T
    along = w @ correlation
    sd = jnp.sqrt(jnp.maximum(jnp.sum(along * w, axis=1), SMALL))
    return (along - w * jnp.diagonal(correlation)[None, :]) / sd[:, None]


def shared(
    score: Float[Array, "a g"], effect: Float[Array, "a g"], present: Float[Array, "a g"]
) -> Float[Array, "a"]:
    """Slope of scores on effects, through 0 and not below it: what a present effect makes one."""
    above = jnp.sum(score * effect * present, axis=1)
    return jnp.maximum(above / jnp.maximum(jnp.sum(effect**2 * present, axis=1), SMALL), 0.0)


def unexplained(
    score: Float[Array, "a g"], null: Float[Array, "a g"], cells: Float[Array, ""]
) -> Float[Array, "a"]:
    """Variance of the scores of genes without an effect, at least that of sampling."""
    mean = jnp.sum(score**2 * null, axis=1) / jnp.maximum(jnp.sum(null, axis=1), 1.0)
    return jnp.maximum(mean, 1 / jnp.maximum(cells, 1.0) + 1e-5)
