"""Rounds over an implicit pair space: tiles of the upper triangle with a running top-b.

Nothing of the length of the pair list is ever stored: 20,000 perturbations are 199,990,000 pairs
in 210 tiles of 1,024 x 1,024. The best b of a union are the best b of the
parts' best, so the result is exact; a tile whose maximum does not beat the running b-th best is
not sorted at all. Streamed equals dense: the estimators are those of policy/ids.py.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from epistax.engine.pairs import Pairs, tiles
from epistax.engine.policy.bandits import upper_confidence
from epistax.engine.policy.ids import explained, ratio
from epistax.engine.posterior import moments
from epistax.engine.types import PerDraw, Picked, Scalar

BINS, PASSES = 2048, 3  # thresholds: range / 2048^3 is below float32's spacing
Tile: TypeAlias = Float[Array, "t t"]


class Space(NamedTuple):
    """All pairs of p perturbations less the measured ones, as tiles.

    first holds each tile's first row and column; row and column list the measured pairs of each
    tile by their place in it, padded with the tile's size, which falls outside.
    """

    first: Int[Array, "tiles 2"]
    row: Int[Array, "tiles m"]
    column: Int[Array, "tiles m"]


class Draws(NamedTuple):
    """s joint posterior draws of the low-rank factors."""

    b: Float[Array, "s"]
    a: Float[Array, "s p"]
    s: Float[Array, "s r"]
    u: Float[Array, "s p r"]


def space(p: int, measured: Pairs, *, size: int) -> Space:
    """Tiles of size x size with their measured pairs sorted into them, on the host."""
    first = tiles(p, size)
    blocks = -(-p // size)
    i, j = np.asarray(measured.i, np.int64), np.asarray(measured.j, np.int64)
    row, column = i // size, j // size
    tile = row * blocks - row * (row - 1) // 2 + column - row
    order = np.argsort(tile, kind="stable")
    count = np.bincount(tile, minlength=len(first))
    place = np.arange(len(i)) - np.repeat(np.cumsum(count) - count, count)
    rows = np.full((len(first), max(1, int(count.max(initial=0)))), size, np.int32)
    columns = rows.copy()
    rows[tile[order], place] = (i % size)[order]
    columns[tile[order], place] = (j % size)[order]
    return Space(jnp.asarray(first), jnp.asarray(rows), jnp.asarray(columns))


@partial(jax.jit, static_argnames=("p", "size", "batch", "beta"))
def upper_confidence_best(
    factors: moments.Factors, where: Space, *, p: int, size: int, batch: int, beta: float
) -> tuple[Pairs, Picked]:
    """The batch open pairs of highest mu + beta sd, by closed-form moments."""

    def score(rows: Int[Array, "t"], columns: Int[Array, "t"]) -> Tile:
        return upper_confidence(*moments.of_tile(factors, rows, columns), beta)

    return best(score, where, p=p, size=size, batch=batch)


@partial(jax.jit, static_argnames=("p", "size", "batch", "lam"))
def variance_directed_best(
    factors: moments.Factors,
    expected: Scalar,
    where: Space,
    *,
    p: int,
    size: int,
    batch: int,
    lam: float,
) -> tuple[Pairs, Picked]:
    """The batch open pairs of highest -Psi by closed form: information is the variance of R itself.

    expected is E max R over open pairs, such as the mean of `maxima`; where a mean exceeds what few
    draws say of it, the regret is 0.
    """

    def score(rows: Int[Array, "t"], columns: Int[Array, "t"]) -> Tile:
        mean, var = moments.of_tile(factors, rows, columns)
        return -ratio(jnp.maximum(expected - mean, 0), var, var, lam)

    return best(score, where, p=p, size=size, batch=batch)


@partial(jax.jit, static_argnames=("p", "size", "batch", "lam"))
def directed_best(
    draws: Draws,
    where: Space,
    remaining: Int[Array, ""],
    *,
    p: int,
    size: int,
    batch: int,
    lam: float,
) -> tuple[Pairs, Picked]:
    """The batch open pairs of highest -Psi, with the information estimated by `self` (E2)."""
    low, high = extremes(draws, where, p=p, size=size)
    theta = thresholds(draws, where, remaining, low, high, p=p, size=size)

    def score(rows: Int[Array, "t"], columns: Int[Array, "t"]) -> Tile:
        return -psi(scores(draws, rows, columns), high.mean(), theta, lam)

    return best(score, where, p=p, size=size, batch=batch)


def best(
    score: Callable[[Int[Array, "t"], Int[Array, "t"]], Tile],
    where: Space,
    *,
    p: int,
    size: int,
    batch: int,
) -> tuple[Pairs, Picked]:
    """The batch open pairs of highest score, best first, visiting every tile once."""

    def visit(
        carry: tuple[Picked, Array, Array], tile: Space
    ) -> tuple[tuple[Picked, Array, Array], None]:
        rows, columns, open = part(tile, p=p, size=size)
        value = jnp.where(open, score(rows, columns), -jnp.inf)

        def merge(carry: tuple[Picked, Array, Array]) -> tuple[Picked, Array, Array]:
            top, place = jax.lax.top_k(value.reshape(-1), min(batch, size * size))
            merged = jnp.concatenate([carry[0], top])
            i = jnp.concatenate([carry[1], rows[place // size]])
            j = jnp.concatenate([carry[2], columns[place % size]])
            kept, index = jax.lax.top_k(merged, batch)
            return kept, i[index], j[index]

        return jax.lax.cond(value.max() > carry[0][-1], merge, lambda c: c, carry), None

    none = jnp.full(batch, -1, jnp.int32)
    dtype = jax.eval_shape(score, jnp.zeros(size, jnp.int32), jnp.zeros(size, jnp.int32)).dtype
    start = (jnp.full(batch, -jnp.inf, dtype), none, none)
    (value, i, j), _ = jax.lax.scan(visit, start, where)
    return Pairs(i, j), value


def part(tile: Space, *, p: int, size: int) -> tuple[Array, Array, Bool[Array, "t t"]]:
    """Rows and columns of one tile (clipped to p - 1), and which of its cells are open pairs."""
    step = jnp.arange(size, dtype=jnp.int32)
    rows, columns = tile.first[0] + step, tile.first[1] + step
    open = (rows[:, None] < columns[None, :]) & (columns < p)[None, :]
    open = open.at[tile.row, tile.column].set(False, mode="drop")
    return jnp.minimum(rows, p - 1), jnp.minimum(columns, p - 1), open


def scores(draws: Draws, rows: Int[Array, "t"], columns: Int[Array, "t"]) -> Float[Array, "s t t"]:
    """Every draw's rewards of a tile."""
    left = draws.u[:, rows] * draws.s[:, None, :]
    product = jnp.einsum("sir,sjr->sij", left, draws.u[:, columns])
    effects = draws.a[:, rows][:, :, None] + draws.a[:, columns][:, None, :]
    return product + effects + draws.b[:, None, None]


def extremes(draws: Draws, where: Space, *, p: int, size: int) -> tuple[PerDraw, PerDraw]:
    """Least and greatest open reward of every draw: [s], [s]."""

    def visit(carry: tuple[PerDraw, PerDraw], tile: Space) -> tuple[tuple[PerDraw, PerDraw], None]:
        rows, columns, open = part(tile, p=p, size=size)
        s = scores(draws, rows, columns)
        low = jnp.where(open[None], s, jnp.inf).min((1, 2))
        high = jnp.where(open[None], s, -jnp.inf).max((1, 2))
        return (jnp.minimum(carry[0], low), jnp.maximum(carry[1], high)), None

    start = jnp.full(draws.b.shape, jnp.inf, draws.b.dtype)
    return jax.lax.scan(visit, (start, -start), where)[0]


def thresholds(
    draws: Draws,
    where: Space,
    remaining: Int[Array, ""],
    low: PerDraw,
    high: PerDraw,
    *,
    p: int,
    size: int,
) -> PerDraw:
    """The remaining-th largest open reward of every draw, [s], by refining a histogram.

    Each pass counts the open rewards in BINS equal bins of the bracket and keeps the bin that
    holds the rank: after PASSES passes the lower edge is the threshold to range / BINS^PASSES.
    """

    def refine(bracket: tuple[PerDraw, PerDraw], _: None) -> tuple[tuple[PerDraw, PerDraw], None]:
        low, width = bracket

        def count(carry: tuple[Array, Array], tile: Space) -> tuple[tuple[Array, Array], None]:
            rows, columns, open = part(tile, p=p, size=size)
            place = (
                (scores(draws, rows, columns) - low[:, None, None]) / width[:, None, None] * BINS
            )
            inside = jnp.clip(jnp.floor(place), 0, BINS - 1).astype(jnp.int32)
            # what lies above the bracket counts as above; what lies below does not count
            inside = jnp.where(open[None] & (place >= 0), inside, BINS)
            above = open[None] & (place > BINS)
            inside = jnp.where(above, BINS, inside).reshape(inside.shape[0], -1)
            one = jax.vmap(lambda x: jnp.zeros(BINS, jnp.int32).at[x].add(1, mode="drop"))(inside)
            return (carry[0] + one, carry[1] + above.sum((1, 2), dtype=jnp.int32)), None

        zero = jnp.zeros((low.shape[0], BINS), jnp.int32)
        (counts, above), _ = jax.lax.scan(count, (zero, zero[:, 0]), where)
        # number of open rewards at or above the lower edge of each bin
        reach = jnp.cumsum(counts[:, ::-1], axis=1)[:, ::-1] + above[:, None]
        chosen = (reach >= remaining).sum(1) - 1
        step = width / BINS
        return (low + jnp.maximum(chosen, 0) * step, step), None

    width = jnp.maximum(high - low, jnp.finfo(low.dtype).tiny)
    return jax.lax.scan(refine, (low, width), None, length=PASSES)[0][0]


def psi(s: Float[Array, "s t t"], best: Scalar, theta: PerDraw, lam: float) -> Tile:
    """Delta^lambda / v of every cell of a tile."""
    mean = s.mean(0)
    variance = ((s - mean[None]) ** 2).mean(0)
    information = explained(s, s >= theta[:, None, None])
    return ratio(best - mean, information, variance, lam)
