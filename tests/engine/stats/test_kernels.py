import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.distance import pdist
from sklearn.gaussian_process.kernels import Matern
from sklearn.metrics import pairwise

from epistax.engine.stats import kernels


def points(m=30, n=20, d=4, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(m, d)), rng.normal(size=(n, d)) + 0.5


REFERENCES = {
    "rbf": lambda x, y, scale: pairwise.rbf_kernel(x, y, gamma=0.5 / scale**2),
    "matern52": lambda x, y, scale: Matern(length_scale=scale, nu=2.5)(x, y),
    "linear": lambda x, y, scale: x @ y.T / scale**2,
}


@pytest.mark.parametrize("name", list(kernels.KERNELS))
def test_gram_matrices_are_scikit_learns(name):
    x, y = points()
    y[:5] = x[:5]  # distances of 0 too
    expected = REFERENCES[name](x, y, 1.7)
    kernel = kernels.KERNELS[name]
    single = kernel(*(jnp.asarray(v, jnp.float32) for v in (x, y)), jnp.float32(1.7))
    np.testing.assert_allclose(single, expected, atol=2e-6)
    with jax.enable_x64(True):
        double = kernel(jnp.asarray(x), jnp.asarray(y), jnp.asarray(1.7))
        jitted = jax.jit(kernel)(jnp.asarray(x), jnp.asarray(y), jnp.asarray(1.7))
    # the square root of a distance that rounding leaves at 1e-16 enters Matern's r^2 alone
    np.testing.assert_allclose(double, expected, atol=1e-14)
    np.testing.assert_allclose(jitted, double, atol=1e-14)


def test_matern_at_distance_zero_and_at_the_bandwidth():
    # A14
    x, y = jnp.zeros((1, 3)), jnp.array([[0.0, 0.0, 0.0], [0.0, 2.5, 0.0]])
    k = kernels.matern52(x, y, jnp.asarray(2.5))[0]
    assert float(k[0]) == 1.0
    assert float(k[1]) == pytest.approx(0.523994, abs=1e-6)
    assert float(k[1]) == pytest.approx((1 + 5**0.5 + 5 / 3) * np.exp(-(5**0.5)), abs=1e-6)


@pytest.mark.parametrize("name", ["rbf", "matern52"])
def test_shifting_turning_and_rescaling_everything_changes_nothing(name):
    x, y = points()
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(4, 4)))[0]
    kernel = kernels.KERNELS[name]
    with jax.enable_x64(True):
        plain = kernel(jnp.asarray(x), jnp.asarray(y), jnp.asarray(1.7))
        moved = kernel(
            jnp.asarray(3 * x @ turn + 10), jnp.asarray(3 * y @ turn + 10), jnp.asarray(3 * 1.7)
        )
        swapped = kernel(jnp.asarray(y), jnp.asarray(x), jnp.asarray(1.7))
    np.testing.assert_allclose(moved, plain, atol=1e-12)
    np.testing.assert_allclose(swapped.T, plain, atol=1e-14)


def test_squared_distances_are_never_negative():
    x = jnp.asarray(np.random.default_rng(2).normal(size=(50, 8)) * 30, jnp.float32)
    squares = np.asarray(kernels.squared_distance(x, x))
    assert (squares >= 0).all()
    assert np.diag(squares).max() < 1e-5 * squares.max()


def test_median_distance_is_scipys_far_from_the_origin_too():
    x, _ = points(m=101)
    expected = np.sqrt(np.median(pdist(x) ** 2))
    assert kernels.median_distance(x) == pytest.approx(expected, rel=1e-12)
    assert kernels.median_distance(x + 1e4) == pytest.approx(expected, rel=1e-6)
    far = (x + 1e3).astype(np.float32)
    assert kernels.median_distance(far) == pytest.approx(expected, rel=1e-4)


def test_median_distance_leaves_out_duplicates():
    x, _ = points(m=20)
    repeated = np.concatenate([x, x, x, x])
    squares = pdist(repeated) ** 2
    expected = np.sqrt(np.median(squares[squares > 1e-12]))
    assert kernels.median_distance(repeated) == pytest.approx(expected, rel=1e-12)
    # nothing but duplicates has no scale, and any will do
    assert kernels.median_distance(np.full((7, 3), 0.1)) == 1.0


@pytest.mark.parametrize("name", ["rbf", "matern52"])
def test_landmark_features_give_the_kernel_back_at_the_landmarks(name):
    rng = np.random.default_rng(3)
    marks = jnp.asarray(rng.normal(size=(40, 5)), jnp.float32)
    kernel, scale = kernels.KERNELS[name], jnp.float32(2.0)
    away = jnp.asarray(rng.normal(size=(200, 5)), jnp.float32)
    near, beyond = (
        kernel(v, marks, scale) @ kernels.landmark_map(marks, kernel, scale) for v in (marks, away)
    )
    np.testing.assert_allclose(near @ near.T, kernel(marks, marks, scale), atol=2e-3)
    # elsewhere a projection: never longer than the kernel's own features
    lengths = np.sum(np.square(beyond), axis=1)
    assert lengths.max() < 1 + 1e-3
    assert lengths.mean() > 0.5


def test_repeated_landmarks_are_harmless():
    marks = jnp.asarray(np.random.default_rng(4).normal(size=(20, 3)), jnp.float32)
    twice, scale = jnp.concatenate([marks, marks]), jnp.float32(1.5)
    grams = []
    for landmarks in (marks, twice):
        phi = kernels.rbf(marks, landmarks, scale) @ kernels.landmark_map(
            landmarks, kernels.rbf, scale
        )
        grams.append(np.asarray(phi @ phi.T))
    assert np.isfinite(grams[1]).all()
    np.testing.assert_allclose(grams[1], grams[0], atol=2e-3)
