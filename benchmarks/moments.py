"""Closed-form moments over all pairs, and the best pairs by them, against drawing and numpy.

`moments.all_pairs` takes mean and sd of every pair of p perturbations in tiles and keeps the sum,
so that nothing can be skipped; `round.ucb` keeps the batch of highest mu + sd. References: the
same closed form in plain numpy, and 128 posterior draws a pair where that is affordable.
"""

from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from epistax.benchmarks import harness
from epistax.benchmarks.harness import Record, Timed
from epistax.engine import stream
from epistax.engine.pairs import Pairs, count, tiles, upper
from epistax.engine.posterior import moments

RANK, TILE, BATCH, DRAWS = 10, 1024, 384, 128
NONE = Pairs(np.zeros(0, np.int32), np.zeros(0, np.int32))


def suite(*, size: int | None, repeats: int, seed: int) -> Iterator[Record]:
    """500 perturbations against draws; 20,000 (or the given number) against numpy."""
    small, large = (size, size) if size else (500, 20_000)
    run = partial(harness.measure, repeats=repeats)
    yield run("moments.all_pairs", sizes(small, seed), closed, drawn, f"{DRAWS} draws a pair, jax")
    yield run("moments.all_pairs", sizes(large, seed), closed, plain, "closed form, numpy tiles")
    yield run("round.ucb", sizes(large, seed), closed_best, plain_best, "closed form, numpy tiles")


def sizes(p: int, seed: int) -> dict[str, int]:
    """The size object of a record."""
    return {"genes": p, "pairs": count(p), "rank": RANK, "batch": BATCH, "seed": seed}


def closed(genes: int, seed: int, **_: int) -> Timed:
    """Ours: two matrix products a tile."""
    factors, first = random_factors(genes, seed), jnp.asarray(tiles(genes, TILE))

    @jax.jit
    def total(factors: moments.Factors, first: jax.Array) -> jax.Array:
        def visit(carry: jax.Array, corner: jax.Array) -> tuple[jax.Array, None]:
            rows, columns = (jnp.minimum(k + jnp.arange(TILE), genes - 1) for k in corner)
            mean, var = moments.of_tile(factors, rows, columns)
            return carry + jnp.stack([mean.sum(), jnp.sqrt(var).sum()]), None

        return jax.lax.scan(visit, jnp.zeros(2), first)[0]

    return lambda: total(factors, first)


def drawn(genes: int, seed: int, **_: int) -> Timed:
    """What a belief without closed form costs: joint draws of every pair, then their moments."""
    f, pairs = random_factors(genes, seed), Pairs(*map(jnp.asarray, upper(genes)))

    def one(key: jax.Array) -> jax.Array:
        parts = jax.tree.map(lambda x: x, f)
        b, a, s, u = (
            mean + sd * jax.random.normal(jax.random.fold_in(key, n), mean.shape)
            for n, (mean, sd) in enumerate(
                [
                    (parts.b, parts.b_sd),
                    (parts.a, parts.a_sd),
                    (parts.s, parts.s_sd),
                    (parts.u, parts.u_sd),
                ]
            )
        )
        i, j = pairs
        return b + a[i] + a[j] + (u[i] * u[j]) @ s

    @jax.jit
    def both(keys: jax.Array) -> jax.Array:
        def add(carry: tuple[jax.Array, jax.Array], key: jax.Array):
            r = one(key)
            return (carry[0] + r, carry[1] + r * r), None

        zero = jnp.zeros(len(pairs.i))
        (first, second), _ = jax.lax.scan(add, (zero, zero), keys)
        mean = first / DRAWS
        return jnp.stack([mean.sum(), jnp.sqrt(jnp.maximum(second / DRAWS - mean**2, 0.0)).sum()])

    keys = jax.random.split(jax.random.key(seed), DRAWS)
    return lambda: both(keys)


def plain(genes: int, seed: int, **_: int) -> Timed:
    """The same closed form in numpy, tile by tile."""
    f = jax.tree.map(np.asarray, random_factors(genes, seed))
    return lambda: sum(float(mean.sum() + np.sqrt(var).sum()) for mean, var, _ in numpy_tiles(f))


def closed_best(genes: int, seed: int, batch: int, **_: int) -> Timed:
    """Ours: a running top-b over the tiles."""
    factors, where = random_factors(genes, seed), stream.space(genes, NONE, size=TILE)
    how = {"p": genes, "size": TILE, "batch": batch}
    return lambda: stream.ranked(stream.confidence, where, factors, jnp.float32(1.0), **how).value


def plain_best(genes: int, seed: int, batch: int, **_: int) -> Timed:
    """Numpy: the same, each tile cut to its best before it is merged."""
    f = jax.tree.map(np.asarray, random_factors(genes, seed))

    def best() -> np.ndarray:
        top = np.full(batch, -np.inf, np.float32)
        for mean, var, open in numpy_tiles(f):
            score = (mean + np.sqrt(var))[open]
            score = score[score > top[0]]
            if len(score):
                top = np.sort(np.concatenate([top, score]))[-batch:]
        return top

    return best


def numpy_tiles(f: moments.Factors) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Mean, variance and upper-triangle mask of every tile."""
    p = len(f.a)
    second, square = f.u**2 + f.u_sd**2, f.s**2 + f.s_sd**2
    for row, column in tiles(p, TILE):
        i, j = slice(row, min(row + TILE, p)), slice(column, min(column + TILE, p))
        mean = (f.u[i] * f.s) @ f.u[j].T + f.b + f.a[i][:, None] + f.a[j]
        var = (second[i] * square) @ second[j].T - (f.u[i] * f.s) ** 2 @ (f.u[j] ** 2).T
        var += f.b_sd**2 + (f.a_sd[i] ** 2)[:, None] + f.a_sd[j] ** 2
        open = np.arange(row, i.stop)[:, None] < np.arange(column, j.stop)
        yield mean, np.maximum(var, 0), open


def random_factors(p: int, seed: int) -> moments.Factors:
    """A belief of about the shape that a fitted one has."""
    rng = np.random.default_rng(seed)
    normal = lambda *shape: jnp.asarray(rng.normal(size=shape), jnp.float32)  # noqa: E731
    narrow = lambda *shape: 0.1 + 0.1 * jnp.abs(normal(*shape))  # noqa: E731
    return moments.Factors(
        normal(), narrow(), normal(p), narrow(p), normal(RANK), narrow(RANK),
        normal(p, RANK), narrow(p, RANK),
    )  # fmt: skip


if __name__ == "__main__":
    harness.main(suite)
