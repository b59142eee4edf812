"""One round of information-directed sampling over all pairs, against one that makes every draw.

Psi = (E max R - mu)^lambda / var: E max R from certified maxima of 128 and of 1,000 draws, mean and
variance in closed form, 10,000 measured pairs left out, 384 chosen; key generation and sampling
included. The reference makes every draw of every pair, which is affordable at 2,000 perturbations.
"""

from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from epistax.benchmarks import harness
from epistax.benchmarks.harness import Record, Timed
from epistax.benchmarks.moments import DRAWS, TILE, random_factors, sizes
from epistax.engine import stream
from epistax.engine.pairs import Pairs, count, rank, unrank, upper
from epistax.engine.policy import ids
from epistax.engine.posterior import moments
from epistax.engine.posterior.maxima import START, maxima, sampled

LAM, MEASURED = 4.0, 10_000


def suite(*, size: int | None, repeats: int, seed: int) -> Iterator[Record]:
    """2,000 and 20,000 perturbations, or the given number."""
    run = partial(harness.measure, repeats=repeats)
    dense = size or 2000
    reference = f"every draw of every pair of {dense:,} perturbations, jax"
    for p, draws in [(size, DRAWS)] if size else [(2000, DRAWS), (20_000, DRAWS), (20_000, 1000)]:
        how = sizes(p, seed) | {"draws": draws, "measured": MEASURED, "dense": dense}
        record = run("round.ids", how, certified_best, dense_best, reference) | certificates(**how)
        yield record | ({"same_pairs": shared(**how)} if p == dense else {})


def shared(**how: int) -> float:
    """The share of the chosen pairs that both sides choose."""
    mine, _ = certified_best(**how)()
    theirs = dense_best(**how)()
    own = rank(Pairs(np.asarray(mine.i), np.asarray(mine.j)), how["genes"])
    return float(np.isin(own, np.asarray(theirs)).mean())


def certified_best(genes: int, seed: int, batch: int, draws: int, measured: int, **_: int) -> Timed:
    """Ours: certified maxima, then a running best of Psi over the tiles; sampling included."""
    factors, done = random_factors(genes, seed), some(genes, measured, seed)
    where = stream.space(genes, done, size=TILE)

    def choose() -> tuple[Pairs, jax.Array]:
        found = maxima(jax.random.key(seed), factors, done, draws=draws)
        expected = jnp.float32(found.value.mean())
        how = {"p": genes, "size": TILE, "batch": batch, "lam": LAM}
        return stream.variance_directed_best(factors, expected, where, **how)

    return choose


def dense_best(seed: int, batch: int, draws: int, measured: int, dense: int, **_: int) -> Timed:
    """The same with every draw of every pair made: one after another, the maximum kept."""
    factors, done = random_factors(dense, seed), some(dense, measured, seed)
    pairs = Pairs(*map(jnp.asarray, upper(dense)))
    open = np.ones((dense, dense), bool)
    open[done.i, done.j] = False
    is_open = jnp.asarray(open[pairs.i, pairs.j])

    @jax.jit
    def choose(key: jax.Array) -> jax.Array:
        def greatest(n: jax.Array) -> jax.Array:
            draw = sampled(jax.random.fold_in(key, n), factors)
            reward = jnp.sum(draw.u[pairs.i] * draw.s[None, :] * draw.u[pairs.j], axis=1)
            reward = reward + draw.a[pairs.i] + draw.a[pairs.j] + draw.b
            return jnp.where(is_open, reward, -jnp.inf).max()

        expected = jax.lax.map(greatest, jnp.arange(draws)).mean()
        mean, var = moments.of_pairs(factors, pairs)
        psi = ids.ratio(jnp.maximum(expected - mean, 0), var, var, LAM)
        return jax.lax.top_k(jnp.where(is_open, -psi, -jnp.inf), batch)[1]

    return lambda: choose(jax.random.key(seed))


def certificates(genes: int, seed: int, draws: int, measured: int, **_: int) -> Record:
    """Share of draws certified among the first perturbations looked at, and the most needed."""
    factors, done = random_factors(genes, seed), some(genes, measured, seed)
    kept = maxima(jax.random.key(seed), factors, done, draws=draws).kept
    return {"certified_first": float((kept <= START).mean()), "kept_most": int(kept.max())}


def some(p: int, measured: int, seed: int) -> Pairs:
    """Measured pairs, drawn at random: at most a tenth of all."""
    rng = np.random.default_rng([seed, 1])
    ranks = np.unique(rng.integers(0, count(p), min(measured, count(p) // 10)))
    return unrank(ranks, p)


if __name__ == "__main__":
    harness.main(suite)
