"""The greatest open rewards of every posterior draw, found among few perturbations, with a proof.

Of R_ij = b + a_i + a_j + sum_r s_r u_ir u_jr let L_g = |sqrt|s| o u_g|. By Cauchy and Schwarz

    R_gj <= b + B_g,    B_g = a_g + f(L_g),    f(t) = max_j (a_j + t L_j).

f is convex, so its chords over a few values of t bound it from above. A draw's greatest rewards are
looked for among the K perturbations of largest B; where the least of them reaches the b + B of
every other perturbation, no pair outside can be greater. Draws without that proof are looked at
again among as many as it takes, which their best reward so far tells.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Float, Int
from numpy import ndarray

from epistax.engine.mesh import copied, devices, each
from epistax.engine.pairs import Pairs, lengthened, roomy
from epistax.engine.posterior.draws import Draw, sampled
from epistax.engine.posterior.moments import Factors
from epistax.engine.types import Key, Scalar

START, WIDER = 512, 2  # perturbations looked at first, and the steps of looking at more
MARGIN = 1e-5  # of a bound: what rounding may take from it
CHORDS = 16  # of f; the bound loses little: f is nearly straight between 17 values
SHORTEST = 1e-6  # the chords reach at least so far: no division by 0
RESIDENT = 2**20  # rewards held at once
HALVINGS = 24  # of the range of B, to place the cut


class Best(NamedTuple):
    """The greatest open rewards found, best first, -inf and -1 where no more are open.

    needed is how many perturbations could take part in a greater pair than the last of them.
    """

    value: Float[Array | ndarray, "*s c"]
    i: Int[Array | ndarray, "*s c"]
    j: Int[Array | ndarray, "*s c"]
    needed: Int[Array | ndarray, "*s"]


class Maxima(NamedTuple):
    """Of every draw: its greatest open rewards, their pairs, how many perturbations it took."""

    value: Float[ndarray, "s c"]
    i: Int[ndarray, "s c"]
    j: Int[ndarray, "s c"]
    kept: Int[ndarray, "s"]


def maxima(
    key: Key,
    factors: Factors,
    measured: Pairs,
    *,
    draws: int | Int[ndarray, "s"],
    count: int = 1,
    allowed: Bool[ndarray, "p"] | None = None,
    start: int = START,
    mesh: Mesh | None = None,
) -> Maxima:
    """The `count` best of each draw, certified; draw n depends on (key, n) alone.

    draws is how many, or which. measured lists the pairs that are not open, i < j; pairs with a
    member that is not allowed are not open either. A mean over the first values estimates E max R.
    """
    p, numbers = len(factors.a), np.arange(draws) if isinstance(draws, int) else draws
    shape = (len(numbers), count)
    value = np.full(shape, -np.inf, np.asarray(factors.b).dtype)
    i, j, kept = (np.full(s, -1, np.int32) for s in (shape, shape, shape[:1]))
    free = np.ones(p, bool) if allowed is None else allowed
    done = Pairs(*(jnp.asarray(v, jnp.int32) for v in lengthened(measured)))
    shared = copied((key, factors, done, jnp.asarray(free)), mesh)
    keep = np.full(len(numbers), min(start, p))
    left = np.arange(len(numbers))
    while len(left):
        now = left[keep[left] == keep[left].min()]
        size = int(keep[now[0]])
        share = -(-len(now) // devices(mesh))
        share = share if size == min(start, p) else roomy(share)  # how many are left varies
        spare = np.repeat(now[:1], share * devices(mesh) - len(now))
        batch = jnp.asarray(numbers[np.r_[now, spare]], jnp.int32)
        best = each(mesh, of_draws, split=1, keep=size, count=count)(batch, *shared)
        best = Best(*(np.asarray(v)[: len(now)] for v in best))
        value[now], i[now], j[now], kept[now] = best.value, best.i, best.j, size
        sure = (best.needed <= size) | (size == p)
        keep[now] = [enough(int(n), size, p) for n in best.needed]
        left = np.setdiff1d(left, now[sure])
    return Maxima(value, i, j, kept)


def enough(needed: int, size: int, p: int) -> int:
    """The next size to look at, on a coarse ladder: every size compiles once."""
    size *= WIDER
    while size < needed:
        size *= WIDER
    return min(size, p)


def of_draws(
    numbers: Int[Array, "s"],
    key: Key,
    factors: Factors,
    measured: Pairs,
    allowed: Bool[Array, "p"],
    *,
    keep: int,
    count: int,
) -> Best:
    """Draws of these numbers, each looked at among `keep` perturbations."""

    def one(number: Int[Array, ""]) -> Best:
        draw = sampled(jax.random.fold_in(key, number), factors)
        draw = draw._replace(a=jnp.where(allowed, draw.a, -jnp.inf))
        return among(draw, measured, keep=keep, count=count)

    return jax.lax.map(one, numbers)


@partial(jax.jit, static_argnames=("keep", "count"))
def among(draw: Draw, measured: Pairs, *, keep: int, count: int = 1) -> Best:
    """The greatest open rewards among the `keep` perturbations of largest bound."""
    p, bound = draw.a.shape[0], bounds(draw)
    inside = bound > cut(bound, keep) if keep < p else jnp.ones(p, bool)
    place = jnp.cumsum(inside.astype(jnp.int32))
    kept = jnp.searchsorted(place, jnp.arange(1, keep + 1, dtype=jnp.int32)).astype(jnp.int32)
    place = jnp.where(inside, place - 1, keep)  # `keep`, outside, where not among them
    there = kept < p
    kept = jnp.minimum(kept, p - 1)
    few = Draw(draw.b, jnp.where(there, draw.a[kept], -jnp.inf), draw.s, draw.u[:, kept])
    value, i, j = greatest(few, Pairs(place[measured.i], place[measured.j]), count=count)
    least = value[-1]
    reach = draw.b + bound
    needed = jnp.sum(~(reach + MARGIN * jnp.abs(reach) <= least))
    # with fewer found than asked for nothing is known of what it takes but that it is more
    needed = jnp.where(least > -jnp.inf, needed, jnp.minimum(needed, keep + 1))
    none = value == -jnp.inf
    pairs = (jnp.where(none, -1, kept[index]) for index in (i, j))
    return Best(value, *pairs, needed)


def bounds(draw: Draw) -> Float[Array, "p"]:
    """B of every perturbation: b + B is at least its reward with any partner."""
    length = jnp.sqrt(jnp.sum(jnp.abs(draw.s)[:, None] * draw.u**2, axis=0))
    longest = jnp.maximum(length.max(), SHORTEST)
    t = longest * jnp.linspace(0.0, 1.0, CHORDS + 1, dtype=length.dtype)
    f = jax.lax.map(lambda t: jnp.max(draw.a + t * length), t)
    slope = (f[1:] - f[:-1]) * (CHORDS / longest)
    # a convex broken line is the greatest of its straight lines
    lines = [f[n] + slope[n] * (length - t[n]) for n in range(CHORDS)]
    return draw.a + jnp.stack(lines).max(0)


def cut(bound: Float[Array, "p"], keep: int) -> Scalar:
    """A value that at most `keep` bounds exceed, and nearly as many where none are alike."""

    def halve(_: Array, ends: tuple[Scalar, Scalar]) -> tuple[Scalar, Scalar]:
        low, high = ends
        middle = 0.5 * (low + high)
        many = (bound > middle).sum() > keep
        return jnp.where(many, middle, low), jnp.where(many, high, middle)

    least = jnp.where(bound > -jnp.inf, bound, jnp.inf).min()
    return jax.lax.fori_loop(0, HALVINGS, halve, (least, bound.max()))[1]


Found = tuple[Float[Array, "c"], Int[Array, "c"], Int[Array, "c"]]


def greatest(draw: Draw, measured: Pairs, *, count: int) -> Found:
    """The `count` greatest rewards of pairs i < j that are not measured, by blocks of rows."""
    p = draw.a.shape[0]
    rows = max(1, min(p, RESIDENT // p))
    columns = jnp.arange(p, dtype=jnp.int32)

    def block(found: Found, first: Int[Array, ""]) -> tuple[Found, None]:
        row = first + jnp.arange(rows, dtype=jnp.int32)
        at = jnp.minimum(row, p - 1)
        reward = (draw.u[:, at] * draw.s[:, None]).T @ draw.u
        reward = reward + draw.a[at][:, None] + draw.a[None, :] + draw.b
        reward = jnp.where(row[:, None] < columns[None, :], reward, -jnp.inf)
        local = measured.i - first
        local = jnp.where(local < 0, rows, local)  # a negative index would count from the end
        reward = reward.at[local, measured.j].set(-jnp.inf, mode="drop")
        rest = Rest(reward.max(1), jnp.full(rows, jnp.inf), jnp.full(rows, -1, jnp.int32))
        taking = partial(take, reward, first)
        return jax.lax.while_loop(better, taking, (found, rest))[0], None

    none = jnp.zeros(count, jnp.int32)
    start = (jnp.full(count, -jnp.inf, draw.a.dtype), none, none)
    value, i, j = jax.lax.scan(block, start, jnp.arange(0, p, rows, dtype=jnp.int32))[0]
    order = jnp.argsort(-value)
    return value[order], i[order], j[order]


class Rest(NamedTuple):
    """Of every row of a block: its greatest reward not yet taken, the last taken and its column."""

    most: Float[Array, "n"]
    last: Float[Array, "n"]
    column: Int[Array, "n"]


def better(carry: tuple[Found, Rest]) -> Array:
    """Whether the block holds a reward above the least of those found."""
    (value, _, _), rest = carry
    return rest.most.max() > value.min()


def take(
    reward: Float[Array, "n p"], first: Int[Array, ""], carry: tuple[Found, Rest]
) -> tuple[Found, Rest]:
    """Put the block's greatest reward in the place of the least found; ties go from the left."""
    (value, i, j), rest = carry
    row = rest.most.argmax()
    columns = jnp.arange(reward.shape[1], dtype=jnp.int32)
    beyond = (reward[row] == rest.last[row]) & (columns > rest.column[row])
    left = jnp.where((reward[row] < rest.last[row]) | beyond, reward[row], -jnp.inf)
    column = left.argmax().astype(jnp.int32)
    place = value.argmin()
    found = (
        value.at[place].set(left[column]),
        i.at[place].set(first + row.astype(jnp.int32)),
        j.at[place].set(column),
    )
    most = rest.most.at[row].set(jnp.where(columns == column, -jnp.inf, left).max())
    taken = rest.last.at[row].set(left[column]), rest.column.at[row].set(column)
    return found, Rest(most, *taken)
