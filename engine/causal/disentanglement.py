"""Whether environments move one latent each, by the marginal laws of latents.

"Towards Learning Cell Causal-Embeddings", section 6: latents are disentangled where the marginals
P(C_i | e) are almost all the same in every environment. A marginal is that of the aggregated
posterior: the mean of the samples' means; their variance plus the mean posterior variance, so that
a latent which the decoder does not use, and which stays at its prior, is moved by nothing.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int
from numpy import ndarray

from epistax.engine.stats.gaussian import kl

LEAST = 1e-12  # variance


class Marginals(NamedTuple):
    """A normal law of every latent in each of e environments."""

    mean: Float[Array, "e d"]
    variance: Float[Array, "e d"]


def marginals(
    mean: Float[Array | ndarray, "n d"],
    log_sd: Float[Array | ndarray, "n d"],
    environment: Int[Array | ndarray, "n"],
    *,
    environments: int,
) -> Marginals:
    """Of the posteriors of n samples, by environment; NaN where one has no sample."""
    rows = jnp.asarray(environment)
    count = jnp.bincount(rows, length=environments)[:, None]

    def average(values: Float[Array, "n d"]) -> Float[Array, "e d"]:
        return jax.ops.segment_sum(values, rows, environments) / count

    centre = average(jnp.asarray(mean))
    own = jnp.exp(2 * jnp.asarray(log_sd)) + (jnp.asarray(mean) - centre[rows]) ** 2
    return Marginals(centre, average(own))


def shifts(moved: Marginals, reference: Marginals) -> Float[Array, "e d"]:
    """How far each latent's mean is from the reference's, a single row, in sds of that; signed."""
    sd = jnp.sqrt(jnp.maximum(reference.variance, LEAST))
    return (moved.mean - reference.mean) / sd


def shared(
    one: Float[Array | ndarray, "q d"], other: Float[Array | ndarray, "q d"]
) -> Float[Array, "q"]:
    """The largest shift of one latent that two environments both make, in its sds: >= 0."""
    return jnp.max(jnp.minimum(jnp.abs(one), jnp.abs(other)), axis=-1)


def divergences(moved: Marginals, reference: Marginals) -> Float[Array, "e d"]:
    """KL of each latent's law from that of the reference, a single row, in nats."""
    own, other = (0.5 * jnp.log(jnp.maximum(m.variance, LEAST)) for m in (moved, reference))
    laws = jnp.broadcast_arrays(moved.mean, own, reference.mean, other)
    return kl(*(part[..., None] for part in laws))


def score(divergence: Float[Array | ndarray, "e d"]) -> Float[Array, "e"]:
    """1 - entropy / log d of each environment's shares of divergence (or of size of shift).

    1 where one latent moves, 0 where all move alike or none does.
    """
    divergence = jnp.asarray(divergence)
    d = divergence.shape[1]
    total = divergence.sum(axis=1, keepdims=True)
    share = jnp.where(total > 0, divergence / jnp.where(total > 0, total, 1.0), 1 / d)
    entropy = -jax.scipy.special.xlogy(share, share).sum(axis=1)
    return 1 - entropy / jnp.log(d) if d > 1 else jnp.ones(len(divergence))
