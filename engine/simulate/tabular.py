"""Tabular observations of known truth: latents through an invertible network.

Appendices D.1.1 and D.1.3 of "Automated Discovery of Pairwise Interactions from Unstructured
Data". separability: independent latents, each of which some genes hit; genes without a latent in
common are separable: p_ij p_0 = p_i p_j. disjointness: a mixture of six components in the plane,
of which every gene shifts some; genes without a component in common are disjoint:
p_ij + p_0 = p_i + p_j.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int
from numpy import ndarray

from epistax.engine.pairs import Pairs, upper
from epistax.engine.simulate.latents import Separability, classes, draw, four
from epistax.engine.types import Key

COMPONENTS, RADIUS = 6, 4.0
GENES = ("A", "B", "C", "D", "E", "F", "G")
HITS = ((0,), (1,), (2,), (3, 4), (4, 5), (3, 5), (3, 4, 5))  # components each gene shifts
LAYERS = {"separability": 7, "disjointness": 10}
SLOPE = 0.5
GAIN = (0.8, 1.2)  # range of the singular values of a layer


class Tabular(NamedTuple):
    """Observations of control, singles and all pairs, and which pairs are disjoint."""

    x: Float[Array, "n d"]
    codes: Int[ndarray, "n 2"]  # (-1, -1), (-1, i) or (i, j)
    pairs: Pairs
    disjoint: Bool[ndarray, "q"]


def separability(key: Key, n: int, *, hit: float = 2.0, latents: int = 3) -> Separability:
    """N observations a class: 1 control, 4 genes, 6 pairs, 4 of which are separable.

    A and B hit the first latent, C and D the second, once or twice: from N(0, 1) to N(hit, 1);
    the others are never hit. AB and CD score -hit^2 / 2, the other pairs 0. The key is used up.
    """
    k_map, k_noise = jax.random.split(key)
    made = draw(k_noise, four(hit, latents), n)
    return made._replace(x=standardised(leaky(k_map, made.z, layers=LAYERS["separability"])))


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
    y = leaky(k_map, z.reshape(-1, 2), layers=LAYERS["disjointness"])
    shared = (hit[pairs.i] & hit[pairs.j]).any(axis=1)
    return Tabular(standardised(y), np.repeat(classes(p), n, axis=0), pairs, ~shared)


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


def standardised(y: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """Mean 0 and sd 1 of every column, over all classes together."""
    return (y - y.mean(axis=0)[None, :]) / y.std(axis=0)[None, :]
