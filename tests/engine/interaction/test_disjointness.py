import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from sklearn.gaussian_process.kernels import Matern
from sklearn.metrics.pairwise import rbf_kernel

from epistax.engine.interaction import disjointness
from epistax.engine.interaction.arms import Arm, Data
from epistax.engine.stats.kernels import landmark_map, rbf
from epistax.engine.stats.spread import Pooled

CONTRAST = np.array([0.5, -0.5, -0.5, 0.5])
REFERENCES = {
    "rbf": lambda x, y: rbf_kernel(x, y, gamma=0.5 / 1.6**2),
    "matern52": lambda x, y: Matern(length_scale=1.6, nu=2.5)(x, y),
}


def arm(x, unit=None, pad=0):
    """A class as the code takes it, in the precision in force, all observed in class 1."""
    n = len(x)
    unit = np.arange(n) if unit is None else unit
    grown = [np.pad(v, [(0, pad)] + [(0, 0)] * (np.ndim(v) - 1)) for v in (x, unit, np.ones(n))]
    mask = np.arange(n + pad) < n
    return Arm(
        jnp.asarray(grown[0], jnp.result_type(float)),
        jnp.asarray(grown[1], jnp.int32),
        jnp.ones(n + pad, jnp.int32),
        jnp.asarray(mask),
        jnp.asarray(mask / n, jnp.result_type(float)),
    )


def embedding(d, kernel=rbf, bandwidth=1.6, marks=4):
    x = jnp.asarray(np.random.default_rng(9).normal(size=(marks, d)), jnp.result_type(float))
    scale = jnp.asarray(bandwidth, x.dtype)
    return disjointness.Embedding(scale, x, landmark_map(x, kernel, scale))


@functools.partial(jax.jit, static_argnames="kernel")
def ten_means(arms, how, kernel):
    """The code's value and unbiased value of four arms."""
    own, spreads = zip(*(disjointness.within(a, how, kernel) for a in arms), strict=True)
    pairs = itertools.combinations(arms, 2)
    cross = jnp.stack([disjointness.between(a, b, how, kernel) for a, b in pairs])
    contrast = jnp.asarray(CONTRAST)
    value = disjointness.squared_norm(jnp.stack(own), cross, contrast)
    return value, value - jnp.sum(contrast**2 * jnp.stack([s.excess for s in spreads]))


def both_values(x, kernel="rbf", length=40):
    """In double precision, padded to one length: one compile a kernel."""
    with jax.enable_x64(True):
        arms = [arm(v, pad=length - len(v)) for v in x]
        return tuple(float(v) for v in ten_means(arms, embedding(3), kernel))


@pytest.mark.parametrize("kernel", list(REFERENCES))
@pytest.mark.parametrize("sizes", [(20, 20, 20, 20), (33, 8, 15, 5)])
def test_ten_blocks_are_the_pooled_weighted_statistic(kernel, sizes):
    # A12
    rng = np.random.default_rng(0)
    x = [rng.normal(size=(n, 3)) + rng.normal(size=3) for n in sizes]
    pooled = np.concatenate(x)
    w = np.repeat(CONTRAST / sizes, sizes)
    gram = REFERENCES[kernel](pooled, pooled)
    # and the stratified U-statistic: means over pairs of different observations, term by term
    unbiased = 0.0
    for a, b in itertools.product(range(4), repeat=2):
        block = REFERENCES[kernel](x[a], x[b])
        if a == b:
            n = sizes[a]
            terms = [block[u, v] for u, v in itertools.permutations(range(n), 2)]
            unbiased += CONTRAST[a] ** 2 * np.sum(terms) / (n * (n - 1))
        else:
            unbiased += CONTRAST[a] * CONTRAST[b] * block.mean()
    value, less = both_values(x, kernel)
    assert value == pytest.approx(w @ gram @ w, abs=1e-12)
    assert less == pytest.approx(unbiased, abs=1e-12)


def test_invariances_of_the_statistic():
    rng = np.random.default_rng(1)
    x = [rng.normal(size=(n, 3)) + rng.normal(size=3) for n in (30, 9, 14, 6)]

    plain = both_values(x)
    assert plain[0] > 1e-3
    changed = {
        "singles swapped": [x[0], x[2], x[1], x[3]],
        "control and double swapped": [x[3], x[1], x[2], x[0]],
        "cells permuted": [rng.permutation(v) for v in x],
        "all moved": [v + 50 for v in x],
    }
    for name, arms in changed.items():
        assert both_values(arms) == pytest.approx(plain, abs=1e-12), name


def test_excess_of_wells_leaves_pairs_of_different_wells():
    rng = np.random.default_rng(2)
    unit = np.array([0, 0, 0, 1, 2, 2, 2, 2, 3])
    x = rng.normal(size=(9, 2)) + rng.normal(size=(4, 2))[unit]
    gram = REFERENCES["rbf"](x, x)
    different = unit[:, None] != unit[None, :]
    with jax.enable_x64(True):
        within = jax.jit(lambda mine: disjointness.within(mine, embedding(2), "rbf"))
        own, spread = within(arm(x, unit, pad=5))
        alone = within(arm(x, np.zeros(9, int), pad=5))[1]
    assert float(own) == pytest.approx(gram.mean(), abs=1e-13)
    assert float(own - spread.excess) == pytest.approx(gram[different].mean(), abs=1e-13)
    assert float(spread.units) == 4
    # one well alone says nothing of wells
    assert float(alone.units) == 1 and abs(float(alone.excess)) < 1e-9


def test_mmd_of_two_gaussians_in_closed_form():
    # A13: d = 5, l = 2, variances 1 and 1.5, means 1 apart
    d, scale, reps, n = 5, 2.0, 40, 500
    rng = np.random.default_rng(3)
    x = rng.normal(size=(reps, n, d))
    y = rng.normal(size=(reps, n, d)) * np.sqrt(1.5) + np.eye(d)[0]
    how = embedding(d, bandwidth=scale), "rbf"

    def one(pair):
        a, b = (arm(np.zeros((n, d)))._replace(x=v) for v in pair)
        (own_a, of_a), (own_b, of_b) = (disjointness.within(v, *how) for v in (a, b))
        return own_a - of_a.excess + own_b - of_b.excess - 2 * disjointness.between(a, b, *how)

    found = jax.jit(lambda v: jax.lax.map(one, v))(
        tuple(jnp.asarray(v, jnp.float32) for v in (x, y))
    )

    def kappa(variance, distance):
        total = scale**2 + variance
        return (scale**2 / total) ** (d / 2) * np.exp(-(distance**2) / (2 * total))

    expected = kappa(2, 0) + kappa(3, 0) - 2 * kappa(2.5, 1)
    assert expected == pytest.approx(0.0595609, abs=1e-7)
    assert float(found.mean()) == pytest.approx(expected, abs=0.0035)
    assert float(found.std()) < 0.02


def mixtures(rng, reps, sizes):
    """The spec's section 17: i moves one component and j the other, which is disjoint."""
    x = []
    for n, moved in zip(sizes, [(0, 0), (1, 0), (0, 1), (1, 1)], strict=True):
        z = rng.integers(0, 2, size=(reps, n))
        y = rng.normal(size=(reps, n, 4))
        y[..., 0] += 3 * z
        y[..., 2] += 3 * moved[0] * (z == 0)
        y[..., 1] += 3 * moved[1] * (z == 1)
        x.append(y)
    return np.concatenate(x, axis=1)


def test_level_of_the_spectral_p_value_where_the_strata_differ():
    # A15's generator, with a double in fewer cells than the singles
    sizes = (80, 60, 60, 24)
    reps, scale = 600, 3.0
    rng = np.random.default_rng(4)
    x = jnp.asarray(mixtures(rng, reps, sizes), jnp.float32)
    first = np.r_[0, np.cumsum(sizes)[:-1]]
    unit = np.concatenate([np.arange(n) for n in sizes])
    owner = np.repeat(np.arange(4), sizes)
    fixed = [jnp.asarray(v, jnp.int32) for v in (unit, owner, first, sizes)]
    marks = jnp.asarray(mixtures(rng, 1, (16, 16, 16, 16))[0], jnp.float32)
    bandwidth = jnp.float32(scale)
    how = disjointness.Embedding(bandwidth, marks, landmark_map(marks, rbf, bandwidth))
    # the pool: all classes of a large sample, within
    many = mixtures(rng, 1, (500,) * 4)[0].reshape(4, 500, 4)
    phi = [np.asarray(disjointness.embed(jnp.asarray(v, jnp.float32), how, "rbf")) for v in many]
    cov = np.mean([np.cov(v.T) for v in phi], axis=0)
    whole = np.mean([1 - rbf_kernel(v, gamma=0.5 / scale**2).mean() for v in many])
    assert np.trace(cov) < whole < 1.2 * np.trace(cov)
    pooled = Pooled(*(jnp.asarray(v, jnp.float32) for v in (cov, whole, 200.0, 0.001)))
    pair, members = jnp.array([3], jnp.int32), jnp.array([[1, 2]], jnp.int32)

    def one(x):
        data = Data(x, *fixed)
        shared = disjointness.alone(
            jnp.arange(3, dtype=jnp.int32), data, how, kernel="rbf", length=80, control=80
        )
        lengths = {"double": 24, "single": 64, "control": 80}
        found = disjointness.mmd(
            pair, members, data, shared, pooled, how,
            kernel="rbf", resident=1, inference=True, **lengths,
        )  # fmt: skip
        return found.p[0], found.unbiased[0]

    p, unbiased = (np.asarray(v) for v in jax.jit(lambda v: jax.lax.map(one, v))(x))
    assert abs(unbiased.mean()) < 3.5 * unbiased.std() / np.sqrt(reps)
    assert 0.03 < np.mean(p < 0.05) < 0.075
    assert stats.kstest(p, "uniform").statistic < 0.07
