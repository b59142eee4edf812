import numpy as np
import pytest
from scipy import stats

from epistax.engine.stats import fdr

METHODS = ["bh", "by"]


def test_benjamini_hochberg_of_five_rejects_two():
    # A17
    q = fdr.benjamini_hochberg(np.array([0.001, 0.008, 0.039, 0.041, 0.6]))
    assert (q <= 0.05).tolist() == [True, True, False, False, False]
    np.testing.assert_allclose(q, [0.005, 0.02, 0.05125, 0.05125, 0.6], atol=1e-15)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("levels", [None, 20])
def test_adjusted_p_values_are_scipys_under_ties_too(method, levels):
    p = np.random.default_rng(0).uniform(size=500) ** 3
    if levels:
        p = np.ceil(p * levels) / levels
    expected = stats.false_discovery_control(p, method=method)
    np.testing.assert_allclose(fdr.ADJUSTMENTS[method](p), expected, rtol=1e-13)


@pytest.mark.parametrize("method", METHODS)
def test_tests_without_a_p_value_are_not_counted(method):
    rng = np.random.default_rng(1)
    p = rng.uniform(size=100) ** 2
    p[rng.random(100) < 0.3] = np.nan
    finite = np.isfinite(p)
    q = fdr.ADJUSTMENTS[method](p)
    expected = stats.false_discovery_control(p[finite], method=method)
    np.testing.assert_allclose(q[finite], expected, rtol=1e-13)
    np.testing.assert_array_equal(np.isnan(q), ~finite)


@pytest.mark.parametrize("method", METHODS)
def test_order_is_kept_and_the_order_of_tests_does_not_matter(method):
    rng = np.random.default_rng(2)
    p = np.round(rng.uniform(size=300) ** 2, 2)
    adjust = fdr.ADJUSTMENTS[method]
    q = adjust(p)
    assert (np.diff(q[np.argsort(p, kind="stable")]) >= 0).all()
    assert (q >= p).all() and (q <= 1).all()
    for value in np.unique(p):
        assert len(np.unique(q[p == value])) == 1
    order = rng.permutation(300)
    np.testing.assert_array_equal(adjust(p[order]), q[order])


@pytest.mark.parametrize("method", METHODS)
def test_of_one_test_and_of_none(method):
    adjust = fdr.ADJUSTMENTS[method]
    np.testing.assert_allclose(adjust(np.array([np.nan, 0.03])), [np.nan, 0.03])
    assert np.isnan(adjust(np.array([np.nan]))).all()
    assert len(adjust(np.zeros(0))) == 0


def test_false_discoveries_stay_below_the_rate():
    # 900 of 1,000 null: the expected share of false discoveries is .9 of the level
    rng = np.random.default_rng(3)
    shares = []
    for _ in range(400):
        p = rng.uniform(size=1000)
        p[:100] = stats.norm.sf(rng.normal(3, 1, size=100))
        found = fdr.benjamini_hochberg(p) <= 0.1
        shares.append(found[100:].sum() / max(found.sum(), 1))
    assert abs(np.mean(shares) - 0.09) < 3 * np.std(shares) / 20
