"""Densities of heads against scipy's, their means and sds against sums over counts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from epistax.engine.response import densities

RNG = np.random.default_rng(0)
TOLD = tuple(jnp.asarray(RNG.normal(size=(4, 6)), jnp.float32) for _ in range(3))
COUNT = RNG.integers(0, 7, (4, 6))
Y = jnp.asarray(np.log1p(COUNT), jnp.float32)


def positive(raw):
    return np.log1p(np.exp(np.asarray(raw, np.float64))) + 1e-3


def binomial():
    mean, inverse = positive(TOLD[0]), positive(TOLD[1])
    return stats.nbinom(inverse, inverse / (inverse + mean))


def test_softplus_and_its_slope():
    x = jnp.linspace(-30, 30, 13)[None]
    np.testing.assert_allclose(densities.softplus(x), jax.nn.softplus(x), rtol=1e-6)
    slope = jax.grad(lambda x: jnp.sum(densities.softplus(x)))(x)
    np.testing.assert_allclose(slope, jax.nn.sigmoid(x), rtol=1e-5)


def test_normal():
    law = stats.norm(np.asarray(TOLD[0]), positive(TOLD[1]))
    got = densities.log_density("normal", TOLD[:2], Y)
    np.testing.assert_allclose(got, law.logpdf(np.asarray(Y)), rtol=1e-5)
    np.testing.assert_allclose(densities.expected("normal", TOLD[:2]), law.mean())
    np.testing.assert_allclose(densities.deviation("normal", TOLD[:2]), law.std(), rtol=1e-6)


def test_counts_at_integers():
    law = binomial()
    got = densities.log_density("nb", TOLD[:2], Y)
    np.testing.assert_allclose(got, law.logpmf(COUNT), rtol=2e-5, atol=2e-5)
    never = 1 / (1 + np.exp(-np.asarray(TOLD[2], np.float64)))
    want = np.log(never * (COUNT == 0) + (1 - never) * law.pmf(COUNT))
    assert (COUNT == 0).any()
    got = densities.log_density("zinb", TOLD, Y)
    np.testing.assert_allclose(got, want, rtol=2e-5, atol=2e-5)


def test_means_and_sds_of_counts_to_first_order():
    law = binomial()
    never = 1 / (1 + np.exp(-np.asarray(TOLD[2], np.float64)))
    for head, some in (("nb", 1.0), ("zinb", 1 - never)):
        told = TOLD[: densities.NUMBERS[head]]
        mean = some * law.mean()
        sd = np.sqrt(some * (law.var() + law.mean() ** 2) - mean**2) / (1 + mean)
        np.testing.assert_allclose(densities.expected(head, told), np.log1p(mean), rtol=1e-5)
        np.testing.assert_allclose(densities.deviation(head, told), sd, rtol=1e-5)


@pytest.mark.parametrize("head", ["normal", "nb", "zinb"])
def test_slopes_are_finite_at_any_numbers(head):
    told = tuple(jnp.asarray([[-60.0, 0.0, 60.0]]) for _ in range(densities.NUMBERS[head]))
    y = jnp.asarray([[0.0, 0.5, 8.0]])
    slopes = jax.grad(lambda told: jnp.sum(densities.log_density(head, told, y)))(told)
    assert all(np.isfinite(s).all() for s in slopes)


def test_draws_have_the_law_and_slopes():
    told = (jnp.full((400, 50), 2.0), jnp.full((400, 50), 0.3))
    x = densities.drawn(jax.random.key(0), told)
    assert stats.kstest(np.ravel(x), stats.norm(2, positive(0.3)).cdf).pvalue > 0.01
    slope = jax.grad(lambda loc: jnp.sum(densities.drawn(jax.random.key(0), (loc, told[1]))))
    np.testing.assert_allclose(slope(told[0]), 1.0)
