"""One round of information-directed sampling over all pairs, against one that makes every draw.

Psi = (E max R - mu)^lambda / var: E max R from certified maxima of 128 and of 1,000 draws, mean and
variance in closed form, 10,000 measured pairs left out, 384 chosen; sorting the measured pairs into
tiles, keys and sampling included. The reference makes every draw of every pair, which is affordable
at 2,000 perturbations and no more. `round.growth` is the same over 1,000 to 40,000 perturbations,
and its last row the exponents of time and memory in their number.
"""

from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from epistax.benchmarks import harness
from epistax.benchmarks.harness import Record, Timed
from epistax.benchmarks.moments import DRAWS, random_factors, sizes
from epistax.engine import streamed
from epistax.engine.pairs import Pairs, count, rank, unrank, upper
from epistax.engine.policy import ids
from epistax.engine.policy.catalogue import Settings
from epistax.engine.posterior import moments
from epistax.engine.posterior.draws import rewards, sampled
from epistax.engine.posterior.maxima import START, maxima

LAM, MEASURED = 4.0, 10_000
GROWTH = (1000, 2000, 5000, 10_000, 20_000, 40_000)


def suite(*, size: int | None, repeats: int, seed: int) -> Iterator[Record]:
    """2,000 and 20,000 perturbations, then the growth; or the given number alone."""
    run = partial(harness.measure, repeats=repeats)
    how = sizes(size or 2000, seed) | {"draws": DRAWS, "measured": MEASURED}
    record = run("round.ids", how, certified_best, dense_best, "every draw of every pair, jax")
    yield record | certificates(**how) | {"same_pairs": shared(**how)}
    if size is not None:
        return
    for draws in (DRAWS, 1000):
        how = sizes(20_000, seed) | {"draws": draws, "measured": MEASURED}
        yield run("round.ids", how, certified_best) | certificates(**how)
    rows = []
    for p in GROWTH:
        how = sizes(p, seed) | {"draws": DRAWS, "measured": MEASURED}
        rows.append(run("round.growth", how, certified_best))
        yield rows[-1]
    yield harness.exponents(rows, "genes", since=10_000)


def shared(**how: int) -> float:
    """The share of the chosen pairs that both sides choose."""
    mine = certified_best(**how)()
    theirs = dense_best(**how)()
    own = rank(Pairs(np.asarray(mine.i), np.asarray(mine.j)), how["genes"])
    return float(np.isin(own, np.asarray(theirs)).mean())


def certified_best(genes: int, seed: int, batch: int, draws: int, measured: int, **_: int) -> Timed:
    """Ours: certified maxima, then a running best of Psi over the tiles; sampling included."""
    factors, done = random_factors(genes, seed), some(genes, measured, seed)
    settings = Settings(batch=batch, draws=draws, lam=LAM)
    return lambda: streamed.choose("ids-var", settings, jax.random.key(seed), factors, done).pairs


def dense_best(genes: int, seed: int, batch: int, draws: int, measured: int, **_: int) -> Timed:
    """The same with every draw of every pair made: one after another, the maximum kept."""
    factors, done = random_factors(genes, seed), some(genes, measured, seed)
    pairs = Pairs(*map(jnp.asarray, upper(genes)))
    open = np.ones((genes, genes), bool)
    open[done.i, done.j] = False
    is_open = jnp.asarray(open[pairs.i, pairs.j])

    @jax.jit
    def choose(key: jax.Array) -> jax.Array:
        def greatest(n: jax.Array) -> jax.Array:
            draw = sampled(jax.random.fold_in(key, n), factors)
            return jnp.where(is_open, rewards(draw, pairs), -jnp.inf).max()

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
