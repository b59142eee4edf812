"""Pairs of perturbations ranked by what each does alone: all of them, none of them measured.

A perturbation i is its mean embedding less the control's, a_i = m_i - m_0: of random features,
where products approach the kernel and |a_i - a_j|^2 the squared maximum mean discrepancy of the
observations of i and j (Gretton et al. 2012, "A kernel two-sample test", Lemma 4), or of the
observations themselves. Every measure is a formula of the inner products of two such vectors:

unshared     1 - 2 (<a_i, a_j> - e_0) / (|a_i|^2 + |a_j|^2): MMD^2 of the two in units of what both
             do. 0 where they do the same, 1 where they have nothing in common, 2 opposite.
distance     MMD^2 itself, unbiased.
cosine       (<a_i, a_j> - e_0) / (|a_i| |a_j|): 1 the same direction, -1 opposite.
additive     |a_i + a_j|: the size of the effect that an additive model predicts, noise taken off.

e_c = tr S_c / W_c is what the noise of a class mean of W_c independent units adds to its squared
norm. The control's is common to all a_i, and taken off wherever it would make them alike. Norms
that divide keep theirs: what is small for its noise is drawn to 1 (unshared) or 0 (cosine), as
something unlike everything, and does not crowd the top by being near whatever else does nothing.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from numpy import ndarray

from epistax.engine.pairs import Pairs
from epistax.engine.stats.quadform import survival
from epistax.engine.stats.spread import ENOUGH, Pooled
from epistax.engine.types import Scalar

TINY = 1e-30
CHUNK = 8192  # pairs whose vectors are multiplied at once
Values: TypeAlias = Float[Array | ndarray, "*t"]
Number: TypeAlias = Float[Array | ndarray, ""] | float


class Side(NamedTuple):
    """Of one member of each pair."""

    square: Values  # |a|^2, noise included
    excess: Values  # how much of it is the noise of its own mean


class Singles(NamedTuple):
    """Mean embeddings of p perturbations less the control's."""

    vector: Float[Array | ndarray, "p f"]
    square: Float[Array | ndarray, "p"]
    excess: Float[Array | ndarray, "p"]
    origin: Number  # the excess of the control


Formula: TypeAlias = Callable[[Values, Side, Side, Number], Values]


def unshared(inner: Values, i: Side, j: Side, origin: Number) -> Values:
    """What the two do not share, as a part of what they do; 1 where neither does anything."""
    total = i.square + j.square
    return 1 - 2 * (inner - origin) / jnp.maximum(total, TINY)


def distance(inner: Values, i: Side, j: Side, origin: Number) -> Values:
    """Unbiased squared distance; may be negative."""
    return i.square + j.square - 2 * inner - (i.excess + j.excess)


def cosine(inner: Values, i: Side, j: Side, origin: Number) -> Values:
    """Signed cosine, attenuated by noise; 0 where one does nothing."""
    return (inner - origin) / jnp.sqrt(jnp.maximum(i.square * j.square, TINY))


def parallel(inner: Values, i: Side, j: Side, origin: Number) -> Values:
    """Size of the cosine: along one line, in the same direction or not."""
    return jnp.abs(cosine(inner, i, j, origin))


def additive(inner: Values, i: Side, j: Side, origin: Number) -> Values:
    """Norm of the sum of the two effects; 0 where it is no larger than its noise."""
    square = i.square + j.square + 2 * inner - (i.excess + j.excess) - 4 * origin
    return jnp.sqrt(jnp.maximum(square, 0))


class Measure(NamedTuple):
    """A formula, and which of its values come first."""

    formula: Formula
    sign: int  # 1: the largest first
    score: Callable[..., Float[Array, "t t"]]  # of a tile, higher = sooner


def tile(
    rows: Int[Array, "t"],
    columns: Int[Array, "t"],
    singles: Singles,
    *,
    formula: Formula,
    sign: int,
) -> Float[Array, "t t"]:
    """Values of all pairs of rows and columns, those that come first the highest."""
    inner = singles.vector[rows] @ singles.vector[columns].T
    i, j = (Side(singles.square[at], singles.excess[at]) for at in (rows, columns))
    down, across = (
        Side(i.square[:, None], i.excess[:, None]),
        Side(j.square[None, :], j.excess[None, :]),
    )
    return sign * formula(inner, down, across, singles.origin)


def measure(formula: Formula, sign: int) -> Measure:
    """With its function of tiles, made once: made anew it would be compiled anew."""
    return Measure(formula, sign, partial(tile, formula=formula, sign=sign))


MEASURES: dict[str, Measure] = {
    "mmd:near": measure(unshared, -1),
    "mmd:far": measure(distance, 1),
    "cosine:near": measure(cosine, 1),
    "cosine:far": measure(cosine, -1),
    "cosine:abs": measure(parallel, 1),
    "additive": measure(additive, 1),
}


def of_pairs(singles: Singles, pairs: Pairs, formula: Formula) -> Float[ndarray, "q"]:
    """The formula's values of some pairs, on the host."""
    i, j = np.asarray(pairs.i), np.asarray(pairs.j)
    vector, square, excess = (np.asarray(v) for v in singles[:3])
    inner = np.empty(len(i), np.float32)
    for start in range(0, len(i), CHUNK):
        part = slice(start, start + CHUNK)
        inner[part] = np.einsum("qf,qf->q", vector[i[part]], vector[j[part]])
    first, second = (Side(square[at], excess[at]) for at in (i, j))
    return np.asarray(formula(inner, first, second, float(singles.origin)))


@jax.jit
def activity(
    square: Float[Array, "p"],
    excess: Float[Array, "p"],
    units: Float[Array, "p"],
    control: tuple[Scalar, Scalar],
    pooled: Pooled,
) -> Float[Array, "p"]:
    """P-values of perturbations that do nothing: |a_i|^2 against its null distribution.

    The spectrum is that of the pooled covariance, the same for all (Gretton et al. 2009, "A fast,
    consistent kernel two-sample test", section 3.1); its size is the class's own noise where units
    are many, else the pool's. control has its excess and number of units.
    """
    lam = jnp.maximum(jnp.linalg.eigvalsh(pooled.cov), 0)
    squares = jnp.sum(lam**2) * (1 + pooled.unseen)
    rest = jnp.maximum(pooled.trace - jnp.sum(lam), 0)
    variance = 2 * jnp.sum(lam**2) * pooled.unseen
    dof = pooled.trace**2 * pooled.dof / jnp.maximum(squares, TINY)

    def noise(excess: Scalar, units: Scalar) -> Scalar:
        own = jnp.clip((units - 1) / ENOUGH, 0, 1)
        return own * excess / pooled.trace + (1 - own) / jnp.maximum(units, 1)

    def one(square: Scalar, excess: Scalar, units: Scalar) -> Scalar:
        width = noise(excess, units) + noise(*control)
        return survival(square / jnp.maximum(width, TINY), lam, rest, variance, dof)

    return jax.lax.map(lambda args: one(*args), (square, excess, units), batch_size=256)
