import jax.numpy as jnp
import numpy as np
import pytest

from epistax.engine.interaction import pooling
from epistax.engine.screen import screen
from epistax.engine.stats.spread import Spread


def controls_and_singles(sizes, d, seed=0, wells=None, scale=None):
    """A screen of a control and singles alone: `sizes` units of `wells` observations each."""
    rng = np.random.default_rng(seed)
    scale = np.ones(d) if scale is None else scale
    group = np.repeat(np.arange(len(sizes)), sizes)
    x = rng.normal(size=(len(group), d)) * scale + 5 * rng.normal(size=(len(sizes), d))[group]
    well = np.arange(len(group))
    if wells:
        group, well = np.repeat(group, wells), np.repeat(well, wells)
        x = np.repeat(x, wells, axis=0)
    codes = np.stack([np.full(len(group), -1), group - 1], axis=1).astype(np.int32)
    return screen(x.astype(np.float32), codes, p=len(sizes) - 1, well=well)


def alone(made, seen):
    """Spreads of all classes, by numpy: the features are the first `seen` columns."""
    values = []
    for first, count, units in zip(made.first, made.count, made.units, strict=True):
        x = made.x[first : first + count].astype(np.float64)
        x = np.stack([x[made.unit[first : first + count] == u].mean(axis=0) for u in range(units)])
        cov = np.cov(x.T) if units > 1 else np.zeros((x.shape[1],) * 2)
        excess = np.trace(cov) / units
        values.append((x.mean(axis=0)[:seen], cov[:seen, :seen], excess, float(units)))
    return Spread(*(jnp.asarray(np.stack(v), jnp.float32) for v in zip(*values, strict=True)))


def pooled(made, seen):
    return pooling.pool(made, lambda x: x[:, :seen], lambda x: x @ x.T, alone(made, seen), seed=0)


def test_tr_s_squared_is_unbiased_for_few_units():
    rng = np.random.default_rng(0)
    spectrum = np.array([3.0, 1.0, 1.0, 0.2])
    for n in (4, 7):
        found = []
        for _ in range(6000):
            x = rng.normal(size=(n, 4)) * np.sqrt(spectrum) + 3
            x = x - x.mean(axis=0)
            found.append(pooling.trace_square(x @ x.T))
        assert abs(np.mean(found) - (spectrum**2).sum()) < 3 * np.std(found) / np.sqrt(6000)
        # the plain tr S^2 is not
        assert abs(np.mean(found) - (spectrum**2).sum()) < 0.2 * spectrum.sum() ** 2 / (n - 1)


def test_pooled_covariance_is_that_within_classes():
    made = controls_and_singles([40, 12, 5, 1, 2], d=3, scale=np.array([3.0, 1.0, 0.3]))
    got = pooled(made, 3)
    total, dof = np.zeros((3, 3)), 0
    for first, count in zip(made.first, made.count, strict=True):
        x = made.x[first : first + count].astype(np.float64)
        total += (x - x.mean(axis=0)).T @ (x - x.mean(axis=0))
        dof += count - 1
    assert float(got.dof) == dof
    np.testing.assert_allclose(got.cov, total / dof, rtol=1e-4, atol=1e-5)
    assert float(got.trace) == pytest.approx(np.trace(total / dof), rel=1e-3)


def test_features_that_are_everything_leave_nothing_unseen():
    made = controls_and_singles([40, 12, 5, 1], d=3)
    assert float(pooled(made, 3).unseen) == pytest.approx(0, abs=1e-5)


def test_the_unseen_share_is_that_of_the_spectrum():
    scale = np.repeat([2.0, 1.0], [3, 60])
    made = controls_and_singles([500, 400, 400], d=63, scale=scale)
    got = pooled(made, 3)
    # tr S^2: 3 x 16 seen, 60 x 1 not; tr S: 12 seen of 72
    assert float(got.unseen) == pytest.approx(60 / 48, rel=0.1)
    assert float(got.trace) == pytest.approx(72, rel=0.03)
    assert float(jnp.trace(got.cov)) == pytest.approx(12, rel=0.06)


@pytest.mark.parametrize("wells", [3, 400])
def test_units_are_wells_of_any_size(wells):
    # cells of one well all alike: as many cells as one likes, the unit stays the well
    single = controls_and_singles([9, 6, 5], d=3)
    made = controls_and_singles([9, 6, 5], d=3, wells=wells)
    one, many = pooled(single, 2), pooled(made, 2)
    np.testing.assert_allclose(many.cov, one.cov, rtol=1e-4, atol=1e-5)
    assert float(many.dof) == float(one.dof) == 17
    assert float(many.trace) == pytest.approx(float(one.trace), rel=1e-3)
    assert float(many.unseen) == pytest.approx(float(one.unseen), rel=0.05)


def test_units_of_a_class_in_rows_and_in_gram_matrices():
    made = controls_and_singles([6, 4], d=3, wells=3)
    for which in (0, 1):
        x = pooling.rows(made, which).astype(np.float64)
        sums = pooling.unit_sums(x, made, which)
        means = x.reshape(-1, 3, 3).mean(axis=1)
        np.testing.assert_allclose(sums, means - means.mean(axis=0), atol=1e-12)
        gram = pooling.centred(x @ x.T, made, which)
        np.testing.assert_allclose(gram, sums @ sums.T, atol=1e-10)


def test_one_classes_figures_do_not_depend_on_the_seed():
    made = controls_and_singles([30, 10, 8], d=3)
    one, two = (
        pooling.pool(made, lambda x: x, lambda x: x @ x.T, alone(made, 3), seed=s) for s in (0, 1)
    )
    np.testing.assert_allclose(one.cov, two.cov, rtol=1e-5, atol=1e-6)
