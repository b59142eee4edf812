"""Distances to nearest neighbours: tiles of brute force anywhere, a k-d tree on the host.

Euclidean, in the units of the data. Self is left out by its index, so that a duplicate of an
observation is its neighbour at distance 0. Both ways give the same distances.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int
from numpy import ndarray
from scipy.spatial import cKDTree

from epistax.engine.stats.closest import certified

Tile: TypeAlias = Float[Array, "r c"]
BUDGET = 1 << 20  # squared distances in a tile; about four tiles' worth of memory is held
ACROSS = 4096  # columns of a tile, at most
WIDE, MANY, MOST = 16, 4096, 64  # features, y and at most so many neighbours for a product to pay
LEAVES = 64  # neighbours that the tree is asked for before rows are counted out one by one


def nearest(
    x: Float[Array, "n d"],
    y: Float[Array, "m d"],
    *,
    k: int,
    mask: Bool[Array, "m"] | None = None,
    same: bool = False,
    budget: int = BUDGET,
) -> Float[Array, "n k"]:
    """Distances from each x to its k nearest y, ascending; inf where fewer than k exist.

    mask says which y exist; same, that y is x itself. From squared differences, never from
    |x|^2 + |y|^2 - 2 x.y: as exact for close points far from the origin. Of many y in many
    dimensions a product only chooses which differences are taken, where that is certain.
    """

    def add(best: Float[Array, "r k"], squares: Tile) -> Float[Array, "r k"]:
        within = jax.lax.top_k(-squares, min(k, squares.shape[1]))[0]
        return -jax.lax.top_k(jnp.concatenate([-best, within], axis=1), k)[0]

    def start(rows: Float[Array, "r d"]) -> Float[Array, "r k"]:
        return jnp.full((rows.shape[0], k), jnp.inf, rows.dtype)

    def all_of_them() -> Float[Array, "n k"]:
        return tiled(x, y, start, add, mask=mask, same=same, budget=budget)

    if x.shape[1] < WIDE or len(y) < MANY or k > MOST:
        return jnp.sqrt(all_of_them())
    real = jnp.ones(len(y), bool) if mask is None else mask
    squares, sure = certified(x, y, real, k=k, same=same, budget=budget)
    return jnp.sqrt(jax.lax.cond(jnp.all(sure), lambda: squares, all_of_them))


def within(
    x: Float[Array, "n d"],
    y: Float[Array, "m d"],
    radius: Float[Array, "n"],
    *,
    mask: Bool[Array, "m"] | None = None,
    same: bool = False,
    budget: int = BUDGET,
) -> tuple[Int[Array, "n"], Float[Array, "n"]]:
    """How many y lie within each x's radius, and the distance to the furthest of them (else 0).

    A radius that is itself the distance to some y includes it.
    """
    slack = 1 + 8 * jnp.finfo(x.dtype).eps

    def add(found: tuple[Array, Array, Array], squares: Tile) -> tuple[Array, Array, Array]:
        count, furthest, limit = found
        inside = squares <= limit[:, None]
        count = count + jnp.sum(inside, axis=1, dtype=jnp.int32)
        reach = jnp.max(jnp.where(inside, squares, 0), axis=1)
        return count, jnp.maximum(furthest, reach), limit

    def start(rows: Float[Array, "r e"]) -> tuple[Array, Array, Array]:
        zero = jnp.zeros(rows.shape[0], rows.dtype)
        return zero.astype(jnp.int32), zero, (rows[:, -1] * slack) ** 2

    beside = jnp.concatenate([x, radius[:, None]], axis=1)
    count, furthest, _ = tiled(beside, y, start, add, mask=mask, same=same, budget=budget)
    return count, jnp.sqrt(furthest)


def tiled(
    x: Float[Array, "n e"],
    y: Float[Array, "m d"],
    start: Callable,
    add: Callable,
    *,
    mask: Bool[Array, "m"] | None,
    same: bool,
    budget: int,
) -> Any:
    """Fold tiles of squared distances, row block by row block; columns of x beyond d ride along.

    Rows and columns are padded to whole tiles; what does not exist is at distance inf.
    """
    (n, m), d = (x.shape[0], y.shape[0]), y.shape[1]
    across = max(min(m, ACROSS, budget), 1)
    down = min(n, max(budget // across, 1))
    real = jnp.ones(m, bool) if mask is None else mask
    rows = padded(x, down).reshape(-1, down, x.shape[1])
    columns = padded(y, across).reshape(-1, across, d).transpose(0, 2, 1)
    exists = padded(real[:, None], across).reshape(-1, across)
    first = jnp.arange(columns.shape[0], dtype=jnp.int32) * across

    def block(args: tuple[Array, Array]) -> Any:
        part, top = args

        def fold(state: Any, tile: tuple[Array, Array, Array]) -> tuple[Any, None]:
            column, present, left = tile
            squares = squared(part[:, :d].T, column)
            if same:
                i = top + jnp.arange(down, dtype=jnp.int32)
                j = left + jnp.arange(across, dtype=jnp.int32)
                squares = jnp.where(i[:, None] == j[None, :], jnp.inf, squares)
            return add(state, jnp.where(present[None, :], squares, jnp.inf)), None

        return jax.lax.scan(fold, start(part), (columns, exists, first))[0]

    tops = jnp.arange(rows.shape[0], dtype=jnp.int32) * down
    folded = jax.lax.map(block, (rows, tops))
    return jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:])[:n], folded)


def squared(x: Float[Array, "d r"], y: Float[Array, "d c"]) -> Tile:
    """Sums over features, one at a time, of squared differences: no [r c d] is made."""

    def feature(f: Int[Array, ""], total: Tile) -> Tile:
        return total + (x[f][:, None] - y[f][None, :]) ** 2

    start = jnp.zeros((x.shape[1], y.shape[1]), x.dtype)
    return jax.lax.fori_loop(0, x.shape[0], feature, start)


def padded(x: Array, multiple: int) -> Array:
    """Rows of zeros up to a multiple."""
    return jnp.pad(x, ((0, -len(x) % multiple), (0, 0)))


def tree_nearest(
    x: Float[ndarray, "n d"], tree: cKDTree, *, k: int, same: bool = False
) -> Float[ndarray, "n k"]:
    """What `nearest` gives, in float64 by the tree of y; for few dimensions (8, say)."""
    workers = -1 if len(x) >= MANY else 1  # all cores, where that is worth starting threads
    distance, index = tree.query(x, k=list(range(1, k + 1 + same)), workers=workers)
    if not same:
        return distance
    # among more than k duplicates self may not be listed: any of them, all at 0, goes in its place
    self = index == np.arange(len(x))[:, None]
    self[~self.any(axis=1), -1] = True
    return distance[~self].reshape(len(x), k)


def tree_within(
    x: Float[ndarray, "n d"],
    tree: cKDTree,
    radius: Float[ndarray, "n"],
    *,
    same: bool = False,
    budget: int = BUDGET,
) -> tuple[Int[ndarray, "n"], Float[ndarray, "n"]]:
    """What `within` gives, by the tree; rows with LEAVES neighbours inside go by brute force."""
    y, limit = tree.data, radius * (1 + 1e-12)
    distance = tree_nearest(x, tree, k=LEAVES, same=same)
    inside = distance <= limit[:, None]
    count, furthest = inside.sum(axis=1), np.where(inside, distance, 0).max(axis=1)
    crowded = np.flatnonzero(count == LEAVES)
    for rows in np.array_split(crowded, max(1, -(-len(crowded) * len(y) // budget))):
        squares = sum((x[rows, f, None] - y[None, :, f]) ** 2 for f in range(x.shape[1]))
        if same:
            squares[np.arange(len(rows)), rows] = np.inf
        inside = squares <= limit[rows, None] ** 2
        count[rows] = inside.sum(axis=1)
        furthest[rows] = np.sqrt(np.where(inside, squares, 0).max(axis=1))
    return count, furthest
