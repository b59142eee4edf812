"""A fit of causal embeddings as one file, with the samples that predictions start from."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from epistax.distributed import codec
from epistax.distributed.causal.coding import Coding, Environments
from epistax.distributed.causal.covariates import Covariate
from epistax.engine.causal.catalogue import Fitted, Settings
from epistax.engine.causal.scaling import Scaling

NAME = "fit.npz"


class Learned(NamedTuple):
    """What `causal fit` leaves: a model, what it is about, and where predictions start."""

    model: str
    config: Settings
    features: tuple[str, ...]
    coding: Coding
    every: Environments
    trained: np.ndarray  # bool [e]
    scale: Scaling | None
    fits: Any
    members: int
    base: np.ndarray  # int [b], environments that predictions start from
    starts: np.ndarray  # float32 [b, r, g], samples of each on their scale
    measured: np.ndarray  # float64 [b, g], the mean of all its samples in the features' own units


RECORDS = codec.listed(Learned, Coding, Covariate, Environments, Fitted, Scaling, Settings)


def encode(learned: Learned) -> bytes:
    """The file; the same fit gives the same bytes."""
    return codec.encode(learned, RECORDS)


def read(folder: Path) -> Learned:
    """The fit of a run directory. BadInput for what is none, or is damaged."""
    return codec.read_fit(folder, NAME, Learned, RECORDS, sound, verb="causal fit")


def sound(found: Learned) -> bool:
    """Whether the parts of a fit are of their kinds and fit together."""
    kinds = (
        (found.config, Settings),
        (found.coding, Coding),
        (found.every, Environments),
        (found.fits, Fitted),
        (found.coding.covariates if isinstance(found.coding, Coding) else None, tuple),
        (found.scale, Scaling | None),
    )
    if not all(isinstance(one, kind) for one, kind in kinds):
        return False
    if not all(isinstance(one, Covariate) for one in found.coding.covariates):
        return False
    e, g, b = len(found.every.names), len(found.features), len(found.base)
    shapes = (
        (found.coding.table, (len(found.coding.names), found.coding.table.shape[1])),
        (found.every.vectors, (e, found.coding.width)),
        (found.every.perturbation, (e,)),
        (found.trained, (e,)),
        (found.starts, (b, found.starts.shape[1], g)),
        (found.measured, (b, g)),
    )
    return all(isinstance(one, np.ndarray) and one.shape == shape for one, shape in shapes)
