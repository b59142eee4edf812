"""Divergences of normal laws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from epistax.engine.stats.gaussian import kl, kl_full

MEAN, LOG_SD = jnp.array([0.5, -1.0, 2.0]), jnp.array([-0.3, 0.2, 0.0])
MEAN2, LOG_SD2 = jnp.array([0.0, 0.0, 1.5]), jnp.array([0.0, 0.4, -0.2])


def test_independent_coordinates_by_hand_and_by_draws():
    value = float(kl(MEAN, LOG_SD, MEAN2, LOG_SD2))
    assert value == pytest.approx(0.6916208, abs=1e-6)
    one = stats.norm(MEAN, np.exp(LOG_SD))
    other = stats.norm(MEAN2, np.exp(LOG_SD2))
    x = one.rvs((200_000, 3), random_state=0)
    each = (one.logpdf(x) - other.logpdf(x)).sum(axis=1)
    assert abs(each.mean() - value) < 4 * each.std() / len(x) ** 0.5


def test_any_covariances_agree_with_independent_ones_and_are_invariant():
    cov, cov2 = (jnp.diag(jnp.exp(2 * x)) for x in (LOG_SD, LOG_SD2))
    value = kl(MEAN, LOG_SD, MEAN2, LOG_SD2)
    np.testing.assert_allclose(kl_full(MEAN, cov, MEAN2, cov2), value, atol=2e-6)
    a = jnp.array([[1.0, 0.5, -0.3], [0.2, 2.0, 0.1], [0.0, -0.4, 0.7]])
    mapped = kl_full(a @ MEAN, a @ cov @ a.T, a @ MEAN2, a @ cov2 @ a.T)
    np.testing.assert_allclose(mapped, value, rtol=1e-5)


def test_near_laws_are_told_apart_in_single_precision():
    small = 1e-3
    got = kl(jnp.zeros(1), jnp.full(1, small), jnp.zeros(1), jnp.zeros(1))
    exact = 0.5 * (np.expm1(2 * small) - 2 * small)
    np.testing.assert_allclose(got, exact, rtol=2e-3)
    assert float(kl(MEAN, LOG_SD, MEAN, LOG_SD)) == 0
    slopes = jax.grad(lambda m, s: kl(m, s, MEAN2, LOG_SD2), (0, 1))(MEAN2, LOG_SD2)
    np.testing.assert_allclose(jnp.stack(slopes), 0, atol=1e-6)
