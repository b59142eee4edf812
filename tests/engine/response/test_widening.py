import numpy as np
import pytest

from epistax.engine.response.expected import Full
from epistax.engine.response.strata import Groups
from epistax.engine.response.widening import Missed, folds, missed, widened, without


def test_every_combination_is_left_out_once_and_no_control():
    context = np.array([0, 0, 1, 2])
    out = np.sum(folds(context, 9), axis=0)
    np.testing.assert_array_equal(out[:, 0], 0)
    np.testing.assert_array_equal(out[:, 1:], 1)
    both = folds(context, 9)[0]
    np.testing.assert_array_equal(both[0], both[1])  # a context is left out whole


def test_what_is_left_out_is_not_seen():
    rng = np.random.default_rng(0)
    groups = Groups(np.full((2, 4), 5), rng.normal(size=(2, 4, 3)), np.ones((2, 4, 3)))
    seen = []

    def predict(rest: Groups) -> Full:
        seen.append(rest)
        zero = np.zeros((2, 4, 3))
        return Full(np.zeros((2, 3)), zero, zero, zero, np.ones((2, 3)))

    found = missed(groups, np.array([0, 1]), predict, np.full((2, 3), 2.0))
    for rest in seen:
        gone = rest.count == 0
        assert (rest.mean[gone] == 0).all() and (rest.mean[~gone] == groups.mean[~gone]).all()
    assert len(found.error) == 6 * 3
    np.testing.assert_allclose(np.sort(found.error), np.sort(groups.mean[:, 1:].ravel()))
    np.testing.assert_allclose(found.variance, 0.4)
    assert (without(groups, np.ones((2, 4), bool)).count == 0).all()


@pytest.mark.parametrize(("factor", "share"), [(1.0, 0.0), (2.0, 0.0), (1.0, 0.3)])
def test_widened_intervals_hold_nine_tenths(factor, share):
    rng = np.random.default_rng(2)
    shift = rng.normal(size=40_000) * rng.choice([0.05, 1.0], 40_000)
    sd, variance = np.full(40_000, 0.1), np.full(40_000, 0.01)
    truth = np.sqrt((factor * sd) ** 2 + (share * shift) ** 2 + variance)
    found = widened(Missed(shift, sd, truth * rng.normal(size=40_000), variance))
    spread = np.sqrt((found.factor * sd) ** 2 + (found.share * shift) ** 2 + variance)
    large = np.abs(shift) > np.quantile(np.abs(shift), 0.9)
    for part in (large, ~large):
        held = (np.abs(truth * rng.normal(size=40_000))[part] < 1.645 * spread[part]).mean()
        assert held == pytest.approx(0.9, abs=0.02)


def test_nothing_left_out_widens_nothing():
    assert widened(Missed(*[np.empty(0)] * 4)) == (1.0, 0.0)
