"""Multiplier p-values of all pairs of a screen from draws that the pairs have in common.

The draw b of the squared norm of a contrast is z'Kz, z weighting the observations of all four arms
by s_a sqrt(W_a / (W_a - 1)) (e - mean e) / n_a, e one normal weight a unit: what nulls.multiplier
draws. Here e belongs to a unit's number and to the arm (0, i, j or ij), not to the pair. A pair's
own null distribution is the same; and of a draw's ten blocks what concerns control and singles
alone is made once for all pairs, as in disjointness.mmd.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from epistax.engine.interaction.arms import Arm, Data, arm
from epistax.engine.stats.kernels import KERNELS
from epistax.engine.stats.nulls import exceedance
from epistax.engine.types import Key, Scalar

ARMS = 4


class Kernel(NamedTuple):
    """What gives and weights the Gram blocks.

    noise holds the draws by arm and number of the unit; its first column stands for the statistic.
    """

    contrast: Float[Array, "a"]
    bandwidth: Scalar
    noise: Float[Array, "a u s"]


def noise(key: Key, *, units: int, draws: int) -> Float[Array, "a u s"]:
    """Normal weights; a unit's are the same however many there are. The key is used up."""
    keys = jax.vmap(lambda n: jax.random.fold_in(key, n))(jnp.arange(units))
    drawn = jax.vmap(lambda k: jax.random.normal(k, (ARMS, 1 + draws), jnp.float32))(keys)
    return drawn.transpose(1, 0, 2)


def weights(mine: Arm, which: int, kernel: Kernel) -> Float[Array, "m s"]:
    """Of an arm's observations: in the first column those of the statistic, then of every draw."""
    drawn, share = kernel.noise[which][mine.unit], mine.weight[:, None]
    units = jnp.max(jnp.where(mine.mask, mine.unit, -1)) + 1
    factor = jnp.sqrt(units / jnp.maximum(units - 1, 1))
    centred = factor * (drawn - (mine.weight @ drawn)[None, :])
    itself = jnp.arange(drawn.shape[1]) == 0
    return (kernel.contrast[which] * share * jnp.where(itself[None, :], 1, centred)).astype(
        mine.x.dtype
    )


def alone(
    classes: Int[Array, "b"], data: Data, kernel: Kernel, *, name: str, length: int, control: int
) -> Float[Array, "b 2 s"]:
    """What a class adds to the forms of its pairs as i and as j: with itself and the control."""
    gram, reference = KERNELS[name], arm(data, 0, control)
    zero = weights(reference, 0, kernel)

    def one(which: Int[Array, ""]) -> Float[Array, "2 s"]:
        mine = arm(data, which, length)
        own = gram(mine.x, mine.x, kernel.bandwidth)
        with_control = gram(mine.x, reference.x, kernel.bandwidth) @ zero
        sides = [weights(mine, side, kernel) for side in (1, 2)]
        return jnp.stack([jnp.sum(z * (own @ z + 2 * with_control), axis=0) for z in sides])

    return jax.lax.map(one, classes)


def of_control(data: Data, kernel: Kernel, *, name: str, control: int) -> Float[Array, "s"]:
    """What the control alone adds to the forms of every pair."""
    reference = arm(data, 0, control)
    zero = weights(reference, 0, kernel)
    return jnp.sum(
        zero * (KERNELS[name](reference.x, reference.x, kernel.bandwidth) @ zero), axis=0
    )


def p_values(
    pair: Int[Array, "b"],
    members: Int[Array, "b 2"],
    data: Data,
    kernel: Kernel,
    origin: Float[Array, "s"],
    shared: Float[Array, "c 2 s"],
    *,
    name: str,
    double: int,
    single: int,
    control: int,
) -> Float[Array, "b"]:
    """Of the given pairs; origin and shared as of_control and alone give them, by class."""
    gram, reference = KERNELS[name], arm(data, 0, control)
    zero = weights(reference, 0, kernel)

    def one(which: Int[Array, ""], singles: Int[Array, "2"]) -> Scalar:
        both = arm(data, which, double)
        i, j = (arm(data, singles[k], single) for k in range(2))
        first, second, own = (weights(a, n, kernel) for a, n in ((i, 1), (j, 2), (both, 3)))
        others = ((reference, zero), (i, first), (j, second))
        across = sum(gram(both.x, a.x, kernel.bandwidth) @ z for a, z in others)
        inside = gram(both.x, both.x, kernel.bandwidth) @ own
        beside = gram(i.x, j.x, kernel.bandwidth) @ second
        form = jnp.sum(own * (inside + 2 * across), axis=0) + 2 * jnp.sum(first * beside, axis=0)
        form = form + origin + shared[singles[0], 0] + shared[singles[1], 1]
        return exceedance(form[1:], form[0])

    return jax.lax.map(lambda args: one(*args), (pair, members))
