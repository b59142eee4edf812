"""Joint draws of the low-rank reward from independent Gaussian factors."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from epistax.engine.pairs import Pairs
from epistax.engine.posterior.moments import Factors
from epistax.engine.types import Key, Scalar, Values


class Draw(NamedTuple):
    """One joint draw of the factors; components lead, so that a sum over them runs along rows."""

    b: Scalar
    a: Float[Array, "p"]
    s: Float[Array, "r"]
    u: Float[Array, "r p"]


def sampled(key: Key, factors: Factors) -> Draw:
    """A joint draw. The key is used up."""
    means = (factors.b, factors.a, factors.s, factors.u.T)
    spreads = (factors.b_sd, factors.a_sd, factors.s_sd, factors.u_sd.T)
    keys = jax.random.split(key, len(means))
    return Draw(*(
        mean + sd * jax.random.normal(k, mean.shape, mean.dtype)
        for k, mean, sd in zip(keys, means, spreads, strict=True)
    ))  # fmt: skip


def rewards(draw: Draw, pairs: Pairs) -> Values:
    """What a draw says of each pair: [q]."""
    i, j = pairs
    product = jnp.sum(draw.u[:, i] * draw.s[:, None] * draw.u[:, j], axis=0)
    return draw.b + draw.a[i] + draw.a[j] + product
