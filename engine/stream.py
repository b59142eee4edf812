"""The best of an implicit pair space: tiles of the upper triangle with a running top-b.

Nothing of the length of the pair list is ever stored: 20,000 perturbations are 199,990,000 pairs
in 210 tiles of 1,024 x 1,024. The best b of a union are the best b of the parts' best, so the
result is exact; a tile whose maximum does not beat the running b-th best is not sorted at all.
Ties go to the lower pair, so that neither the tiles' size nor the number of devices that share
them changes what is chosen.
"""

from collections.abc import Callable
from functools import lru_cache
from math import gcd
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Float, Int
from numpy import ndarray

from epistax.engine.mesh import copied, devices, each
from epistax.engine.pairs import Pairs, roomy, tiles
from epistax.engine.policy.bandits import upper_confidence
from epistax.engine.policy.ids import ratio
from epistax.engine.posterior import moments
from epistax.engine.types import Picked, Scalar

TILE, WIDTH = 1024, 128  # of a tile, and of the blocks in it that are looked at by their maximum
Tile: TypeAlias = Float[Array, "t t"]
Rows: TypeAlias = Int[Array, "t"]


class Space(NamedTuple):
    """All pairs of p perturbations less the measured ones, as tiles.

    first holds each tile's first row and column; row and column list the measured pairs of each
    tile by their place in it, padded with the tile's size, which falls outside.
    """

    first: Int[Array, "tiles 2"]
    row: Int[Array, "tiles m"]
    column: Int[Array, "tiles m"]


class Ranked(NamedTuple):
    """Pairs and their values, best first; where no pair was left: -inf and the pair (-1, -1)."""

    pairs: Pairs
    value: Float[ndarray, "b"]


def space(p: int, measured: Pairs, *, size: int = TILE) -> Space:
    """Tiles of size x size with their measured pairs sorted into them, on the host."""
    first = tiles(p, size)
    blocks = -(-p // size)
    i, j = np.asarray(measured.i, np.int64), np.asarray(measured.j, np.int64)
    row, column = i // size, j // size
    tile = row * blocks - row * (row - 1) // 2 + column - row
    order = np.argsort(tile, kind="stable")
    count = np.bincount(tile, minlength=len(first))
    place = np.arange(len(i)) - np.repeat(np.cumsum(count) - count, count)
    # at least 8: a single place would be compared with every cell of a tile
    most = max(int(count.max(initial=0)), 8)
    rows = np.full((len(first), roomy(most)), size, np.int32)
    columns = rows.copy()
    rows[tile[order], place] = (i % size)[order]
    columns[tile[order], place] = (j % size)[order]
    return Space(jnp.asarray(first), jnp.asarray(rows), jnp.asarray(columns))


def confidence(rows: Rows, columns: Rows, factors: moments.Factors, beta: Scalar) -> Tile:
    """Mu + beta sd of a tile, by closed-form moments; beta 0 is greedy."""
    return upper_confidence(*moments.of_tile(factors, rows, columns), beta)


def uncertainty(rows: Rows, columns: Rows, factors: moments.Factors) -> Tile:
    """The sd of a tile, by closed-form moments."""
    return jnp.sqrt(moments.of_tile(factors, rows, columns)[1])


@lru_cache(maxsize=16)  # one function a lambda, for the compiled pass to be found again
def variance_directed(lam: float) -> Callable[..., Tile]:
    """-Psi of a tile by closed form: information is the variance of R itself."""

    def score(rows: Rows, columns: Rows, factors: moments.Factors, expected: Scalar) -> Tile:
        # expected is E max R over open pairs; a mean may exceed what few draws say of it
        mean, var = moments.of_tile(factors, rows, columns)
        return -ratio(jnp.maximum(expected - mean, 0), var, var, lam)

    return score


def ranked(
    score: Callable[..., Tile],
    where: Space,
    *args: Any,
    p: int,
    batch: int,
    size: int = TILE,
    allowed: Bool[ndarray, "p"] | None = None,
    mesh: Mesh | None = None,
) -> Ranked:
    """The batch open pairs of highest score(rows, columns, *args), tiles shared by the devices.

    score is a function of this module's kind, not made anew for every call. Pairs with a member
    that is not allowed are left out.
    """
    spare = ((0, -len(where.first) % devices(mesh)), (0, 0))
    padded = Space(*(jnp.pad(v, spare, constant_values=p) for v in where))  # no cell of it is open
    every = np.ones(p, bool) if allowed is None else allowed
    whole = copied((jnp.asarray(every), *args), mesh)
    call = each(mesh, of_tiles, split=3, score=score, p=p, size=size, batch=batch)
    value, i, j = (np.asarray(v) for v in call(*padded, *whole))
    order = np.lexsort((j, i, -value))[:batch]
    return Ranked(Pairs(i[order], j[order]), value[order])


def of_tiles(
    first: Int[Array, "tiles 2"],
    row: Int[Array, "tiles m"],
    column: Int[Array, "tiles m"],
    allowed: Bool[Array, "p"],
    *args: Any,
    score: Callable[..., Tile],
    p: int,
    size: int,
    batch: int,
) -> tuple[Picked, Array, Array]:
    """One device's part: values and members of the best pairs of its tiles."""

    def fixed(rows: Rows, columns: Rows) -> Tile:
        both = allowed[rows][:, None] & allowed[columns][None, :]
        return jnp.where(both, score(rows, columns, *args), -jnp.inf)

    pairs, value = best(fixed, Space(first, row, column), p=p, size=size, batch=batch)
    return value, pairs.i, pairs.j


def best(
    score: Callable[[Rows, Rows], Tile], where: Space, *, p: int, size: int, batch: int
) -> tuple[Pairs, Picked]:
    """The batch open pairs of highest score, best first, visiting every tile once."""

    def visit(
        carry: tuple[Picked, Array, Array], tile: Space
    ) -> tuple[tuple[Picked, Array, Array], None]:
        rows, columns, open = part(tile, p=p, size=size)
        value = jnp.where(open, score(rows, columns), -jnp.inf).reshape(-1, width)
        peak = value.max(1)

        def merge(carry: tuple[Picked, Array, Array]) -> tuple[Picked, Array, Array]:
            top, place = highest(value, peak, batch)
            i = jnp.where(top > -jnp.inf, rows[place // size], -1)
            j = jnp.where(top > -jnp.inf, columns[place % size], -1)
            merged = (jnp.concatenate(pair) for pair in zip(carry, (top, i, j), strict=True))
            value_, i, j = merged
            down, i, j = jax.lax.sort((-value_, i, j), num_keys=3)
            return -down[:batch], i[:batch], j[:batch]

        # a tile further down cannot hold a lower pair of the same value
        tied = (peak.max() == carry[0][-1]) & (rows[0] <= carry[1][-1])
        return jax.lax.cond((peak.max() > carry[0][-1]) | tied, merge, lambda c: c, carry), None

    width = gcd(size * size, WIDTH)
    none = jnp.full(batch, -1, jnp.int32)
    dtype = jax.eval_shape(score, jnp.zeros(size, jnp.int32), jnp.zeros(size, jnp.int32)).dtype
    start = (jnp.full(batch, -jnp.inf, dtype), none, none)
    (value, i, j), _ = jax.lax.scan(visit, start, where)
    return Pairs(i, j), value


def highest(
    value: Float[Array, "n w"], peak: Float[Array, "n"], batch: int
) -> tuple[Picked, Int[Array, "b"]]:
    """The batch highest values and their places in a row, the lower one where they are equal.

    They lie in the batch blocks of highest peak, of which equal ones are taken in order too: what
    is left out has as many equal values before it as there is room for.
    """
    blocks = jnp.sort(jax.lax.top_k(peak, min(batch, len(peak)))[1])
    few = value[blocks].reshape(-1)
    top, place = jax.lax.top_k(few, min(batch, len(few)))
    width = value.shape[1]
    return top, blocks[place // width] * width + place % width


def part(tile: Space, *, p: int, size: int) -> tuple[Array, Array, Bool[Array, "t t"]]:
    """Rows and columns of one tile (clipped to p - 1), and which of its cells are open pairs."""
    step = jnp.arange(size, dtype=jnp.int32)
    rows, columns = tile.first[0] + step, tile.first[1] + step
    open = (rows[:, None] < columns[None, :]) & (columns < p)[None, :]
    open = open.at[tile.row, tile.column].set(False, mode="drop")
    return jnp.minimum(rows, p - 1), jnp.minimum(columns, p - 1), open
