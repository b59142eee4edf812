"""Effects on single cells against the simulated truth, for a model or for a table of means.

Train and test are judged on followed cells that train or test; what is held out on all followed
cells of its strata but those that are held out themselves. The effect of an arm on a cell is what
it would express under the arm less what it would express under the control, whatever it had.
"""

from typing import Any

import numpy as np

from epistax.distributed.response.dividing import Division
from epistax.distributed.response.truth import Truth
from epistax.engine.response.differential import CONTROL
from epistax.engine.response.individual import Individual, judged
from epistax.engine.response.records import Method, rows

NONE = Individual(*[float("nan")] * len(Individual._fields))


def effects(method: Method, fits: Any, truth: Truth, division: Division) -> np.ndarray:
    """The effect of every arm on every followed cell, by each fit: [m, e, a, g]."""
    cells = rows(division.table.cells, truth.rows)
    told = np.stack(
        [
            np.asarray(method.predict(fits, cells, np.full(len(truth.rows), a, np.int32)).mean)
            for a in range(len(division.table.arms.names))
        ],
        axis=2,
    )
    return told - told[:, :, CONTROL : CONTROL + 1]


def shared(table: np.ndarray, truth: Truth, division: Division) -> np.ndarray:
    """Effects by means [c, a, g]: every cell of a stratum has the same, [e, a, g]."""
    change = table - table[:, CONTROL : CONTROL + 1]
    found: np.ndarray = change[division.table.cells.stratum[truth.rows]]
    return found


def figures(predicted: np.ndarray, truth: Truth, division: Division, split: str) -> Individual:
    """The figures of predicted effects [e, a, g] of the followed cells, on one split."""
    held, out = division.split.held, split == "ood"
    inside = np.isin(truth.rows, getattr(division.split, split)) ^ out
    wanted = (held if out else ~held) & (division.count("ood" if out else "train") > 0)
    wanted[:, CONTROL] = False
    wanted &= np.isfinite(truth.cells).all((0, 2))[None, :]
    stratum = division.table.cells.stratum[truth.rows]
    there = np.isfinite(predicted).all(2)
    groups = [(int(c), int(a)) for c, a in np.argwhere(wanted) if there[stratum == c, a].all()]
    true = truth.cells - truth.cells[:, CONTROL : CONTROL + 1]
    return judged(true[inside], predicted[inside], stratum[inside], tuple(groups))
