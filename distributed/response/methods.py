"""A model of responses by its name: the one place that asks the engine for one."""

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import jax.numpy as jnp
import numpy as np

from epistax.distributed import settings as by_hand
from epistax.distributed.response.graphs import GeneGraph
from epistax.distributed.response.reading import CellTable
from epistax.engine.nets.regulation import Edges
from epistax.engine.response import catalogue, counterfactual, structured
from epistax.engine.response.composition import composed
from epistax.engine.response.differential import CONTROL
from epistax.engine.response.records import Design, Method
from epistax.engine.response.transfer import Transfer
from epistax.engine.types import Info

Settings: TypeAlias = catalogue.Settings
RELATED = "graphvci"  # is little without a graph
GRAPHIC = ("default", RELATED)  # that read one


def settings(name: str, table: CellTable, *, epochs: int | None, given: Sequence[str]) -> Settings:
    """The settings of a model for such cells, those given by hand among them."""
    cells = len(table.cells.arm)
    found = catalogue.settings(name, genes=len(table.genes), cells=cells, epochs=epochs)
    changed: Settings = by_hand.changed(found, given)
    return changed


def refuse(
    names: Sequence[str], table: CellTable, *, epochs: int | None, given: Sequence[str]
) -> None:
    """BadInput for settings by hand that no model has, or that one refuses."""
    by_hand.refuse([settings(name, table, epochs=epochs, given=()) for name in names], given)
    for name in names:
        settings(name, table, epochs=epochs, given=given)


def method(
    config: Settings,
    design: Design,
    graph: Edges | None,
    *,
    genes: Sequence[str],
    perturbations: Sequence[str],
) -> Method:
    """The model of these settings, for genes and perturbations of these names."""
    place = {name: k for k, name in enumerate(genes)}
    hits = np.array([place.get(name, -1) for name in perturbations], np.int32)
    return catalogue.method(config, design=design, graph=graph, genes=len(genes), hits=hits)


def of(config: Settings, table: CellTable, graph: GeneGraph | None) -> Method:
    """The model of these settings for a table of cells."""
    edges = None if graph is None else graph.edges
    return method(
        config, table.design, edges, genes=table.genes, perturbations=table.arms.perturbations
    )


def remarks(names: Sequence[str], graph: GeneGraph | None) -> tuple[str, ...]:
    """What the models make of a graph, or of none."""
    if graph is not None:
        number = len(np.unique(graph.edges.source))
        if "default" not in names or number <= structured.MOST:
            return graph.remarks
        return (*graph.remarks, f"default: {number:,} regulators are more than the "
                f"{structured.MOST} it models; it reads who are their targets alone")  # fmt: skip
    line = f"{RELATED} is given no --graph: no gene is told of another"
    return (line,) if RELATED in names else ()


def curve(config: Settings, info: Info) -> Iterator[tuple[int, int, float]]:
    """(fit, epoch, validation score) of every look that a model took while training."""
    if isinstance(config, Transfer) or "validation" not in info:
        return
    for look, scores in enumerate(np.asarray(info["validation"], np.float64)):
        for fit, score in enumerate(scores):
            yield fit, (look + 1) * config.training.every, float(score)


def validated(config: Settings) -> bool:
    """Whether training needs cells that only validate."""
    return not isinstance(config, Transfer)


def made_of(config: Settings, design: Design, cells: np.ndarray) -> np.ndarray:
    """Whether each arm can be predicted: the default needs cells of it, or of each of its parts."""
    if not isinstance(config, Transfer):
        return np.ones(len(design.arms), bool)
    known: np.ndarray = composed(np.asarray(design.arms), cells).any(1)
    known[CONTROL] = True
    return known


def extended(config: Settings, fits: Any, design: Design, cells: np.ndarray) -> Any:
    """Fits that predict all arms of a design, of which those without cells are the last."""
    arms = np.asarray(design.arms)
    if not isinstance(config, Transfer) or fits.shift.shape[2] == len(arms):
        return fits
    had = fits.shift.shape[2]
    return counterfactual.extended(
        fits, jnp.asarray(composed(arms, cells)[had:, :had], jnp.float32)
    )
