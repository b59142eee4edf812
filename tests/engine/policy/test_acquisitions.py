"""Acquisitions of predicted effects: the published formulas, and what ours add to them."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from epistax.engine.policy.acquisitions import KAPPA, NAMES, acquisition, reached

RNG = np.random.default_rng(0)
MEAN, SD, LINEAR = (
    jnp.asarray(x, jnp.float32)
    for x in (RNG.normal(size=50), RNG.uniform(0.1, 1, 50), RNG.normal(size=50))
)


def value(name, direction="negative", cut=1.0):
    return np.asarray(acquisition(name, MEAN, SD, LINEAR, cut, direction=direction))


def test_the_published_formulas():
    mean, sd, line = (np.asarray(x) for x in (MEAN, SD, LINEAR))
    expected = {
        "mpe": -mean,
        "uncertainty": sd,
        "residual": np.abs(line - mean),
        "ucb": np.abs(line - mean) + sd,
        "mean+sd": np.abs(mean) + sd,
        "uniform": 0 * mean,
        "optimistic": KAPPA * sd - mean,
    }
    for name, formula in expected.items():
        np.testing.assert_allclose(value(name), formula, rtol=1e-6, atol=1e-7)
    assert set(NAMES) == {*expected, "probability"}


@pytest.mark.parametrize("direction, sign", [("negative", -1), ("positive", 1)])
def test_directions_are_mirror_images(direction, sign):
    np.testing.assert_allclose(value("mpe", direction), sign * np.asarray(MEAN))
    chance = norm.logsf(1.0, loc=sign * np.asarray(MEAN), scale=np.asarray(SD))
    np.testing.assert_allclose(value("probability", direction), chance, rtol=1e-3, atol=1e-4)


def test_either_sign_is_far_from_zero():
    np.testing.assert_allclose(value("mpe", "absolute"), np.abs(MEAN))
    both = norm.sf(1.0, MEAN, SD) + norm.cdf(-1.0, MEAN, SD)
    np.testing.assert_allclose(np.exp(value("probability", "absolute")), both, rtol=1e-3)


def test_probabilities_differ_far_from_the_cut_and_where_nothing_is_unknown():
    far = acquisition("probability", jnp.array([5.0, 6.0]), jnp.array([0.1, 0.1]),
                      jnp.zeros(2), 1.0)  # fmt: skip
    assert jnp.isfinite(far).all() and far[0] > far[1]
    sure = acquisition("probability", jnp.array([-2.0, 2.0]), jnp.zeros(2), jnp.zeros(2), 1.0)
    assert sure[0] > sure[1]


@pytest.mark.parametrize("direction", ["negative", "positive", "absolute"])
def test_as_many_as_are_asked_for_are_expected_to_reach_it(direction):
    cut = float(reached(MEAN, SD, 12, direction=direction))
    above, below = norm.sf(cut, MEAN, SD), norm.cdf(-cut, MEAN, SD)
    expected = {"negative": below, "positive": above, "absolute": above + below}[direction]
    assert expected.sum() == pytest.approx(12, abs=0.01)


def test_what_is_measured_is_beyond_it_or_not():
    measured = jnp.arange(10.0)
    cut = float(reached(measured, jnp.zeros(10), 3, direction="positive"))
    assert (measured > cut).sum() == 3


def test_an_unknown_name_is_refused():
    with pytest.raises(KeyError):
        value("nosuch")
