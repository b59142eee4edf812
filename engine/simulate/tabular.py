"""Tabular observations of known truth: latents through an invertible network.

Appendix D.1.3 of "Automated Discovery of Pairwise Interactions from Unstructured Data":
a mixture of six components in the plane, of which every gene shifts some. Genes that share no
component are disjoint: p_ij + p_0 = p_i + p_j.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int
from numpy import ndarray

from epistax.engine.pairs import Pairs, upper
from epistax.engine.types import Key

COMPONENTS, RADIUS = 6, 4.0
GENES = ("A", "B", "C", "D", "E", "F", "G")
HITS = ((0,), (1,), (2,), (3, 4), (4, 5), (3, 5), (3, 4, 5))  # components each gene shifts
LAYERS, SLOPE = 10, 0.5
GAIN = (0.8, 1.2)  # range of the singular values of a layer


class Tabular(NamedTuple):
    """Observations of control, singles and all pairs, and which pairs are disjoint."""

    x: Float[Array, "n d"]
    codes: Int[ndarray, "n 2"]  # (-1, -1), (-1, i) or (i, j)
    pairs: Pairs
    disjoint: Bool[ndarray, "q"]


def disjointness(key: Key, n: int) -> Tabular:
    """N observations a class: 1 control, 7 genes, 21 pairs, 6 of which interact.

    Component c of six is N(0, I) unless a gene hits it, once or twice: then it is
    N(4 (cos pi c / 3, sin pi c / 3), I). The key is used up.
    """
    p = len(GENES)
    pairs = upper(p)
    hit = np.zeros((p, COMPONENTS), bool)
    for gene, components in enumerate(HITS):
        hit[gene, list(components)] = True
    shifted = np.concatenate([np.zeros((1, COMPONENTS), bool), hit, hit[pairs.i] | hit[pairs.j]])
    k_map, k_component, k_noise = jax.random.split(key, 3)
    size = (len(shifted), n)
    component = jax.random.randint(k_component, size, 0, COMPONENTS)
    angle = jnp.pi * component / 3
    centre = RADIUS * jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=-1)
    moved = jnp.take_along_axis(jnp.asarray(shifted), component, axis=1)
    z = jax.random.normal(k_noise, (*size, 2)) + jnp.where(moved[..., None], centre, 0)
    y = leaky(k_map, z.reshape(-1, 2), layers=LAYERS)
    single = np.stack([np.full(p, -1), np.arange(p)], axis=1)
    codes = np.concatenate([[[-1, -1]], single, np.stack([pairs.i, pairs.j], axis=1)])
    shared = (hit[pairs.i] & hit[pairs.j]).any(axis=1)
    x = (y - y.mean(axis=0)[None, :]) / y.std(axis=0)[None, :]
    return Tabular(x, np.repeat(codes, n, axis=0).astype(np.int32), pairs, ~shared)


def leaky(key: Key, z: Float[Array, "n d"], *, layers: int) -> Float[Array, "n d"]:
    """An invertible map: orthogonal layers of singular values in GAIN, LeakyReLU between them."""
    d = z.shape[1]
    for layer, k in enumerate(jax.random.split(key, layers)):
        k_left, k_right, k_gain = jax.random.split(k, 3)
        left, right = (jax.random.orthogonal(k, d) for k in (k_left, k_right))
        gain = jax.random.uniform(k_gain, (d,), minval=GAIN[0], maxval=GAIN[1])
        z = z @ (left * gain[None, :] @ right)
        z = jax.nn.leaky_relu(z, SLOPE) if layer < layers - 1 else z
    return z
