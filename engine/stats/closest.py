"""Distances to nearest neighbours in many dimensions: one matrix product, then few exact distances.

|y|^2 - 2 x.y orders the y of an x up to rounding. Of every group of y only the smallest is kept;
the k nearest lie in the k groups whose smallest come first. All of these groups and a few more are
measured exactly, from differences, and what they give is certified by the first group that was
left out: if even its bound lies beyond the k-th exact distance, nobody else can be nearer.
"""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

GROUP, LANES = 16, 256  # y of a group, and groups of a tile
MORE = 3  # groups measured beyond k
ROWS = 256  # x at a time, at most


def certified(
    x: Float[Array, "n d"],
    y: Float[Array, "m d"],
    mask: Bool[Array, "m"],
    *,
    k: int,
    same: bool,
    budget: int,
) -> tuple[Float[Array, "n k"], Bool[Array, "n"]]:
    """Squared distances to the k nearest y, ascending, and of which x they are certain.

    mask says which y exist; same, that y is x itself and self is left out. Needs so many y that
    there are more than k + MORE + 1 groups.
    """
    (n, d), m = x.shape, y.shape[0]
    tile = GROUP * LANES
    down = min(n, ROWS, max(1, 2 * budget // ((k + MORE + 1) * GROUP * d)))
    spare = -m % tile
    y, there = jnp.pad(y, ((0, spare), (0, 0))), jnp.pad(mask, (0, spare))
    yy = jnp.where(there, jnp.sum(y * y, axis=1), jnp.inf)
    furthest = jnp.max(jnp.where(there, yy, 0), initial=0.0)
    number = jnp.where(there, jnp.arange(m + spare, dtype=jnp.int32), -1)
    tiles, norms = y.reshape(-1, tile, d), yy.reshape(-1, tile)
    members, numbers = (
        jnp.swapaxes(v.reshape(-1, GROUP, LANES, *v.shape[1:]), 1, 2).reshape(
            -1, GROUP, *v.shape[1:]
        )
        for v in (y, number)
    )
    wanted = min(k + MORE + same, len(members) - 1)

    def block(args: tuple[Array, Array]) -> tuple[Array, Array]:
        part, at = args
        double = -2 * part

        def smallest(_: None, one: tuple[Array, Array]) -> tuple[None, Array]:
            inner = jnp.matmul(double, one[0].T, precision=jax.lax.Precision.HIGHEST)
            rank = inner + one[1][None, :]
            # one slice after another: a reduction of three axes is a loop that is not vectorised
            return None, functools.reduce(jnp.minimum, jnp.split(rank, GROUP, axis=1))

        bounds = jnp.moveaxis(jax.lax.scan(smallest, None, (tiles, norms))[1], 0, 1)
        best = jax.lax.top_k(-bounds.reshape(down, -1), wanted + 1)
        # a slice of it, taken inside, would make a whole sort of it
        least, groups = jax.lax.optimization_barrier(best)
        chosen = groups[:, :wanted]
        squares = jnp.sum((members[chosen] - part[:, None, None, :]) ** 2, axis=-1)
        who = numbers[chosen]
        out = (who < 0) | (who == at[:, None, None]) if same else who < 0
        exact = -jax.lax.top_k(-jnp.where(out, jnp.inf, squares).reshape(down, -1), k)[0]
        xx = jnp.sum(part * part, axis=1)
        rounding = (d + 8) * jnp.finfo(x.dtype).eps * (xx + furthest)
        return exact, exact[:, -1] <= xx - least[:, -1] - rounding

    short = -n % down
    at = jnp.arange(n + short, dtype=jnp.int32).reshape(-1, down)
    rows = jnp.pad(x, ((0, short), (0, 0))).reshape(-1, down, d)
    found, sure = jax.lax.map(block, (rows, at))
    return found.reshape(-1, k)[:n], sure.reshape(-1)[:n]
