"""Scores from mean embeddings: additive R(i, j), cosine, severity, and predicted doubles.

"Pairwise interactions in cell morphology" reads an interaction as departure from h_ij = h_i + h_j
of control-centred mean embeddings (section 2.2, eq 2): R(i, j) = |h_ij - h_i - h_j|^2, estimated by
D = m_ij - m_i - m_j + m_0 with the bias sum_a tr(S_a) / n_a of |D|^2 taken off.
"""

from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from numpy import ndarray

from epistax.engine.interaction.arms import Arm, Data, arm
from epistax.engine.stats.spread import Pooled, Scores, Spread, assess, spread
from epistax.engine.types import Scalar

Effects: TypeAlias = Float[Array | ndarray, "b d"]
CONTRAST = (1.0, -1.0, -1.0, 1.0)  # over (0, i, j, ij)
FEWEST = 10  # pairs that a common scale of doubles may be taken from
RESIDUAL = (0.0, 0.0, 0.0, 1.0)  # of residuals, which are centred on what is additive
TOGETHER = 64  # pairs or classes worked on at once
SEVERITIES = ("min", "max", "sum", "double")


class Means(NamedTuple):
    """Of classes: the mean observation and its spread."""

    mean: Float[Array, "c d"]
    spread: Spread


def means(
    classes: Int[Array, "c"], data: Data, projection: Float[Array, "d f"], *, length: int
) -> Means:
    """Of the given classes, at most `length` observations each; features are x @ projection."""

    def one(which: Int[Array, ""]) -> Means:
        mine = arm(data, which, length)
        mean = mine.weight @ mine.x
        excess = noise(mine, mean)
        return Means(mean, spread(mine.x @ projection, mine.unit, mine.mask, excess))

    return jax.lax.map(one, classes, batch_size=min(TOGETHER, classes.shape[0]))


def noise(mine: Arm, mean: Float[Array, "d"]) -> Scalar:
    """What the noise of a class mean adds to its squared norm; 0 for a single unit.

    Unbiased for units of any size, where units differ by one variance and the observations
    within them by another.
    """
    place = jnp.where(mine.mask, mine.unit, 0)
    centred = (mine.x - mean[None, :]) * mine.mask[:, None]
    sums, share = (
        jax.ops.segment_sum(v, place, num_segments=len(mine.mask))
        for v in (centred * mine.weight[:, None], mine.weight)
    )
    squares, cubes, between = jnp.sum(share**2), jnp.sum(share**3), jnp.sum(sums**2)
    units = jnp.sum(share > 0)
    within = jnp.sum(mine.weight[:, None] * centred**2)
    within -= jnp.sum(sums**2 / jnp.where(share > 0, share, 1)[:, None])
    cells = jnp.maximum(within, 0) / jnp.maximum(jnp.sum(mine.mask) - units, 1)
    factor = squares / jnp.maximum(squares - 2 * cubes + squares**2, 1e-9)
    return jnp.where(units > 1, cells + factor * (between - (1 - squares) * cells), 0)


@jax.jit
def additive(
    doubles: Means,
    members: Int[Array, "b 2"],
    singles: Means,
    contrast: Float[Array, "4"],
    pooled: Pooled,
) -> Scores:
    """Of the doubles; singles holds control and singles by class, members the classes of each."""

    def one(double: Means, pair: Int[Array, "2"]) -> Scores:
        order = jnp.concatenate([jnp.zeros(1, jnp.int32), pair])
        arms = jax.tree.map(
            lambda of, mine: jnp.concatenate([of[order], mine[None]]), singles, double
        )
        difference = contrast @ arms.mean
        return assess(difference @ difference, contrast, arms.spread, pooled)

    return jax.lax.map(lambda args: one(*args), (doubles, members), batch_size=TOGETHER)


def scaled(scale: float) -> tuple[float, float, float, float]:
    """The contrast h_ij - scale (h_i + h_j) over (0, i, j, ij); CONTRAST where scale is 1."""
    return (2 * scale - 1, -scale, -scale, 1.0)


def common_scale(doubles: Means, members: Int[Array | ndarray, "b 2"], singles: Means) -> float:
    """How large doubles are for the sum of their singles, the same for all pairs; 1 if additive.

    The median over pairs of <h_ij, h_i + h_j> / |h_i + h_j|^2, both without the bias that the
    noise of the means adds, weighted by the latter: pairs that interact are the exception.
    "Pairwise interactions in cell morphology", section 6, found doubles weaker than their sums
    throughout, and asks for such a correction.
    """
    excess = singles.spread.excess
    h = singles.mean - singles.mean[0][None, :]
    total = h[members[:, 0]] + h[members[:, 1]]
    double = doubles.mean - singles.mean[0][None, :]
    inner = jnp.sum(double * total, axis=1) - 2 * excess[0]
    square = jnp.sum(total**2, axis=1) - excess[members].sum(axis=1) - 4 * excess[0]
    inner, square = np.asarray(inner, np.float64), np.asarray(square, np.float64)
    told = square > 0
    if told.sum() < FEWEST:
        return 1.0
    slope, weight = inner[told] / square[told], square[told]
    order = np.argsort(slope)
    half = np.searchsorted(np.cumsum(weight[order]), weight.sum() / 2)
    return float(slope[order[half]])


def cosine(h_i: Effects, h_j: Effects) -> Float[Array, "b"]:
    """Squared cosine of two effects, in [0, 1]: how far they point along one line; nan for 0."""
    inner = jnp.sum(h_i * h_j, axis=1)
    return inner**2 / (jnp.sum(h_i**2, axis=1) * jnp.sum(h_j**2, axis=1))


def severity(h_i: Effects, h_j: Effects, h_ij: Effects) -> dict[str, Float[Array, "b"]]:
    """How much of the double's effect its singles have, along the double's own direction.

    S(h) = sum_d h_d sign(h_ij,d): of the weaker and the stronger single (min, max) and of their
    sum, each as a share of the double's S(h_ij) = |h_ij|_1, itself given as `double`, in units of
    the embedding. A sum above 1: the double does less than its singles together (buffering);
    below 1: more (synergy).
    """
    sign = jnp.sign(h_ij)
    one, two, both = (jnp.sum(h * sign, axis=1) for h in (h_i, h_j, h_ij))
    shares = (jnp.minimum(one, two) / both, jnp.maximum(one, two) / both, (one + two) / both)
    return dict(zip(SEVERITIES, (*shares, both), strict=True))


def composed(h_i: Effects, h_j: Effects) -> Float[Array | ndarray, "b d"]:
    """Predicted effect of an unmeasured double, h_i + h_j (Theorem 3.3)."""
    return h_i + h_j
