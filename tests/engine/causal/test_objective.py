"""The bound, and what each likelihood misses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from epistax.engine.causal.objective import drawn, missed, warm
from epistax.engine.stats.gaussian import kl, kl_full

RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 4)) * 3
TOLD = RNG.normal(size=(6, 4))


def got(form, log_variance=0.0):
    return missed(jnp.float32(TOLD), jnp.float32(X), jnp.float32(log_variance), form=form)


def test_likelihoods_are_those_of_scipy():
    np.testing.assert_allclose(got("normal"), -stats.norm(TOLD).logpdf(X).sum(1), rtol=1e-5)
    wide = stats.norm(TOLD, np.exp(0.35))
    np.testing.assert_allclose(got("learned", 0.7), -wide.logpdf(X).sum(1), rtol=1e-5)
    np.testing.assert_allclose(got("student"), -stats.t(4, TOLD).logpdf(X).sum(1), rtol=1e-5)
    apart = np.abs(X - TOLD)
    huber = np.where(apart < 3, 0.5 * apart**2, 3 * apart - 4.5).sum(1)
    np.testing.assert_allclose(got("huber"), huber, rtol=1e-5)


def linear(columns):
    """x = W z + noise: decoder, prior, posterior and evidence, in double precision."""
    rng = np.random.default_rng(1)
    w = columns(rng.normal(size=(7, 3)))
    mean, sd, s2 = rng.normal(size=3), np.exp(rng.normal(size=3) * 0.3), 0.6
    x = rng.normal(size=7) * 2
    precision = np.diag(sd**-2) + w.T @ w / s2
    cov = np.linalg.inv(precision)
    own = cov @ (mean / sd**2 + w.T @ x / s2)
    evidence = stats.multivariate_normal(w @ mean, w @ np.diag(sd**2) @ w.T + s2 * np.eye(7))
    return w, mean, sd, s2, x, own, cov, evidence.logpdf(x)


def expected(w, x, own, cov, s2):
    """Minus the posterior's mean of log p(x | z)."""
    told = jnp.float32(w @ own)[None]
    lost = missed(told, jnp.float32(x)[None], jnp.float32(np.log(s2)), form="learned")[0]
    return lost + np.trace(w @ cov @ w.T) / (2 * s2)


def test_the_bound_is_the_evidence_where_the_posterior_is_exact():
    w, mean, sd, s2, x, own, cov, evidence = linear(lambda w: np.linalg.qr(w)[0] * [3, 1, 0.5])
    assert np.allclose(cov, np.diag(np.diag(cov)))  # orthogonal columns: independent latents
    logs = jnp.float32(0.5 * np.log(np.diag(cov)))
    apart = kl(jnp.float32(own), logs, jnp.float32(mean), jnp.float32(np.log(sd)))
    np.testing.assert_allclose(-expected(w, x, own, cov, s2) - apart, evidence, rtol=1e-5)

    w, mean, sd, s2, x, own, cov, evidence = linear(lambda w: w)
    laws = jnp.float32(own), jnp.float32(cov), jnp.float32(mean), jnp.float32(np.diag(sd**2))
    bound = -expected(w, x, own, cov, s2) - kl_full(*laws)
    np.testing.assert_allclose(bound, evidence, rtol=1e-5)


def test_draws_have_the_law_and_slopes_to_it():
    mean, log_sd = jnp.full((4000, 2), 0.5), jnp.full((4000, 2), -1.0)
    z = drawn(jax.random.key(0), mean, log_sd)
    assert stats.kstest(np.asarray(z).ravel(), stats.norm(0.5, np.exp(-1)).cdf).pvalue > 0.01
    slope = jax.grad(lambda s: jnp.sum(drawn(jax.random.key(0), mean, s)))(log_sd)
    np.testing.assert_allclose(slope, z - mean, atol=1e-6)


def test_the_weight_of_the_divergence_rises_evenly():
    at = [float(warm(0.5, jnp.float32(epoch), 4)) for epoch in (0, 1, 4, 9)]
    assert at == pytest.approx([0, 0.125, 0.5, 0.5])
    assert float(warm(0.5, jnp.float32(0), 0)) == 0.5
