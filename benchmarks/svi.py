"""Steps of low-rank SVI: one chunk of our loop against numpyro's SVI.update, same program.

Ours scans a chunk of steps inside one compiled call, and up to 2,048 perturbations predicts a
p x p grid by a matrix product; the reference gathers pairs and calls a jitted `SVI.update` from
Python a step at a time, as numpyro's tutorials do.
"""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpyro.infer import SVI, Trace_ELBO
from numpyro.infer.autoguide import AutoNormal

from epistax.benchmarks import harness
from epistax.benchmarks.harness import Record, Timed
from epistax.engine.pairs import Pairs, count, unrank
from epistax.engine.posterior.lowrank import LowRank, lowrank
from epistax.engine.screen import Measured


def suite(*, size: int | None, repeats: int, seed: int) -> Iterator[Record]:
    """A K562-sized screen and a genome with 65,536 measured pairs, or the given size."""
    cases = [(448, 40_000, 500), (20_000, 65_536, 200)]
    if size:
        cases = [(size, min(40_000, count(size) // 2), 100)]
    for p, q, steps in cases:
        scale = {"genes": p, "measured": q, "rank": 8, "steps": steps, "seed": seed}
        yield harness.measure(
            "svi.steps", scale, ours, reference, "numpyro SVI.update", repeats=repeats
        )


def ours(genes: int, measured: int, rank: int, steps: int, seed: int) -> Timed:
    """Our posterior's fit, one restart."""
    pairs, score = table(genes, measured, seed)
    known = Measured(pairs, score, jnp.zeros(measured), jnp.ones(measured, bool))
    config = LowRank(rank=rank, steps=steps, restarts=1)
    fit = lowrank(config, p=genes, reward="score").fit
    key = jax.random.key(seed)
    return lambda: fit(key, None, known)[0].params


def reference(genes: int, measured: int, rank: int, steps: int, seed: int) -> Timed:
    """The same program over a list of pairs, stepped from Python."""
    (i, j), score = table(genes, measured, seed)

    def program(y: jax.Array) -> None:
        b = numpyro.sample("b", dist.Normal(0.0, 1.0))
        tau = numpyro.sample("tau", dist.HalfNormal(0.5))
        a = numpyro.sample("a", dist.Normal(jnp.zeros(genes), tau).to_event(1))
        s = numpyro.sample("s", dist.Normal(jnp.zeros(rank), 1.0).to_event(1))
        u = numpyro.sample("u", dist.Normal(jnp.zeros((genes, rank)), 1.0).to_event(2))
        sigma = numpyro.sample("sigma", dist.HalfNormal(0.5))
        mean = b + a[i] + a[j] + (u[i] * u[j]) @ s
        numpyro.sample("y", dist.Normal(mean, sigma), obs=y)

    svi = SVI(program, AutoNormal(program), numpyro.optim.Adam(0.01), Trace_ELBO())
    start = svi.init(jax.random.key(seed), score)
    update = jax.jit(svi.update)

    def run() -> jax.Array:
        state = start
        for _ in range(steps):
            state, loss = update(state, score)
        return loss

    return run


def table(p: int, q: int, seed: int) -> tuple[Pairs, jax.Array]:
    """Distinct random pairs of a rank-3 matrix with noise."""
    rng = np.random.default_rng(seed)
    places = np.unique(rng.integers(0, count(p), 2 * q))
    pairs = unrank(rng.permutation(places)[:q], p)
    u = rng.normal(size=(p, 3))
    score = (u[pairs.i] * u[pairs.j]).sum(1) + 0.3 * rng.normal(size=q)
    return Pairs(*map(jnp.asarray, pairs)), jnp.asarray(score, jnp.float32)


if __name__ == "__main__":
    harness.main(suite)
