"""Gates that keep few latents."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from epistax.engine.causal.gate import annealed, gated, weights

MU = jnp.array([3.0, 0.5, 0.5, 0.5, -0.5])
LOG_SD = jnp.array([0.1, -2.0, 0.0, 0.3, 0.2])
ONE, TENTH = jnp.float32(1.0), jnp.float32(0.1)


def mean(temperature, **how):
    return gated(MU, LOG_SD, temperature, **how)[0]


def test_the_published_gate_by_hand():
    first = [2.258458, 0.030898, 0.030898, 0.030898, -0.030898]
    np.testing.assert_allclose(mean(ONE), first, atol=1e-6)
    np.testing.assert_allclose(mean(TENTH), [3, 0, 0, 0, 0], atol=1e-6)
    np.testing.assert_allclose(mean(jnp.float32(1e6)), MU / 5, rtol=1e-4)
    for temperature in (TENTH, ONE):
        assert float(weights(jnp.abs(MU), temperature).sum()) == pytest.approx(1, abs=1e-6)
    assert (jnp.sign(mean(ONE)) == jnp.sign(MU)).all()


def test_means_and_sds_have_gates_of_their_own_unless_shared():
    _, log_sd = gated(MU, LOG_SD, TENTH)
    np.testing.assert_allclose(log_sd, [0, -2, 0, 0, 0], atol=1e-6)
    shared = gated(MU, LOG_SD, TENTH, shared=True)
    np.testing.assert_allclose(shared[0], [2.997, 0, 0, 0, 0], atol=0.01)
    assert abs(float(shared[1][1])) < 0.01  # where the mean decides
    w = weights(jnp.abs(MU) + jnp.abs(LOG_SD), TENTH)
    np.testing.assert_allclose(jnp.stack(shared), jnp.stack([MU * w, LOG_SD * w]), rtol=1e-6)


def test_the_largest_keeps_itself_with_max_and_all_keep_all_with_none():
    np.testing.assert_allclose(mean(ONE, form="max"), MU * np.exp(np.abs(MU) - 3), rtol=1e-6)
    w = weights(jnp.abs(MU), ONE)
    np.testing.assert_allclose(mean(ONE, form="max"), MU * w / w.max(), rtol=1e-6)
    assert (mean(ONE, form="none") == MU).all()


def test_the_slope_of_a_gated_mean_with_many_temperatures_at_once():
    temperatures = jnp.array([0.3, 1.0, 4.0])
    got = jax.jit(jax.vmap(jax.jacobian(lambda t: mean(t)), 0))(temperatures)
    for temperature, slope in zip(temperatures, got, strict=True):
        near = (mean(temperature + 1e-3) - mean(temperature - 1e-3)) / 2e-3
        np.testing.assert_allclose(slope, near, rtol=0.01, atol=2e-4)
    own = jax.jacobian(lambda x: gated(x, LOG_SD, temperatures[0])[0])(MU)
    w = weights(jnp.abs(MU), temperatures[0])
    expected = w + jnp.abs(MU) * w * (1 - w) / temperatures[0]
    np.testing.assert_allclose(jnp.diag(own), expected, rtol=1e-5)


def test_temperatures_fall_from_one_and_are_reached_halfway():
    got = [float(annealed(TENTH, jnp.float32(x))) for x in (0.0, 0.25, 0.5, 0.9)]
    np.testing.assert_allclose(got, [1, 0.1**0.5, 0.1, 0.1], rtol=1e-5)
