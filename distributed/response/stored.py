"""A fit of responses as one file, with the control cells that predictions start from."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from epistax.distributed import codec
from epistax.distributed.response.calibration import Trust
from epistax.distributed.response.methods import Settings
from epistax.engine.nets.inference import Relations
from epistax.engine.nets.regulation import Edges
from epistax.engine.nets.stack import Widths
from epistax.engine.response import (
    autoencoder,
    catalogue,
    cevae,
    cpa,
    ganite,
    training,
    transfer,
    variational,
)
from epistax.engine.response.records import Cells, Design

NAME = "fit.npz"


class Learned(NamedTuple):
    """What `response fit` leaves: a model, what it is about, and how far it can be trusted."""

    model: str
    config: Settings
    genes: tuple[str, ...]
    perturbations: tuple[str, ...]  # the columns of the doses
    arms: tuple[str, ...]
    strata: tuple[str, ...]
    design: Design
    graph: Edges | None
    members: int
    fits: Any
    controls: Cells  # some of each stratum
    rows: np.ndarray  # int [n], where these stand in the file
    count: np.ndarray  # int [c, a], cells that were seen
    control: np.ndarray  # float64 [c, g], measured mean of all controls
    trust: Trust
    sep: str


RECORDS = codec.listed(
    Learned,
    Trust,
    Cells,
    Design,
    Edges,
    Relations,
    Widths,
    autoencoder.Autoencoder,
    catalogue.Neural,
    cevae.Cevae,
    cpa.Cpa,
    ganite.Ganite,
    training.Training,
    transfer.Fitted,
    transfer.Transfer,
    variational.Variational,
)


def encode(learned: Learned) -> bytes:
    """The file; the same fit gives the same bytes."""
    return codec.encode(learned, RECORDS)


def read(folder: Path) -> Learned:
    """The fit of a run directory. BadInput for what is none, or is damaged."""
    return codec.read_fit(folder, NAME, Learned, RECORDS, sound, verb="response fit")


def sound(found: Learned) -> bool:
    """Whether the parts of a fit are of their kinds and fit together."""
    names = (found.genes, found.perturbations, found.arms, found.strata)
    kinds = (found.design, Design), (found.controls, Cells), (found.trust, Trust)
    if not (
        all(isinstance(one, kind) for one, kind in kinds)
        and all(isinstance(one, tuple) for one in names)
        and all(isinstance(name, str) for one in names for name in (*one, found.model, found.sep))
        and isinstance(found.config, catalogue.Neural | transfer.Transfer)
    ):
        return False
    g, r, a, c = (len(one) for one in names)
    shapes = (
        (found.design.arms, (a, r)),
        (found.count, (c, a)),
        (found.control, (c, g)),
        (found.controls.y, (len(found.controls.arm), g)),
        *((table, (g,)) for table in (found.trust.seen, found.trust.unseen)),
    )
    return all(isinstance(one, np.ndarray) and one.shape == shape for one, shape in shapes)
