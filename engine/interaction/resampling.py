"""P-values of one pair by resampling its units, or by the gamma distribution of its own blocks.

Slower than the spectrum of `stats.spread`, as each pair's whole Gram matrix is made and used B
times; for small screens, and as a check.
"""

from typing import Literal, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from epistax.engine.interaction.arms import Data, arm, without
from epistax.engine.stats import nulls
from epistax.engine.stats.kernels import KERNELS
from epistax.engine.types import Key, Scalar

Method: TypeAlias = Literal["gamma", "multiplier", "permutation"]
METHODS = ("gamma", "multiplier", "permutation")


def p_values(
    pair: Int[Array, "b"],
    members: Int[Array, "b 2"],
    key: Key,
    data: Data,
    contrast: Float[Array, "4"],
    bandwidth: Scalar,
    *,
    kernel: str,
    method: Method,
    draws: int,
    control: int,
    single: int,
    double: int,
) -> Float[Array, "b"]:
    """Of the given pairs; a pair's draws depend on the key and its members alone."""

    def one(which: Int[Array, ""], singles: Int[Array, "2"]) -> Scalar:
        sides = [arm(data, singles[k], single) for k in range(2)]
        sides = [side._replace(weight=without(side, which)) for side in sides]
        arms = [arm(data, 0, control), *sides, arm(data, which, double)]
        x, weight = (jnp.concatenate([getattr(a, f) for a in arms]) for f in ("x", "weight"))
        lengths = [control, single, single, double]
        offset = jnp.repeat(
            jnp.cumsum(jnp.array([0, *lengths[:3]])), jnp.array(lengths), total_repeat_length=len(x)
        )
        place = offset + jnp.concatenate([a.unit for a in arms])
        gram = KERNELS[kernel](x, x, bandwidth) * (weight[:, None] * weight[None, :])
        for _ in range(2):
            gram = jax.ops.segment_sum(gram, place, num_segments=len(x)).T
        share = jax.ops.segment_sum(weight, place, num_segments=len(x))
        kind = jnp.repeat(jnp.arange(4), jnp.array(lengths), total_repeat_length=len(x))
        units = nulls.Units(gram, share, kind)
        if method == "gamma":
            return nulls.gamma(units, contrast)
        mine = jax.random.fold_in(jax.random.fold_in(key, singles[0]), singles[1])
        resample = nulls.multiplier if method == "multiplier" else nulls.permutation
        return resample(mine, units, contrast, draws=draws)

    return jax.lax.map(lambda args: one(*args), (pair, members))
