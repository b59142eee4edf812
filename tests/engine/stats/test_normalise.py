import numpy as np
import pytest

from epistax.engine.stats import normalise


def plates(seed=0, n=240, d=4):
    rng = np.random.default_rng(seed)
    batch = rng.permutation(np.repeat([0, 2, 3, 7], n // 4))  # numbers may be missing
    x = rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + 10 * rng.normal(size=(8, d))[batch]
    return x, rng.random(n) < 0.3, batch


def test_each_batch_loses_the_mean_of_its_own_controls():
    x, control, batch = plates()
    got = normalise.subtract_control(x, control, batch)
    for b in np.unique(batch):
        here = batch == b
        np.testing.assert_allclose(
            got[here], x[here] - x[here & control].mean(axis=0), rtol=0, atol=1e-12
        )


def test_batch_effects_go_and_the_type_stays():
    x, control, batch = plates()
    shift = 100 * np.random.default_rng(1).normal(size=(8, 4))[batch]
    plain = normalise.subtract_control(x, control, batch)
    np.testing.assert_allclose(
        normalise.subtract_control(x + shift, control, batch), plain, atol=1e-10
    )
    single = normalise.subtract_control((x + 1000).astype(np.float32), control, batch)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, plain, atol=2e-3)  # 1,000 in float32 is known to 6e-5


def test_means_of_many_single_precision_controls_are_taken_in_double():
    x = np.full((300_000, 1), 0.1, np.float32)
    got = normalise.subtract_control(x, np.ones(len(x), bool), np.zeros(len(x), int))
    assert np.abs(got).max() < 1e-8


def test_a_batch_without_control_is_named():
    x, control, batch = plates()
    control[batch == 3] = False
    with pytest.raises(ValueError, match="batch 3 has no control"):
        normalise.subtract_control(x, control, batch)


def test_whitened_data_have_unit_covariance_within_groups():
    x, _, batch = plates(n=2000)
    white = x @ normalise.whitening(x, batch)
    within = (
        white
        - np.stack([white[batch == b].mean(axis=0) for b in range(8) if b in batch])[
            np.searchsorted(np.unique(batch), batch)
        ]
    )
    np.testing.assert_allclose(within.T @ within / (len(x) - 4), np.eye(4), atol=1e-10)
    single = normalise.whitening(x.astype(np.float32), batch)
    np.testing.assert_allclose(single, normalise.whitening(x, batch), rtol=1e-3, atol=1e-5)


def test_differences_between_groups_are_not_whitened_away():
    x, _, batch = plates()
    far = x + 1e3 * np.random.default_rng(2).normal(size=(8, 4))[batch]
    np.testing.assert_allclose(
        normalise.whitening(far, batch), normalise.whitening(x, batch), atol=1e-8
    )


def test_units_of_measurement_do_not_matter():
    # a feature in thousandths: whitened observations are where they were, floor or not
    x, _, batch = plates()
    x[:, 3] = x[:, 2] + 1e-3 * x[:, 3]  # nearly a copy: the floor is in use
    units = np.array([1.0, 1e3, 1e-3, 1.0])
    plain = x @ normalise.whitening(x, batch)
    np.testing.assert_allclose(
        (x * units) @ normalise.whitening(x * units, batch), plain, rtol=1e-8, atol=1e-6
    )


def test_directions_below_the_floor_are_raised_to_it():
    rng = np.random.default_rng(3)
    z = rng.normal(size=(4000, 2))
    x = np.stack([z[:, 0], z[:, 0] + 1e-4 * z[:, 1]], axis=1)
    white = x @ normalise.whitening(x, np.zeros(4000, int))
    values = np.linalg.eigvalsh(np.cov(white.T))
    # of two standardised copies the eigenvalues are 2 and about 5e-9, the floor is 2e-3
    assert values[1] == pytest.approx(1, rel=1e-6)
    assert values[0] == pytest.approx(0.5e-8 / 2e-3, rel=0.1)


def test_equal_features_are_whitened_alike():
    x, _, batch = plates()
    order = np.array([2, 0, 3, 1])
    matrix = normalise.whitening(x, batch)
    np.testing.assert_allclose(
        normalise.whitening(x[:, order], batch), matrix[np.ix_(order, order)], atol=1e-10
    )


@pytest.mark.parametrize("value", [0.0, 0.1, 1e6 / 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_constant_feature_is_named(value, dtype):
    # means of a constant are off by rounding: what is left of it must not pass for variation
    x, _, batch = plates()
    x[:, 2] = value
    with pytest.raises(ValueError, match="feature 2 does not vary within groups"):
        normalise.whitening(x.astype(dtype), batch)
    assert np.flatnonzero(normalise.constant(x.astype(dtype), batch)).tolist() == [2]


def test_a_feature_constant_within_groups_only_is_named_too():
    x, _, batch = plates()
    x[:, 1] = np.array([0.1, 0, 0.7, 1.3, 0, 0, 0, 2.9])[batch]
    with pytest.raises(ValueError, match="feature 1 does not vary within groups"):
        normalise.whitening(x, batch)
