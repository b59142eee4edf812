"""Structural causal models of latents, and what is observed of them.

"Towards Learning Cell Causal-Embeddings", definitions 1 and 3 and sections 5.1 and 6: latents
C_v = sum_u w_vu C_u + Z_v, u < v, of independent noises Z, and observations x = g(C) of a g that no
intervention changes: linear, or networks of three ReLU units. Every weight is -1 or 1.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Bool, Float

from epistax.engine.types import Key, Scalar

EDGE = 0.5  # chance of a feature to have a latent as its parent
UNITS = 3  # of a feature's network
DRAWS = 64  # mixings of which one is kept


class Nets(NamedTuple):
    """x_g = sum_h outer_gh ReLU(sum_d inner_ghd C_d): of each feature over its parents."""

    inner: Float[Array, "g h d"]
    outer: Float[Array, "g h"]


class World(NamedTuple):
    """What is the same in every environment; one of mixing and nets is None."""

    edges: Float[Array, "d d"]  # weight of latent u (column) in latent v (row): 0 where u >= v
    sd: Float[Array, "d"]  # of the noises Z; 0: the latent follows from its parents
    mixing: Float[Array, "g d"] | None  # M of x = M C
    nets: Nets | None
    noise: Scalar  # sd of what is added to each feature


def latents(world: World, z: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """C of the noises Z."""
    d = z.shape[1]
    return solve_triangular(jnp.eye(d) - world.edges, z.T, lower=True, unit_diagonal=True).T


def observed(world: World, c: Float[Array, "n d"]) -> Float[Array, "n g"]:
    """The features of latents C, without the noise of observing them."""
    if world.nets is None:
        return c @ world.mixing.T
    hidden = jax.nn.relu(jnp.einsum("nd,ghd->ngh", c, world.nets.inner))
    return (hidden * world.nets.outer[None]).sum(axis=2)


def growing(key: Key, d: int) -> Float[Array, "d d"]:
    """Edges of a growing network: latent v has one parent, u < v by chance as its degree."""
    edges, degree = jnp.zeros((d, d)), jnp.zeros(d).at[0].set(1)
    for v in range(1, d):
        k_parent, k_weight = jax.random.split(jax.random.fold_in(key, v))
        parent = jax.random.categorical(k_parent, jnp.log(degree))
        edges = edges.at[v, parent].set(jax.random.rademacher(k_weight, dtype=float))
        # with the first edge both of its ends have degree 1
        degree = degree.at[v].set(1).at[parent].add(0 if v == 1 else 1)
    return edges


def wired(key: Key, g: int, d: int, edge: float = EDGE) -> Bool[Array, "g d"]:
    """The latents that are parents of each feature: each by this chance, any one if none is."""
    k_edge, k_one = jax.random.split(key)
    drawn = jax.random.bernoulli(k_edge, edge, (g, d))
    one = jax.nn.one_hot(jax.random.randint(k_one, (g,), 0, d), d, dtype=bool)
    return drawn | (one & ~drawn.any(axis=1, keepdims=True))


def mixing(key: Key, g: int, d: int, *, worst: float) -> Float[Array, "g d"]:
    """M: the first of DRAWS whose condition number is at most `worst`, or the best of them."""
    if g < d:
        raise ValueError(f"`features` is {g} but there are {d} latents; give at least as many")

    def one(key: Key) -> Float[Array, "g d"]:
        k_edge, k_sign = jax.random.split(key)
        return wired(k_edge, g, d) * jax.random.rademacher(k_sign, (g, d), dtype=float)

    drawn = jax.vmap(one)(jax.random.split(key, DRAWS))
    scale = jnp.linalg.svd(drawn, compute_uv=False)
    # of a mixing without full rank the least singular value is 0 or a rounding error
    condition = scale[:, 0] / jnp.maximum(scale[:, -1], jnp.finfo(float).eps)
    fine = condition <= worst
    return drawn[jnp.where(fine.any(), jnp.argmax(fine), jnp.argmin(condition))]


def nets(key: Key, g: int, d: int) -> Nets:
    """Networks of weights -1 and 1 over the parents of each feature."""
    k_edge, k_inner, k_outer = jax.random.split(key, 3)
    inner = jax.random.rademacher(k_inner, (g, UNITS, d), dtype=float)
    return Nets(
        inner=inner * wired(k_edge, g, d)[:, None, :],
        outer=jax.random.rademacher(k_outer, (g, UNITS), dtype=float),
    )
