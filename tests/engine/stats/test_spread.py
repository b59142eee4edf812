import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from epistax.engine.stats.spread import Pooled, assess, borrow, spread

CONTRAST = np.array([1.0, -1.0, -1.0, 1.0])


def excess_of(x, unit):
    """Unbiased E|m^|^2 - |m|^2 along the last two axes: what pairs of one unit have beyond pairs
    of two, by loops over units.
    """  # noqa: D205
    n = len(unit)
    sums = np.stack([x[..., unit == u, :].sum(axis=-2) for u in np.unique(unit)]) / n
    share = (np.bincount(unit) ** 2).sum() / n**2
    same, all_pairs = (sums**2).sum(axis=(0, -1)), (sums.sum(axis=0) ** 2).sum(axis=-1)
    return (same - share * all_pairs) / (1 - share) if share < 1 else np.zeros(x.shape[:-2])


def of_class(x, unit, pad=0):
    """The code's spread of a class, padded."""
    excess = jnp.asarray(excess_of(np.asarray(x, np.float64), unit), jnp.float32)
    mask = jnp.arange(len(x) + pad) < len(x)
    x = jnp.asarray(np.pad(x, ((0, pad), (0, 0)), constant_values=7.0), jnp.float32)
    return jax.jit(spread)(x, jnp.asarray(np.pad(unit, (0, pad)), jnp.int32), mask, excess)


borrowed = jax.jit(borrow)


def known(cov, dof=1e6, unseen=0.0):
    values = (cov, np.trace(cov), dof, unseen)
    return Pooled(*(jnp.asarray(v, jnp.float32) for v in values))


def test_distinct_units_give_the_sample_mean_and_covariance():
    x = np.random.default_rng(0).normal(size=(25, 3)) @ np.diag([1, 2, 3]) + 5
    got = of_class(x, np.arange(25), pad=7)
    np.testing.assert_allclose(got.mean, x.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(got.cov, np.cov(x.T), rtol=1e-4, atol=1e-4)
    assert float(got.units) == 25
    assert float(got.excess) == pytest.approx(np.trace(np.cov(x.T)) / 25, rel=1e-4)


def test_equal_wells_give_the_covariance_of_their_means():
    rng = np.random.default_rng(1)
    wells = rng.normal(size=(9, 3))
    x = np.repeat(wells, 4, axis=0) + 0.3 * rng.normal(size=(36, 3))
    order = rng.permutation(36)
    got = of_class(x[order], np.repeat(np.arange(9), 4)[order], pad=4)
    means = x.reshape(9, 4, 3).mean(axis=1)
    np.testing.assert_allclose(got.cov, np.cov(means.T), rtol=1e-4, atol=1e-5)
    assert float(got.units) == 9
    assert float(got.excess) == pytest.approx(np.trace(np.cov(means.T)) / 9, rel=1e-4)


@pytest.mark.parametrize("between", [0.0, 2.0])
def test_unequal_wells_give_the_error_of_the_mean_of_all_rows(between):
    # E cov / units against the variance of the mean, cells alike or not within a well
    rng = np.random.default_rng(2)
    sizes = np.array([1, 2, 3, 3, 4, 5])
    unit = np.repeat(np.arange(6), sizes)
    shares = sizes / sizes.sum()
    reps = 4000
    x = rng.normal(size=(reps, len(unit), 2)) + between * rng.normal(size=(reps, 6, 2))[:, unit]
    got = spreads(x, unit, np.zeros(reps), length=20)
    variance = 1 / sizes.sum() + between**2 * (shares**2).sum()
    found = np.asarray(got.cov).mean(axis=0) / 6
    # exact where cells are independent; else near, as no estimate is exact for both
    rtol = 0.05 if between == 0 else 0.15
    np.testing.assert_allclose(np.diag(found), variance, rtol=rtol)
    np.testing.assert_allclose(x.mean(axis=1).var(axis=0), variance, rtol=0.08)


@pytest.mark.parametrize("sizes", [(1, 1, 1, 1, 1), (3, 3, 3), (1, 5, 2)])
def test_repeating_every_observation_in_its_unit_changes_nothing(sizes):
    unit = np.repeat(np.arange(len(sizes)), sizes)
    x = np.random.default_rng(3).normal(size=(len(unit), 2)) + 3
    once, twice = of_class(x, unit), of_class(np.repeat(x, 2, axis=0), np.repeat(unit, 2))
    for one, two in zip(once, twice, strict=True):
        np.testing.assert_allclose(two, one, rtol=1e-4, atol=1e-6)


def test_a_class_in_one_unit_has_the_pools_spread():
    cov = np.array([[2.0, 0.3], [0.3, 0.5]])
    x = np.random.default_rng(4).normal(size=(12, 2))
    got, trace, size, shape = borrowed(of_class(x, np.zeros(12, int)), known(cov))
    np.testing.assert_allclose(got, cov, rtol=1e-5)
    assert float(trace) == pytest.approx(2.5, rel=1e-6)
    assert (float(size), float(shape)) == (1.0, 1.0)
    # and of a larger embedding, the features' share of it
    wide = known(cov)._replace(trace=jnp.asarray(10.0))
    got, trace, _, _ = borrowed(of_class(x, np.zeros(12, int)), wide)
    np.testing.assert_allclose(got, cov, rtol=1e-5)
    assert float(trace) == 10.0


def test_a_class_of_many_units_has_its_own():
    rng = np.random.default_rng(5)
    x = rng.normal(size=(40, 2)) @ np.diag([3.0, 0.1])
    mine = of_class(x, np.arange(40))
    cov, trace, size, _ = borrowed(mine, known(np.diag([1.0, 1.0])))
    own = np.cov(x.T)
    assert float(trace) == pytest.approx(np.trace(own), rel=1e-4)
    assert float(np.trace(cov)) == pytest.approx(np.trace(own), rel=1e-4)
    # drawn to the pool's shape by what may be noise
    np.testing.assert_allclose(cov, own, atol=0.08 * own[0, 0])
    assert float(size) == 0


def test_the_trace_moves_from_the_pools_to_its_own():
    rng = np.random.default_rng(6)
    pooled, shares = known(np.eye(2)), []
    for n in (2, 11, 21, 31):
        x = rng.normal(size=(n, 2))
        x *= np.sqrt(40 / np.trace(np.cov(x.T)))  # own trace 40, the pool's 2
        shares.append((float(borrowed(of_class(x, np.arange(n)), pooled)[1]) - 2) / 38)
    np.testing.assert_allclose(shares, [1 / 30, 10 / 30, 20 / 30, 1], atol=1e-4)


def rank_one_noise(rng, n, d):
    return rng.normal(size=(n, d)) * np.sqrt(np.geomspace(1, 0.01, d))


DESIGNS = {
    "many": [np.arange(60)] * 4,
    "few doubles": [np.arange(200), np.arange(40), np.arange(25), np.arange(4)],
    "one double": [np.arange(100), np.arange(40), np.arange(12), np.arange(1)],
    "all few": [np.arange(6), np.arange(3), np.arange(3), np.arange(2)],
    "wells": [np.arange(n) // 5 for n in (200, 60, 60, 15)],
    "unequal wells": [np.repeat(np.arange(3 * n), np.tile([2, 3, 8], n)) for n in (20, 4, 4, 2)],
}


@jax.jit
def each(x, unit, mask, excess):
    return jax.vmap(lambda v, e: spread(v, unit, mask, e))(x, excess)


def spreads(x, unit, excess, length=264):
    """Of repetitions of a class, padded to one length: one compile."""
    pad = length - len(unit)
    mask = jnp.arange(length) < len(unit)
    unit = jnp.asarray(np.pad(unit, (0, pad)), jnp.int32)
    x = np.pad(x, ((0, 0), (0, pad), (0, 0))).astype(np.float32)
    return each(jnp.asarray(x), unit, mask, jnp.asarray(excess, jnp.float32))


def simulated(units, reps, d, seed, *, effect=0.0, seen=None):
    """Assessments of classes whose means add up, but for `effect` along the first feature.

    Only the first `seen` of d features are given as such; the statistic has them all.
    """
    rng = np.random.default_rng(seed)
    scale = np.sqrt(np.geomspace(1, 0.05, d))
    wells = any(len(np.unique(u)) < len(u) for u in units)
    i, j = 3 * rng.normal(size=(2, d))
    means = [np.zeros(d), i, j, i + j + effect * np.eye(d)[0]]
    arms, total = [], 0.0
    for s, mean, unit in zip(CONTRAST, means, units, strict=True):
        x = rng.normal(size=(reps, len(unit), d)) * (0.2 if wells else 1)
        if wells:
            x += rng.normal(size=(reps, unit.max() + 1, d))[:, unit]
        x = mean + scale * x
        total = total + s * x.mean(axis=1)
        excess = excess_of(x, unit)
        arms.append(spreads(x[..., :seen], unit, excess))
    arms = jax.tree.map(lambda *leaves: jnp.stack(leaves, axis=1), *arms)
    # variance of a class mean times its units; the designs' classes are alike in that
    size = np.bincount(units[1])
    per_unit = (size**2).mean() / size.mean() ** 2 + 0.04 / size.mean() if wells else 1.0
    cov = per_unit * np.diag(scale**2)
    within = cov[:seen, :seen]
    pooled = known(within)._replace(
        trace=jnp.asarray(np.trace(cov), jnp.float32),
        unseen=jnp.asarray((cov**2).sum() / (within**2).sum() - 1, jnp.float32),
    )
    return arms, jnp.asarray((total**2).sum(axis=1), jnp.float32), pooled


@jax.jit
def assessed(arms, value, pooled):
    contrast = jnp.asarray(CONTRAST, jnp.float32)
    return jax.vmap(lambda a, v: assess(v, contrast, a, pooled))(arms, value)


@pytest.mark.parametrize("design", list(DESIGNS))
def test_p_values_are_uniform_where_means_add_up(design):
    found = simulated(DESIGNS[design], reps=1200, d=5, seed=7)
    unbiased, value, _, p = (np.asarray(v) for v in assessed(*found))
    # a test at 1 % of 1,200 would accept .047 of exact p-values
    assert stats.kstest(p, "uniform").statistic < 0.06
    assert 0.003 < np.mean(p < 0.01) < 0.02
    assert abs(unbiased.mean()) < 3.5 * unbiased.std() / np.sqrt(len(p))
    assert value.mean() > 3 * value.std() / np.sqrt(len(p))


def test_p_values_are_uniform_with_more_features_than_units():
    units = [np.arange(50), np.arange(12), np.arange(12), np.arange(6)]
    found = simulated(units, reps=1200, d=30, seed=8)
    p = np.asarray(assessed(*found)[3])
    assert stats.kstest(p, "uniform").statistic < 0.06
    assert 0.003 < np.mean(p < 0.01) < 0.02


@pytest.mark.parametrize("design", ["many", "few doubles", "wells"])
def test_standard_error_is_the_spread_of_repetitions(design):
    for effect in (0.0, 2.0):
        found = simulated(DESIGNS[design], reps=1200, d=5, seed=9, effect=effect)
        unbiased, _, se, _ = (np.asarray(v) for v in assessed(*found))
        rms = np.sqrt(np.mean(se**2))
        if effect:
            assert rms == pytest.approx(unbiased.std(), rel=0.12)
        else:  # of an effect of 0 only what lies above it can be known: too large by half at most
            assert 0.9 < rms / unbiased.std() < 1.5
        assert abs(unbiased.mean() - effect**2) < 3.5 * unbiased.std() / np.sqrt(len(se))


def test_p_values_are_uniform_where_most_of_the_embedding_is_out_of_sight():
    found = simulated(DESIGNS["few doubles"], reps=1200, d=40, seed=10, seen=8)
    unbiased, _, _, p = (np.asarray(v) for v in assessed(*found))
    assert float(found[2].trace) > 2 * float(jnp.trace(found[2].cov))
    assert stats.kstest(p, "uniform").statistic < 0.06
    assert 0.003 < np.mean(p < 0.01) < 0.02
    assert abs(unbiased.mean()) < 3.5 * unbiased.std() / np.sqrt(len(p))


def test_a_missing_class_does_not_spoil_the_figures_of_others():
    found = simulated(DESIGNS["few doubles"], reps=1200, d=5, seed=11)
    empty = spread(jnp.zeros((8, 5)), jnp.zeros(8, jnp.int32), jnp.zeros(8, bool), jnp.zeros(()))
    arms = jax.tree.map(lambda a, e: a.at[0, 1].set(e), found[0], empty)
    for value in assessed(arms, *found[1:]):
        assert np.isfinite(np.asarray(value)).all()
