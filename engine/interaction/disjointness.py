"""MMD test of disjointness: does p_0 + p_ij = p_i + p_j hold as an equality of distributions.

"Automated Discovery of Pairwise Interactions from Unstructured Data", section 3.2: if i and j
act on different parts of a mixture, the half-half mixture of control and double equals that of
the two singles (eq 13). The squared maximum mean discrepancy of the two mixtures is a sum of ten
kernel means, MMD^2 = sum_ab s_a s_b E k(Y_a, Y_b) with s = (1/2, -1/2, -1/2, 1/2) over
(0, i, j, ij). What concerns control and singles alone is computed once for all pairs; a pair adds
five blocks. Strata are weighted by 1 / n_a, never resampled.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from epistax.engine.interaction.arms import Arm, Data, arm, power_of_two, without
from epistax.engine.stats.kernels import KERNELS
from epistax.engine.stats.spread import Pooled, Scores, Spread, assess, debiased, spread
from epistax.engine.types import Scalar

CONTRAST = (0.5, -0.5, -0.5, 0.5)


class Embedding(NamedTuple):
    """The kernel's scale, and the features that stand for it in the null distribution."""

    bandwidth: Scalar
    landmarks: Float[Array, "f d"]
    features: Float[Array, "f f"]  # from the kernel's values at the landmarks


class Alone(NamedTuple):
    """What control and singles have without any pair; one entry a class, 0 .. p."""

    own: Float[Array, "*c"]  # mean of k over the class, an observation with itself included
    cross: Float[Array, "*c"]  # mean of k between the class and the control
    spread: Spread


def alone(
    classes: Int[Array, "b"],
    data: Data,
    embedding: Embedding,
    *,
    kernel: str,
    length: int,
    control: int,
) -> Alone:
    """Of the given classes, at most `length` observations each, `control` of the control."""
    reference = arm(data, 0, control)

    def one(which: Int[Array, ""]) -> Alone:
        mine = arm(data, which, length)
        own, embedded = within(mine, embedding, kernel)
        return Alone(own, between(mine, reference, embedding, kernel), embedded)

    return jax.lax.map(one, classes)


def mmd(
    pair: Int[Array, "b"],
    members: Int[Array, "b 2"],
    data: Data,
    shared: Alone,
    pooled: Pooled,
    embedding: Embedding,
    *,
    kernel: str,
    double: int,
    single: int,
    control: int,
    resident: int,
    inference: bool,
) -> Scores:
    """Of the given pairs: their classes, the classes of their singles, the padded lengths.

    resident is how many values of Gram blocks are worked on at once. Without inference, se and p
    are nan.
    """
    reference = arm(data, 0, control)

    def one(which: Int[Array, ""], singles: Int[Array, "2"]) -> Scores:
        both = arm(data, which, double)
        sides = [arm(data, singles[k], single) for k in range(2)]
        own, embedded = within(both, embedding, kernel)
        first, second = (
            between(both, side._replace(weight=without(side, which)), embedding, kernel)
            for side in sides
        )
        order = jnp.concatenate([jnp.zeros(1, jnp.int32), singles])
        arms = jax.tree.map(
            lambda of, mine: jnp.concatenate([of[order], mine[None]]), shared.spread, embedded
        )
        means = jnp.concatenate([shared.own[order], own[None]])
        cross = jnp.stack([
            *shared.cross[singles], between(both, reference, embedding, kernel),
            between(*sides, embedding, kernel), first, second,
        ])  # fmt: skip
        contrast = jnp.array(CONTRAST)
        value = squared_norm(means, cross, contrast)
        if inference:
            return assess(value, contrast, arms, pooled)
        unknown = jnp.full_like(value, jnp.nan)
        return Scores(debiased(value, contrast, arms, pooled), value, unknown, unknown)

    # small blocks are worked on together; large ones fill the cores by themselves
    # (a power of two, as the number of pairs is: a remainder would be compiled once more)
    each = double * (double + control + 2 * single)
    together = min(pair.shape[0], power_of_two(resident // each))
    batch_size = together if together > 1 else None
    return jax.lax.map(lambda args: one(*args), (pair, members), batch_size=batch_size)


def squared_norm(
    own: Float[Array, "4"], cross: Float[Array, "6"], contrast: Float[Array, "4"]
) -> Scalar:
    """Sum_ab s_a s_b E k(Y_a, Y_b) from its ten means.

    own: each class with itself; cross: (0, i), (0, j), (0, ij), (i, j), (i, ij), (j, ij).
    """
    a, b = jnp.triu_indices(4, 1)
    return jnp.sum(contrast**2 * own) + 2 * jnp.sum(contrast[a] * contrast[b] * cross)


def within(mine: Arm, embedding: Embedding, kernel: str) -> tuple[Scalar, Spread]:
    """Mean of k over a class and its spread; the trace is exact, from the kernel itself."""
    gram = KERNELS[kernel](mine.x, mine.x, embedding.bandwidth)
    own = mine.weight @ (gram @ mine.weight)
    same = (mine.unit[:, None] == mine.unit[None, :]).astype(gram.dtype)
    inside, share = (mine.weight @ (v @ mine.weight) for v in (gram * same, same))
    # what pairs of different units say, and what an unit has beyond it: tr S / W
    excess = jnp.where(share < 1, (inside - share * own) / jnp.maximum(1 - share, 1e-6), 0)
    return own, spread(embed(mine.x, embedding, kernel), mine.unit, mine.mask, excess)


def between(a: Arm, b: Arm, embedding: Embedding, kernel: str) -> Scalar:
    """Mean of k between two classes."""
    gram = KERNELS[kernel](a.x, b.x, embedding.bandwidth)
    return a.weight @ (gram @ b.weight)


def embed(x: Float[Array, "m d"], embedding: Embedding, kernel: str) -> Float[Array, "m f"]:
    """Features of observations: their products approach the kernel."""
    near = KERNELS[kernel](x, embedding.landmarks, embedding.bandwidth)
    return near @ embedding.features
