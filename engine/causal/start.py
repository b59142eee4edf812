"""Networks that begin as principal components of the training samples, plain or turned.

The linear paths of encoder and decoder are set to what probabilistic principal components are
(Tipping and Bishop 1999): latents of variance 1, whose posterior sd is that of a linear decoder.
The hidden layers beside them begin at 0, so that training starts from the components.

Turned, latents have variance 1 within environments, and are rotated so that each environment
shifts few of them ("Towards Learning Cell Causal-Embeddings", hypothesis 2). Where x is linear in
independent latents of equal variance, whose shifts are sparse, these are the true ones: within
environments they are known up to a rotation, and their shifts lie along the axes of one rotation.
Gradients hardly find it: with little noise, to rotate encoder and decoder together is slow.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.linalg import eigh

from epistax.engine.causal.principal import error, fitted
from epistax.engine.nets.embedding import Params
from epistax.engine.stats.quartimax import quartimax

DULL = 1e-6  # share of the largest component's variance below which one is none


def principal(
    params: Params,
    x: Float[ndarray, "n g"],
    environment: Int[ndarray, "n"] | None = None,
    reference: int | None = None,
) -> Params:
    """Parameters of many fits, their paths set; a latent without a component tells nothing yet.

    With the environments of the samples the components are turned; shifts are from the reference,
    which is one of these, or from the mean of all samples.
    """
    latents = params["encoder"]["log_sd"]["bias"].shape[-1]
    found = fitted(x, latents)
    variance = np.mean(((x - found.mean[None, :]) @ found.axes) ** 2, axis=0)
    alive = variance > DULL * variance.max(initial=0)
    axes, variance = found.axes[:, alive], variance[alive]
    rest = max(error(found, x), DULL)
    noise = rest if "log_variance" in params else 1.0

    mean, loadings, reads = (
        found.mean,
        axes * np.sqrt(variance)[None, :],
        axes / np.sqrt(variance)[None, :],
    )
    if environment is not None:
        turn, origin = turned((x - mean[None, :]) @ reads, environment, reference)
        mean = mean + loadings @ origin
        loadings, reads = loadings @ np.linalg.inv(turn).T, reads @ turn
    told = paths(params, mean, loadings, reads)
    log_sd = params["encoder"]["log_sd"]
    own = np.zeros(latents)
    own[: len(variance)] = -0.5 * np.log1p(np.sum(loadings**2, axis=0) / noise)
    told["encoder"]["log_sd"] = {
        "kernel": jnp.zeros_like(log_sd["kernel"]),
        "bias": jnp.broadcast_to(jnp.float32(own)[None, :], log_sd["bias"].shape),
    }
    if "log_variance" in params:
        told["log_variance"] = jnp.full_like(params["log_variance"], np.log(rest))
    return told


def turned(
    scores: Float[ndarray, "n c"], environment: Int[ndarray, "n"], reference: int | None
) -> tuple[Float[ndarray, "c c"], Float[ndarray, "c"]]:
    """Scores times this have variance 1 within environments and sparse shifts from the origin.

    The size of a shift counts up to one sd, then its direction alone.
    """
    own, place, count = np.unique(environment, return_inverse=True, return_counts=True)
    total = np.zeros((len(own), scores.shape[1]))
    np.add.at(total, place, scores)
    means = total / count[:, None]
    inside = scores - means[place]
    variance, axes = eigh(inside.T @ inside / len(scores))
    white = axes / np.sqrt(np.maximum(variance, DULL))[None, :]
    origin = scores.mean(axis=0) if reference is None else means[own == reference][0]
    shift = (means - origin[None, :]) @ white
    length = np.linalg.norm(shift, axis=1, keepdims=True)
    return white @ quartimax(shift / np.maximum(length, 1.0)), origin


def paths(
    params: Params,
    mean: Float[ndarray, "g"],
    loadings: Float[ndarray, "g c"],
    reads: Float[ndarray, "g c"],
) -> Params:
    """Parameters with x -> z and z -> x set; what is told of e counts for nothing at first."""
    count = loadings.shape[1]
    into, out = params["encoder"]["path"], params["decoder"]["path"]
    reads = reads.astype(np.float32)
    kernel = into["kernel"].at[:, :, :count].set(reads[None])
    bias = into["bias"].at[:, :count].set((-jnp.float32(mean) @ reads)[None])
    encoder = {**params["encoder"], "path": {"kernel": kernel, "bias": bias}}
    kernel = jnp.zeros_like(out["kernel"]).at[:, :count].set(jnp.float32(loadings.T)[None])
    bias = jnp.broadcast_to(jnp.float32(mean)[None, :], out["bias"].shape)
    decoder = {**params["decoder"], "path": {"kernel": kernel, "bias": bias}}
    return {**params, "encoder": encoder, "decoder": decoder}
