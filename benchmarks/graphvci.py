"""Models of responses on simulated cells: held-out combinations, single cells, distributions.

    python -m epistax.benchmarks.graphvci models --worlds 5 > models.jsonl
    python -m epistax.benchmarks.graphvci omega --worlds 2 > omega.jsonl
    python -m epistax.benchmarks.graphvci curves --seeds 5 > curves.jsonl

`models`: every model of "Predicting Cellular Responses with Variational Causal Inference and
Refined Relational Information" has the same number of trials, which its grid below lists, and of
epochs; a trial is chosen by the score of validation groups. `omega`: graphVCI by the weight of its
distribution term. `curves`: graphVCI by decoder and graph, a look every few epochs. One line a
world, trial and split; trivial predictions and the truth are lines too.
"""

import argparse
import json
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from epistax.benchmarks import graphvciworlds, harness
from epistax.benchmarks.graphvciworlds import World, world
from epistax.engine.nets.inference import Relations
from epistax.engine.nets.regulation import Edges
from epistax.engine.response import catalogue, refine, trivial
from epistax.engine.response.records import Method
from epistax.engine.response.strata import grouped
from epistax.engine.simulate import cells
from epistax.engine.simulate.cells_world import REFERENCE, SMALL

TRIALS: dict[str, tuple[dict[str, Any], ...]] = {
    "ae": ({"rate": 3e-4}, {"rate": 1e-3}),
    "cevae": ({"omega": 0.1}, {"omega": 0.01}),
    "ganite": ({"alpha": 1.0}, {"alpha": 0.1}),
    "cpa": ({"against": 60.0}, {"against": 5.0}),
    "vci": ({"omega1": 1.7}, {"omega1": 10.0}),
    "graphvci": ({"omega1": 50.0}, {"omega1": 10.0}),
    "default": ({},),
}
OMEGAS = (0.0, 1.0, 10.0, 50.0, 200.0)
EPOCHS, EVERY = 150, 10
SIZES = {"small": SMALL, "reference": REFERENCE}
TRUTH = 2000  # new cells of each group from which the true mean is made
DECODERS = {"key-independent": {}, "key-dependent": {"reading": "att", "softmax": True}}


def built(w: World, name: str, trial: dict[str, Any], epochs: int, graph: Edges | None) -> Method:
    """The method of a model with the settings of a trial."""
    genes, n = w.size.genes, len(w.data.train.arm)
    config = catalogue.settings(name, genes=genes, cells=n, epochs=epochs, patience=None)
    if isinstance(config, catalogue.Neural):
        trained = {k: v for k, v in trial.items() if k == "rate"}
        made = {k: v for k, v in trial.items() if k != "rate"}
        config = replace(
            config,
            model=replace(config.model, **made),
            training=replace(config.training, every=EVERY, **trained),
        )
    return catalogue.method(config, design=w.data.design, graph=graph, genes=genes, hits=w.hits)


def models(
    w: World, seed: int, names: Sequence[str], epochs: int, seeds: int
) -> Iterator[dict[str, Any]]:
    """Every trial of every model on one world; before them what needs no model."""
    yield from known(w, seed)
    control, truth = graphvciworlds.followed(w)
    keys = jax.random.split(jax.random.key(seed), seeds)
    for name in names:
        for trial in TRIALS[name]:
            method = built(w, name, trial, epochs, w.graph)
            began, spent = time.monotonic(), processor()
            fits, info = jax.block_until_ready(method.fit(keys, w.data, ()))
            used = {
                "seconds": round(time.monotonic() - began, 1),
                "cpu_seconds": round(processor() - spent, 1),
            }
            score = np.asarray(info["validation"]).max(0) if "validation" in info else [0] * seeds
            single = graphvciworlds.of_cells(w, method, fits, control, truth)
            far = graphvciworlds.distance(w, method, fits)
            for split in ("test", "ood"):
                for protocol in ("classic", "native"):
                    told = graphvciworlds.of_method(w, method, fits, split, protocol)
                    for k in range(seeds):
                        cell = {**single[k], "distance_ood": far[k]} if protocol == "native" else {}
                        yield line("models", seed, name, split, told[k] | cell, used) | {
                            "evaluation": protocol, "trial": trial, "seed": k,
                            "validation": round(float(score[k]), 5), "epochs": epochs,
                        }  # fmt: skip


def known(w: World, seed: int) -> Iterator[dict[str, Any]]:
    """Means of training cells as predictions, and the true means."""
    train = grouped(w.data.train, strata=w.held.shape[0], arms=w.held.shape[1])
    true, _ = cells.marginal(jax.random.key(10_000 + seed), w.made, w.size, cells=TRUTH)
    tables = {
        "control-mean": trivial.control_mean(train),
        "control-shift": trivial.control_shift(train),
        "ceiling": np.asarray(true, float).transpose(1, 0, 2),
    }
    for name, table in tables.items():
        for split in ("test", "ood"):
            yield line("models", seed, name, split, graphvciworlds.of_means(w, table, split), {})


def omega(w: World, seed: int, epochs: int) -> Iterator[dict[str, Any]]:
    """GraphVCI by the weight of its distribution term."""
    control, truth = graphvciworlds.followed(w)
    for weight in OMEGAS:
        method = built(w, "graphvci", {"omega1": weight}, epochs, w.graph)
        fits, _ = method.fit(jax.random.split(jax.random.key(seed), 1), w.data, ())
        single = graphvciworlds.of_cells(w, method, fits, control, truth)[0]
        far = graphvciworlds.distance(w, method, fits)[0]
        told = graphvciworlds.of_method(w, method, fits, "ood", "classic")[0]
        yield line("omega", seed, "graphvci", "ood", told | single, {}) | {
            "omega1": weight, "distance_ood": round(far, 5), "epochs": epochs,
        }  # fmt: skip


def curves(w: World, seed: int, epochs: int, seeds: int) -> Iterator[dict[str, Any]]:
    """GraphVCI by decoder and graph: R2 of what is held out, as it is trained."""
    regulators = np.arange(w.size.regulators)
    found, _ = refine.refine(
        w.data.train, w.data.design, w.graph, regulators, acts_on=np.asarray(w.hits)
    )
    known = np.nan_to_num(found.score, nan=-np.inf)
    target, source = np.nonzero(known > 0)  # more likely than not
    graphs = {"none": None, "prior": w.graph, "refined": Edges(source, target)}
    for decoder, settings in DECODERS.items():
        for name, graph in graphs.items():
            if name == "none" and settings:
                continue  # without a graph no gene has a place of its own to attend with
            relations = replace(Relations(), **settings)
            method = built(w, "graphvci", {"relations": relations, "omega1": 10.0}, epochs, graph)
            looks: list[Any] = []

            def look(done: int, state: Any, info: Any, method: Method = method) -> None:
                now = state.parts["model"][:2]
                told = graphvciworlds.of_method(w, method, now, "ood", "classic")
                looks.append((done * EVERY, told))  # noqa: B023

            method.fit(jax.random.split(jax.random.key(seed), seeds), w.data, (look,))
            for epoch, told in looks:
                for k, figures in enumerate(told):
                    yield line("curves", seed, "graphvci", "ood", figures, {}) | {
                        "decoder": decoder, "graph": name, "epoch": epoch, "seed": k,
                    }  # fmt: skip


def line(
    name: str, seed: int, model: str, split: str, figures: dict[str, float], used: dict[str, float]
) -> dict[str, Any]:
    """One line; what is not a number there is null."""
    told = {k: round(v, 5) if np.isfinite(v) else None for k, v in figures.items()}
    return {"name": name, "world": seed, "model": model, "split": split, **told, **used}


def processor() -> float:
    """Processor seconds of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Print the lines."""
    parser = argparse.ArgumentParser(
        description=__doc__, prog="python -m epistax.benchmarks.graphvci"
    )
    parser.add_argument("part", choices=("models", "omega", "curves"))
    parser.add_argument("--size", choices=tuple(SIZES), default="small")
    parser.add_argument("--first", type=int, default=0, help="seed of the first world")
    parser.add_argument("--worlds", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=1, help="fits of each model")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--model", choices=tuple(TRIALS), action="append")
    given = parser.parse_args()
    about = {"device": harness.device(), "versions": harness.versions()}
    for seed in range(given.first, given.first + given.worlds):
        w = world(seed, SIZES[given.size])
        parts = {
            "models": lambda w=w, s=seed: models(w, s, given.model or tuple(TRIALS), given.epochs,
                                                 given.seeds),
            "omega": lambda w=w, s=seed: omega(w, s, given.epochs),
            "curves": lambda w=w, s=seed: curves(w, s, given.epochs, given.seeds),
        }  # fmt: skip
        for record in parts[given.part]():
            sys.stdout.write(json.dumps(record | {"size": given.size} | about) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
