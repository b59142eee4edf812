"""Refined graphs of genes against the true ones: what is found, world by world.

    python -m epistax.benchmarks.refinement --worlds 5 > refinement.jsonl

The simulated worlds of `graphvci`, whose prior graph has 70 % of the true edges and as many false
ones as there are true. One line a world and score: average precision over all edges and per
regulator, of all edges, of those in the prior graph (is it pruned?) and of all others (is anything
found?). Scores: from the same inputs without training, the published masked network from its own
start and from a warm one, whose logits rise with prior and partial correlation, and ours.
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
from epistax.benchmarks.graphvci import SIZES
from epistax.engine.nets.regulation import Edges
from epistax.engine.response import edges, masked, refine
from epistax.engine.response.records import Cells, Design
from epistax.engine.simulate import cells

STEPS = 800  # minibatches of the masked network
WARM = "prior + partial"  # which the warm logits follow
LEVELS = np.linspace(0, 1, 21)  # of recall
COLD, HOT = -3.0, 5.0  # logits where that is 0 and 2


def lines(seed: int, size: Any, steps: int) -> Iterator[dict[str, Any]]:
    """Every score of one world."""
    made = cells.simulate(jax.random.key(seed), size)
    every = Cells(*(np.asarray(x) for x in (made.y, made.arm, made.stratum)))
    design = Design(np.asarray(made.arms), np.asarray(made.strata))
    prior, true = np.asarray(made.prior), np.asarray(made.world.edges)
    regulators = np.arange(true.shape[1])
    target, source = np.nonzero(prior)
    graph = Edges(source, target)
    scores = edges.untrained(every, prior, regulators, strata=len(design.strata))
    spent = dict.fromkeys(scores, 0.0)

    def add(name: str, make: Any) -> None:
        began = time.monotonic()
        scores[name] = np.asarray(make())
        spent[name] = round(time.monotonic() - began, 1)

    hits = np.concatenate([[-1], np.asarray(made.world.hit)])
    add("ours", lambda: refine.refine(every, design, graph, regulators, acts_on=hits)[0].score)
    if steps:
        key = jax.random.key(1000 + seed)
        warm = np.nan_to_num(COLD + (HOT - COLD) * scores[WARM] / 2)
        for name, start in (("masked", {}), ("masked, warm", {"start": warm})):
            add(name, lambda start=start: masked.masked(
                key, every, design, graph, regulators, steps=steps, **start)[0])  # fmt: skip
    for name, score in scores.items():
        found = edges.evaluate(score, true, prior, regulators)
        flat = {
            f"{figure}_{part}": round(value, 5)
            for part, figures in found.items()
            for figure, value in figures.items()
        }
        flat |= curves(score, true, prior)
        yield {"name": "refinement", "world": seed, "score": name, **flat, "seconds": spent[name]}


def curves(score: np.ndarray, true: np.ndarray, prior: np.ndarray) -> dict[str, list[float]]:
    """The best precision at every recall or a higher one, by part of the edges."""
    other = np.arange(true.shape[1])[None, :] != np.arange(len(true))[:, None]
    score, found = np.nan_to_num(score, nan=-np.inf), {}
    for part, mask in (("all", other), ("prior", other & prior), ("new", other & ~prior)):
        hits = true[mask][np.argsort(-score[mask], kind="stable")]
        precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
        highest = np.maximum.accumulate(precision[::-1])[::-1]
        at = np.searchsorted(np.cumsum(hits), np.maximum(np.ceil(LEVELS * hits.sum()), 1))
        found[f"precision_at_{part}"] = [round(float(x), 4) for x in highest[at]]
    return found


def main() -> None:
    """Print the lines."""
    prog = "python -m epistax.benchmarks.refinement"
    parser = argparse.ArgumentParser(description=__doc__, prog=prog)
    parser.add_argument("--size", choices=tuple(SIZES), default="small")
    parser.add_argument("--first", type=int, default=0, help="seed of the first world")
    parser.add_argument("--worlds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=STEPS, help="of the masked network; 0: none")
    given = parser.parse_args()
    about = {"size": given.size, "device": harness.device(), "versions": harness.versions()}
    for seed in range(given.first, given.first + given.worlds):
        for line in lines(seed, SIZES[given.size], given.steps):
            sys.stdout.write(json.dumps(line | about) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
