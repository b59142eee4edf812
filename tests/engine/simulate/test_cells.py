"""Simulated cells: the law of their counts, their potential outcomes, and how hard they are."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import nbinom

from epistax.engine.simulate import cells, cells_world
from epistax.engine.simulate.cells_counts import normalised, quantile
from epistax.engine.simulate.cells_world import Size

SIZE = Size(genes=60, regulators=8, perturbations=5, cells=500, doses=(0.3, 1.0), depth=400.0)


@pytest.fixture(scope="module")
def made():
    return cells.simulate(jax.random.key(3), SIZE)


def test_counts_are_scipys_quantiles():
    u = jax.random.uniform(jax.random.key(0), (400, 30))
    mean = jnp.exp(1.5 * jax.random.normal(jax.random.key(1), (400, 30)) + 0.5)
    size = jnp.exp(0.5 * jax.random.normal(jax.random.key(2), (30,)) + 1)
    wide, m, s = (np.asarray(x, np.float64) for x in (u, mean, size))
    expected = nbinom.ppf(wide, s[None, :], s[None, :] / (s[None, :] + m))
    off = np.asarray(quantile(u, mean, size)) - expected
    assert np.abs(off).max() <= 1 and (off != 0).mean() < 1e-3  # 32 bits at a step
    jitted = jax.jit(quantile)(u, mean, size)
    assert (np.asarray(jitted) != np.asarray(quantile(u, mean, size))).mean() < 1e-3


def test_a_quantile_of_almost_one_ends():
    nearly = jnp.full((3, 2), 1 - 2.0**-24)
    counts = quantile(nearly, jnp.array([[0.01, 500.0]] * 3), jnp.array([3.0, 0.5]))
    upper = nbinom.ppf(1 - 2.0**-26, [3, 0.5], [3 / 3.01, 0.5 / 500.5])
    assert (counts[:, 0] <= upper[0] + 1).all() and (counts[:, 1] < 2 * upper[1]).all()


def test_the_outcome_under_its_own_arm_is_what_was_measured(made):
    rows = jnp.arange(40)
    clean, noisy = cells.outcomes(made, rows, SIZE)
    own = np.asarray(made.arm)[:40]
    np.testing.assert_allclose(noisy[rows, own], made.y[:40], atol=1e-5)
    # without the noise of counting: expected counts in units of the library
    rate = cells.rates(made.world, made.noise, made.arm, made.stratum, SIZE)
    np.testing.assert_allclose(rate.sum(1), made.noise.depth, rtol=1e-4)
    np.testing.assert_allclose(
        clean[rows, own], np.log1p(rate / rate.sum(1, keepdims=True) * made.library)[:40], atol=1e-4
    )


def test_a_perturbation_reaches_its_regulator_and_what_follows_from_it(made):
    world = made.world
    acting = np.asarray(world.edges)
    for p in range(SIZE.perturbations):
        hit = int(world.hit[p])
        reached = np.zeros(60, bool)
        reached[hit] = True
        for r in range(SIZE.regulators):  # acyclic: in order
            reached |= acting[:, r] & reached[r]
        arm = 2 + 2 * p  # dose 1
        rates = [
            cells.rates(world, made.noise, jnp.full(500, a), made.stratum, SIZE)
            for a in (0, arm - 1, arm)
        ]
        none, low, full = (np.log(np.asarray(r)) for r in rates)
        moved = np.abs((full - none) - np.median(full - none, axis=1, keepdims=True)).max(0) > 1e-3
        if reached.mean() < 0.5:  # else the median gene is itself moved
            assert (moved == reached).all()
        sign = np.sign(float(world.push[p]))
        assert (sign * (full - none)[:, hit] > sign * (low - none)[:, hit]).all()


def test_the_graph_is_as_described():
    weight = np.asarray(cells_world.weights(jax.random.key(1), 3000, 30))
    among, rest = weight[:30], weight[30:]
    assert (np.triu(among) == 0).all()  # a regulator's own come before it
    parents = (rest != 0).sum(1)
    assert parents.min() == 1 and parents.max() <= 5
    assert parents.mean() == pytest.approx(1.996, abs=0.06)
    size = np.abs(rest[rest != 0])
    assert size.min() >= 0.4 and 1.15 < size.max() <= 1.2
    assert (rest[rest != 0] > 0).mean() == pytest.approx(0.7, abs=0.03)
    prior = np.asarray(cells_world.prior(jax.random.key(2), jnp.asarray(weight != 0)))
    true = weight != 0
    assert (prior & true).sum() / true.sum() == pytest.approx(0.7, abs=0.03)
    assert (prior & ~true).sum() == true.sum() and not prior[np.arange(30), np.arange(30)].any()


def test_cells_of_a_stratum_are_assigned_by_chance_unless_confounded(made):
    assert made.arms.shape == (11, 6) and made.strata.tolist()[:3] == [[0, 0], [0, 1], [1, 0]]
    np.testing.assert_allclose(made.arms[:3, :2], [[1, 0], [0, 0.3], [0, 1]], rtol=1e-6)
    assert (made.arm == 0).mean() == pytest.approx(0.2, abs=0.06)
    apart = {}
    state = jax.random.normal(jax.random.key(5), (4000, cells_world.PROGRAMS))
    for rho in (0.0, 2.0):
        size = replace(SIZE, confounded=rho)
        arm, _ = cells.assigned(jax.random.key(6), made.world, state, size)
        apart[rho] = [np.abs(state[arm == a].mean(0)).max() for a in range(1, 11)]
    assert max(apart[0.0]) < 0.3 and min(apart[2.0]) > 0.4


@pytest.mark.slow
def test_small_worlds_are_as_hard_as_described():
    small = cells.simulate(jax.random.key(0), cells_world.SMALL)
    assert (small.counts == 0).mean() == pytest.approx(0.4, abs=0.03)
    assert 650 < int(small.world.edges.sum()) < 850
    assert float(small.library) == pytest.approx(1500, rel=0.03)
    share = (small.prior & small.world.edges).sum() / small.prior.sum()
    assert float(share) == pytest.approx(0.41, abs=0.02)


def test_marginal_truth_is_the_mean_of_new_cells(made):
    mean, se = cells.marginal(jax.random.key(9), made, SIZE, cells=1000)
    assert mean.shape == (11, 6, 60)
    arm = np.asarray(made.arm)
    off = np.asarray(made.y - mean[made.arm, made.stratum])
    error = np.asarray(se[made.arm, made.stratum])
    z = []
    for a in range(11):  # of all strata together: groups of few cells have heavy tails
        here, own = off[arm == a], error[arm == a]
        z.append(here.mean(0) / np.sqrt(here.var(0) / len(here) + (own**2).mean(0) + 1e-4))
    assert abs(np.mean(z)) < 0.3 and np.std(z) == pytest.approx(1, abs=0.15)


def test_the_key_decides(made):
    again, other = (cells.simulate(jax.random.key(s), SIZE) for s in (3, 4))
    assert (again.counts == made.counts).all() and (other.counts != made.counts).any()
    np.testing.assert_allclose(normalised(made.counts.astype(float), made.library), made.y)


@pytest.mark.parametrize("wrong", [{"regulators": 61}, {"perturbations": 9}, {"perturbations": 0}])
def test_sizes_without_a_world_are_refused(wrong):
    with pytest.raises(ValueError, match="give"):
        cells_world.world(jax.random.key(0), replace(SIZE, **wrong))
