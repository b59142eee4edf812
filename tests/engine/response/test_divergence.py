"""Divergences of states, and what makes counterfactuals like measured cells."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, special, stats

from epistax.engine.response import divergence

RNG = np.random.default_rng(0)
B, S, G = 4, 5, 3
MADE = jnp.asarray(RNG.normal(size=(B, G)), jnp.float32)
NEAR = jnp.asarray(RNG.normal(size=(B, S, G)), jnp.float32)
KNOWN = jnp.asarray([True, True, False, True])


def gaussian(mean, sd):
    return jnp.full((1, 1), float(mean)), jnp.full((1, 1), float(sd))


def test_divergence_of_two_gaussians_true_and_as_in_the_published_program():
    one, other = gaussian(1, 1), gaussian(3, 2)
    by_sum = integrate.quad(
        lambda x: stats.norm.pdf(x, 1) * (stats.norm.logpdf(x, 1) - stats.norm.logpdf(x, 3, 2)),
        -9,
        11,
    )[0]
    assert divergence.kl(one, other, "true")[0] == pytest.approx(by_sum, abs=1e-5)
    assert divergence.kl(one, other, "true")[0] == pytest.approx(0.818, abs=5e-4)
    assert divergence.kl(one, other, "code")[0] == pytest.approx(2.318, abs=5e-4)
    for form in ("true", "code"):
        assert divergence.kl(one, one, form)[0] == pytest.approx(0, abs=1e-6)


def test_divergence_adds_up_over_the_numbers_of_a_state():
    one = (MADE, jnp.exp(MADE))
    other = (jnp.sin(MADE), jnp.exp(jnp.sin(MADE)))
    parts = [
        divergence.kl(*((m[:, [j]], s[:, [j]]) for m, s in (one, other)), "true") for j in range(G)
    ]
    np.testing.assert_allclose(divergence.kl(one, other, "true"), sum(parts), rtol=1e-5)


def to_samples(made):
    """Mean of -log of unit kernels, over cells, genes and the rows that are known."""
    logs = -0.5 * (made[:, None, :] - NEAR) ** 2 - 0.5 * jnp.log(2 * jnp.pi)
    return -jnp.sum(jnp.where(KNOWN[:, None, None], logs, 0)) / (3 * S * G)


def test_the_group_mean_has_the_value_and_slope_of_all_kernels():
    mean, variance = NEAR.mean(1), jnp.mean(jnp.var(NEAR, axis=1), axis=1)

    def of_mean(made):
        return divergence.to_mean(made, mean, variance, KNOWN)

    assert of_mean(MADE) == pytest.approx(float(to_samples(MADE)), rel=1e-5)
    slope = jax.grad(of_mean)(MADE)
    np.testing.assert_allclose(slope, jax.grad(to_samples)(MADE), atol=1e-6)
    want = np.where(KNOWN[:, None], MADE - mean, 0) / (3 * G)
    np.testing.assert_allclose(slope, want, atol=1e-6)


def test_a_batch_without_any_known_group_has_no_such_term():
    none = jnp.zeros(B, bool)
    width = jnp.ones(G)
    assert divergence.to_mean(MADE, MADE, jnp.ones(B), none) == 0
    assert divergence.to_density(MADE, NEAR, width, none) == 0
    slope = jax.grad(lambda x: divergence.to_density(x, NEAR, width, none))(MADE)
    np.testing.assert_array_equal(slope, 0)


def test_a_density_is_the_log_of_the_mean_of_kernels():
    width = np.array([0.4, 1.0, 2.0])
    logs = stats.norm.logpdf(np.asarray(MADE, np.float64)[:, None], NEAR, width).sum(2)
    each = (special.logsumexp(logs, axis=1) - np.log(S)) / G
    got = divergence.to_density(MADE, NEAR, jnp.asarray(width, jnp.float32), KNOWN)
    assert got == pytest.approx(-each[np.asarray(KNOWN)].mean(), rel=1e-5)


def test_silvermans_rule_and_its_floor():
    sd = jnp.asarray([1.0, 2.0, 0.0])
    factor = (4 / (5 * 20)) ** (1 / 7)
    np.testing.assert_allclose(
        divergence.silverman(sd, 20, 0.1), factor * np.array([1, 2, 0.1]), rtol=1e-6
    )
    # scipy's own, of one gene
    x = RNG.normal(size=20)
    by_scipy = stats.gaussian_kde(x, "silverman").factor
    got = divergence.silverman(jnp.ones(1), 20, 0.1)[0]
    assert got == pytest.approx(by_scipy, rel=1e-5)
