"""Causal embeddings on worlds of known truth: what is learned, and how it fares elsewhere.

    python -m epistax.benchmarks.environments two > two.jsonl
    python -m epistax.benchmarks.environments growing > growing.jsonl
    python -m epistax.benchmarks.environments l1000 --worlds 3 > l1000.jsonl
    python -m epistax.benchmarks.environments sparse --worlds 5 > sparse.jsonl
    python -m epistax.benchmarks.environments remedies > remedies.jsonl

`two`, `growing`, `l1000`: sections 6.1 to 6.5 of "Towards Learning Cell Causal-Embeddings": errors
out of distribution with their exact anchors and the rotation that matches; errors of validation
environments by epoch. `sparse`: which latents environments shift, where the truth is known.
`remedies`: what keeps the errors of `l1000` from exploding, one at a time.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from epistax.benchmarks import harness
from epistax.benchmarks.environmentdata import World, of_growing, of_l1000, of_sparse, scaled
from epistax.benchmarks.environmentpair import two
from epistax.engine.causal import catalogue, disentanglement, principal, targets
from epistax.engine.causal.curves import worst_rise
from epistax.engine.causal.records import Data, Method
from epistax.engine.simulate.l1000 import Size

EPOCHS = 200
PRESETS = ("default", "published")
TEMPERATURES = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
SMALLER = Size(environments=400, genes=300, latents=20, bits=256, scaffolds=30, plates=30)
SPARSE: dict[str, tuple[str, dict[str, Any]]] = {  # beside every model as it is by default
    "vae, from components": ("vae", {"start": "pca"}),
    "environment, from components": ("environment", {"start": "pca"}),
    "vae, from chance": ("vae", {"start": "random"}),
    "environment, from chance": ("environment", {"start": "random"}),
    "environment, IRM": ("environment", {"irm": 100.0}),
    "environment, FiLM": ("environment", {"sees": "film"}),
    "environment, told": ("environment", {"sees": "concat"}),
}
# what is added to the published settings, one at a time; `scaled` is of the data
REMEDIES: dict[str, dict[str, Any]] = {
    "none": {},
    "scaled": {"scaled": True},
    "clamp": {"clamp": True, "prior_clamp": True},
    "clip": {"clip": 1.0},
    "decay": {"decay": 1e-4},
    "dropout": {"dropout": 0.2},
    "vector dropout": {"vector_dropout": 0.3},
    "encoder not told": {"sees": "x"},
    "bottleneck": {"bottleneck": 32},
    "learned noise": {"likelihood": "learned"},
    "huber": {"likelihood": "huber"},
    "student": {"likelihood": "student"},
    "warm-up": {"warmup": 20},
    "paths from components": {"encoder": "residual", "decoder": "residual", "start": "pca"},
    "held-out environments": {"stop": True},
}


def trained(
    w: World, name: str, seed: int, *, temperatures: tuple[float, ...] | None = None, **how: Any
) -> tuple[Method, catalogue.Settings, Any, dict[str, Any]]:
    """A method, its settings and fits (one a temperature), and lines' common figures."""
    data = w.data
    settings = catalogue.settings(
        name, samples=len(data.train.x), features=data.train.x.shape[1],
        vector=data.vectors.shape[1], **({"epochs": EPOCHS} | how),
    )  # fmt: skip
    method = catalogue.method(name, settings, temperatures=temperatures)
    keys = jax.random.split(jax.random.key(seed), len(temperatures or (0,)))
    began = time.monotonic()
    fits, info = jax.block_until_ready(method.fit(keys, data, ()))
    curve = np.asarray(info["validation"], float)
    told = {
        "model": name,
        "seconds": round(time.monotonic() - began, 1),
        "curve": [rounded(x) for x in curve.mean(axis=1)],
        "train": rounded(np.asarray(info["error"], float)[-1].mean()),
        "final": rounded(curve[-1].mean()),
        "worst_rise": rounded(max(worst_rise(x, settings.warmup) for x in curve.T)),
        "latents": settings.latents,
        "warmup": settings.warmup,
    }
    return method, settings, fits, told


def trivial(data: Data, width: int) -> dict[str, Any]:
    """Errors on the validation samples of the mean profile and of components."""
    x, seen = np.asarray(data.validation.x), np.asarray(data.train.x)
    widths = {"mean_profile": 0, "components": width}
    return {k: rounded(principal.error(principal.fitted(seen, w), x)) for k, w in widths.items()}


def curves(
    w: World, seed: int, models: tuple[str, ...], presets: tuple[str, ...]
) -> Iterator[dict[str, Any]]:
    """Errors of validation environments by epoch: as published, raw; by default, scaled."""
    for preset in presets:
        own = scaled(w) if preset == "default" else w
        for name in models:
            _, settings, _, told = trained(own, name, seed, preset=preset)
            yield {**told, "preset": preset, **trivial(own.data, settings.latents)}


def remedies(w: World, seed: int, models: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """As published, with one remedy; last with all of them."""
    for name in models:
        for remedy, change in REMEDIES.items():
            how = dict(change)
            own = scaled(w) if how.pop("scaled", False) else w
            _, settings, _, told = trained(own, name, seed, preset="published", **how)
            yield {**told, "remedy": remedy, **trivial(own.data, settings.latents)}
        own = scaled(w)
        _, settings, _, told = trained(own, name, seed)
        yield {**told, "remedy": "all", **trivial(own.data, settings.latents)}


def sparse(w: World, seed: int, models: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Latents matched to true ones, and the targets named of environments never trained on."""
    rows = {name: (name, {}) for name in models} | SPARSE
    for row, (name, how) in rows.items():
        method, _, fits, told = trained(w, name, seed, **how)
        yield {**told, "row": row, **judged(w, method, fits)[0]}
    blind = w.shuffled(seed)
    for name in ("environment", "vae"):
        method, _, fits, told = trained(blind, name, seed)
        yield {**told, "row": f"{name}, environments shuffled", **judged(w, method, fits)[0]}
    method, _, fits, told = trained(w, "environment", seed, temperatures=TEMPERATURES)
    for temperature, figures in zip(TEMPERATURES, judged(w, method, fits), strict=True):
        yield {**told, "row": "temperature", "temperature": temperature, **figures}


def judged(w: World, method: Method, fits: Any) -> list[dict[str, Any]]:
    """Of each fit: MCC on reference samples, F1 and accuracy of named targets, sparsity of shifts.

    The causal variables are what is matched to the true ones; shifts are of what is encoded.
    """
    vectors = np.asarray(w.data.vectors)
    law = method.encode(fits, w.x, vectors[w.environment])
    variables = np.asarray(method.variables(fits, law.mean))
    plain, held = w.environment == 0, w.held_out
    found = []
    for k in range(len(variables)):
        moved = disentanglement.marginals(
            law.mean[k], law.log_sd[k], w.environment, environments=len(vectors)
        )
        reference = jax.tree.map(lambda x: x[:1], moved)
        shift = np.asarray(disentanglement.shifts(moved, reference))
        apart = np.asarray(disentanglement.divergences(moved, reference))[1:]
        match = targets.matched(variables[k][plain], w.c[plain])
        named = targets.named(shift, match)
        seen = ~held & (w.target >= 0)
        told = targets.scores(named[held], w.target[held])
        found.append({
            "mcc": rounded(match.mcc),
            "f1": rounded(told.f1),
            "accuracy": rounded(told.accuracy),
            "f1_trained": rounded(targets.scores(named[seen], w.target[seen]).f1),
            "sparsity": rounded(np.mean(np.asarray(disentanglement.score(apart)))),
        })  # fmt: skip
    return found


def rounded(x: Any) -> float | None:
    """Six digits; null where it is no number."""
    return float(f"{float(x):.6g}") if np.isfinite(x) else None


def main() -> None:
    """Print the lines."""
    parser = argparse.ArgumentParser(
        description=__doc__, prog="python -m epistax.benchmarks.environments"
    )
    parser.add_argument("part", choices=("two", "growing", "l1000", "sparse", "remedies"))
    parser.add_argument("--first", type=int, default=0, help="seed of the first world")
    parser.add_argument("--worlds", type=int, default=3)
    parser.add_argument("--mixing", choices=("linear", "relu"), default="linear")
    parser.add_argument("--network", action="store_true", help="latents of `sparse` have causes")
    parser.add_argument("--size", choices=("full", "smaller"), default="full")
    parser.add_argument("--model", choices=catalogue.NAMES, action="append")
    parser.add_argument("--preset", choices=PRESETS, action="append")
    given = parser.parse_args()
    presets = tuple(given.preset or PRESETS)
    models = tuple(given.model or catalogue.NAMES)
    size = Size() if given.size == "full" else SMALLER
    about = {"device": harness.device(), "versions": harness.versions()}
    for seed in range(given.first, given.first + given.worlds):
        if given.part == "two":
            lines = two(seed, trained)
        elif given.part == "growing":
            lines = curves(of_growing(seed), seed, models, presets)
        elif given.part == "sparse":
            w = of_sparse(seed, mixing=given.mixing, network=given.network)
            about |= {"mixing": given.mixing, "network": given.network}
            lines = sparse(w, seed, models)
        else:
            w = of_l1000(seed, size)
            each = {
                "l1000": lambda w=w, s=seed: curves(w, s, models, presets),
                "remedies": lambda w=w, s=seed: remedies(w, s, models),
            }
            lines = each[given.part]()
            about |= {"size": given.size}
        for record in lines:
            record = {"name": given.part, "world": seed, **record, **about}
            sys.stdout.write(json.dumps(record) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
