"""A small screen in which every arm shifts its own genes, in every stratum alike."""

from types import SimpleNamespace

import numpy as np
import pytest

from epistax.engine.nets.regulation import Edges
from epistax.engine.nets.stack import Shape, Widths
from epistax.engine.response.records import Cells, Data, Design

N, G, A = 240, 16, 4  # cells, genes, arms
HELD = (1, 3)  # stratum and arm that no training cell has
SHIFT = np.zeros((A, G))
for _arm in range(1, A):
    SHIFT[_arm, 4 * _arm : 4 * _arm + 4] = 1.5
BASE = np.random.default_rng(0).uniform(0.5, 2.0, (2, G))


def cells(n, seed):
    rng = np.random.default_rng(seed)
    arm, stratum = rng.integers(0, A, n), rng.integers(0, 2, n)
    arm = np.where((stratum == HELD[0]) & (arm == HELD[1]), 0, arm)
    y = BASE[stratum] + SHIFT[arm] + 0.3 * rng.normal(size=(n, G))
    return Cells(y.astype(np.float32), arm.astype(np.int32), stratum.astype(np.int32))


def told(method, fitted, data):
    """What is predicted of validation controls under every arm: [stratum, arm, fit, gene]."""
    own = data.validation
    controls = Cells(*(x[own.arm == 0] for x in own))
    made = [method.predict(fitted, controls, np.full(len(controls.arm), a)).mean for a in range(A)]
    made = [np.asarray(m) for m in made]
    return np.stack([[m[:, controls.stratum == c].mean(1) for m in made] for c in (0, 1)])


def error(predicted):
    """Root mean square over the genes that shift, by fit; 1.5 of the control means."""
    apart = predicted - (BASE[:, None] + SHIFT[None])[:, :, None]
    squares = np.where(SHIFT[None, :, None] > 0, apart**2, 0).sum((0, 1, 3))
    return np.sqrt(squares / (2 * (SHIFT > 0).sum()))


@pytest.fixture(scope="session")
def toy():
    rng = np.random.default_rng(1)
    design = Design(np.eye(A, dtype=np.float32), np.array([[0], [1]]))
    widths = Widths(outcome=16, covariate=3, width=12, latent=6)
    strongest = np.broadcast_to(SHIFT > 0, (2, A, G))
    return SimpleNamespace(
        data=Data(design, cells(N, 1), cells(100, 2), strongest),
        edges=Edges(rng.integers(0, 4, 30), rng.integers(0, G, 30)),
        widths=widths,
        shape=Shape(G, A, (2,), widths),
        held=HELD,
        told=told,
        error=error,
    )
