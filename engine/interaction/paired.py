"""Prepare a screen once, then test any of its pairs: additivity and disjointness.

Each maker does what all pairs share (bandwidth, landmarks, singles, the pooled spread) and
returns a function of positions in screen.pairs. What it says of a pair does not depend on which
pairs are asked for together.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int
from numpy import ndarray

from epistax.engine.interaction import additivity, disjointness
from epistax.engine.interaction.arms import (
    Batch,
    class_batches,
    on_device,
    padded,
    pair_batches,
    tight,
)
from epistax.engine.interaction.pooling import pool
from epistax.engine.mesh import copied, devices, each
from epistax.engine.screen import Screen
from epistax.engine.stats.kernels import KERNELS, POOLED, landmark_map, median_distance
from epistax.engine.stats.spread import Pooled, Scores

FEATURES = 64  # landmarks, or principal components, that the null distribution is built from
BUDGET = 2**25  # values of one call's Gram blocks


class PairScores(NamedTuple):
    """Of each pair asked for."""

    statistic: Float[ndarray, "b"]  # unbiased
    biased: Float[ndarray, "b"]  # the squared norm itself
    se: Float[ndarray, "b"]
    p: Float[ndarray, "b"]


Test: TypeAlias = Callable[[Int[ndarray, "b"]], PairScores]


def bandwidth(screen: Screen, *, seed: int) -> float:
    """Median distance over at most POOLED observations of all classes, one for all pairs."""
    index = np.random.default_rng(seed).permutation(len(screen.x))[:POOLED]
    return median_distance(np.asarray(screen.x)[np.sort(index)])


def disjoint(
    screen: Screen,
    *,
    kernel: str,
    length_scale: float,
    seed: int,
    inference: bool = True,
    mesh: Mesh | None = None,
) -> Test:
    """MMD tests with one of KERNELS: MMD^2, its standard error and p-value.

    Without inference the latter two are nan, which saves the spectrum of every pair.
    """
    data, gram = copied(on_device(screen), mesh), KERNELS[kernel]
    scale = jnp.asarray(length_scale, data.x.dtype)
    index = np.random.default_rng(seed).permutation(len(screen.x))[:FEATURES]
    marks = data.x[jnp.asarray(np.sort(index))]
    embedding = disjointness.Embedding(scale, marks, landmark_map(marks, gram, scale))
    embedding = copied(embedding, mesh)
    longest = tight(screen.count)
    static = {"kernel": kernel, "control": longest[padded(int(screen.count[0]))]}
    cut = {"budget": BUDGET, "multiple": devices(mesh)}

    def of_classes(length: int) -> Callable[..., disjointness.Alone]:
        return each(mesh, disjointness.alone, split=1, length=longest[length], **static)

    def of_pairs(double: int, single: int) -> Callable[..., Scores]:
        lengths = {"double": longest[double], "single": longest[single]}
        how = {"resident": resident(), "inference": inference}
        return each(mesh, disjointness.mmd, split=2, **lengths, **how, **static)

    alone = np.arange(1 + screen.singles)
    shared = in_order(
        (
            (b, of_classes(*b.lengths)(jnp.asarray(b.index, jnp.int32), data, embedding))
            for b in class_batches(screen, alone, **cut)
        ),
        alone,
    )
    if inference or (screen.units == 1).any():  # which have no excess of their own
        pooled = pool(
            screen,
            lambda x: disjointness.embed(x, embedding, kernel),
            lambda x: gram(x, x, scale),
            shared.spread,
            seed=seed,
        )
    else:
        pooled = Pooled(jnp.zeros_like(embedding.features), *jnp.zeros((3,), data.x.dtype))
    shared, pooled = copied((shared, pooled), mesh)

    def test(pairs: Int[ndarray, "b"]) -> PairScores:
        rest = (data, shared, pooled, embedding)
        found = in_order(
            (
                (b, of_pairs(*b.lengths)(*classes_of(screen, b.index), *rest))
                for b in pair_batches(screen, pairs, **cut)
            ),
            pairs,
        )
        return PairScores(*(np.asarray(v) for v in found))

    return test


def resident() -> int:
    """Values of Gram blocks worked on at once: an accelerator wants many, a core what it caches."""
    return 2**17 if jax.default_backend() == "cpu" else 2**26


class Additivity(NamedTuple):
    """Additive scores, and the mean effects that cosine and severity are made of."""

    test: Test
    control: Float[ndarray, "d"]
    singles: Float[ndarray, "p d"]  # mean of each single less the control's
    doubles: Callable[[Int[ndarray, "b"]], Float[ndarray, "b d"]]
    contrast: tuple[float, ...]  # over (0, i, j, ij)
    scale: Callable[[], float]  # how large doubles are for the sum of their singles, see there


def additive(
    screen: Screen,
    *,
    residual: bool,
    seed: int,
    scale: float | None = 1.0,
    mesh: Mesh | None = None,
) -> Additivity:
    """R(i, j), its standard error and p-value; residual: of a fit of main effects (`marginal`).

    A double is compared with `scale` times the sum of its singles; None takes the scale that all
    doubles have in common.
    """
    data, projection = copied((on_device(screen), principal(screen, seed=seed)), mesh)

    def of_classes(length: int) -> Callable[..., additivity.Means]:
        return each(mesh, additivity.means, split=1, length=length)

    def means(classes: Int[ndarray, "k"]) -> additivity.Means:
        return in_order(
            (
                (b, of_classes(*b.lengths)(jnp.asarray(b.index, jnp.int32), data, projection))
                for b in class_batches(screen, classes, budget=BUDGET, multiple=devices(mesh))
            ),
            classes,
        )

    alone = means(np.arange(1 + screen.singles))
    pooled = pool(screen, lambda x: x @ projection, lambda x: x @ x.T, alone.spread, seed=seed)
    origin = jnp.zeros_like(alone.mean[0]) if residual else alone.mean[0]

    def common() -> float:
        which, members = classes_of(screen, sample(screen, seed=seed))
        return additivity.common_scale(means(np.asarray(which)), members, alone)

    scale = common() if scale is None else scale
    contrast = additivity.RESIDUAL if residual else additivity.scaled(scale)
    weights = jnp.asarray(contrast, data.x.dtype)

    def test(pairs: Int[ndarray, "b"]) -> PairScores:
        which, members = classes_of(screen, pairs)
        doubles = means(np.asarray(which))
        spare = -len(pairs) % additivity.TOGETHER  # repeats of the first: few shapes to compile
        doubles, members = jax.tree.map(
            lambda v: jnp.concatenate([v, jnp.repeat(v[:1], spare, axis=0)]), (doubles, members)
        )
        found = additivity.additive(doubles, members, alone, weights, pooled)
        return PairScores(*(np.asarray(v)[: len(pairs)] for v in found))

    def doubles(pairs: Int[ndarray, "b"]) -> Float[ndarray, "b d"]:
        return np.asarray(means(1 + screen.singles + pairs).mean - origin[None, :])

    effects = np.asarray(alone.mean - origin[None, :])
    return Additivity(test, np.asarray(origin), effects[1:], doubles, contrast, common)


def sample(screen: Screen, *, seed: int) -> Int[ndarray, "b"]:
    """At most POOLED pairs whose three arms are all there, for what pairs have in common."""
    p, count = screen.singles, screen.count
    i, j = (count[1 + np.asarray(side)] for side in screen.pairs)
    whole = np.flatnonzero((count[1 + p :] > 0) & (i > 0) & (j > 0))
    order = np.random.default_rng(seed).permutation(len(whole))[:POOLED]
    return whole[np.sort(order)]


def principal(screen: Screen, *, seed: int) -> Float[Array, "d f"]:
    """The directions of the null distribution's features.

    All where d <= FEATURES, else the leading ones of the variation within classes.
    """
    d = screen.x.shape[1]
    if d <= FEATURES:
        return jnp.eye(d, dtype=screen.x.dtype)
    index = np.sort(np.random.default_rng(seed).permutation(len(screen.x))[: 10 * POOLED])
    x = np.asarray(screen.x, np.float64)[index]
    stands = np.searchsorted(screen.first, index, side="right") - 1
    _, inverse, count = np.unique(stands, return_inverse=True, return_counts=True)
    sums = np.zeros((len(count), d))
    np.add.at(sums, inverse, x)
    x = x - (sums / count[:, None])[inverse]
    _, vectors = np.linalg.eigh(x.T @ x)
    return jnp.asarray(vectors[:, -FEATURES:], screen.x.dtype)


def in_order(parts: Iterator[tuple[Batch, Any]], asked: Int[ndarray, "k"]) -> Any:
    """Results of batches as one on the host, in the order asked for, their padding left away."""
    # all are under way before the first is waited for; but programs of several host devices, queued
    # on few cores, can wait for one another's threads for ever
    on_host = jax.default_backend() == "cpu"
    parts = [(batch, jax.block_until_ready(found) if on_host else found) for batch, found in parts]
    index = np.concatenate([batch.index[: batch.real] for batch, _ in parts])
    place = np.argsort(index, kind="stable")
    order = place[np.searchsorted(index[place], asked)]
    return jax.tree.map(
        lambda *leaves: np.concatenate(
            [np.asarray(leaf)[: batch.real] for (batch, _), leaf in zip(parts, leaves, strict=True)]
        )[order],
        *(found for _, found in parts),
    )


def classes_of(screen: Screen, pairs: Int[ndarray, "b"]) -> tuple[Array, Array]:
    """The classes of pairs, and those of their two singles."""
    members = np.stack([1 + screen.pairs.i[pairs], 1 + screen.pairs.j[pairs]], axis=1)
    return jnp.asarray(1 + screen.singles + pairs, jnp.int32), jnp.asarray(members, jnp.int32)
