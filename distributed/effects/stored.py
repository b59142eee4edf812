"""A fit of effects as one file."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from epistax.distributed import codec
from epistax.distributed.codec import TREE
from epistax.distributed.effects.methods import Settings
from epistax.engine.effects import choice, linear, mixed, mixed_sampler, neural, training, units
from epistax.engine.nets.combos import Combining
from epistax.engine.nets.graph import Graph

__all__ = ["NAME", "TREE", "Learned", "encode", "read"]

NAME = "fit.npz"


class Learned(NamedTuple):
    """What `effects fit` leaves: a model and how far it can be trusted."""

    model: str
    config: Settings
    names: tuple[str, ...]
    singles: np.ndarray  # float32 [p]
    seen: np.ndarray  # bool [p], genes that were in a row
    k: int  # places of a row
    side: np.ndarray | None
    graph: Graph | None
    members: int
    fits: Any
    spare: float  # sd beside that of the members, in units of the effects
    factor: float  # sds to each side of an interval


RECORDS = codec.listed(
    Learned,
    choice.Chosen,
    linear.Line,
    linear.Linear,
    mixed.Fit,
    mixed.Mixed,
    mixed_sampler.Chain,
    neural.Fitted,
    neural.Neural,
    units.Units,
    training.Training,
    Combining,
    Graph,
)


def encode(learned: Learned) -> bytes:
    """The file; the same fit gives the same bytes."""
    return codec.encode(learned, RECORDS)


def read(folder: Path) -> Learned:
    """The fit of a run directory. BadInput for what is none, or is damaged."""
    return codec.read_fit(folder, NAME, Learned, RECORDS, sound, verb="effects fit")


def sound(found: Learned) -> bool:
    """Whether the parts of a fit are of their kinds and fit together."""
    p = len(found.names) if isinstance(found.names, tuple) else -1
    tables = (found.singles, found.seen, *(() if found.side is None else (found.side,)))
    return (
        isinstance(found.model, str)
        and isinstance(found.config, linear.Linear | neural.Neural | mixed.Mixed)
        and all(isinstance(name, str) for name in found.names)
        and all(isinstance(table, np.ndarray) and len(table) == p for table in tables)
        and all(isinstance(number, int) for number in (found.k, found.members))
        and all(isinstance(number, float) for number in (found.spare, found.factor))
    )
