"""Counts as quantiles: one uniform number gives a cell's count of a gene under every treatment."""

import jax
import jax.numpy as jnp
from jax.scipy.special import xlog1py
from jaxtyping import Array, Bool, Float, Int

from epistax.engine.types import Scalar

TAIL = 1e-9  # a probability of one count that ends the sum: by rounding it may never reach u


def quantile(
    u: Float[Array, "n g"], mean: Float[Array, "n g"], size: Float[Array, "g"]
) -> Int[Array, "n g"]:
    """The smallest count whose distribution function reaches u, 0 <= u < 1.

    Negative binomial of variance mean + mean^2 / size. Gene by gene: a loop runs as long as the
    largest count in it, which few genes have.
    """
    return jax.lax.map(lambda gene: counted(*gene), (u.T, mean.T, size)).T


def counted(u: Float[Array, "n"], mean: Float[Array, "n"], size: Scalar) -> Int[Array, "n"]:
    """Of one gene, by p(k + 1) = p(k) q (k + size) / (k + 1), q = mean / (mean + size)."""
    q = mean / (mean + size)

    def below(k: Scalar, p: Float[Array, "n"], total: Float[Array, "n"]) -> Bool[Array, "n"]:
        return (total < u) & ((p > TAIL) | (k < mean))

    def step(carry: tuple) -> tuple:
        k, p, total, count = carry
        count += below(k, p, total)
        p *= q * (k + size) / (k + 1)
        return k + 1, p, total + p, count

    p = jnp.exp(xlog1py(size, -q))
    start = jnp.float32(0), p, p, jnp.zeros(u.shape, jnp.int32)
    return jax.lax.while_loop(lambda carry: below(*carry[:3]).any(), step, start)[3]


def normalised(counts: Float[Array, "n g"], library: Float[Array, ""]) -> Float[Array, "n g"]:
    """log1p of counts in units of a common library."""
    total = counts.sum(axis=1, keepdims=True)
    return jnp.log1p(counts / jnp.maximum(total, 1) * library)
