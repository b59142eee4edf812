"""A network as a method: many jobs trained side by side, each on its own rows of one table."""

import functools
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
from numpy import ndarray

from epistax.engine.effects import orientation, training, units
from epistax.engine.effects.graphs import correlated
from epistax.engine.effects.records import Combos, Jobs, Method, Predicted, Table
from epistax.engine.effects.training import Side, State, Training
from epistax.engine.effects.units import Units, sample
from epistax.engine.fit import fit
from epistax.engine.nets.combos import Combining, Params, network
from epistax.engine.nets.graph import Graph
from epistax.engine.types import Key, Keys

CHUNK = 100  # looks at the validation rows between two returns to the host


@dataclass(frozen=True)
class Neural:
    """A network and how it is trained; static."""

    net: Combining
    training: Training = Training()
    widths: tuple[int, ...] = ()  # of embeddings, to choose between by validation loss
    standard: bool = False  # effects less their mean, in sds of the training rows
    nearest: int = 0  # of the graph form: genes joined to each, by correlation in the training rows


class Fitted(NamedTuple):
    """What each job predicts with; loss is the least of its validation rows."""

    params: Params
    graph: Graph | None
    units: Units
    loss: Float[Array, "*m"]


def neural(
    config: Neural, *, graph: Graph | None = None, side: Float[Array | ndarray, "p c"] | None = None
) -> Method:
    """The method; a graph is that of all jobs, side is what is known of every gene."""
    known = None if side is None else jnp.asarray(side, jnp.float32)

    def fitted(keys: Keys, table: Table, jobs: Jobs) -> Fitted:
        k_begin, k_fit = jax.vmap(jax.random.split, out_axes=1)(keys)
        begun, scale = begin(config)(k_begin, table, jobs, known, graph)
        step = training.stepper(config.net, config.training)
        looks = -(-config.training.epochs // config.training.every)
        state, _ = fit(k_fit, step, begun, known, steps=looks, chunk=CHUNK)
        return end(config)(state, scale, known)

    def predict(fits: Fitted, combos: Combos) -> Predicted:
        return told(config)(fits, combos, known)

    return Method(fitted, predict)


@functools.lru_cache(maxsize=64)
def begin(config: Neural) -> Any:
    """(keys, table, jobs, side, graph) -> each job before its first step, and its units; jitted."""

    def one(
        key: Key, table: Table, job: Jobs, side: Side, graph: Graph | None
    ) -> tuple[State, Units]:
        k_order, k_start = jax.random.split(key)
        own, looked = sample(table, job.train), sample(table, job.validation)
        scale = units.measured(own) if config.standard else units.PLAIN
        if config.nearest:
            graph = correlated(
                own.combos, own.value, own.keep, genes=config.net.genes, k=config.nearest
            )
        own, looked = units.converted(own, scale), units.converted(looked, scale)
        if not config.net.symmetric:
            own = own._replace(combos=orientation.drawn(k_order, own.combos))
            looked = looked._replace(combos=orientation.by_genes(looked.combos))
        state = training.started(
            k_start, own, looked, side, graph, net=config.net, training=config.training
        )
        return state, scale

    return jax.jit(jax.vmap(one, (0, None, 0, None, None)))


@functools.lru_cache(maxsize=64)
def end(config: Neural) -> Any:
    """(state, units, side) -> what is predicted with, jitted."""

    def one(state: State, scale: Units, side: Side) -> Fitted:
        params = training.finished(state.best, state.seen, side is not None, config.training)
        return Fitted(params, state.graph, scale, state.least * scale.sd**2)

    return jax.jit(jax.vmap(one, (0, 0, None)))


@functools.lru_cache(maxsize=64)
def told(config: Neural) -> Any:
    """(fits, combos, side) -> predictions of each job, jitted."""
    made = network(config.net)

    def one(fitted: Fitted, combos: Combos, side: Side) -> Predicted:
        scale = fitted.units
        own = units.to_own(combos, scale)
        told = training.predicted(made, config.net, fitted.params, own, side, fitted.graph)
        if not config.net.spread:
            return Predicted(scale.value + scale.sd * told, jnp.zeros_like(told))
        log_sd = jnp.clip(told[:, 1], -training.NARROW, training.NARROW)
        return Predicted(scale.value + scale.sd * told[:, 0], scale.sd * jnp.exp(log_sd))

    def all(fits: Fitted, combos: Combos, side: Side) -> Predicted:
        combos = units.present(combos)
        combos = combos if config.net.symmetric else orientation.by_genes(combos)
        return jax.vmap(one, (0, None, None))(fits, combos, side)

    return jax.jit(all)
