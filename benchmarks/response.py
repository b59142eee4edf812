"""Time of training response models: an epoch of graphVCI against a plain PyTorch loop.

Cells, genes and edges are of the size of the published screens; numbers are drawn, since time does
not depend on them. An epoch of the reference with keys of cell and gene takes minutes, so a few of
its minibatches stand for all of them. Without PyTorch (extra `bench-torch`) there is no reference.
"""

import importlib.util
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from epistax.benchmarks import harness
from epistax.benchmarks.harness import Record, Timed
from epistax.engine.fit import fit
from epistax.engine.nets.graphconv import incoming
from epistax.engine.nets.inference import Relations
from epistax.engine.nets.regulation import Edges
from epistax.engine.nets.stack import Shape
from epistax.engine.response import neural, training
from epistax.engine.response.known import known
from epistax.engine.response.records import Cells, Data, Design
from epistax.engine.response.training import Training
from epistax.engine.response.transfer import transfer
from epistax.engine.response.variational import Variational, variational

CELLS, GENES, EDGES, TREATED, REGULATORS = 5000, 2000, 6800, 24, 40
TRAIN = 0.72  # of the cells: the others validate or are held out
SOME = 2  # minibatches of the reference that stand for an epoch, where keys depend on the cell
GROWTH: dict[str, tuple[int, ...]] = {
    "cells": (2500, 10_000, 20_000),
    "genes": (500, 1000, 4000),
    "edges": (0, 20_000, 60_000),
}


def suite(*, size: int | None, repeats: int, seed: int) -> Iterator[Record]:
    """Epochs at `size` genes (2,000) against PyTorch, then by cells, genes and edges alone."""
    usual = {"cells": CELLS, "genes": size or GENES, "edges": EDGES, "seed": seed}
    torch = importlib.util.find_spec("torch") is not None
    name = "a plain PyTorch loop" if torch else None
    for reading in ("dot", "att"):
        beside = {**usual, "reading": reading}
        record = harness.measure(
            f"response.epoch.{reading}", beside, ours, theirs if torch else None, name,
            repeats=repeats,
        )  # fmt: skip
        whole = -(-int(TRAIN * CELLS) // training.Training().batch)
        yield scaled(record, whole / SOME) if torch and reading == "att" else record
    for what, values in GROWTH.items():
        for value in values:
            grown = {**usual, what: value, "reading": "dot"}
            yield harness.measure("response.epoch.dot", grown, ours, repeats=min(repeats, 3))
    yield harness.measure("response.default", usual, default, repeats=min(repeats, 3))


def scaled(record: Record, factor: float) -> Record:
    """The record with its reference for a whole epoch, of which it did a part."""
    more = {name: record[name] * factor for name in ("reference_seconds", "reference_cpu_seconds")}
    ratio = more["reference_seconds"] / record["ours_seconds"]
    span = [x * factor for x in record["reference_range"]]
    return record | more | {"ratio": ratio, "reference_range": span, "reference_minibatches": SOME}


def drawn(*, cells: int, genes: int, edges: int, seed: int) -> tuple[Data, Edges]:
    """Cells and a graph of these sizes."""
    rng = np.random.default_rng(seed)
    design = Design(
        np.eye(TREATED + 1, dtype=np.float32), np.argwhere(np.ones((3, 2))).astype(np.int32)
    )
    arm = np.where(rng.random(cells) < 0.2, 0, rng.integers(1, TREATED + 1, cells))
    y = rng.gamma(1.0, 1.0, (cells, genes)).astype(np.float32)
    stratum = rng.integers(0, len(design.strata), cells)
    count = int(TRAIN * cells)
    every = Cells(y, arm.astype(np.int32), stratum.astype(np.int32))
    train, none = (Cells(*(v[cut] for v in every)) for cut in (slice(count), slice(0)))
    strongest = np.zeros((len(design.strata), TREATED + 1, genes), bool)
    graph = Edges(rng.integers(0, min(REGULATORS, genes), edges), rng.integers(0, genes, edges))
    return Data(design, train, none, strongest), graph


def ours(*, cells: int, genes: int, edges: int, seed: int, reading: Any) -> Timed:
    """An epoch of graphVCI in one call, nothing validated."""
    data, graph = drawn(cells=cells, genes=genes, edges=edges, seed=seed)
    levels = tuple(int(n) for n in np.max(np.asarray(data.design.strata), axis=0) + 1)
    model, once = Variational(Relations(reading=reading)), Training(every=1)
    shape = Shape(genes, TREATED + 1, levels, model.widths)
    family, around = variational(model, shape, once, None), incoming(graph, genes)
    arrays = known(data, around, least=once.least, controls=once.controls)
    keys = jax.random.split(jax.random.key(seed), 1)
    state, step = neural.begin(family)(keys, around), training.stepper(family, once)

    def call() -> Any:
        return fit(keys, step, state, arrays, steps=1, chunk=1)[0].parts

    return call


def theirs(*, cells: int, genes: int, edges: int, seed: int, reading: str) -> Timed:
    """An epoch of the loop, or its first minibatches."""
    import torch

    from epistax.benchmarks import responsetorch

    torch.set_num_threads(1)
    data, graph = drawn(cells=cells, genes=genes, edges=edges, seed=seed)
    return responsetorch.epoch(data, graph, reading, SOME if reading == "att" else None)


def default(*, cells: int, genes: int, edges: int, seed: int) -> Timed:
    """A whole fit of the default model."""
    data, graph = drawn(cells=cells, genes=genes, edges=edges, seed=seed)
    keys = jax.random.split(jax.random.key(seed), 1)
    return lambda: transfer().fit(keys, data, ())[0]


if __name__ == "__main__":
    harness.main(suite)
