import jax.numpy as jnp
import numpy as np
import pytest

from epistax.engine.causal import curves


def test_worst_rise_by_hand():
    assert curves.worst_rise(np.array([5.0, 4, 3, 2]), 0) == 1
    assert curves.worst_rise(np.array([5.0, 2, 3, 1, 1.2]), 0) == pytest.approx(1.5)
    assert curves.worst_rise(np.array([5.0, 2, 3, 1, 1.2]), 2) == pytest.approx(1.5)
    assert curves.worst_rise(np.array([5.0, 2, 3, 1, 1.2]), 3) == pytest.approx(1.2)
    assert curves.worst_rise(np.array([1.0, 9, 8]), 1) == 9  # what was reached before counts
    assert curves.worst_rise(jnp.array([2.0, 1, 4]), 0) == 4


def test_what_is_no_number_is_the_worst():
    for bad in (np.nan, np.inf):
        assert curves.worst_rise(np.array([1.0, 2, bad]), 0) == np.inf
        assert curves.worst_rise(np.array([bad, 2, 1]), 1) == np.inf  # also before the warm-up
    assert curves.worst_rise(np.array([1.0, 0, 0]), 0) == 1
    assert curves.worst_rise(np.array([1.0, 0, 1e-9]), 0) == np.inf
    with pytest.raises(ValueError, match="`warmup` is 3 but there are 3 epochs"):
        curves.worst_rise(np.ones(3), 3)


def test_errors_outside_are_those_of_each_environment():
    x = np.arange(24.0).reshape(2, 4, 3)
    vectors = np.array([[1.0, 0.0], [0.0, 2.0]])

    def reconstruct(x, v):
        assert v.shape == (4, 2)
        return jnp.stack([x + v[:, :1], x + v[:, 1:]])

    np.testing.assert_allclose(curves.outside(reconstruct, x, vectors), [[1, 0], [0, 4]])
    assert curves.OFFSETS[0] == -20 and curves.OFFSETS[20] == 0 and len(curves.OFFSETS) == 41
