"""Independent latents that perturbations hit, and what is exactly true of every pair.

z_l ~ N(0, 1) under control and N(s, 1) where it is hit with strength s; where both perturbations
of a pair hit one latent, the stronger counts (appendices D.1.1, D.1.2 and D.2.2 of "Automated
Discovery of Pairwise Interactions from Unstructured Data"; their strengths are not legible). With
m_k the means of class k,

    log p_k/p_0 (z) = m_k.z - |m_k|^2 / 2,    KL(p_k || p_0) = |m_k|^2 / 2,

and both are the same of x = g(z) for any invertible g: its Jacobian cancels.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int
from numpy import ndarray

from epistax.engine.pairs import Pairs, upper
from epistax.engine.types import Key

FOUR, TARGETS = ("A", "B", "C", "D"), (0, 0, 1, 1)  # genes, and the latent that each hits


class Separability(NamedTuple):
    """Observations of control, singles and all pairs, and which pairs are separable."""

    x: Float[Array, "n ..."]
    z: Float[Array, "n z"]  # what x shows
    codes: Int[ndarray, "n 2"]  # (-1, -1), (-1, i) or (i, j)
    pairs: Pairs
    strength: Float[Array, "p z"]  # how far each perturbation moves each latent; 0: not at all
    separable: Bool[Array, "q"]  # no latent is hit by both
    score: Float[Array, "q"]  # KL(p_ij || p_0) - KL(p_i || p_0) - KL(p_j || p_0), in nats


def four(hit: float, latents: int) -> Float[Array, "p z"]:
    """How far A, B, C and D move each of so many latents: AB and CD are not separable."""
    if hit <= 0 or latents <= max(TARGETS):
        raise ValueError(f"`hit` is {hit}, `latents` {latents}; give a positive one and 2 or more")
    return hit * jax.nn.one_hot(jnp.asarray(TARGETS), latents)


def draw(key: Key, strength: Float[Array, "p z"], n: int) -> Separability:
    """N observations a class of the latents themselves, x = z; strengths are not negative.

    Classes follow one another as in `classes`. The key is used up.
    """
    p, size = strength.shape
    carried, pairs = classes(p), upper(p)
    mean = means(strength, carried)
    z = jnp.repeat(mean, n, axis=0) + jax.random.normal(key, (len(carried) * n, size))
    first, second = strength[pairs.i], strength[pairs.j]
    shared = jnp.minimum(first, second)  # max(a, b)^2 - a^2 - b^2 = -min(a, b)^2
    apart = (shared == 0).all(axis=1)
    return Separability(
        x=z,
        z=z,
        codes=np.repeat(carried, n, axis=0),
        pairs=pairs,
        strength=strength,
        separable=apart,
        score=jnp.where(apart, 0.0, -jnp.sum(shared**2, axis=1) / 2),
    )


def classes(p: int) -> Int[ndarray, "k 2"]:
    """What each class carries: control (-1, -1), singles (-1, i), then the pairs of `upper`."""
    single = np.stack([np.full(p, -1), np.arange(p)], axis=1)
    both = np.stack(upper(p), axis=1)
    return np.concatenate([[[-1, -1]], single, both]).astype(np.int32)


def means(strength: Float[Array, "p z"], carried: Int[ndarray, "k 2"]) -> Float[Array, "k z"]:
    """Where the latents of each class stand: the stronger of what it carries."""
    every = jnp.concatenate([strength, jnp.zeros((1, strength.shape[1]))])  # the last is for -1
    return jnp.maximum(every[carried[:, 0]], every[carried[:, 1]])


def log_ratio(
    z: Float[Array | ndarray, "n z"], mean: Float[Array | ndarray, "z"]
) -> Float[Array | ndarray, "n"]:
    """T = log p/p_0 of a class with these means, at latents z."""
    return z @ mean - (mean**2).sum() / 2
