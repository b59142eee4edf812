import jax
import jax.numpy as jnp
import numpy as np
import pytest

from epistax.engine.causal.disentanglement import Marginals, divergences, marginals, score, shifts

REFERENCE = Marginals(jnp.array([[0.0, 1.0, 0.0]]), jnp.array([[1.0, 4.0, 1.0]]))


def test_marginals_are_the_moments_of_the_mixture():
    rng = np.random.default_rng(0)
    mean, log_sd = rng.normal(size=(50, 3)), rng.normal(-1, 0.3, (50, 3))
    rows = rng.integers(0, 4, 50)
    arrays = (jnp.asarray(mean), jnp.asarray(log_sd), jnp.asarray(rows))
    made = marginals(*arrays, environments=5)
    for e in range(4):
        own = rows == e
        np.testing.assert_allclose(made.mean[e], mean[own].mean(axis=0), rtol=1e-4, atol=1e-5)
        expected = mean[own].var(axis=0) + np.exp(2 * log_sd[own]).mean(axis=0)
        np.testing.assert_allclose(made.variance[e], expected, rtol=1e-4)
    assert np.isnan(made.mean[4]).all()  # nobody is there
    compiled = jax.jit(lambda *a: marginals(*a, environments=5))(*arrays)
    np.testing.assert_allclose(compiled.variance[:4], made.variance[:4], rtol=1e-5)


def test_divergences_are_those_of_normals():
    moved = Marginals(jnp.array([[2.0, 1.0, 0.0], [0, 2, 0]]), jnp.array([[1.0, 4, 2], [1, 1, 1]]))
    expected = [
        [2.0, 0, (2 - 1 - np.log(2)) / 2],
        [0, (0.25 - 1 - np.log(0.25) + 0.25) / 2, 0],
    ]
    np.testing.assert_allclose(divergences(moved, REFERENCE), expected, atol=1e-6)
    np.testing.assert_allclose(shifts(moved, REFERENCE), [[2, 0, 0], [0, 0.5, 0]])


def test_one_latent_that_moves_scores_one_and_equal_shifts_none():
    assert score(jnp.array([[0.0, 3, 0], [1, 1, 1], [0, 0, 0]])).tolist() == pytest.approx(
        [1, 0, 0], abs=1e-6
    )
    two = score(jnp.array([[0.5, 0.5, 0.0]]))[0]
    assert two == pytest.approx(1 - np.log(2) / np.log(3), abs=1e-6)
    assert score(jnp.array([[0.0], [2.0]])).tolist() == [1, 1]


def test_a_latent_that_is_not_used_is_moved_by_nothing():
    # means a thousandth of their posterior sd, but moved by five of their own
    rng = np.random.default_rng(1)
    mean = 1e-3 * rng.normal(size=(400, 1)) + 5e-3 * np.repeat([0.0, 1.0], 200)[:, None]
    rows = jnp.repeat(jnp.arange(2), 200)
    made = marginals(jnp.asarray(mean), jnp.zeros((400, 1)), rows, environments=2)
    reference = Marginals(made.mean[:1], made.variance[:1])
    assert abs(shifts(made, reference)[1, 0]) < 0.01
