"""Do 90 % intervals of unmeasured rewards hold 90 % of them: overall and by width.

Measured pairs, twenty a perturbation, of two worlds: the model's own (gene effects and four
components of both signs) and the 50-gene process at this size (squared lengths of interactions and
synthetic-lethal pairs, heavy tails). Every measurement has an error of known size: what is covered
is the reward itself, without it. One line a world, size, belief and seed; `constant` is one width
for all pairs, the sd of what the default's prediction leaves on held-out pairs beyond their errors.

    python -m epistax.benchmarks.coverage --seeds 3 > coverage.jsonl
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from epistax.benchmarks import harness
from epistax.engine import reward
from epistax.engine.pairs import Pairs, count, unrank
from epistax.engine.posterior import ame_sampler as sampler
from epistax.engine.posterior import heldout, informed, moments
from epistax.engine.posterior import lowrank as svi
from epistax.engine.posterior.ame import AME, ame
from epistax.engine.posterior.catalogue import LARGE
from epistax.engine.posterior.gibbs import Gibbs, gibbs
from epistax.engine.screen import Measured, gather
from epistax.engine.simulate.morphology import biology

EACH, ASKED = 20, 20_000  # measured pairs a perturbation; unmeasured ones looked at
RANK, EFFECT, NOISE = 4, 0.5, 0.5  # of the model's own world
LEAST, SLOPE = 0.1, 0.1  # of the process: se^2 = LEAST^2 + 4 R SLOPE^2, as of a squared length
LEVEL, WIDE = 0.9, 1.645


class World(NamedTuple):
    """Measured pairs, others, and what is true of those."""

    measured: Measured
    pairs: Pairs
    truth: np.ndarray


def world(name: str, p: int, seed: int) -> World:
    """One world of so many perturbations."""
    rng = np.random.default_rng([seed, p, len(name)])
    q = EACH * p // 2
    at = rng.permutation(count(p))[: q + min(ASKED, count(p) - q)]
    pairs = unrank(at, p)
    if name == "model":
        u, a = rng.normal(size=(p, RANK)), EFFECT * rng.normal(size=p)
        s = (-1.0) ** np.arange(RANK) / np.sqrt(RANK)
        truth = a[pairs.i] + a[pairs.j] + (u[pairs.i] * u[pairs.j]) @ s
        se = np.full(len(truth), NOISE)
    else:
        truth = np.asarray(biology(jax.random.key(seed), p, d=19).reward, np.float64)[at]
        se = np.sqrt(LEAST**2 + 4 * SLOPE**2 * truth)
    score = truth + se * rng.normal(size=len(truth))
    here = Pairs(*(x[:q].astype(np.int32) for x in pairs))
    table = gather(here, score[:q].astype(np.float32), se[:q].astype(np.float32), np.arange(q),
                   length=q)  # fmt: skip
    return World(table, Pairs(*(jnp.asarray(x[q:]) for x in pairs)), truth[q:])


Interval = tuple[np.ndarray, np.ndarray, np.ndarray]  # truth on the belief's scale, mean, sd


def default(key: jax.Array, p: int, of: World) -> dict[str, Interval]:
    """`informed` with its factor, without it (mean field), and one width for all."""
    posterior = informed.informed(informed.Informed(), p=p, reward="score")
    belief, _ = posterior.fit(key, None, of.measured)
    truth = np.asarray(reward.levelled(jnp.asarray(of.truth, jnp.float32), belief.scale))
    mean, var = (np.asarray(x) for x in posterior.moments(belief, of.pairs))
    state = jax.tree.map(lambda x: x[informed.MAIN], belief.states)
    plain = moments.of_pairs(heldout.spread(state, informed.known(None, p), jnp.ones(())), of.pairs)
    constant = np.full_like(mean, np.sqrt(var.mean()))
    return {
        "informed": (truth, mean, np.sqrt(var)),
        "informed, factor 1": (truth, mean, np.sqrt(np.asarray(plain[1]))),
        "informed, constant": (truth, mean, constant),
    }


def published(guide: str) -> Callable[[jax.Array, int, World], dict[str, Interval]]:
    """The low-rank SVI of the published method, with a guide."""

    def of_world(key: jax.Array, p: int, of: World) -> dict[str, Interval]:
        posterior = svi.lowrank(svi.LowRank(rank=8, guide=guide), p=p, reward="score")
        belief, _ = posterior.fit(key, None, of.measured)
        return {f"lowrank, {guide}": on_standard_scale(posterior, belief, belief.scale, of)}

    return of_world


def sampled(key: jax.Array, p: int, of: World) -> dict[str, Interval]:
    """Gibbs chains of the same model."""
    config = Gibbs(rank=8, effect_sd=EFFECT, chains=32 if p > 500 else 100)
    posterior = gibbs(config, p=p, reward="score")
    belief, _ = posterior.fit(key, None, of.measured)
    scale = reward.scale(of.measured.score, of.measured.mask, positive=False)
    return {"gibbs": on_standard_scale(posterior, belief, scale, of)}


def on_standard_scale(posterior: Any, belief: Any, scale: reward.Scale, of: World) -> Interval:
    """Moments on the scale that the published beliefs are fitted on."""
    truth = reward.standardise(jnp.asarray(of.truth, jnp.float32), scale, positive=False)
    mean, var = posterior.moments(belief, of.pairs)
    return np.asarray(truth), np.asarray(mean), np.sqrt(np.asarray(var))


def effects(key: jax.Array, p: int, of: World) -> dict[str, Interval]:
    """`ame`, the default up to 1,500 perturbations: the signed score of its draws."""
    posterior = ame(AME(), p=p, reward="score", singles=None)
    belief, _ = posterior.fit(key, None, of.measured)
    truth = reward.drawn_in(jnp.asarray(of.truth, jnp.float32), belief.tail) / belief.unit
    i, j = of.pairs

    def of_draw(chain: sampler.Chain) -> tuple[jax.Array, jax.Array]:
        return sampler.mean(chain)[i, j], sampler.variance(chain)[i, j]

    mean, var = jax.lax.map(of_draw, belief.chains)
    sd = np.sqrt(np.asarray(mean.var(0) + var.mean(0)))
    return {"ame": (np.asarray(truth), np.asarray(mean.mean(0)), sd)}


BELIEFS = {
    "informed": default,
    "normal": published("normal"),
    "lowrank": published("lowrank"),
    "gibbs": sampled,
    "ame": effects,
}


def rows(genes: list[int], seeds: int, names: list[str]) -> Iterator[dict[str, Any]]:
    """One row a world, size, belief and seed; `ame` up to the size where it is the default."""
    for p in genes:
        beliefs = [BELIEFS[name] for name in names if name != "ame" or p <= LARGE]
        for name in ("model", "process"):
            for seed in range(seeds):
                of = world(name, p, seed)
                for belief in beliefs:
                    began = time.monotonic()
                    found = belief(jax.random.key(seed), p, of)
                    seconds = round(time.monotonic() - began, 2)
                    for label, interval in found.items():
                        yield {"name": "coverage", "world": name, "genes": p, "belief": label,
                               "seed": seed, "measured": len(of.measured.score),
                               "seconds": seconds, **covered(*interval)}  # fmt: skip


def covered(truth: np.ndarray, mean: np.ndarray, sd: np.ndarray) -> dict[str, Any]:
    """Share inside, in all and by tenth of sd; mean width in units of the truth's sd."""
    inside = np.abs(truth - mean) <= WIDE * sd
    tenths = np.array_split(np.argsort(sd, kind="stable"), 10)
    return {
        "covered": round(float(inside.mean()), 4),
        "tenths": [round(float(inside[part].mean()), 4) for part in tenths],
        "width": round(float(2 * WIDE * sd.mean() / truth.std()), 4),
        "r2": round(float(1 - ((truth - mean) ** 2).mean() / truth.var()), 4),
    }


def main() -> None:
    """One JSON object a line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--genes", type=int, nargs="+", default=[200, 2000])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--belief", action="append", choices=BELIEFS)
    options = parser.parse_args()
    facts = {"device": harness.device(), "versions": harness.versions()}
    for row in rows(options.genes, options.seeds, options.belief or [*BELIEFS]):
        print(json.dumps(row | facts), flush=True)


if __name__ == "__main__":
    main()
