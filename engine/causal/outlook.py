"""What is expected of an environment, from samples of the reference.

"Towards Learning Cell Causal-Embeddings", section 4.6: each model that has a prior P(Z | e) is a
generative model of any environment. Reference samples keep where they lie in their prior:
z' = mu' + (z - mu) sd' / sd, with the priors of reference and environment, and z' is decoded.

A conditional model decodes the same latents with the other vector. A plain autoencoder, and the
adversarial one, which has no prior, know of no change: they give the reference back.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy import ndarray

from epistax.engine.causal.records import Method


class Outlook(NamedTuple):
    """Of each of m fits, in the units of x."""

    mean: Float[Array, "m g"]
    sd: Float[Array, "m g"]  # over samples, of their means: without noise


def predicted(
    method: Method,
    fitted: Any,
    x_ref: Float[Array | ndarray, "n g"],
    v_ref: Float[Array | ndarray, "v"],
    v_new: Float[Array | ndarray, "v"],
) -> Outlook:
    """The profile of an environment of vector v_new, had the samples been there."""
    ref, new = (np.repeat(np.asarray(v)[None, :], len(x_ref), axis=0) for v in (v_ref, v_new))
    z = method.encode(fitted, x_ref, ref).mean
    before, after = (method.prior(fitted, v[:1]) for v in (ref, new))
    told = method.decode(fitted, moved(z, before, after), new)
    return Outlook(jnp.mean(told, axis=1), jnp.std(told, axis=1))


def moved(z: Float[Array, "m n d"], before: Any, after: Any) -> Float[Array, "m n d"]:
    """Latents of one prior where they would lie in another."""
    wider = jnp.exp(after.log_sd - before.log_sd)
    return after.mean + (z - before.mean) * wider
