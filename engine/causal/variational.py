"""Five variational autoencoders, that differ in what the environment enters.

"Towards Learning Cell Causal-Embeddings". The loss is less the bound of eq. 2; the prior
P(Z | e) is

    vae            N(0, 1)
    conditional    N(0, 1), and the decoder is told of e (Sohn et al. 2015)
    environment    N(mu_e, sd_e^2), sparse by gates (section 4.5)
    translation    N(mu_e, 1), and the encoder tells Z - mu_e (section 4.8)
    structured     as environment, of the noises Z that the causal variables follow from (4.9)
"""

import functools

import jax.numpy as jnp
from jaxtyping import Array, Float

from epistax.engine.causal.families import (
    Batch,
    Family,
    Parts,
    begun,
    networks,
    optimiser,
    reconstruction,
    seen,
)
from epistax.engine.causal.gate import gated
from epistax.engine.causal.objective import drawn
from epistax.engine.causal.settings import Settings
from epistax.engine.fit import gradient, trainable
from epistax.engine.nets.embedding import Normal, Params
from epistax.engine.stats.gaussian import kl
from epistax.engine.types import Info, Key, Scalar


@functools.lru_cache(maxsize=64)
def variational(name: str, settings: Settings, environments: int, updates: int) -> Family:
    """The model; the same record for the same settings, so that nothing is compiled twice."""
    net = networks(name, settings)
    tx = optimiser(settings, updates)
    sparse = name in ("environment", "translation", "structured")
    previous = name == "translation" and settings.tells == "previous"

    def begin(key: Key) -> Parts:
        return {"model": trainable(begun(key, net, settings), tx)}

    def prior(
        params: Params, temperature: Scalar, e: Float[Array, "b v"], key: Key | None = None
    ) -> Normal:
        if not sparse:
            zeros = jnp.zeros((len(e), settings.latents))
            return zeros, zeros
        mean, log_sd = net.auxiliary(params, e, key=key)
        if name == "translation":
            log_sd = jnp.zeros_like(log_sd)
        how = {"form": settings.gate, "shared": settings.shared_gate}
        return gated(mean, log_sd, temperature, **how)

    def encode(params: Params, temperature: Scalar, x: Array, e: Array) -> Normal:
        mean, log_sd = net.encode(params, x, e)
        if previous:
            mean = mean + prior(params, temperature, e)[0]
        return mean, log_sd

    def decode(params: Params, z: Array, e: Array) -> Float[Array, "b g"]:
        return net.decode(params, net.variables(params, z), e)

    def loss(
        key: Key, params: Params, state: Parts, batch: Batch
    ) -> tuple[Scalar, tuple[None, Info]]:
        del key, state
        k_see, k_encode, k_prior, k_draw, k_decode = batch.keys
        e = seen(k_see, batch.e, settings.vector_dropout)
        mean, log_sd = net.encode(params, batch.x, e, key=k_encode)
        before = prior(params, batch.pace.temperature, batch.e, key=k_prior)
        mean = mean + before[0] if previous else mean
        z = drawn(k_draw, mean, log_sd)
        told = net.decode(params, net.variables(params, z), e, key=k_decode)
        apart = jnp.mean(kl(mean, log_sd, *before))
        more = batch.pace.beta * apart
        value, info = reconstruction(told, params, batch, settings, environments, more)
        return value, (None, {**info, "divergence": apart})

    return Family(begin, 5, gradient(loss, tx, "model"), encode, decode, prior, net.variables)
