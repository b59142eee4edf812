"""A network as a method: many fits trained side by side on the same cells."""

import functools
from collections.abc import Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Shaped
from numpy import ndarray

from epistax.engine.fit import Hook, fit
from epistax.engine.nets.graphconv import Incoming, incoming
from epistax.engine.nets.inference import Params, Stats
from epistax.engine.nets.regulation import Edges
from epistax.engine.response import training
from epistax.engine.response.known import known
from epistax.engine.response.records import Cells, Data, Design, Method, Predicted
from epistax.engine.response.training import Family, Training
from epistax.engine.types import Info, Keys

Fitted: TypeAlias = tuple[Params, Stats]
BLOCK = 256  # cells that are predicted at once


def neural(
    family: Family, train: Training, *, design: Design, graph: Edges | None, genes: int
) -> Method:
    """The method; the graph is for the families that read one."""
    edges = incoming(graph, genes)
    arms = jnp.asarray(np.asarray(design.arms), jnp.float32)
    strata = jnp.asarray(np.asarray(design.strata), jnp.int32)

    def fitted(keys: Keys, data: Data, hooks: Sequence[Hook]) -> tuple[Fitted, Info]:
        k_begin, k_run = jax.vmap(jax.random.split, out_axes=1)(keys)
        arrays = known(data, edges, least=train.least, controls=train.controls)
        begun = begin(family)(k_begin, edges)
        step = training.stepper(family, train)
        ends = (*hooks, training.patient(train))
        state, info = fit(k_run, step, begun, arrays, steps=train.looks, chunk=1, hooks=ends)
        return state.best, info

    def predict(fits: Fitted, cells: Cells, arm: Int[Array | ndarray, "n"]) -> Predicted:
        n = len(arm)
        size = min(BLOCK, n)
        rows = [np.asarray(cells.y, np.float32)]
        rows += [np.asarray(x, np.int32) for x in (cells.arm, cells.stratum, arm)]
        rows = [in_blocks(x, size) for x in rows]
        means, sds = told(family)(fits, edges, *rows, arms, strata)
        return Predicted(means[:, :n], sds[:, :n])

    return Method(fitted, predict)


@functools.lru_cache(maxsize=64)
def begin(family: Family) -> Any:
    """(keys, graph) -> each fit before its first step; jitted."""

    def one(key: Any, graph: Incoming) -> training.State:
        return training.started(key, family, graph)

    return jax.jit(jax.vmap(one, (0, None)))


def in_blocks(x: Shaped[ndarray, "n *d"], size: int) -> Shaped[ndarray, "k b *d"]:
    """Rows in blocks of a size; the last block is filled up with the last row."""
    return np.concatenate([x, np.repeat(x[-1:], -len(x) % size, 0)]).reshape(-1, size, *x.shape[1:])


@functools.lru_cache(maxsize=64)
def told(family: Family) -> Any:
    """(fits, graph, blocks of cells, arms, strata) -> means and sds of each fit; jitted."""

    def all(fits: Fitted, graph: Incoming, *rest: Array) -> Predicted:
        *blocks, arms, strata = rest

        def one(fitted: Fitted) -> training.Told:
            def block(cells: list[Array]) -> training.Told:
                y, own, stratum, wanted = cells
                return family.predict(*fitted, graph, y, arms[own], strata[stratum], arms[wanted])

            return jax.tree.map(jnp.concatenate, jax.lax.map(block, blocks))

        return Predicted(*jax.vmap(one)(fits))

    return jax.jit(all)
