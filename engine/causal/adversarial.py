"""The autoencoder whose sparse changes of the prior an adversary finds.

"Towards Learning Cell Causal-Embeddings", section 4.10: attention alpha(e), which sums to 1, says
which latents an environment changes. Put back to N(0, 1) there, Z says nothing more of e:
alpha eps + (1 - alpha) Z must not tell the discriminator which environment it came from. There
is no prior: how far an environment moves its latents is not modelled.
"""

import functools

import jax
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
from epistax.engine.causal.objective import drawn
from epistax.engine.causal.settings import Settings
from epistax.engine.fit import alternate, gradient, trainable
from epistax.engine.nets.embedding import Normal, Params, judge
from epistax.engine.nets.hashing import normal
from epistax.engine.types import Info, Key, Keys, Scalar

TINY = 1e-30
B1 = 0.5  # of both optimisers: with more memory the two circle each other


@functools.lru_cache(maxsize=64)
def adversarial(settings: Settings, environments: int, updates: int) -> Family:
    """The model; the discriminator and the rest take one step each on every minibatch."""
    net = networks("adversarial", settings)
    other = judge(settings.latents, settings.hidden, environments)
    tx = optimiser(settings, updates, B1)

    def begin(key: Key) -> Parts:
        k_model, k_judge = jax.random.split(key)
        return {
            "model": trainable(begun(k_model, net, settings), tx),
            "judge": trainable(other.init(k_judge), tx),
        }

    def represented(
        keys: Keys, params: Params, batch: Batch
    ) -> tuple[Float[Array, "b v"], Float[Array, "b d"], Float[Array, "b d"], Float[Array, "b d"]]:
        k_see, k_encode, k_attend, k_draw, k_back = keys
        e = seen(k_see, batch.e, settings.vector_dropout)
        z = drawn(k_draw, *net.encode(params, batch.x, e, key=k_encode))
        raw, _ = net.auxiliary(params, batch.e, key=k_attend)
        alpha = jax.nn.softmax(raw / batch.pace.temperature)
        return e, z, alpha, counterfactual(k_back, z, alpha)

    def tell(key: Key, params: Params, state: Parts, batch: Batch) -> tuple[Scalar, tuple]:
        del key
        *_, back = represented(batch.keys[:5], state["model"].params, batch)
        logs = jax.nn.log_softmax(other.apply(params, jax.lax.stop_gradient(back)))
        right = jnp.argmax(logs, axis=1) == batch.environment
        value = -jnp.mean(of_own(logs, batch))
        return value, (None, {"judge": value, "accuracy": jnp.mean(right.astype(jnp.float32))})

    def fool(key: Key, params: Params, state: Parts, batch: Batch) -> tuple[Scalar, tuple]:
        del key
        e, z, alpha, back = represented(batch.keys[5:10], params, batch)
        logs = jax.nn.log_softmax(other.apply(state["judge"].params, back))
        told = jnp.mean(of_own(logs, batch))
        if settings.bounded:  # KL(uniform || D): 0 where the discriminator knows nothing
            told = -jnp.mean(logs) - jnp.log(float(environments))
        # the log of a share that is 0 has no slope
        spread = -jnp.mean(jnp.sum(alpha * jnp.log(jnp.maximum(alpha, TINY)), axis=1))
        more = settings.lambda_adv * told + settings.entropy * spread
        rebuilt = net.decode(params, z, e, key=batch.keys[10])
        value, info = reconstruction(rebuilt, params, batch, settings, environments, more)
        return value, (None, {**info, "told": told, "entropy": spread})

    both = alternate((gradient(tell, tx, "judge"), gradient(fool, tx, "model")), (1, 1))

    def turn(key: Key, parts: Parts, batch: Batch) -> tuple[Parts, Info]:
        parts, infos = both(key, parts, batch)
        return parts, {**infos["0"], **infos["1"]}  # the loss is the model's

    def encode(params: Params, temperature: Scalar, x: Array, e: Array) -> Normal:
        del temperature
        return net.encode(params, x, e)

    def prior(params: Params, temperature: Scalar, e: Float[Array, "b v"]) -> Normal:
        del params, temperature
        zeros = jnp.zeros((len(e), settings.latents))
        return zeros, zeros

    return Family(begin, 11, turn, encode, net.decode, prior, net.variables)


def counterfactual(
    key: Key, z: Float[Array, "b d"], alpha: Float[Array, "b d"]
) -> Float[Array, "b d"]:
    """Z, brought back to N(0, 1) where the attention is; the key is used."""
    return alpha * normal(key, z.shape) + (1 - alpha) * z


def of_own(logs: Float[Array, "b e"], batch: Batch) -> Float[Array, "b"]:
    """What is told of each row's own environment."""
    return jnp.take_along_axis(logs, batch.environment[:, None], axis=1)[:, 0]
