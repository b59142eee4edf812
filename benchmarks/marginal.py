"""Marginal effects: how far off each estimate is, and how often its intervals hold the truth.

    python -m epistax.benchmarks.marginal --worlds 5 > marginal.jsonl

`coverage`: cheap simulations of one stratum, cross-fitted stratum means as the model. Stress cases
on the same: the chances of an arm depend on a covariate that is left out (propensity wrong) while
the model is right; the model is a constant while the chances are right; both wrong; and chances
that depend on the latent state, which nobody knows. Of the simulated worlds of `graphvci`, arms by
chance, models are fitted to one half of the training cells and asked of the other, in turn, and
judged by the true means, over all genes, groups with fewer than 20 cells of the arm apart.
"""

import argparse
import functools
import json
import sys
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from epistax.benchmarks import harness
from epistax.benchmarks.graphvci import SIZES, built
from epistax.benchmarks.graphvciworlds import world
from epistax.engine.response.marginal import Marginal, crossfitted, marginal
from epistax.engine.response.records import rows
from epistax.engine.simulate import cells

RUNS, STRATUM, GENES, TRUTH = 2000, 200, 20, 0.3
FEW = 20  # cells of an arm
# model, chances it is given, and how strongly chances follow a covariate and the state
CASES: dict[str, dict[str, Any]] = {
    "coverage": {"model": "crossfit", "given": "estimated", "covariate": 0.0, "state": 0.0},
    "propensity wrong": {"model": "right", "given": "estimated", "covariate": 1.0, "state": 0.0},
    "outcome wrong": {"model": "constant", "given": "right", "covariate": 1.0, "state": 0.0},
    "both wrong": {"model": "constant", "given": "estimated", "covariate": 1.0, "state": 0.0},
    "confounded": {"model": "right", "given": "right", "covariate": 0.0, "state": 1.0},
}
NEW_CELLS = 2000  # of each group, of which the true mean is made


@functools.partial(jax.jit, static_argnames=("model", "given", "covariate", "state"))
def simulated(key: Any, *, model: str, given: str, covariate: float, state: float) -> Marginal:
    """Estimates in one stratum: expression is .3 + covariate + state + noise under the arm."""
    k_x, k_z, k_t, k_y = jax.random.split(key, 4)
    x, z = (jax.random.normal(k, (STRATUM,)) for k in (k_x, k_z))
    seen = jax.nn.sigmoid(covariate * x - 0.5)
    chance = jax.nn.sigmoid(covariate * x + state * z - 0.5)
    treated = jax.random.uniform(k_t, (STRATUM,)) < chance
    own = TRUTH + x + z
    y = own[:, None] + jax.random.normal(k_y, (STRATUM, GENES))
    every, fold = jnp.ones(STRATUM, bool), jnp.arange(STRATUM) % 2
    predicted = {
        "crossfit": lambda: crossfitted(y, treated, every, fold, folds=2),
        "right": lambda: jnp.broadcast_to((TRUTH + x)[:, None], y.shape),
        "constant": lambda: jnp.zeros_like(y),
    }[model]()
    return marginal(predicted, y, treated, every, propensity=seen if given == "right" else None)


def cheap(seed: int, runs: int) -> Iterator[dict[str, Any]]:
    """Every case, each estimate over all runs and genes."""
    for place, (case, settings) in enumerate(CASES.items()):
        keys = jax.random.split(jax.random.key(1000 * seed + place), runs)
        found = jax.vmap(functools.partial(simulated, **settings))(keys)
        for name, estimate in found._asdict().items():
            yield told(case, name, estimate, jnp.full(estimate.mean.shape, TRUTH), runs)


def told(case: str, name: str, estimate: Any, truth: Array, number: int) -> dict[str, Any]:
    """Error, bias and coverage of an estimate."""
    error = np.asarray(estimate.mean - truth, np.float64)
    low, high = (np.asarray(x) for x in estimate.interval())
    held = (low <= np.asarray(truth)) & (np.asarray(truth) <= high)
    return {
        "name": "marginal", "case": case, "estimate": name, "number": number,
        "rmse": round(float(np.sqrt(np.mean(error**2))), 5),
        "bias": round(float(error.mean()), 5), "covered_95": round(float(held.mean()), 5),
    }  # fmt: skip


def crossed(seed: int, size: str, model: str, epochs: int) -> Iterator[dict[str, Any]]:
    """One world: every group's estimates by models that had not seen its cells."""
    w = world(seed, SIZES[size])
    train, fold = w.data.train, np.arange(len(w.data.train.arm)) % 2
    true, _ = cells.marginal(jax.random.key(20_000 + seed), w.made, w.size, cells=NEW_CELLS)
    method = built(w, model, {}, epochs, w.graph)
    keys = jax.random.split(jax.random.key(seed), 1)
    fits = [method.fit(keys, w.data._replace(train=rows(train, np.flatnonzero(fold != f))), ())[0]
            for f in range(2)]  # fmt: skip
    estimate, arms = jax.jit(marginal), w.held.shape[1]
    found: dict[tuple[str, str], list[Any]] = {}
    for c in range(len(w.held)):
        own = np.flatnonzero(train.stratum == c)
        some = rows(train, own)
        for a in range(1, arms):
            treated = some.arm == a
            if treated.sum() < 5:
                continue
            predicted = np.zeros_like(some.y)
            for f in range(2):
                part = fold[own] == f
                wanted = np.full(int(part.sum()), a, np.int32)
                predicted[part] = method.predict(fits[f], rows(some, part), wanted).mean[0]
            one = estimate(predicted, some.y, treated, np.ones(len(own), bool))
            group = "few cells" if treated.sum() < FEW else "more cells"
            for name, value in one._asdict().items():
                found.setdefault((group, name), []).append((value, true[a, c]))
    for (group, name), values in found.items():
        joined = jax.tree.map(lambda *x: jnp.stack(x), *(v for v, _ in values))
        truth = jnp.stack([t for _, t in values])
        case = f"{model}, {group}"
        yield told(case, name, joined, truth, len(values)) | {"world": seed, "size": size}


def main() -> None:
    """Print the lines."""
    parser = argparse.ArgumentParser(
        description=__doc__, prog="python -m epistax.benchmarks.marginal"
    )
    parser.add_argument("--size", choices=tuple(SIZES), default="small")
    parser.add_argument("--first", type=int, default=0, help="seed of the first world")
    parser.add_argument("--worlds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=RUNS, help="cheap simulations of a case")
    parser.add_argument("--model", action="append", help="of the worlds; default if none")
    parser.add_argument("--epochs", type=int, default=150)
    given = parser.parse_args()
    about = {"device": harness.device(), "versions": harness.versions()}
    lines = [cheap(given.first, given.runs)]
    lines += [crossed(seed, given.size, model, given.epochs)
              for seed in range(given.first, given.first + given.worlds)
              for model in given.model or ["default"]]  # fmt: skip
    for each in lines:
        for record in each:
            sys.stdout.write(json.dumps({"size": "simulation"} | record | about) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
