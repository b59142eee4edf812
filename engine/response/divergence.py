"""What keeps counterfactuals honest: they should look like cells that were so treated.

"Predicting Cellular Responses with Variational Causal Inference and Refined Relational
Information", eq. 3: log p(Y' | X, T') of what is predicted, and the divergence of what is believed
of a cell's state from what would be believed of its counterfactual.
"""

from typing import Literal, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from epistax.engine.nets.inference import Gaussian
from epistax.engine.response.densities import HALF_LOG_TAU
from epistax.engine.types import Scalar

Divergence: TypeAlias = Literal["true", "code"]


def kl(one: Gaussian, other: Gaussian, form: Divergence) -> Float[Array, "b"]:
    """KL(one || other), summed over the numbers of a state, in nats.

    "code": as the authors' program has it, which does not divide the means' square by the variance.
    """
    (mean, sd), (mean2, sd2) = one, other
    apart = (mean - mean2) ** 2 / (sd2**2 if form == "true" else 1)
    return jnp.sum(jnp.log(sd2 / sd) + 0.5 * ((sd / sd2) ** 2 + apart - 1), axis=1)


def to_mean(
    predicted: Float[Array, "b g"],
    mean: Float[Array, "b g"],
    variance: Float[Array, "b"],
    known: Bool[Array, "b"],
) -> Scalar:
    """-log of kernels of sd 1, each gene's, meaned over the cells of the group of (X, T').

    The mean of (y - y_s)^2 over cells s is (y - mean)^2 + variance: the slopes see the mean alone.
    variance is the mean over genes of that within the group; rows not known count for nothing.
    """
    each = 0.5 * (jnp.mean((predicted - mean) ** 2, axis=1) + variance) + HALF_LOG_TAU
    return over_known(each, known)


def to_density(
    predicted: Float[Array, "b g"],
    samples: Float[Array, "b s g"],
    bandwidth: Float[Array, "g"],
    known: Bool[Array, "b"],
) -> Scalar:
    """-log of the mean of kernels around s cells of the group of (X, T'), for each gene.

    A density of all genes at once, over their number: the nearest cells weigh most.
    """
    apart = (predicted[:, None, :] - samples) / bandwidth[None, None, :]
    logs = -0.5 * jnp.sum(apart**2, axis=2)
    count = samples.shape[1]
    value = jax.nn.logsumexp(logs, axis=1) - jnp.log(float(count))
    value = value / predicted.shape[1] - jnp.mean(jnp.log(bandwidth)) - HALF_LOG_TAU
    return over_known(-value, known)


def silverman(sd: Float[Array, "g"], count: int, floor: float) -> Float[Array, "g"]:
    """Bandwidths of a normal law of that many genes and cells: sd (4 / ((g + 2) n))^(1 / (g + 4)).

    Genes that hardly vary have that of a gene of sd floor.
    """
    genes = sd.shape[0]
    factor = (4 / ((genes + 2) * count)) ** (1 / (genes + 4))
    return factor * jnp.maximum(sd, floor)


def over_known(each: Float[Array, "b"], known: Bool[Array, "b"]) -> Scalar:
    """The mean over the known rows; 0 without any."""
    return jnp.sum(jnp.where(known, each, 0.0)) / jnp.maximum(jnp.sum(known), 1)
