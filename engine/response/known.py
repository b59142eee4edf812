"""What the networks learn from, as arrays: cells, their groups, and what a look is at.

A group is a stratum and an arm; its number is stratum x arms + arm.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int
from numpy import ndarray

from epistax.engine.nets.graphconv import Incoming
from epistax.engine.response.averages import thinned
from epistax.engine.response.differential import CONTROL
from epistax.engine.response.records import Cells, Data
from epistax.engine.response.strata import grouped
from epistax.engine.types import Key


class Members(NamedTuple):
    """Training cells by group: of a group without cells all is 0."""

    count: Int[Array | ndarray, "k"]
    first: Int[Array | ndarray, "k"]  # place in `order` of its first cell
    order: Int[Array | ndarray, "n"]  # cells sorted by group
    mean: Float[Array | ndarray, "k g"]
    variance: Float[Array | ndarray, "k"]  # about the group's mean, meaned over genes


class Look(NamedTuple):
    """Validation groups of enough cells, and the control cells that they are predicted from."""

    stratum: Int[Array | ndarray, "k"]
    arm: Int[Array | ndarray, "k"]
    mean: Float[Array | ndarray, "k g"]
    strongest: Bool[Array | ndarray, "k g"]
    y: Float[Array | ndarray, "m g"]


class Known(NamedTuple):
    """All that training reads."""

    cells: Cells
    arms: Float[Array | ndarray, "a r"]
    strata: Int[Array | ndarray, "c m"]
    treated: Int[Array | ndarray, "t"]  # arms of the cells that are no controls
    members: Members
    sd: Float[Array | ndarray, "g"]  # within groups
    graph: Incoming
    look: Look


class Batch(NamedTuple):
    """Cells, and for each a treatment that it did not have, with what is known of its like."""

    y: Float[Array, "b g"]
    arm: Int[Array, "b"]
    t: Float[Array, "b r"]
    x: Int[Array, "b m"]
    wanted: Float[Array, "b r"]  # T'
    mean: Float[Array, "b g"]  # of the training cells of the cell's stratum and T'
    variance: Float[Array, "b"]
    known: Bool[Array, "b"]  # whether there are any
    samples: Float[Array, "b s g"] | None  # some of them, with replacement
    sd: Float[Array, "g"]
    graph: Incoming


def known(data: Data, graph: Incoming, *, least: int, controls: int) -> Known:
    """The arrays; least and controls are those of `Training`."""
    arms, strata = (np.asarray(x) for x in data.design)
    train = Cells(*(np.asarray(x) for x in data.train))
    groups = grouped(train, strata=len(strata), arms=len(arms))
    count = groups.count.reshape(-1)
    squares = groups.variance * np.maximum(groups.count - 1, 0)[..., None]
    order = np.argsort(train.stratum * len(arms) + train.arm, kind="stable")
    members = Members(
        count=count.astype(np.int32),
        first=(np.cumsum(count) - count).astype(np.int32),
        order=order.astype(np.int32),
        mean=groups.mean.reshape(len(count), -1).astype(np.float32),
        variance=(squares.mean(2).reshape(-1) / np.maximum(count, 1)).astype(np.float32),
    )
    within = squares.sum((0, 1)) / max(1, len(train.arm) - np.sum(count > 0))
    treated = train.arm[train.arm != CONTROL]
    return Known(
        cells=Cells(train.y.astype(np.float32), *(x.astype(np.int32) for x in train[1:])),
        arms=arms.astype(np.float32),
        strata=strata.astype(np.int32),
        # without a treated cell there is no other treatment than the control
        treated=(treated if len(treated) else np.full(1, CONTROL)).astype(np.int32),
        members=members,
        sd=np.sqrt(within).astype(np.float32),
        graph=graph,
        look=look(data, least=least, controls=controls),
    )


def look(data: Data, *, least: int, controls: int) -> Look:
    """Validation groups of at least so many cells; at most so many controls.

    Where no validation cell is a control, training cells are.
    """
    arms, strata = (np.asarray(x) for x in data.design)
    seen = Cells(*(np.asarray(x) for x in data.validation))
    groups = grouped(seen, strata=len(strata), arms=len(arms))
    enough = (groups.count >= least) & (np.arange(len(arms)) != CONTROL)[None, :]
    at = np.nonzero(enough)
    own = seen if np.any(seen.arm == CONTROL) else Cells(*(np.asarray(x) for x in data.train))
    rows = thinned(np.flatnonzero(own.arm == CONTROL), controls)
    return Look(
        stratum=at[0].astype(np.int32),
        arm=at[1].astype(np.int32),
        mean=groups.mean[at].astype(np.float32),
        strongest=np.asarray(data.strongest)[at],
        y=own.y[rows].astype(np.float32),
    )


def batch(key: Key, data: Known, rows: Int[Array, "b"], *, draws: int) -> Batch:
    """These cells; the other treatment of each is that of a random treated cell. The key is used.

    As the authors' program has it: treatments as frequent as they are, the control never.
    """
    k_arm, k_draw = jax.random.split(key)
    y, arm, stratum = (x[rows] for x in data.cells)
    chosen = jax.random.randint(k_arm, rows.shape, 0, len(data.treated))
    wanted = data.treated[chosen]
    group = stratum * len(data.arms) + wanted
    own = data.members
    samples = None
    if draws:
        u = jax.random.uniform(k_draw, (len(rows), draws))
        place = (u * own.count[group][:, None]).astype(jnp.int32)
        samples = data.cells.y[own.order[own.first[group][:, None] + place]]
    return Batch(
        y=y,
        arm=arm,
        t=data.arms[arm],
        x=data.strata[stratum],
        wanted=data.arms[wanted],
        mean=own.mean[group],
        variance=own.variance[group],
        known=own.count[group] > 0,
        samples=samples,
        sd=data.sd,
        graph=data.graph,
    )
