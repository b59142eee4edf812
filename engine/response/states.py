"""How far on the way of an arm a cell already is, and how much that takes from what the arm does.

The score of a cell, of how it departs from the mean of its stratum and arm along the arm's shift v
(both in sds), is a noisy measure of q, the share of the way that it is ahead of the others:

    E[q | score] = rho score / sd(score),    rho = slope on v of genes' correlations with it

and (1 - kappa) of it is what the arm no longer adds, where kappa says how much of the differences
along v are left among the cells that had the arm.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy import ndarray

from epistax.engine.response import signatures
from epistax.engine.response.expected import Full
from epistax.engine.response.records import Cells

BLOCK = 8192  # cells at once
AXES = 64  # along which cells differ, at most
# E[q | score] differs less between cells than q: so much more costs no error, and is nearer to it
BOLD = 1.2


def axes(correlation: Float[ndarray, "g g"], cells: int) -> Float[ndarray, "g h"]:
    """Axes A along which cells differ more than by chance: r A A' is what is left of r.

    Eigenvectors whose eigenvalue is above the largest of noise alone, 19 times in 20 (Johnstone
    2001), each by the root of the share of its variance that is not noise.
    """
    genes, n = len(correlation), max(cells, 2)
    values, vectors = np.linalg.eigh(correlation)
    root = np.sqrt(n) + np.sqrt(genes)
    edge = (root**2 + 0.98 * root * (1 / np.sqrt(n) + 1 / np.sqrt(genes)) ** (1 / 3)) / n
    last = slice(max(0, genes - AXES), genes)
    values, vectors = values[last], vectors[:, last]
    share = np.where(values > edge, 1 - 1 / np.maximum(values, 1), 0.0)
    return vectors * np.sqrt(share)[None, :]


def moved(cells: Cells, full: Full, correlation: Float[Array, "g g"]) -> Float[Array, "c a"]:
    """What a score of 1 takes from an arm's shift, as a share of it; 0 where nothing is moved."""
    shift = jnp.asarray(full.way / np.sqrt(full.within)[:, None], jnp.float32)
    each = related(correlation, shift)
    return BOLD * each * (1 - kept(cells, full, shift, each))


@jax.jit
def related(correlation: Float[Array, "g g"], shift: Float[Array, "c a g"]) -> Float[Array, "c a"]:
    """Rho / sd(score) of every stratum and arm."""

    def one(v: Float[Array, "a g"]) -> Float[Array, "a"]:
        along = v @ correlation
        variance = jnp.sum(along * v, axis=1)
        apart = along - v * jnp.diagonal(correlation)[None, :]
        size = jnp.sum(v**2, axis=1)
        slope = jnp.sum(apart * v, axis=1) / jnp.maximum(size, signatures.SMALL)
        return jnp.where(size > signatures.SMALL, jnp.maximum(slope, 0) / variance, 0.0)

    return jax.lax.map(one, shift)


def kept(
    cells: Cells, full: Full, shift: Float[Array, "c a g"], each: Float[Array, "c a"]
) -> Float[Array, ""]:
    """Share of the differences along an arm's way that cells of the arm still have, of all arms.

    The covariance of genes along v, their own variances left out, of the arm's cells over that of
    all others of the stratum, summed over arms; between 0 and 1.
    """
    stratum, arm = (np.asarray(x) for x in (cells.stratum, cells.arm))
    strata, arms = full.shift.shape[:2]
    own, rest = np.zeros((strata, arms)), np.zeros((strata, arms))
    for c in range(strata):
        rows = np.flatnonzero(stratum == c)
        if not len(rows):
            continue
        mean = full.base[c] + full.shift[c]
        total, mine = np.zeros(arms), np.zeros(arms)
        count = np.bincount(arm[rows], minlength=arms)
        for first in range(0, len(rows), BLOCK):
            at = rows[first : first + BLOCK]
            apart = (np.asarray(cells.y)[at] - mean[arm[at]]) / np.sqrt(full.within[c])
            pairs = crossed(jnp.asarray(apart, jnp.float32), shift[c])
            pairs = np.asarray(pairs, float)
            total += pairs.sum(0)
            np.add.at(mine, arm[at], pairs[np.arange(len(at)), arm[at]])
        size = np.maximum(np.asarray(jnp.sum(shift[c] ** 2, axis=1), float), signatures.SMALL)
        enough = (count > 1) & (len(rows) - count > 1) & (np.asarray(each[c]) > 0)
        own[c] = np.where(enough, mine / size, 0)
        rest[c] = np.where(
            enough, (total - mine) / size * count / np.maximum(len(rows) - count, 1), 0
        )
    if not rest.sum() > 0:
        return jnp.float32(1.0)
    return jnp.float32(np.clip(own.sum() / rest.sum(), 0.0, 1.0))


@jax.jit
def crossed(apart: Float[Array, "n g"], v: Float[Array, "a g"]) -> Float[Array, "n a"]:
    """Products of different genes' departures of each cell, along each v."""
    return (apart @ v.T) ** 2 - apart**2 @ (v**2).T
