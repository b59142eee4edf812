"""How expression is distributed, given the numbers that a network tells of each gene.

Normal on y, or counts: negative binomial, with an excess of zeros or without. y is the log1p of
counts in units of a common library, so that counts are expm1(y), any numbers from 0 on: their
probability goes by gamma functions. Means and sds are those of y, for counts to first order: the
log1p of the mean, and the sd over one plus the mean.
"""

from typing import Literal, TypeAlias

import jax
import jax.numpy as jnp
from jax.scipy.special import gammaln
from jaxtyping import Array, Float

from epistax.engine.nets.readout import Outputs
from epistax.engine.types import Key

Head: TypeAlias = Literal["normal", "nb", "zinb"]
NUMBERS: dict[Head, int] = {"normal": 2, "nb": 2, "zinb": 3}  # told of each gene
LEAST = 1e-3  # that what must be positive is above what softplus gives
TINY = 1e-8
HALF_LOG_TAU = 0.9189385332046727  # log(2 pi) / 2


def positive(raw: Float[Array, "b g"]) -> Float[Array, "b g"]:
    """Softplus + 1e-3."""
    return softplus(raw) + LEAST


@jax.custom_jvp
def softplus(x: Float[Array, "b g"]) -> Float[Array, "b g"]:
    """Log(1 + exp x); jax's own has a slope that costs several times as much."""
    return jnp.maximum(x, 0) + jnp.log1p(jnp.exp(-jnp.abs(x)))


softplus.defjvps(lambda slope, out, x: slope * -jnp.expm1(-out))


def log_density(head: Head, told: Outputs, y: Float[Array, "b g"]) -> Float[Array, "b g"]:
    """Of each gene of each cell; of counts the log-probability of expm1(y)."""
    if head == "normal":
        loc, sd = told[0], positive(told[1])
        return -0.5 * ((y - loc) / sd) ** 2 - jnp.log(sd) - HALF_LOG_TAU
    mean, inverse = positive(told[0]), positive(told[1])
    count = jnp.expm1(y)
    value = negative_binomial(count, mean, inverse)
    if head == "nb":
        return value
    # log(pi + (1 - pi) NB(0)) at 0, log(1 - pi) + log NB elsewhere
    never, rest = jax.nn.log_sigmoid(told[2]), jax.nn.log_sigmoid(-told[2])
    return jnp.where(count < TINY, jnp.logaddexp(never, rest + value), rest + value)


def negative_binomial(
    count: Float[Array, "b g"], mean: Float[Array, "b g"], inverse: Float[Array, "b g"]
) -> Float[Array, "b g"]:
    """Log-probability of a count, of variance mean + mean^2 / inverse."""
    total = jnp.log(inverse + mean + TINY)
    ways = gammaln(count + inverse) - gammaln(inverse) - gammaln(count + 1)
    own = inverse * (jnp.log(inverse + TINY) - total)
    return own + count * (jnp.log(mean + TINY) - total) + ways


def expected(head: Head, told: Outputs) -> Float[Array, "b g"]:
    """The mean of y."""
    if head == "normal":
        return told[0]
    return jnp.log1p(positive(told[0]) * present(head, told))


def deviation(head: Head, told: Outputs) -> Float[Array, "b g"]:
    """The sd of y."""
    if head == "normal":
        return positive(told[1])
    some, mean, inverse = present(head, told), positive(told[0]), positive(told[1])
    variance = some * (mean + mean**2 / inverse) + some * (1 - some) * mean**2
    return jnp.sqrt(variance) / (1 + some * mean)


def present(head: Head, told: Outputs) -> Float[Array, "b g"]:
    """The probability that a count is not one of the excess of zeros."""
    return jax.nn.sigmoid(-told[2]) if head == "zinb" else jnp.ones_like(told[0])


def drawn(key: Key, told: Outputs) -> Float[Array, "b g"]:
    """One y of a normal head, with slopes; the key is used."""
    return told[0] + positive(told[1]) * jax.random.normal(key, told[0].shape)
