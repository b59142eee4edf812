"""Fits of the low-rank beliefs: steps of SVI, and a round's fit from where the last one ended.

`svi.steps`: one chunk of our loop against numpyro's SVI.update, same program. Ours scans a chunk
of steps inside one compiled call, and up to 2,048 perturbations predicts a p x p grid by a matrix
product; the reference gathers pairs and calls a jitted `SVI.update` from Python a step at a time,
as numpyro's tutorials do.
`svi.warm`: the belief `informed` after one more batch, from the fit before it and anew; beside the
time stands the mean log-likelihood that each gives 20,000 pairs which neither has seen.
`svi.cold`, and `svi.warm` once more: the same belief, anew and after one more batch, against
numpyro's SVI.run from scratch, with as many steps as bring it within .01 of that log-likelihood
(`reference_steps`, looked for first). Both have rank 8 and read all pairs at every step. The guides
differ: AutoNormal there, one covariance a perturbation and held-out calibration here. The reference
is compiled once, which SVI.run by itself does at every call.
"""

from collections.abc import Iterator
from functools import partial
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
from epistax.engine.posterior import moments
from epistax.engine.posterior.informed import Informed, informed
from epistax.engine.posterior.lowrank import Fitted, LowRank, factors, lowrank
from epistax.engine.protocols import Posterior
from epistax.engine.screen import Measured, gather

WARM = ((2000, 20_000, 2000), (20_000, 40_000, 2000))  # perturbations, measured pairs, a batch
OTHERS = 20_000
RANK, RATE = 8, 0.01  # of the program that is fitted by numpyro, and of its Adam
NEAR, EVERY, MOST = 0.01, 1000, 20_000  # of the log-likelihood; steps between looks; and at most


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
        told = held_out(**scale)
        yield record | told
        if (p, q, batch) != WARM[-1]:  # two pairs a perturbation tell nothing that one could reach
            yield from against_scratch(scale, told, repeats)


def against_scratch(scale: dict[str, int], told: Record, repeats: int) -> Iterator[Record]:
    """Our fit anew and from where the last one ended against SVI.run."""
    anew = told["reference_held_out"]
    steps, reached = needed(**scale, goal=anew - NEAR)
    theirs, name = partial(scratch, steps=steps), "numpyro SVI.run from scratch"
    for kind, ours, value in (("cold", cold, anew), ("warm", warm, told["held_out"])):
        record = harness.measure(f"svi.{kind}", scale, ours, theirs, name, repeats=min(repeats, 3))
        yield record | {
            "held_out": value, "reference_held_out": reached, "reference_steps": steps,
        }  # fmt: skip


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
    pairs, score = table(genes, measured, seed)
    svi = documented(pairs, genes, rank)
    start = svi.init(jax.random.key(seed), score)
    update = jax.jit(svi.update)

    def run() -> jax.Array:
        state = start
        for _ in range(steps):
            state, loss = update(state, score)
        return loss

    return run


def documented(pairs: Pairs, genes: int, rank: int) -> SVI:
    """The low-rank program of a list of pairs, its guide and optimiser."""
    i, j = pairs

    def program(y: jax.Array) -> None:
        b = numpyro.sample("b", dist.Normal(0.0, 1.0))
        tau = numpyro.sample("tau", dist.HalfNormal(0.5))
        a = numpyro.sample("a", dist.Normal(jnp.zeros(genes), tau).to_event(1))
        s = numpyro.sample("s", dist.Normal(jnp.zeros(rank), 1.0).to_event(1))
        u = numpyro.sample("u", dist.Normal(jnp.zeros((genes, rank)), 1.0).to_event(2))
        sigma = numpyro.sample("sigma", dist.HalfNormal(0.5))
        mean = b + a[i] + a[j] + (u[i] * u[j]) @ s
        numpyro.sample("y", dist.Normal(mean, sigma), obs=y)

    return SVI(program, AutoNormal(program), numpyro.optim.Adam(RATE), Trace_ELBO())


def scratch(genes: int, measured: int, batch: int, seed: int, steps: int) -> Timed:
    """SVI.run of what is measured after the batch, on the scale that ours is fitted on."""
    _, tables, _ = rounds(genes, measured, batch, seed)
    pairs, value, _ = levelled(tables[1])
    svi = documented(pairs, genes, RANK)
    run = jax.jit(lambda key: svi.run(key, steps, value, progress_bar=False).params)
    return lambda: run(jax.random.key(seed))


def needed(genes: int, measured: int, batch: int, seed: int, goal: float) -> tuple[int, float]:
    """Steps after which SVI gives unseen pairs that log-likelihood, and the one it gives them."""
    _, tables, rest = rounds(genes, measured, batch, seed)
    pairs, value, scale = levelled(tables[1])
    svi = documented(pairs, genes, RANK)
    more = jax.jit(lambda s: jax.lax.fori_loop(0, EVERY, lambda _, s: svi.update(s, value)[0], s))
    state = svi.init(jax.random.key(seed), value)
    steps, reached = 0, -np.inf
    while steps < MOST and not reached >= goal:
        state, steps = more(state), steps + EVERY
        reached = predicted(svi.get_params(state), rest, scale)
    return steps, reached


def predicted(params: dict[str, jax.Array], rest: Measured, scale: reward.Level) -> float:
    """Mean log-likelihood of pairs under the guide that SVI has fitted."""
    logs = {k: jnp.log(v) if k.endswith("scale") else v for k, v in params.items()}
    mean, var = moments.of_pairs(factors(Fitted(logs, scale)), rest.pairs)
    return likelihood(mean, var + jnp.exp(2 * logs["sigma_auto_loc"]), rest, scale)


def likelihood(mean: jax.Array, var: jax.Array, rest: Measured, scale: reward.Level) -> float:
    """Mean log-likelihood of pairs, on their standard scale."""
    value = reward.levelled(rest.score, scale)
    return float(-0.5 * jnp.mean(jnp.log(2 * jnp.pi * var) + (value - mean) ** 2 / var))


def levelled(measured: Measured) -> tuple[Pairs, jax.Array, reward.Level]:
    """What is measured, on its standard scale."""
    score = jnp.asarray(measured.score)
    scale = reward.level(score, jnp.asarray(measured.mask), positive=False)
    pairs = Pairs(*map(jnp.asarray, measured.pairs))
    return pairs, reward.levelled(score, scale), scale


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

    def told(start: Any) -> float:
        belief, _ = posterior.fit(jax.random.key(seed + 1), start, tables[1])
        mean, var = posterior.moments(belief, rest.pairs)
        return likelihood(mean, var + belief.sigma**2, rest, belief.scale)

    return {"held_out": told(before), "reference_held_out": told(None)}


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
    pairs = unrank(rng.choice(count(p), q, replace=False), p)
    u = rng.normal(size=(p, 3))
    score = (u[pairs.i] * u[pairs.j]).sum(1) + 0.3 * rng.normal(size=q)
    return Pairs(*map(jnp.asarray, pairs)), jnp.asarray(score, jnp.float32)


if __name__ == "__main__":
    harness.main(suite)
