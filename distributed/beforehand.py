"""What is known of every perturbation before any pair is measured: --side and --graph, as numbers.

A graph (known relations, gene sets) is told by positions in it: the leading eigenvectors of its
normalised adjacency, a position for every 28 perturbations, from 8 to 64.
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from epistax.distributed.errors import BadInput
from epistax.distributed.formats.relations import read_relations
from epistax.distributed.formats.side import Side, read_side
from epistax.distributed.formats.where import listed
from epistax.distributed.options.effects import ModelOptions
from epistax.distributed.options.shared import BeliefOptions
from epistax.engine.stats.positions import positions

FEWEST, MOST, EACH = 8, 64, 28
Informed: TypeAlias = BeliefOptions | ModelOptions


def beforehand(options: Informed, names: Sequence[str]) -> Side | None:
    """The columns of both, side by side; None where nothing was given. BadInput as read."""
    parts = [read_side(options.side, names)] if options.side is not None else []
    parts += [read_graph(options.graph, names)] if options.graph else []
    if not parts:
        return None
    values = np.concatenate([part.values for part in parts], axis=1)
    columns = tuple(name for part in parts for name in part.columns)
    return Side(values, columns, tuple(line for part in parts for line in part.remarks))


def inputs(options: Informed) -> tuple[str, ...]:
    """The files that it reads."""
    return (*([options.side] if options.side else ()), *options.graph)


def read_graph(paths: Sequence[str], names: Sequence[str]) -> Side:
    """Positions in the union of the files' relations."""
    p, held, remarks = len(names), [], []
    for path in paths:
        found = read_relations(path, names)
        if not len(found.i):
            raise BadInput(f"{path}: none of its pairs has both members in the screen")
        remarks.append(f"{path}: {len(found.i):,} of its pairs are of the {p:,} perturbations")
        held.append(found.i.astype(np.int64) * p + found.j)
    i, j = np.divmod(np.unique(np.concatenate(held)), p)
    alone = np.setdiff1d(np.arange(p), np.r_[i, j])
    if len(alone):
        example = listed([names[k] for k in alone[:3]])
        remarks.append(f"--graph: {len(alone):,} perturbations have no neighbour in it ({example})")
    at = positions(p, i, j, min(MOST, max(FEWEST, p // EACH)))
    return Side(at, tuple(f"graph_{k + 1}" for k in range(at.shape[1])), tuple(remarks))
