"""The one training loop: a jitted scan over chunks of steps, hooks on the host in between.

The key of step t is fold_in(key, t) with the absolute t, so that a run resumed from a checkpoint
equals an uninterrupted one bit for bit. A vector of keys trains that many seeds at once.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh
from jaxtyping import Array, Int

from epistax.engine.mesh import copied, placed, whole
from epistax.engine.protocols import Batch, State, Step
from epistax.engine.types import Info, Key, Keys, Scalar

Hook: TypeAlias = Callable[[int, State, Info], bool | None]
Loss: TypeAlias = Callable[[Key, Any, State, Batch], tuple[Scalar, tuple[Any, Info]]]


def fit(
    key: Key | Keys,
    step: Step,
    state: State,
    data: Batch,
    *,
    steps: int,
    chunk: int = 500,
    start: int = 0,
    hooks: Sequence[Hook] = (),
    mesh: Mesh | None = None,
    scan: bool = True,
) -> tuple[State, Info]:
    """Take steps start .. steps-1; return the last state and every step's info, stacked.

    Each hook is called with (steps done, state, this chunk's info) after every chunk; one that
    returns True ends the training there. The state a hook is shown is donated to the next chunk:
    copy what you keep. With a vector of keys, state has a leading axis of the same length and
    data is shared. On a mesh the rows of data are split over the devices and the state is whole
    on each; the number of rows must be a multiple of the devices. Without scan every step is a
    call of its own: on a CPU a convolution inside a compiled loop is ten times slower.
    """
    state = jax.tree.map(jnp.array, state)  # the caller's own state survives the donation
    key, state, data = *copied((key, state), mesh), placed(data, mesh)
    call, infos = compiled(mesh), []
    while start < steps:
        length = min(chunk, steps - start)
        chunks = [(start, length)] if scan else [(t, 1) for t in range(start, start + length)]
        parts = []
        for first, size in chunks:
            state, part = call(key, state, data, jnp.int32(first), step=step, length=size)
            parts.append(part)
        info = parts[0] if scan else jax.tree.map(lambda *x: np.concatenate(x), *parts)
        start += length
        infos.append(jax.tree.map(np.asarray, info))
        if any([hook(start, state, infos[-1]) for hook in hooks]):
            break
    return state, jax.tree.map(lambda *x: np.concatenate(x), *infos) if infos else {}


@lru_cache(maxsize=16)
def compiled(mesh: Mesh | None) -> Callable[..., tuple[State, Info]]:
    """`run`, jitted, its state donated; on a mesh the data stay as they lie, the rest is whole."""
    # what goes in says by itself how it lies
    out = {} if mesh is None else {"out_shardings": whole(mesh)}
    return jax.jit(run, static_argnames=("step", "length"), donate_argnames=("state",), **out)


def run(
    key: Key | Keys, state: State, data: Batch, start: Int[Array, ""], *, step: Step, length: int
) -> tuple[State, Info]:
    """One chunk: length steps from the absolute step start; infos stacked on a leading axis."""
    many = key.ndim == 1
    fold = jax.vmap(jax.random.fold_in, (0, None)) if many else jax.random.fold_in
    take = jax.vmap(step, (0, 0, None)) if many else step

    def body(state: State, t: Int[Array, ""]) -> tuple[State, Info]:
        return take(fold(key, t), state, data)

    if length == 1:
        state, info = body(state, start)
        return state, jax.tree.map(lambda x: x[None], info)
    return jax.lax.scan(body, state, start + jnp.arange(length))


class Train(NamedTuple):
    """What one optimiser owns: parameters, statistics that are not trained, optimiser state."""

    params: Any
    stats: Any
    opt: Any


def trainable(params: Any, tx: optax.GradientTransformation, stats: Any = None) -> Train:
    """A fresh `Train`; vmap it over params for many seeds."""
    return Train(params, stats, tx.init(params))


def gradient(loss: Loss, tx: optax.GradientTransformation, part: str | None = None) -> Step:
    """A step of gradient descent on loss(key, params, state, batch) -> (value, (stats, info)).

    state is a `Train`, or a dict of them of which `part` is the one that moves: the loss may read
    the others (an adversary, a frozen copy) in the state that it is given.
    """

    def step(key: Key, state: State, batch: Batch) -> tuple[State, Info]:
        own = state if part is None else state[part]
        (value, (stats, info)), grads = jax.value_and_grad(
            lambda params: loss(key, params, state, batch), has_aux=True
        )(own.params)
        updates, opt = tx.update(grads, own.opt, own.params)
        own = Train(optax.apply_updates(own.params, updates), stats, opt)
        return own if part is None else {**state, part: own}, {**info, "loss": value}

    return step


def alternate(steps: Sequence[Step], every: Sequence[int]) -> Step:
    """The given steps in turn on one shared state, every[n] times the n-th, each with its own key.

    The info of the n-th step comes back under its place: {"0": ..., "1": ...}.
    """

    def step(key: Key, state: State, batch: Batch) -> tuple[State, Info]:
        infos, count = {}, 0
        for n, (one, times) in enumerate(zip(steps, every, strict=True)):
            for _ in range(times):
                state, infos[str(n)] = one(jax.random.fold_in(key, count), state, batch)
                count += 1
        return state, infos

    return step


def minibatch(step: Step, size: int) -> Step:
    """The step on size rows of data, drawn without replacement by the step's own key."""

    def sampled(key: Key, state: State, data: Batch) -> tuple[State, Info]:
        k_rows, k_step = jax.random.split(key)
        rows = jax.tree.leaves(data)[0].shape[0]
        index = jax.random.choice(k_rows, rows, (min(size, rows),), replace=False)
        return step(k_step, state, jax.tree.map(lambda x: x[index], data))

    return sampled
