"""Methods by name: what `--model` chooses from; all but the default as published."""

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from jax.sharding import Mesh
from jaxtyping import Int
from numpy import ndarray

from epistax.engine.nets.inference import Relations
from epistax.engine.nets.regulation import Edges
from epistax.engine.nets.stack import Shape
from epistax.engine.response.autoencoder import Autoencoder, autoencoder
from epistax.engine.response.cevae import Cevae, cevae
from epistax.engine.response.cpa import Cpa, cpa
from epistax.engine.response.ganite import Ganite, ganite
from epistax.engine.response.neural import neural
from epistax.engine.response.records import Design, Method
from epistax.engine.response.training import Training
from epistax.engine.response.transfer import Transfer, transfer
from epistax.engine.response.variational import Variational, variational

Model: TypeAlias = Autoencoder | Cevae | Ganite | Cpa | Variational
MODELS: dict[str, Model] = {
    "ae": Autoencoder(),
    "cevae": Cevae(),
    "ganite": Ganite(),
    "cpa": Cpa(),
    "vci": Variational(mc=30, omega1=1.7),
    "graphvci": Variational(Relations()),
}
NAMES = ("default", *MODELS)
BUILD: dict[type, Any] = {
    Autoencoder: autoencoder,
    Cevae: cevae,
    Ganite: ganite,
    Cpa: cpa,
}


@dataclass(frozen=True)
class Neural:
    """A network and how it is trained; static."""

    model: Model
    training: Training = Training()


Settings: TypeAlias = Neural | Transfer


def settings(
    name: str, *, genes: int, cells: int, epochs: int | None = None, patience: int | None = 20
) -> Settings:
    """The settings of a method for so many training cells and genes. KeyError if unknown."""
    del genes  # nothing is wider for more of them
    if name == "default":
        return Transfer()
    training = Training(patience=patience, batch=min(64, cells))
    if epochs is not None:
        training = replace(training, epochs=epochs)
    return Neural(MODELS[name], training)


def method(
    config: Settings,
    *,
    design: Design,
    graph: Edges | None,
    genes: int,
    hits: Int[ndarray, "r"] | None = None,
    mesh: Mesh | None = None,
) -> Method:
    """The method of these settings; build it once, it compiles on its first use.

    Without a graph graphVCI's genes are each their own neighbour only. On a mesh it splits genes.
    hits says which gene each perturbation hits, -1 for none: the default reads it with the graph.
    """
    if isinstance(config, Transfer):
        return transfer(config, graph=graph, hits=hits)
    model, training = config.model, config.training
    levels = tuple(int(m) for m in np.max(np.asarray(design.strata), axis=0) + 1)
    shape = Shape(genes, np.asarray(design.arms).shape[1], levels, model.widths)
    if isinstance(model, Variational):
        family = variational(model, shape, training, mesh)
        graph = graph if model.relations is not None else None
    else:
        family, graph = BUILD[type(model)](model, shape, training), None
    return neural(family, training, design=design, graph=graph, genes=genes)
