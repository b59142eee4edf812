"""What is minimised: less the likelihood of what was measured, and a weight of the divergence.

"Towards Learning Cell Causal-Embeddings", eq. 2. Both terms are in nats, summed over features and
over latents: with the mean of one and the sum of the other the prior would weigh by their number.
"""

import math
from typing import Literal, TypeAlias

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from epistax.engine.nets.hashing import normal
from epistax.engine.types import Key, Scalar

Likelihood: TypeAlias = Literal["normal", "learned", "huber", "student"]
DELTA = 3.0  # beyond which Huber's loss is linear
FREEDOM = 4.0  # degrees of Student's t
LOG_TAU = math.log(2 * math.pi)
LOG_T = math.lgamma((FREEDOM + 1) / 2) - math.lgamma(FREEDOM / 2)
AT_MODE = LOG_T - 0.5 * math.log(FREEDOM * math.pi)  # log density of t at 0


def missed(
    told: Float[Array, "b g"], x: Float[Array, "b g"], log_variance: Scalar, *, form: Likelihood
) -> Float[Array, "b"]:
    """-log p(x | told) of each row, summed over features.

    "normal": of variance 1; "learned": of the variance given, that of all features; "student": t
    of 4 degrees of freedom; "huber": no density, the normal one's shape near 0 and linear beyond 3.
    """
    if form == "huber":
        return jnp.sum(optax.losses.huber_loss(told, x, delta=DELTA), axis=1)
    squares = (x - told) ** 2
    if form == "student":
        each = (FREEDOM + 1) / 2 * jnp.log1p(squares / FREEDOM) - AT_MODE
    elif form == "learned":
        each = 0.5 * (squares * jnp.exp(-log_variance) + log_variance + LOG_TAU)
    else:
        each = 0.5 * (squares + LOG_TAU)
    return jnp.sum(each, axis=1)


def warm(beta: float, epoch: Scalar, warmup: int) -> Scalar:
    """The weight of the divergence in an epoch: rises evenly from 0 over the first `warmup`."""
    return beta * jnp.minimum(1.0, epoch / warmup) if warmup else jnp.full_like(epoch, beta)


def drawn(key: Key, mean: Float[Array, "b d"], log_sd: Float[Array, "b d"]) -> Float[Array, "b d"]:
    """One draw a row, with slopes to mean and sd; the key is used."""
    return mean + jnp.exp(log_sd) * normal(key, mean.shape)
