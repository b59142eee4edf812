"""A model of effects by its name: the one place that asks the engine's catalogue.

What is known of genes beforehand reaches a model as numbers of each gene (--side, and positions in
--graph), but for gears, which has the graph itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from epistax.distributed.beforehand import beforehand
from epistax.distributed.effects.reading import Samples
from epistax.distributed.errors import BadInput
from epistax.distributed.formats.relations import read_relations
from epistax.distributed.options.effects import ModelOptions
from epistax.engine.effects import catalogue
from epistax.engine.effects.linear import Linear
from epistax.engine.effects.mixed import Mixed, standard
from epistax.engine.effects.records import Method
from epistax.engine.nets.graph import Graph

Settings = catalogue.Settings
GRAPHIC = "gears"
BLIND = ("linear", "pheno")  # that do not tell genes apart


@dataclass(frozen=True)
class Known:
    """What is known of p genes beforehand."""

    side: np.ndarray | None  # float32 [p, c]
    graph: Graph | None
    remarks: tuple[str, ...] = ()


def read_known(options: ModelOptions, names: Sequence[str], model: str) -> Known:
    """What --side and --graph tell a model."""
    given = options.side is not None or bool(options.graph)
    if model in BLIND:
        line = f"{model} does not tell genes apart: --side and --graph are not used"
        return Known(None, None, (line,) if given else ())
    graphic = model == GRAPHIC
    found = beforehand(replace(options, graph=()) if graphic else options, names)
    side, remarks = (None, ()) if found is None else (scaled(found.values), found.remarks)
    if not options.graph or not graphic:
        return Known(side, None, remarks)
    held = [read_relations(path, names) for path in options.graph]
    edges = np.unique(np.concatenate([np.stack([one.i, one.j], 1) for one in held]), axis=0)
    if not len(edges):
        raise BadInput(f"{options.graph[0]}: none of its pairs has both members in the screen")
    line = f"--graph: {len(edges):,} edges between the {len(names):,} genes"
    return Known(side, Graph(edges, np.ones(len(edges), np.float32)), (*remarks, line))


def scaled(side: np.ndarray) -> np.ndarray:
    """Columns of mean 0 and sd 1, for networks too."""
    return np.asarray(standard(side))


def settings(name: str, options: ModelOptions, samples: Samples, n: int) -> Settings:
    """The settings of a model for n training rows. BadInput where it has none for such rows."""
    k = samples.genes.shape[1]
    if name in catalogue.ORDERED and k > 2:
        raise BadInput(
            f"--model: {name} takes rows of two genes, some have {k}; choose {name}-symmetric"
        )
    usual = 2 if name in catalogue.ORDERED else round(samples.frequency * samples.seen)
    config = catalogue.settings(name, genes=samples.seen, n=n, k=usual, widths=options.widths)
    if isinstance(config, Mixed):
        return config if options.draws is None else replace(config, draws=options.draws)
    if isinstance(config, Linear):
        return config
    passes = {} if options.epochs is None else {"epochs": options.epochs}
    training = replace(config.training, keep=options.keep, **passes)
    nearest = {"nearest": 0} if name == GRAPHIC and options.graph else {}
    net = replace(config.net, genes=len(samples.names))
    return replace(config, net=net, training=training, **nearest)


def method(config: Settings, singles: np.ndarray, known: Known) -> Method:
    """The model of these settings for genes of these single effects."""
    return catalogue.method(config, singles=singles, graph=known.graph, side=known.side)


def members(name: str, given: int | None, usual: int) -> int:
    """How many fits an ensemble has: one where a fit tells its own sd."""
    return given or (1 if name in ("default", "linear") else usual)
