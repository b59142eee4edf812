"""Figures of predictions: closed forms, scikit-learn, and the promise of an interval."""

import numpy as np
import pytest
from sklearn.metrics import root_mean_squared_error

from epistax.engine.stats import prediction

RNG = np.random.default_rng(0)


def test_error_and_correlation_are_those_of_other_programs():
    y, told = RNG.normal(size=50), RNG.normal(size=50)
    assert prediction.rmse(y, told) == pytest.approx(root_mean_squared_error(y, told))
    assert prediction.pearson(y, told) == pytest.approx(np.corrcoef(y, told)[0, 1])
    assert prediction.pearson(3 - 2 * y, y) == pytest.approx(-1)
    assert np.isnan(prediction.pearson(y, np.ones(50)))


def test_the_lowest_are_counted_and_ties_go_to_the_first():
    y = np.array([0.0, 1, 2, 3, 4, 5])
    assert prediction.lowest_shared(y, y, 3) == 1
    assert prediction.lowest_shared(y, -y, 3) == 0
    assert prediction.lowest_shared(y, np.array([9.0, 0, 1, 2, 9, 9]), 3) == pytest.approx(2 / 3)
    assert prediction.lowest_shared(np.zeros(6), np.array([0.0, 0, 1, 1, 1, 1]), 2) == 1


def test_coverage_and_width_of_intervals():
    assert prediction.reach() == pytest.approx(1.6448536)
    error = np.array([-1.0, 2, 3, -4])
    assert prediction.covered(error, np.full(4, 2.5)) == 0.5
    assert prediction.relative_width(error, np.full(4, 3.0)) == 1  # constant, as wide as need be
    assert prediction.relative_width(error, np.abs(error)) == pytest.approx(2.5 / 4)
    assert np.isnan(prediction.relative_width(error, np.zeros(4)))


def test_intervals_made_from_errors_hold_as_many_of_others():
    # q errors and one more are exchangeable: it is held with chance ceil(.9 (q + 1)) / (q + 1)
    held = []
    for _ in range(4000):
        error = RNG.standard_t(3, size=20) * 7
        sd = RNG.uniform(0.5, 2, size=20)
        factor = prediction.holding(error[:-1] * sd[:-1], sd[:-1])
        held.append(abs(error[-1]) <= factor)
    assert np.mean(held) == pytest.approx(18 / 20, abs=0.015)
    assert prediction.holding(np.array([-1.0, 2]), np.array([1.0, 4])) == 1.0  # the largest


def test_the_order_of_rows_does_not_matter():
    y, told, sd = RNG.normal(size=(3, 40))
    order = RNG.permutation(40)
    for one in (prediction.rmse, prediction.pearson):
        assert one(y, told) == pytest.approx(one(y[order], told[order]))
    half = np.abs(sd)
    for one in (prediction.covered, prediction.relative_width, prediction.holding):
        assert one(y, half) == pytest.approx(one(y[order], half[order]))
