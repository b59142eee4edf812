"""Information-directed sampling over an implicit pair space by joint draws alone.

For beliefs without closed form: every draw of every pair is made, tile by tile, in a few passes:
extremes, the threshold of the best remaining pairs, then Psi. Streamed equals dense: the estimators
are those of policy/ids.py. With closed-form moments `streamed.choose` does the same on a shortlist.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from epistax.engine.pairs import Pairs
from epistax.engine.policy.ids import explained, ratio
from epistax.engine.posterior.draws import Draw
from epistax.engine.stream import Space, Tile, best, part
from epistax.engine.types import PerDraw, Picked, Scalar

BINS, PASSES = 2048, 3  # thresholds: range / 2048^3 is below float32's spacing


@partial(jax.jit, static_argnames=("p", "size", "batch", "lam"))
def directed_best(
    draws: Draw,
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


def scores(draws: Draw, rows: Int[Array, "t"], columns: Int[Array, "t"]) -> Float[Array, "s t t"]:
    """Every draw's rewards of a tile; draws are stacked along a leading axis."""
    left = draws.u[:, :, rows] * draws.s[:, :, None]
    product = jnp.einsum("sri,srj->sij", left, draws.u[:, :, columns])
    effects = draws.a[:, rows][:, :, None] + draws.a[:, columns][:, None, :]
    return product + effects + draws.b[:, None, None]


def extremes(draws: Draw, where: Space, *, p: int, size: int) -> tuple[PerDraw, PerDraw]:
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
    draws: Draw,
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
