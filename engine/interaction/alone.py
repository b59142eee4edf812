"""Single perturbations of a screen as vectors, block by block, and kernel means of some pairs.

What ranks all pairs (ranking.py) comes from here twice: approximately, by means of random
features that cost one pass over the observations, and exactly, by Gram matrices of the pairs asked
for. Observations are gathered a block of classes at a time: no second copy of them is made.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int
from numpy import ndarray

from epistax.engine.interaction import disjointness, paired
from epistax.engine.interaction.arms import (
    Arm,
    Batch,
    class_batches,
    grouped,
    power_of_two,
    tight,
)
from epistax.engine.interaction.disjointness import Embedding
from epistax.engine.interaction.pooling import pool
from epistax.engine.interaction.randomfeatures import frequencies, mean_features
from epistax.engine.interaction.ranking import Formula, Side, Singles, activity
from epistax.engine.mesh import copied, devices, each
from epistax.engine.pairs import Pairs
from epistax.engine.screen import Screen
from epistax.engine.stats.kernels import KERNELS, landmark_map
from epistax.engine.stats.spread import Pooled, Spread
from epistax.engine.types import Scalar

POOL = 256  # classes whose spread says how much of it the null distribution's features see
Watch = Callable[[int], None]  # told how many more are done


class Alone(NamedTuple):
    """All that singles say without any pair, p of them."""

    singles: Singles
    own: Float[ndarray, "p"]  # exact mean of k over the class, an observation with itself included
    control: float  # the same of the control
    p: Float[ndarray, "p"]  # of doing nothing


def unpaired(screen: Screen, kept: Int[ndarray, "k"] | None = None) -> Screen:
    """The control and the singles, or those of them that are kept, without the pairs."""
    p = screen.singles
    end = screen.first[1 + p] if len(screen.pairs.i) else len(screen.x)
    chosen = np.r_[0, 1 + (np.arange(p) if kept is None else kept)]
    none = np.zeros(0, np.int32)
    rows = (v[:end] for v in (screen.x, screen.unit, screen.owner))
    classes = (v[chosen] for v in (screen.first, screen.count, screen.units))
    return Screen(*rows, *classes, Pairs(none, none))


def embed(
    screen: Screen,
    *,
    kernel: str,
    length_scale: float,
    count: int,
    seed: int,
    mesh: Mesh | None = None,
    watch: Watch = lambda done: None,
) -> Alone:
    """Singles of an unpaired screen by `count` frequencies (cosine and sine each).

    With the linear kernel a vector is the mean observation. Every class has observations; classes
    of one unit borrow the size of their noise from the others. Where all are of one unit nothing is
    known of noise: it counts as none, and p is nan.
    """
    embedding = copied(null_features(screen, kernel, length_scale, seed), mesh)
    d = screen.x.shape[1]
    turns = np.zeros((d, 0), np.float32)
    if kernel != "linear":
        turns = frequencies(kernel, d, count, length_scale=length_scale, seed=seed)
    call = each(mesh, of_classes, split=1, kernel=kernel)
    shared = (embedding, copied(jnp.asarray(turns), mesh))
    several = (screen.units > 1).any()  # first of all: it takes memory that the vectors then have
    pooled = spread_of_all(screen, embedding, kernel, seed, mesh) if several else None
    classes = len(screen.count)
    vector = np.empty((classes, 2 * count if turns.size else d), np.float32)
    own, excess = (np.empty(classes, np.float32) for _ in range(2))
    for batch, arms in arms_of(screen, np.arange(classes), mesh, watch):
        at, found = batch.index[: batch.real], call(arms, *shared)
        for whole, part in zip((vector, own, excess), found, strict=True):
            whole[at] = np.asarray(part)[: batch.real]
    if pooled is None:
        square = np.einsum("cf,cf->c", vector - vector[0], vector - vector[0])
        none = np.zeros(classes - 1, np.float32)
        singles = Singles(vector[1:] - vector[0], square[1:], none, 0.0)
        return Alone(singles, own[1:], float(own[0]), np.full_like(none, np.nan))
    units = screen.units.astype(np.float32)
    # a class in one unit says nothing of its own noise
    excess = np.where(units > 1, excess, np.asarray(pooled.trace) / units)
    seen = 1.0  # of the noise, by random features: their frequencies miss its size by a little
    if kernel != "linear":
        seen = (1 - np.einsum("cf,cf->c", vector, vector)).sum() / (1 - own).sum()
    vector -= vector[0].copy()
    square = np.einsum("cf,cf->c", vector, vector)
    first, *rest = (jnp.asarray(v, jnp.float32) for v in (square / seen, excess, units))
    zero = tuple(v[0] for v in rest)
    p = activity(first[1:], *(v[1:] for v in rest), zero, pooled)
    singles = Singles(vector[1:], square[1:], excess[1:], float(excess[0]))
    return Alone(singles, own[1:], float(own[0]), np.asarray(p))


def of_classes(
    arms: Arm, embedding: Embedding, turns: Float[Array, "d f"], *, kernel: str
) -> tuple[Float[Array, "b e"], Float[Array, "b"], Float[Array, "b"]]:
    """Mean features, mean of k over the class, and the noise of the former."""

    def one(mine: Arm) -> tuple[Array, Scalar, Scalar]:
        own, embedded = disjointness.within(mine, embedding, kernel)
        linear = kernel == "linear"
        mean = mine.weight @ mine.x if linear else mean_features(mine.x, mine.weight, turns)
        return mean, own, embedded.excess

    return jax.lax.map(one, arms)


def spreads(arms: Arm, embedding: Embedding, *, kernel: str) -> Spread:
    """Of classes: how their units lie in the features of the null distribution."""
    return jax.lax.map(lambda mine: disjointness.within(mine, embedding, kernel)[1], arms)


def exact(
    screen: Screen,
    alone: Alone,
    pairs: Pairs,
    formula: Formula,
    *,
    kernel: str,
    length_scale: float,
    mesh: Mesh | None = None,
    watch: Watch = lambda done: None,
) -> Float[ndarray, "q"]:
    """A formula's values of some pairs by the kernel itself; watch is told of pairs."""
    d = screen.x.shape[1]
    none = (jnp.zeros((0, d)), jnp.zeros((0, 0)))  # no null distribution is asked for
    embedding = copied(Embedding(jnp.float32(length_scale), *none), mesh)
    i, j = np.asarray(pairs.i), np.asarray(pairs.j)
    members = np.unique(np.concatenate([i, j]))
    zero = gathered(screen, np.zeros(1, int), int(screen.count[0]))
    zero = copied(jax.tree.map(lambda v: v[0], zero), mesh)
    call = each(mesh, with_control, split=1, kernel=kernel)
    to_control = np.full(screen.singles, np.nan)
    parts = (
        (batch, call(arms, zero, embedding))
        for batch, arms in arms_of(screen, 1 + members, mesh, lambda done: None)
    )
    to_control[members] = paired.in_order(parts, 1 + members)
    square = alone.own + alone.control - 2 * to_control
    between = np.empty(len(i))
    size = np.maximum(screen.count[1 + i], screen.count[1 + j])
    longest = tight(size)
    cut = (paired.BUDGET, devices(mesh))
    for at, real, (padded_length,) in grouped(size[:, None], lambda m: m * m, *cut):
        length = longest[padded_length]
        together = power_of_two(paired.resident() // length**2)
        call = each(mesh, crossed, split=2, kernel=kernel, together=min(together, len(at)))
        both = (gathered(screen, 1 + side[at], length) for side in (i, j))
        between[at[:real]] = np.asarray(call(*both, embedding))[:real]
        watch(real)
    inner = between - to_control[i] - to_control[j] + alone.control
    excess = np.asarray(alone.singles.excess, np.float64)
    first, second = (Side(square[at], excess[at]) for at in (i, j))
    return np.asarray(formula(inner, first, second, float(alone.singles.origin)), np.float64)


def with_control(
    arms: Arm, control: Arm, embedding: Embedding, *, kernel: str
) -> Float[Array, "b"]:
    """Mean of k between classes and the control."""
    return jax.lax.map(lambda a: disjointness.between(a, control, embedding, kernel), arms)


def crossed(
    first: Arm, second: Arm, embedding: Embedding, *, kernel: str, together: int
) -> Float[Array, "b"]:
    """Mean of k between classes, pair by pair, so many worked on together."""
    return jax.lax.map(
        lambda both: disjointness.between(*both, embedding, kernel),
        (first, second),
        batch_size=together,
    )


def null_features(screen: Screen, kernel: str, length_scale: float, seed: int) -> Embedding:
    """The features that stand for the kernel in the null distribution."""
    index = np.random.default_rng(seed).permutation(len(screen.x))[: paired.FEATURES]
    marks, scale = jnp.asarray(np.asarray(screen.x)[np.sort(index)]), jnp.float32(length_scale)
    return Embedding(scale, marks, landmark_map(marks, KERNELS[kernel], scale))


def spread_of_all(
    screen: Screen, embedding: Embedding, kernel: str, seed: int, mesh: Mesh | None
) -> Pooled:
    """The pooled spread of units, from a sample of classes."""
    several = np.flatnonzero(screen.units > 1)
    some = np.sort(np.random.default_rng(seed).permutation(several)[:POOL])
    call = each(mesh, spreads, split=1, kernel=kernel)
    parts = (
        (batch, call(arms, embedding))
        for batch, arms in arms_of(screen, some, mesh, lambda done: None)
    )
    return pool(
        screen,
        lambda x: disjointness.embed(x, embedding, kernel),
        lambda x: KERNELS[kernel](x, x, embedding.bandwidth),
        paired.in_order(parts, some),
        seed=seed,
    )


def arms_of(
    screen: Screen, classes: Int[ndarray, "k"], mesh: Mesh | None, watch: Watch
) -> Iterator[tuple[Batch, Arm]]:
    """Batches of classes with their observations; watch is told of classes."""
    longest = tight(screen.count[classes])
    cut = {"budget": paired.BUDGET, "multiple": devices(mesh)}
    for batch in class_batches(screen, classes, **cut):
        yield batch, gathered(screen, batch.index, longest[batch.lengths[0]])
        watch(batch.real)


def gathered(screen: Screen, classes: Int[ndarray, "b"], length: int) -> Arm:
    """Classes side by side, padded to `length` observations."""
    count, place = screen.count[classes], np.arange(length)
    mask = place[None, :] < count[:, None]
    rows = np.where(mask, screen.first[classes][:, None] + place[None, :], 0)
    weight = mask / np.maximum(count, 1)[:, None].astype(np.float32)
    held = (screen.x[rows], screen.unit[rows], screen.owner[rows], mask)
    return Arm(*(jnp.asarray(v) for v in held), jnp.asarray(weight, jnp.float32))
