"""Fits of the low-rank beliefs: steps of SVI, and a round's fit from where the last one ended.

`svi.steps`: one chunk of our loop against numpyro's SVI.update, same program. Ours scans a chunk
of steps inside one compiled call, and up to 2,048 perturbations predicts a p x p grid by a matrix
product; the reference gathers pairs and calls a jitted `SVI.update` from Python a step at a time,
as numpyro's tutorials do.
`svi.warm`: the belief `informed` after one more batch, from the fit before it and anew; beside the
time stands the mean log-likelihood that each gives 20,000 pairs which neither has seen.
"""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpyro.infer import SVI, Trace_ELBO
from numpyro.infer.autoguide import AutoNormal

from epistax.benchmarks import harness
from epistax.benchmarks.harness import Record, Timed
from epistax.engine import reward
from epistax.engine.pairs import Pairs, count, unrank
from epistax.engine.posterior.informed import Informed, informed
from epistax.engine.posterior.lowrank import LowRank, lowrank
from epistax.engine.protocols import Posterior
from epistax.engine.screen import Measured, gather

WARM = ((2000, 20_000, 2000), (20_000, 40_000, 2000))  # perturbations, measured pairs, a batch
OTHERS = 20_000


def suite(*, size: int | None, repeats: int, seed: int) -> Iterator[Record]:
    """A K562-sized screen and a genome with 65,536 measured pairs, or the given size."""
    cases = [(448, 40_000, 500), (20_000, 65_536, 200)]
    if size:
        cases = [(size, min(40_000, count(size) // 2), 100)]
    for p, q, steps in cases:
        scale = {"genes": p, "measured": q, "rank": 8, "steps": steps, "seed": seed}
        name = "numpyro SVI.update"
        yield throughput(
            harness.measure("svi.steps", scale, ours, reference, name, repeats=repeats)
        )
    for p, q, batch in [(size, 10 * size, size)] if size else WARM:
        scale = {"genes": p, "measured": q, "batch": batch, "seed": seed}
        record = harness.measure("svi.warm", scale, warm, cold, "a cold fit", repeats=repeats)
        yield record | held_out(**scale)


def throughput(record: Record) -> Record:
    """Beside the seconds: measured pairs gone through in one, by both sides."""
    seen = record["size"]["measured"] * record["size"]["steps"]
    sides = {"observations": "ours_seconds", "reference_observations": "reference_seconds"}
    return record | {f"{name}_per_second": seen / record[at] for name, at in sides.items()}


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


def warm(genes: int, measured: int, batch: int, seed: int) -> Timed:
    """The fit of a round, begun where the last one ended."""
    posterior, tables, _ = rounds(genes, measured, batch, seed)
    before, _ = posterior.fit(jax.random.key(seed), None, tables[0])
    return lambda: posterior.fit(jax.random.key(seed + 1), before, tables[1])[0].states.mean


def cold(genes: int, measured: int, batch: int, seed: int) -> Timed:
    """The same without an earlier one."""
    posterior, tables, _ = rounds(genes, measured, batch, seed)
    return lambda: posterior.fit(jax.random.key(seed + 1), None, tables[1])[0].states.mean


def held_out(genes: int, measured: int, batch: int, seed: int) -> Record:
    """What both say of pairs that they have not seen, on the scale that they are fitted on."""
    posterior, tables, rest = rounds(genes, measured, batch, seed)
    before, _ = posterior.fit(jax.random.key(seed), None, tables[0])

    def likelihood(start: Any) -> float:
        belief, _ = posterior.fit(jax.random.key(seed + 1), start, tables[1])
        mean, var = posterior.moments(belief, rest.pairs)
        value, var = reward.levelled(rest.score, belief.scale), var + belief.sigma**2
        return float(-0.5 * jnp.mean(jnp.log(2 * jnp.pi * var) + (value - mean) ** 2 / var))

    return {"held_out": likelihood(before), "reference_held_out": likelihood(None)}


def rounds(p: int, q: int, batch: int, seed: int) -> tuple[Posterior, list[Measured], Measured]:
    """The belief, the measured pairs of two rounds, and others."""
    pairs, score = table(p, q + batch + OTHERS, seed)
    first = np.arange(len(score))

    def upto(low: int, high: int, length: int) -> Measured:
        at = np.arange(low, high)
        return gather(pairs, np.asarray(score), np.zeros(len(first), np.float32), at, length=length)

    tables = [upto(0, q, q + batch), upto(0, q + batch, q + batch)]
    rest = upto(q + batch, len(first), len(first) - q - batch)
    return informed(Informed(), p=p, reward="score"), tables, rest


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
