"""Positive definite kernels of observations, their bandwidth and the features that stand for them.

k(x, y) as functions of r = |x - y|: RBF exp(-r^2 / (2 l^2)) and Matern-5/2
(1 + sqrt(5) r / l + 5 r^2 / (3 l^2)) exp(-sqrt(5) r / l), as in "Automated Discovery of Pairwise
Interactions from Unstructured Data", section 3.2.
"""

from collections.abc import Callable
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy import ndarray

from epistax.engine.types import Scalar

Gram: TypeAlias = Callable[[Float[Array, "m d"], Float[Array, "n d"], Scalar], Float[Array, "m n"]]
POOLED = 2000  # observations whose distances give the bandwidth
RIDGE = 1e-5  # eigenvalues of the landmarks' Gram below this share of the largest are noise


def squared_distance(x: Float[Array, "m d"], y: Float[Array, "n d"]) -> Float[Array, "m n"]:
    """|x - y|^2 by one matrix product; centre the data first, or small distances drown."""
    # made before the loop over all of [m n]: fused into it, they are read far more slowly
    xx, yy = jax.lax.optimization_barrier((jnp.sum(x * x, axis=1), jnp.sum(y * y, axis=1)))
    return jnp.maximum(xx[:, None] + yy[None, :] - 2 * x @ y.T, 0)


def rbf(x: Float[Array, "m d"], y: Float[Array, "n d"], bandwidth: Scalar) -> Float[Array, "m n"]:
    """Gram matrix of the Gaussian kernel, in (0, 1]; bandwidth l is in units of x."""
    return jnp.exp(-0.5 / bandwidth**2 * squared_distance(x, y))


def matern52(
    x: Float[Array, "m d"], y: Float[Array, "n d"], bandwidth: Scalar
) -> Float[Array, "m n"]:
    """Gram matrix of the Matern-5/2 kernel, in (0, 1]; bandwidth l is in units of x."""
    r = jnp.sqrt(5 * squared_distance(x, y)) / bandwidth
    return (1 + r + r * r / 3) * jnp.exp(-r)


def linear(
    x: Float[Array, "m d"], y: Float[Array, "n d"], bandwidth: Scalar
) -> Float[Array, "m n"]:
    """Inner products in units of bandwidth^2: the squared norms of differences of means."""
    return x @ y.T / bandwidth**2


KERNELS: dict[str, Gram] = {"rbf": rbf, "matern52": matern52, "linear": linear}


def median_distance(x: Float[ndarray, "n d"]) -> float:
    """Median of the pairwise distances, zeros left out; for x of at most a few thousand rows."""
    x = np.asarray(x, np.float64)
    x = x - x.mean(axis=0)
    gram = x @ x.T
    norms = np.diag(gram)
    squares = (norms[:, None] + norms[None, :] - 2 * gram)[np.triu_indices(len(x), 1)]
    positive = squares[squares > 1e-12 * max(norms.max(), 1e-300)]
    return float(np.sqrt(np.median(positive))) if len(positive) else 1.0


def landmark_map(landmarks: Float[Array, "m d"], kernel: Gram, bandwidth: Scalar) -> jax.Array:
    """The matrix A [m, m] with features phi(x) = k(x, landmarks) A, whose products approach k.

    Williams and Seeger 2001, "Using the Nystroem method to speed up kernel machines". Directions
    that the landmarks do not resolve in single precision are 0.
    """
    gram = kernel(landmarks, landmarks, bandwidth)
    values, vectors = jnp.linalg.eigh(gram)
    keep = values > RIDGE * values[-1]
    return vectors * jnp.where(keep, 1 / jnp.sqrt(jnp.where(keep, values, 1)), 0)[None, :]
