"""Measured pairs laid out by perturbation, a fixed number of its partners to a row.

Sums over the partners of every perturbation are then gathers and small products over rows; only
row totals are scattered, and memory is that of a chunk of rows however many pairs are measured.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int
from numpy import ndarray

from epistax.engine.pairs import Pairs

WIDTH, CHUNK = 16, 512  # partners a row, rows summed at a time


class Partners(NamedTuple):
    """Rows of perturbations; a pair is in one row of each of its two."""

    one: Int[Array, "rows"]  # whose row it is; p where the row is empty
    other: Int[Array, "rows w"]
    entry: Int[Array, "rows w"]  # which measured pair
    filled: Bool[Array, "rows w"]


def layout(
    pairs: Pairs, mask: Bool[Array | ndarray, "q"], p: int
) -> tuple[Partners, Int[Array, ""]]:
    """Rows of the pairs of mask, those in use first, and how many those are."""
    q = len(pairs.i)
    out = jnp.where(jnp.asarray(mask), 0, p + 1)
    i, j = (jnp.minimum(jnp.asarray(x) + out, p) for x in pairs)
    one, other = jnp.concatenate([i, j]), jnp.concatenate([j, i])
    order = jnp.argsort(one, stable=True)
    one, other, entry = one[order], other[order], jnp.tile(jnp.arange(q), 2)[order]
    degree = jnp.zeros(p + 1, jnp.int32).at[one].add(1).at[p].set(0)
    rows = -(-degree // WIDTH)
    place = jnp.arange(2 * q) - (jnp.cumsum(degree) - degree)[one]
    size = CHUNK * -(-(-(-2 * q // WIDTH) + min(p, 2 * q)) // CHUNK)
    at = jnp.where(one < p, (jnp.cumsum(rows) - rows)[one] + place // WIDTH, size), place % WIDTH

    def put(value: Array) -> Array:
        return jnp.zeros((size, WIDTH), value.dtype).at[at].set(value, mode="drop")

    owner = jnp.full(size, p, jnp.int32).at[at[0]].set(one.astype(jnp.int32), mode="drop")
    made = Partners(owner, put(other), put(entry), put(jnp.ones(2 * q, bool)))
    return made, rows.sum()


def total(
    partners: Partners,
    weight: Float[Array, "rows w"],
    table: Float[Array, "p k"],
) -> Float[Array, "p k"]:
    """sum_j w_ij t_j over the partners j of every perturbation i."""
    chunks = -(-len(weight) // CHUNK)

    def cut(x: Array, fill: int = 0) -> Array:
        more = jnp.full((chunks * CHUNK - len(x), *x.shape[1:]), fill, x.dtype)
        return jnp.concatenate([x, more]).reshape(chunks, CHUNK, *x.shape[1:])

    def add(so_far: Array, chunk: tuple[Array, Array, Array]) -> tuple[Array, None]:
        one, other, w = chunk
        return so_far.at[one].add(jnp.einsum("rw,rwk->rk", w, table[other]), mode="drop"), None

    start = jnp.zeros_like(table)
    parts = cut(partners.one, len(table)), cut(partners.other), cut(weight)
    return jax.lax.scan(add, start, parts)[0]
