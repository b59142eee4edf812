"""Single cells of the morphology genes, in two laws whose truth is exact.

saturating: z_k ~ N(2.5 tanh(sum_g L_gk / 2.5), 1) on the pathway axes that a gene hits
(|L_gk| > .2), N(0, 1) elsewhere. Genes that hit no axis in common are separable: their mechanisms
are apart (Definition 3.5 of "Automated Discovery of Pairwise Interactions from Unstructured
Data"); two hits on one axis saturate.

mixture: cells are in one of six states of weights Dir(10); a gene moves the cells of one or two
states, the same for all genes of a pathway. Genes that share no state are disjoint (Theorem 3.9):
p_ij + p_0 = p_i + p_j.

Both are seen through a two-layer invertible LeakyReLU map of the latent axes.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int
from numpy import ndarray

from epistax.engine.simulate.morphology import Biology
from epistax.engine.simulate.tabular import leaky
from epistax.engine.types import Key

HIT, CEILING = 0.2, 2.5
STATES, SPREAD, SHIFT = 6, 2.0, 6.0  # of mixture: states, sd of their centres, how far genes move
CONTROL, SINGLE, DOUBLE = 5000, 500, 300  # cells a class


class Cells(NamedTuple):
    """One observation a cell; apart is `separable` or `disjoint`, by the law."""

    x: Float[Array, "n k"]
    codes: Int[ndarray, "n 2"]  # (-1, -1), (-1, i) or (i, j)
    apart: Bool[ndarray, "q"]


def saturating(key: Key, genes: Biology, *, double: int = DOUBLE) -> Cells:
    """Cells whose axes saturate where two genes hit one. The key is used up."""
    k_map, k_noise = jax.random.split(key)
    codes = layout(genes, double)
    hit = hits(genes)
    z = saturated(genes, codes)
    z += jax.random.normal(k_noise, z.shape)
    shared = (hit[genes.pairs.i] & hit[genes.pairs.j]).any(axis=1)
    return Cells(leaky(k_map, z, layers=2), codes, ~shared)


def hits(genes: Biology) -> Bool[ndarray, "p k"]:
    """The axes that each gene acts on."""
    return np.abs(np.asarray(genes.loading)) > HIT


def saturated(genes: Biology, codes: Int[ndarray, "n 2"]) -> Float[Array, "n k"]:
    """Where the axes of a cell stand on average, by what it carries."""
    force = jnp.where(hits(genes), genes.loading, 0.0)
    every = jnp.concatenate([force, jnp.zeros((1, force.shape[1]))])  # the last answers for -1
    return CEILING * jnp.tanh((every[codes[:, 0]] + every[codes[:, 1]]) / CEILING)


def mixture(key: Key, genes: Biology, *, double: int = DOUBLE) -> Cells:
    """Cells of six states, of which a gene moves one or two. The key is used up."""
    k_map, k_centre, k_weight, k_states, k_cell, k_noise = jax.random.split(key, 6)
    pathways = genes.loading.shape[1]
    codes = layout(genes, double)
    centre = SPREAD * jax.random.normal(k_centre, (STATES, pathways))
    weight = jax.random.dirichlet(k_weight, jnp.full(STATES, 10.0))
    moved = np.asarray(states(k_states, pathways))[genes.pathway]
    state = jax.random.choice(k_cell, STATES, codes[:, 0].shape, p=weight)
    way = SHIFT * genes.loading / jnp.linalg.norm(genes.loading, axis=1, keepdims=True)
    acting = jnp.concatenate([jnp.asarray(moved), jnp.zeros((1, STATES), bool)])
    both = jnp.concatenate([way, jnp.zeros((1, pathways))])
    z = centre[state] + jax.random.normal(k_noise, (len(codes), pathways))
    for column in codes.T:
        z += both[column] * acting[column, state][:, None]
    shared = (moved[genes.pairs.i] & moved[genes.pairs.j]).any(axis=1)
    return Cells(leaky(k_map, z, layers=2), codes, ~shared)


def states(key: Key, pathways: int) -> Bool[Array, "k states"]:
    """One state a pathway, or two."""
    k_first, k_second, k_two = jax.random.split(key, 3)
    first = jax.random.randint(k_first, (pathways,), 0, STATES)
    other = (first + jax.random.randint(k_second, (pathways,), 1, STATES)) % STATES
    two = jax.random.bernoulli(k_two, 0.5, (pathways,))
    one, more = (jax.nn.one_hot(s, STATES, dtype=bool) for s in (first, other))
    return one | (more & two[:, None])


def layout(genes: Biology, double: int) -> Int[ndarray, "n 2"]:
    """What every cell carries."""
    p = len(genes.pathway)
    alone = np.stack([np.full(p, -1), np.arange(p)], axis=1)
    both = np.stack(genes.pairs, axis=1)
    parts = ((np.full((1, 2), -1), CONTROL), (alone, SINGLE), (both, double))
    return np.concatenate([np.repeat(what, n, axis=0) for what, n in parts]).astype(np.int32)
