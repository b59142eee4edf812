import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.distance import cdist

from epistax.engine.stats import closest
from epistax.engine.stats import neighbours as nb

N, M, D, K = 60, 4500, 20, 5


def points(decimals=None, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.normal(size=(M, D)).astype(np.float32)
    y = y if decimals is None else y.round(decimals)
    return y[:N].copy(), y


def expected(x, y, mask, same):
    distance = cdist(x.astype(float), y.astype(float))
    distance[:, ~mask] = np.inf
    if same:
        distance[np.arange(len(x)), np.arange(len(x))] = np.inf
    return np.sort(distance, axis=1)[:, :K]


def found(x, y, mask, same):
    call = jax.jit(closest.certified, static_argnames=("k", "same", "budget"))
    arrays = (jnp.asarray(v) for v in (x, y, mask))
    squares, sure = call(*arrays, k=K, same=same, budget=nb.BUDGET)
    return np.sqrt(squares), np.asarray(sure)


@pytest.mark.parametrize("same", [False, True])
def test_certified_distances_are_the_sorted_distance_matrix(same):
    x, y = points()
    mask = np.random.default_rng(1).random(M) < 0.9
    distance, sure = found(x, y, mask, same)
    assert sure.all()
    np.testing.assert_allclose(distance, expected(x, y, mask, same), atol=1e-5)


def test_what_rounding_may_hide_is_not_certain_and_nearest_is_right_all_the_same():
    # ten more of every point, closer together than the product can tell so far from the origin
    x, y = points()
    rng = np.random.default_rng(2)
    y[:3000] = y[0] + 1e-4 * rng.normal(size=(3000, D)).astype(np.float32)
    x, y = y[:N] + 20, y + 20
    mask = np.ones(M, bool)
    _, sure = found(x, y, mask, False)
    assert not sure.any()
    near = nb.nearest(jnp.asarray(x), jnp.asarray(y), k=K)
    np.testing.assert_allclose(near, expected(x, y, mask, False), rtol=1e-5)


def test_too_few_neighbours_are_at_infinity_and_fewer_rows_change_nothing():
    x, y = points()
    few = np.arange(M) < K - 1
    distance, _ = found(x, y, few, False)
    assert np.isinf(distance[:, -1]).all() and np.isfinite(distance[:, :-1]).all()
    arrays = (jnp.asarray(v) for v in (x, y, np.ones(M, bool)))
    squares, _ = closest.certified(*arrays, k=K, same=False, budget=1)
    np.testing.assert_allclose(
        np.sqrt(squares), found(x, y, np.ones(M, bool), False)[0], rtol=1e-6, atol=1e-6
    )
