"""Are the pair tests' p-values what they say, and how small an interaction do they find.

Null quadruples (control, i, j, ij) are drawn by the ten thousand, independently, and tested by
the engine's own functions, each as a screen of one pair: nothing is borrowed from other pairs but
the kernel's bandwidth, its landmarks and what these do not see. For MMD a cell is in one of two
states, i acts on the first and j on the second, so that p_0 + p_ij = p_i + p_j with all four
different; for additivity the arms are Gaussian, with means that add and spreads that do not. Cells
of one well may be alike.

    python -m epistax.benchmarks.calibration --out calibration.json

Needs jax, numpy and scipy only, so that it runs where the rest of the house is not installed.
"""

import functools
from typing import Any, NamedTuple

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
LEVELS = {"level_05": 0.05, "level_01": 0.01, "level_001": 0.001}
BAND, LEAST_KS = (0.0435, 0.0565), 1e-3  # of the default p-value, at 10,000 quadruples
DRAWS, AT_ONCE, WANTED = 999, 250, 0.8
CELLS = (20, 40, 80, 160, 320, 640)
STEPS = (0.0, 0.7, 1.0, 1.3, 1.6, 2.0, 2.5, 3.2, 4.0, 5.0)  # of shifts at 80 cells, as 1 / sqrt(n)
REAL_PAIR, REAL_MEMBERS = ((3,), ((1, 2),))


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
        test = {"rbf": self.test, "matern52": f"{self.test} matern52"}[self.kernel]
        wells = f", {self.wells} wells" if self.wells else ""
        return f"{test}, p_0 {'!=' if self.shifted else '='} p_i{wells}" + (
            ", wells ignored" if self.blind else ""
        )


class Population(NamedTuple):
    """Of the four arms: the means of a cell's two states, its standard deviation in either."""

    means: Float[Array | ndarray, "4 2 d"]
    scale: Float[Array | ndarray, "4"]


class Common(NamedTuple):
    """What all quadruples of a design share, from a sample of its own."""

    embedding: disjointness.Embedding
    unseen: Scalar


MUST = [
    Design(test, n, wells, shifted=shifted)
    for test in ("mmd", "additive")
    for shifted in (True, False)
    for n, wells in ((80, 0), (300, 0), (80, 16), (300, 20))
]
MORE = [
    Design("mmd", 80, kernel="matern52"),
    Design("mmd", 80, 10),
    Design("additive", 80, 10),
    Design("mmd", 80, 16, blind=True),
    Design("mmd", 300, 20, blind=True),
    Design("additive", 80, 16, blind=True),
]


def population(design: Design, delta: float = 0.0) -> Population:
    """The null, and at delta != 0 what departs from it: the double's first state along e4."""
    e = np.eye(D, dtype=np.float32)
    means = np.zeros((4, 2, D), np.float32)
    scale = np.ones(4, np.float32)
    if design.test == "mmd":
        means[:, 1] = FAR * e[0]
    if design.shifted and design.test == "mmd":
        means[[1, 3], 0] += FAR * e[2]
        means[[2, 3], 1] += FAR * e[1]
    elif design.shifted:
        means[[1, 3]] += FAR * e[2]
        means[[2, 3]] += FAR * e[1]
        scale = np.array([1, 1.5, 0.7, 1.2], np.float32) if delta == 0 else scale
    means[3, : 1 if design.test == "mmd" else 2] += delta * e[3]
    return Population(means, scale)


def draw(key: Key, of: Population, n: int, wells: int) -> Float[Array, "4 n d"]:
    """Cells of the four arms, those of one well side by side."""
    state, cell, well = jax.random.split(key, 3)
    which = jax.random.bernoulli(state, 0.5, (4, n)).astype(jnp.int32)
    noise = jax.random.normal(cell, (4, n, D))
    if wells:
        common = jnp.repeat(jax.random.normal(well, (4, wells, D)), n // wells, axis=1)
        noise = np.sqrt(1 - ALIKE) * noise + np.sqrt(ALIKE) * common
    means = jnp.asarray(of.means)[jnp.arange(4)[:, None], which]
    return means + jnp.asarray(of.scale)[:, None, None] * noise


def quadruple(key: Key, of: Population, n: int, wells: int, *, blind: bool) -> Data:
    """A screen of one pair: classes 0, i, j and ij."""
    unit = jnp.arange(n) // (n // wells) if wells and not blind else jnp.arange(n)
    owner = jnp.repeat(jnp.arange(4), n)
    x = draw(key, of, n, wells).reshape(4 * n, D)
    return Data(x, jnp.tile(unit, 4), owner, jnp.arange(4) * n, jnp.full(4, n))


def common(design: Design, *, seed: int) -> Common:
    """Bandwidth, landmarks and the unseen share, as a screen of the same population gives them."""
    size = design.n // design.wells if design.wells else 1
    n, wells = (1000 // size * size, 1000 // size) if design.wells else (1000, 0)
    x = np.asarray(draw(jax.random.key(seed), population(design), n, wells)).reshape(4 * n, D)
    codes = np.repeat([[-1, -1], [-1, 0], [-1, 1], [0, 1]], n, axis=0)
    well = None if design.blind or not wells else np.arange(4 * n) // size
    large = screen(x, codes, p=2, well=well)
    if design.test == "additive":
        return Common(disjointness.Embedding(*(jnp.ones(()), jnp.zeros((1, D)), jnp.eye(D))), 0.0)
    gram, scale = KERNELS[design.kernel], jnp.float32(paired.bandwidth(large, seed=seed))
    index = np.random.default_rng(seed).permutation(4 * n)[: paired.FEATURES]
    marks = jnp.asarray(large.x[np.sort(index)])
    embedding = disjointness.Embedding(scale, marks, landmark_map(marks, gram, scale))
    none = Spread(jnp.zeros((1, 1)), jnp.zeros((1, 1, 1)), jnp.zeros(1), jnp.ones(1))
    pooled = pooling.pool(
        large,
        lambda y: disjointness.embed(y, embedding, design.kernel),
        lambda y: gram(y, y, scale),
        none,
        seed=seed,
    )
    return Common(embedding, pooled.unseen)


def spectral(data: Data, shared: Common, design: Design) -> Scalar:
    """The default p-value; the pool is the quadruple's own four arms."""
    classes = jnp.arange(4)
    pair, members = jnp.array(REAL_PAIR), jnp.array(REAL_MEMBERS)
    if design.test == "additive":
        arms = additivity.means(
            classes=classes, data=data, projection=shared.embedding.features, length=design.n
        )
        return additivity.additive(
            doubles=jax.tree.map(lambda leaf: leaf[3:], arms),
            members=members,
            singles=arms,
            contrast=jnp.array(additivity.CONTRAST),
            pooled=own_pool(arms.spread, shared.unseen),
        ).p[0]
    options = {"data": data, "embedding": shared.embedding, "kernel": design.kernel}
    lengths = dict.fromkeys(("control", "single", "double"), design.n)
    alone = disjointness.alone(classes=classes, length=design.n, control=design.n, **options)
    pooled = own_pool(alone.spread, shared.unseen)
    return disjointness.mmd(
        pair=pair, members=members, shared=alone, pooled=pooled, **options, **lengths
    ).p[0]


def own_pool(arms: Spread, unseen: Scalar) -> Pooled:
    """What pooling.pool finds in a screen of these classes."""
    less = jnp.maximum(arms.units - 1, 0)
    dof = jnp.sum(less)
    cov = jnp.einsum("c,cij->ij", less, arms.cov) / dof
    return Pooled(cov, less @ (arms.units * arms.excess) / dof, dof, jnp.asarray(unseen))


def resampled(key: Key, data: Data, shared: Common, design: Design, method: Any) -> Scalar:
    """The same null hypothesis by gamma, multiplier or permutation."""
    contrast, kernel = disjointness.CONTRAST, design.kernel
    if design.test == "additive":
        contrast, kernel = additivity.CONTRAST, "linear"
    lengths = dict.fromkeys(("control", "single", "double"), design.n)
    return resampling.p_values(
        key=key,
        data=data,
        pair=jnp.array(REAL_PAIR),
        members=jnp.array(REAL_MEMBERS),
        contrast=jnp.array(contrast),
        bandwidth=shared.embedding.bandwidth,
        kernel=kernel,
        method=method,
        draws=DRAWS,
        **lengths,
    )[0]


@functools.partial(jax.jit, static_argnames=("design", "methods"))
def tested(
    keys: Key, of: Population, shared: Common, *, design: Design, methods: tuple[str, ...]
) -> dict[str, Array]:
    """P-values of independent quadruples, by method."""

    def one(key: Key) -> dict[str, Scalar]:
        k_draw, k_null = jax.random.split(key)
        data = quadruple(k_draw, of, design.n, design.wells, blind=design.blind)
        return {
            method: spectral(data, shared, design)
            if method == "spectral"
            else resampled(k_null, data, shared, design, method)
            for method in methods
        }

    return jax.lax.map(one, keys)
