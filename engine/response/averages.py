"""Means of predictions over cells, group by group, in blocks: memory is bounded by one block.

The two protocols of the published evaluation. `classic`: a group is predicted from all control
cells of the reference split, whatever their covariates, with the stratum overwritten by the
group's. `native`: from all cells of the group's stratum in the reference split, whatever their arm.
"""

from functools import partial
from typing import Any, Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from numpy import ndarray

from epistax.engine.response.differential import CONTROL
from epistax.engine.response.records import Cells, Method

Protocol: TypeAlias = Literal["classic", "native"]
BLOCK = 2**22  # values of one fit that are predicted at once


class Inputs(NamedTuple):
    """Cells from which groups are predicted: rows of cells, and the group each is for."""

    row: Int[ndarray, "b"]
    group: Int[ndarray, "b"]


def inputs(
    reference: Cells, stratum: Int[ndarray, "k"], *, protocol: Protocol, most: int | None = None
) -> Inputs:
    """The cells that each of k groups is predicted from; of more than `most` an even choice."""
    if protocol == "classic":
        controls = thinned(np.flatnonzero(np.asarray(reference.arm) == CONTROL), most)
        rows = [controls] * len(stratum)
    else:
        own = {c: thinned(np.flatnonzero(np.asarray(reference.stratum) == c), most)
               for c in np.unique(stratum)}  # fmt: skip
        rows = [own[c] for c in stratum]
    group = np.repeat(np.arange(len(rows)), [len(r) for r in rows])
    return Inputs(np.concatenate([*rows, np.empty(0, int)]).astype(int), group)


def thinned(rows: Int[ndarray, "n"], most: int | None) -> Int[ndarray, "b"]:
    """At most so many of them, evenly spaced: the same every time."""
    if most is None or len(rows) <= most:
        return rows
    return rows[(np.arange(most) * len(rows)) // most]


def averaged(
    method: Method,
    fitted: Any,
    reference: Cells,
    chosen: Inputs,
    stratum: Int[ndarray, "k"],
    arm: Int[ndarray, "k"],
) -> Float[ndarray, "m k g"]:
    """The mean prediction of each of k groups, of each of m fits; nan without any cell."""
    y = np.asarray(reference.y)
    k, size = len(stratum), max(1, BLOCK // max(1, y.shape[1]))
    size = max(1, min(size, len(chosen.row)))
    total = None
    for first in range(0, len(chosen.row), size):
        row, group = (pad(x[first : first + size], size) for x in chosen)
        into = np.where(np.arange(size) < len(chosen.row) - first, group, k)  # k: of no group
        cells = Cells(y[row], np.asarray(reference.arm)[row], stratum[group])
        told = method.predict(fitted, cells, arm[group]).mean
        if total is None:
            total = jnp.zeros((told.shape[0], k, told.shape[2]))
        total = added(total, told, into)
    count = np.bincount(chosen.group, minlength=k)
    if total is None:
        raise ValueError("no cell to predict from")
    mean = np.asarray(total, np.float64) / np.maximum(count, 1)[None, :, None]
    return np.where((count > 0)[None, :, None], mean, np.nan)


@partial(jax.jit, donate_argnums=0)
def added(
    total: Float[Array, "m k g"], told: Float[Array | ndarray, "m b g"], group: Int[Array, "b"]
) -> Float[Array, "m k g"]:
    """Rows added to the groups they are for; those of a group behind the last are dropped."""
    return total.at[:, group].add(told, mode="drop")


def pad(x: Int[ndarray, "b"], size: int) -> Int[ndarray, "s"]:
    """As many entries in every block, so that one program serves all: the last one repeated."""
    return np.concatenate([x, np.full(size - len(x), x[-1], x.dtype)])
