"""Null quadruples (control, i, j, ij) by the ten thousand, tested by the engine's own functions.

For MMD a cell is in one of two states, i acts on the first and j on the second, so that
p_0 + p_ij = p_i + p_j with all four different; for additivity the arms are Gaussian, with means
that add and spreads that do not. Cells of one well may be alike. Each quadruple is tested as a
screen of one pair: nothing is borrowed from others but the kernel's bandwidth, its landmarks and
what these do not see.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy import ndarray

from epistax.engine.interaction import additivity, disjointness, paired, pooling, resampling
from epistax.engine.interaction.arms import Data
from epistax.engine.screen import screen
from epistax.engine.stats.kernels import KERNELS, landmark_map
from epistax.engine.stats.spread import Pooled, Spread
from epistax.engine.types import Key, Scalar

D, FAR, ALIKE = 4, 3.0, 0.3  # features; distance of states and shifts; correlation in a well
DRAWS = 999  # of the resampling nulls


class Design(NamedTuple):
    """What is drawn, and how it is tested."""

    test: str  # mmd or additive
    n: int  # cells an arm
    wells: int = 0  # an arm; 0: cells are independent
    blind: bool = False  # cells are taken for independent though they lie in wells
    shifted: bool = True  # p_0 != p_i
    kernel: str = "rbf"

    @property
    def name(self) -> str:
        """In words."""
        wells = f", {self.wells} wells" + " ignored" * self.blind if self.wells else ""
        test = self.test + " matern52" * (self.kernel == "matern52")
        return f"{test}, n = {self.n}, p_0 {'!=' if self.shifted else '='} p_i{wells}"


class Population(NamedTuple):
    """Of the four arms: the means of a cell's two states, its standard deviation in either."""

    means: Float[Array | ndarray, "4 2 d"]
    scale: Float[Array | ndarray, "4"]


class Common(NamedTuple):
    """What all quadruples of a design share, from a sample of its own."""

    embedding: disjointness.Embedding
    unseen: Scalar


def population(design: Design, delta: float = 0.0) -> Population:
    """The null, and at delta != 0 what departs from it: the double's first state along e4.

    Spreads differ between arms in additivity's null only; its power is that of equal ones.
    """
    e = FAR * np.eye(D, dtype=np.float32)
    means, scale = np.zeros((4, 2, D), np.float32), np.ones(4, np.float32)
    mixed = design.test == "mmd"
    means[:, 1] = e[0] * mixed
    if design.shifted:
        means[[1, 3], 0] += e[2]
        means[[2, 3], 1] += e[1]
    if not mixed:  # one state: both effects whole
        means[:] = means.sum(axis=1, keepdims=True)
        scale = np.array([1, 1.5, 0.7, 1.2], np.float32) if design.shifted and not delta else scale
    means[3, : 1 if mixed else 2, 3] += delta
    return Population(means, scale)


def draw(key: Key, of: Population, n: int, wells: int) -> Float[Array, "4 n d"]:
    """Cells of the four arms, those of one well side by side."""
    k_state, k_cell, k_well = jax.random.split(key, 3)
    state = jax.random.bernoulli(k_state, 0.5, (4, n)).astype(jnp.int32)
    noise = jax.random.normal(k_cell, (4, n, D))
    if wells:
        common = jnp.repeat(jax.random.normal(k_well, (4, wells, D)), n // wells, axis=1)
        noise = np.sqrt(1 - ALIKE) * noise + np.sqrt(ALIKE) * common
    means = jnp.asarray(of.means)[jnp.arange(4)[:, None], state]
    return means + jnp.asarray(of.scale)[:, None, None] * noise


def common(design: Design, *, seed: int) -> Common:
    """Bandwidth, landmarks and the unseen share, as a screen of the same population gives them."""
    if design.test == "additive":
        whole = disjointness.Embedding(jnp.ones(()), jnp.zeros((D, D)), jnp.eye(D))
        return Common(whole, jnp.zeros(()))
    size = design.n // (design.wells or design.n)
    n = 1000 // size * size
    x = draw(jax.random.key(seed), population(design), n, n // size if design.wells else 0)
    codes = np.repeat([[-1, -1], [-1, 0], [-1, 1], [0, 1]], n, axis=0)
    well = np.arange(4 * n) // size if design.wells and not design.blind else None
    large = screen(np.asarray(x).reshape(4 * n, D), codes, p=2, well=well)
    gram, scale = KERNELS[design.kernel], jnp.float32(paired.bandwidth(large, seed=seed))
    index = np.random.default_rng(seed).permutation(4 * n)[: paired.FEATURES]
    marks = jnp.asarray(large.x[np.sort(index)])
    embedding = disjointness.Embedding(scale, marks, landmark_map(marks, gram, scale))
    unseen = pooling.pool(
        large,
        lambda y: disjointness.embed(y, embedding, design.kernel),
        lambda y: gram(y, y, scale),
        Spread(jnp.zeros((1, 1)), jnp.zeros((1, 1, 1)), jnp.zeros(1), jnp.ones(1)),
        seed=seed,
    ).unseen
    return Common(embedding, unseen)


def spectral(data: Data, shared: Common, design: Design) -> Scalar:
    """The default p-value; the pool is the quadruple's own four arms."""
    pair, members, n = jnp.array([3]), jnp.array([[1, 2]]), design.n
    classes, embedding, kernel = jnp.arange(4), shared.embedding, design.kernel

    def own(arms: Spread) -> Pooled:
        less = arms.units - 1
        dof = jnp.sum(less)
        cov = jnp.einsum("c,cij->ij", less, arms.cov) / dof
        return Pooled(cov, less @ (arms.units * arms.excess) / dof, dof, shared.unseen)

    if design.test == "additive":
        arms = additivity.means(classes, data, embedding.features, length=n)
        double, contrast = jax.tree.map(lambda leaf: leaf[3:], arms), jnp.array(additivity.CONTRAST)
        return additivity.additive(double, members, arms, contrast, own(arms.spread)).p[0]
    alone = disjointness.alone(classes, data, embedding, kernel=kernel, length=n, control=n)
    how = {"kernel": kernel, "double": n, "single": n, "control": n}
    how |= {"resident": 1, "inference": True}
    pool = own(alone.spread)
    return disjointness.mmd(pair, members, data, alone, pool, embedding, **how).p[0]


def resampled(key: Key, data: Data, shared: Common, design: Design, method: str) -> Scalar:
    """The same null hypothesis by gamma, multiplier or permutation."""
    mixed, n = design.test == "mmd", design.n
    contrast = jnp.array(disjointness.CONTRAST if mixed else additivity.CONTRAST)
    pair, members, scale = jnp.array([3]), jnp.array([[1, 2]]), shared.embedding.bandwidth
    how = {"kernel": design.kernel if mixed else "linear", "method": method, "draws": DRAWS}
    how |= {"control": n, "single": n, "double": n}
    return resampling.p_values(pair, members, key, data, contrast, scale, **how)[0]


@functools.partial(jax.jit, static_argnames=("design", "methods"))
def tested(
    keys: Array, of: Population, shared: Common, *, design: Design, methods: tuple[str, ...]
) -> dict[str, Array]:
    """P-values of independent quadruples, by method."""
    n, owner = design.n, jnp.repeat(jnp.arange(4), design.n)
    size = n // design.wells if design.wells and not design.blind else 1

    def one(key: Key) -> dict[str, Scalar]:
        k_draw, k_null = jax.random.split(key)
        x = draw(k_draw, of, n, design.wells).reshape(4 * n, D)
        unit = jnp.tile(jnp.arange(n) // size, 4)
        data = Data(x, unit, owner, jnp.arange(4) * n, jnp.full(4, n))
        return {
            m: spectral(data, shared, design)
            if m == "spectral"
            else resampled(k_null, data, shared, design, m)
            for m in methods
        }

    return jax.lax.map(one, keys)


def p_values(
    key: Key, design: Design, shared: Common, methods: tuple[str, ...], number: int, delta: float
) -> dict[str, Float[ndarray, "q"]]:
    """Of so many independent quadruples, by method."""
    plain = design._replace(shifted=True)  # what only the population says compiles nothing anew
    keys, of = jax.random.split(key, number), population(design, delta)
    found = tested(keys, of, shared, design=plain, methods=methods)
    return {method: np.asarray(p, np.float64) for method, p in found.items()}
