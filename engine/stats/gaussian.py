"""Kullback-Leibler divergences of normal laws, in nats, from the logs of their sds.

"Towards Learning Cell Causal-Embeddings", appendix A, both its forms.
"""

import jax.numpy as jnp
from jax.scipy.linalg import cho_solve
from jaxtyping import Array, Float

from epistax.engine.types import Scalar


def kl(
    mean: Float[Array, "*b d"],
    log_sd: Float[Array, "*b d"],
    mean2: Float[Array, "*b d"],
    log_sd2: Float[Array, "*b d"],
) -> Float[Array, "*b"]:
    """KL(first || second) of independent coordinates, summed over them."""
    wider = log_sd - log_sd2
    # expm1: what is left of near laws is exact near 0
    apart = (mean - mean2) ** 2 * jnp.exp(-2 * log_sd2)
    return jnp.sum(0.5 * (jnp.expm1(2 * wider) + apart) - wider, axis=-1)


def kl_full(
    mean: Float[Array, "d"],
    cov: Float[Array, "d d"],
    mean2: Float[Array, "d"],
    cov2: Float[Array, "d d"],
) -> Scalar:
    """KL(first || second) of laws with any covariances, positive definite."""
    lower, lower2 = jnp.linalg.cholesky(cov), jnp.linalg.cholesky(cov2)
    shift = mean - mean2
    trace = jnp.trace(cho_solve((lower2, True), cov))
    far = shift @ cho_solve((lower2, True), shift)
    wider = jnp.sum(jnp.log(jnp.diag(lower)) - jnp.log(jnp.diag(lower2)))
    return 0.5 * (trace + far - mean.shape[0]) - wider
