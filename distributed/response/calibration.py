"""How far a model's predicted means can be trusted, from combinations that it was not shown.

Combinations of stratum and arm are dealt into parts; a fit that has not seen a part predicts its
means from the controls of their strata. The test cells of the others tell of combinations seen.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from epistax.distributed.response import methods
from epistax.distributed.response.dividing import Division, group
from epistax.distributed.response.graphs import GeneGraph
from epistax.distributed.response.reading import CellTable
from epistax.engine.response.averages import averaged, inputs
from epistax.engine.response.differential import CONTROL, strongest, welch
from epistax.engine.response.intervals import Spread, spread
from epistax.engine.response.records import Cells, Data, Method, rows
from epistax.engine.response.splits import split

PARTS = 5
FEWEST, FEWEST_TEST = 10, 5  # cells of a combination that is held out; of one that tests
CONTROLS = 200  # of each stratum, that means are predicted from


class Trust(NamedTuple):
    """Spreads of combinations seen and not seen; factor 0 where nothing could be held out."""

    seen: np.ndarray  # float64 [g]
    seen_slope: float
    seen_factor: float
    unseen: np.ndarray
    unseen_slope: float
    unseen_factor: float

    def spread(self, known: bool) -> Spread:
        """Of combinations seen, or not; those not seen take that of the seen where they must."""
        if known or not self.unseen_factor:
            return Spread(self.seen, self.seen_slope, self.seen_factor)
        return Spread(self.unseen, self.unseen_slope, self.unseen_factor)


class Told(NamedTuple):
    """Groups with what was measured and predicted."""

    stratum: np.ndarray
    arm: np.ndarray
    count: np.ndarray
    measured: np.ndarray  # [k, g]
    predicted: np.ndarray  # [k, g]
    change: np.ndarray  # predicted
    noise: np.ndarray  # sampling variance of measured


def held_parts(table: CellTable, seed: int, parts: int) -> list[np.ndarray]:
    """Combinations [c, a] held out by each fit: those of arms that other strata have too."""
    count = group_count(table)
    shared = (count > 0).sum(0) > 1
    free = (count >= FEWEST) & shared[None, :]
    free[:, CONTROL] = False
    order = np.random.default_rng(seed).permutation(np.argwhere(free))
    held = [np.zeros(count.shape, bool) for _ in range(parts)]
    for k, (c, a) in enumerate(order):
        there = held[k % parts]
        others = (count[:, a] > 0) & ~there[:, a]
        there[c, a] = others.sum() > 1  # one stratum at least is left to learn from
    return [one for one in held if one.any()]


def group_count(table: CellTable) -> np.ndarray:
    """Cells of each stratum and arm."""
    found = np.zeros((len(table.strata), len(table.arms.names)), int)
    np.add.at(found, (table.cells.stratum, table.cells.arm), 1)
    return found


def divided(table: CellTable, held: np.ndarray) -> Division:
    """The cells with some combinations held out."""
    parts = split(table.cells, held)
    trained = group(table, rows(table.cells, parts.train))
    return Division(table, parts, "", (), strongest(welch(trained)))


def trusted(
    config: methods.Settings, table: CellTable, graph: GeneGraph | None, seed: int, parts: int
) -> tuple[Trust, Told, Told]:
    """How far such a model's means are off, and the groups by which that is known."""
    seen, unseen = [], []
    held = held_parts(table, seed, PARTS)[:parts] or [np.zeros(group_count(table).shape, bool)]
    for number, one in enumerate(held):
        division = divided(table, one)
        key = jax.random.fold_in(jax.random.key(seed), 1 + number)
        method = methods.of(config, table, graph)
        fits, _ = jax.block_until_ready(method.fit(key[None], division.data, ()))
        ask = (method, fits, division)
        if not number:  # the others would be tested by the same cells again
            seen.append(told(*ask, "test", FEWEST_TEST))
        unseen.append(told(*ask, "ood", FEWEST))
    known, new = joined(seen), joined(unseen)
    none = Spread(np.zeros(len(table.genes)), 0.0, 0.0)
    far = spreads(new, 0.0) if len(new.arm) else none
    near = spreads(known, far.slope) if len(known.arm) else none
    return Trust(*near, *far), known, new


def spreads(one: Told, least: float) -> Spread:
    """How far these predictions are off."""
    return spread(one.measured - one.predicted, one.change, one.noise, least=least)


def told(method: Method, fits: Any, division: Division, part: str, fewest: int) -> Told:
    """The groups of a part with enough cells, predicted from the controls of their strata."""
    table, groups = division.table, division.groups(part)
    there = groups.count >= fewest
    there[:, CONTROL] = False
    c, a = np.nonzero(there)
    predicted, control = means(method, fits, division.cells("train"), c, a)
    count = groups.count[c, a]
    noise = groups.variance[c, a] / np.maximum(count, 1)[:, None]
    return Told(c, a, count, groups.mean[c, a], predicted[0].reshape(-1, len(table.genes)),
                predicted[0] - control[0], noise)  # fmt: skip


def means(
    method: Method, fits: Any, cells: Cells, stratum: np.ndarray, arm: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Predicted means [m, k, g] of arms, and of the control, from some controls of each stratum."""
    bare = rows(cells, np.flatnonzero(np.asarray(cells.arm) == CONTROL))
    if not len(stratum):
        empty = np.zeros((1, 0, bare.y.shape[1]))
        return empty, empty
    chosen = inputs(bare, stratum, protocol="native", most=CONTROLS)
    found = averaged(method, fits, bare, chosen, stratum, arm)
    strata, place = np.unique(stratum, return_inverse=True)
    chosen = inputs(bare, strata, protocol="native", most=CONTROLS)
    nothing = np.full(len(strata), CONTROL)
    control = averaged(method, fits, bare, chosen, strata, nothing)
    return found, control[:, place.reshape(-1)]


def joined(parts: list[Told]) -> Told:
    """All groups."""
    return Told(*(np.concatenate(x) for x in zip(*parts, strict=True)))


def whole(config: methods.Settings, table: CellTable) -> Data:
    """What the fit that is kept learns from: all cells but those that must validate."""
    division = divided(table, np.zeros(group_count(table).shape, bool))
    data = division.data
    return data if methods.validated(config) else data._replace(train=table.cells)


def keys(seed: int, members: int) -> Any:
    """One for each member of the fit that is kept."""
    return jnp.stack([jax.random.fold_in(jax.random.key(seed), 1000 + k) for k in range(members)])
