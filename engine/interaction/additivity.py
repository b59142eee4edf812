"""Scores from mean embeddings: additive R(i, j), cosine, severity, and predicted doubles.

"Pairwise interactions in cell morphology" reads an interaction as departure from h_ij = h_i + h_j
of control-centred mean embeddings (section 2.2, eq 2): R(i, j) = |h_ij - h_i - h_j|^2, estimated by
D = m_ij - m_i - m_j + m_0 with the bias sum_a tr(S_a) / n_a of |D|^2 taken off.
"""

from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int
from numpy import ndarray

from epistax.engine.interaction.arms import Data, arm
from epistax.engine.stats.spread import Pooled, Spread, assess, spread
from epistax.engine.types import Scalar

Effects: TypeAlias = Float[Array | ndarray, "b d"]
CONTRAST = (1.0, -1.0, -1.0, 1.0)  # over (0, i, j, ij)
RESIDUAL = (0.0, 0.0, 0.0, 1.0)  # of residuals, which are centred on what is additive
TOGETHER = 64  # pairs or classes worked on at once
SEVERITIES = ("min", "max", "sum", "double")


class Means(NamedTuple):
    """Of classes: the mean observation and its spread."""

    mean: Float[Array, "c d"]
    spread: Spread


class Scores(NamedTuple):
    """R of each pair, in squared units of the embedding."""

    unbiased: Float[Array, "b"]  # R less its bias; may be negative
    biased: Float[Array, "b"]  # |D|^2
    se: Float[Array, "b"]
    p: Float[Array, "b"]


def means(
    classes: Int[Array, "c"], data: Data, projection: Float[Array, "d f"], *, length: int
) -> Means:
    """Of the given classes, at most `length` observations each; features are x @ projection."""

    def one(which: Int[Array, ""]) -> Means:
        mine = arm(data, which, length)
        mean = mine.weight @ mine.x
        centred = (mine.x - mean[None, :]) * mine.weight[:, None]
        place = jnp.where(mine.mask, mine.unit, 0)
        sums = jax.ops.segment_sum(centred, place, num_segments=length)
        shares = jax.ops.segment_sum(mine.weight, place, num_segments=length)
        share = jnp.sum(shares**2)
        excess = jnp.where(share < 1, jnp.sum(sums**2) / jnp.maximum(1 - share, 1e-6), 0)
        return Means(mean, spread(mine.x @ projection, mine.unit, mine.mask, excess))

    return jax.lax.map(one, classes, batch_size=min(TOGETHER, classes.shape[0]))


@jax.jit
def additive(
    doubles: Means,
    members: Int[Array, "b 2"],
    singles: Means,
    contrast: Float[Array, "4"],
    pooled: Pooled,
) -> Scores:
    """Of the doubles; singles holds control and singles by class, members the classes of each."""

    def one(double: Means, pair: Int[Array, "2"]) -> tuple[Scalar, ...]:
        order = jnp.concatenate([jnp.zeros(1, jnp.int32), pair])
        arms = jax.tree.map(
            lambda of, mine: jnp.concatenate([of[order], mine[None]]), singles, double
        )
        difference = contrast @ arms.mean
        return assess(difference @ difference, contrast, arms.spread, pooled)

    return Scores(*jax.lax.map(lambda args: one(*args), (doubles, members), batch_size=TOGETHER))


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
