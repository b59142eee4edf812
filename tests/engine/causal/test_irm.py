"""The penalty of a decoder that is not best in every environment."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from epistax.engine.causal import irm
from epistax.engine.causal.irm import weighed

ENVIRONMENT = np.array([0, 0, 0, 2, 2, 2, 2, 3])
RNG = np.random.default_rng(0)
X, TOLD = (RNG.normal(size=(8, 5)).astype(np.float32) for _ in range(2))


def penalty(told, x, environment, **how):
    told, x, environment = (jnp.asarray(a) for a in (told, x, environment))
    return irm.penalty(told, x, environment, **how)


def risk(w, e):
    """In double precision, of w times what was told."""
    own = ENVIRONMENT == e
    return np.mean(np.sum((w * TOLD[own].astype(float) - X[own]) ** 2, axis=1))


def test_it_is_the_square_of_the_risks_slopes():
    got = penalty(TOLD, X, ENVIRONMENT, environments=5)
    near = sum(((risk(1 + 1e-6, e) - risk(1 - 1e-6, e)) / 2e-6) ** 2 for e in (0, 2, 3))
    np.testing.assert_allclose(got, near, rtol=1e-5)

    def one(w, e):
        own = (ENVIRONMENT == e).astype(np.float32)
        squares = jnp.sum((w * TOLD - X) ** 2, axis=1)
        return jnp.sum(jnp.where(own > 0, squares, 0.0)) / own.sum()

    exact = sum(jax.grad(one)(1.0, e) ** 2 for e in (0, 2, 3))
    np.testing.assert_allclose(got, exact, rtol=1e-5)


def test_it_is_none_where_the_decoder_is_the_best_multiple_of_itself():
    scale = [np.sum(X[own] * TOLD[own]) / np.sum(TOLD[own] ** 2) for own in groups()]
    best = TOLD.copy()
    for own, factor in zip(groups(), scale, strict=True):
        best[own] *= factor
    assert float(penalty(best, X, ENVIRONMENT, environments=5)) == pytest.approx(0, abs=1e-8)


def groups():
    return [ENVIRONMENT == e for e in (0, 2, 3)]


def test_halves_are_unbiased_and_the_square_is_not():
    draws = np.random.default_rng(1).normal(size=(4000, 2, 8, 3)).astype(np.float32)
    told, x = draws[:, 0] + 0.5, draws[:, 0] + 0.3 * draws[:, 1]
    environment = np.zeros(8, int)

    def mean(**how):
        one = jax.vmap(lambda a, b: penalty(a, b, environment, environments=1, **how))
        each = np.asarray(jax.jit(one)(told, x))
        return each.mean(), each.std() / len(each) ** 0.5

    # <told - x, told> has the mean 3 (.5 x .5) over draws: the slope of the population is 2 of it
    truth = 1.5**2
    value, error = mean(halves=True)
    assert abs(value - truth) < 4 * error
    value, error = mean()
    assert value > truth + 10 * error


def test_environments_without_rows_in_both_halves_count_nothing():
    one = penalty(TOLD, X, np.array([0, 0, 0, 2, 2, 2, 2, 3]), environments=5, halves=True)
    other = penalty(TOLD[:7], X[:7], ENVIRONMENT[:7], environments=5, halves=True)
    np.testing.assert_allclose(one, other, rtol=1e-6)


def test_a_large_weight_divides_both():
    loss, extra = jnp.float32(3.0), jnp.float32(0.5)
    assert float(weighed(loss, extra, jnp.float32(0.2))) == pytest.approx(3.1)
    assert float(weighed(loss, extra, jnp.float32(100.0))) == pytest.approx(0.53)
    assert float(weighed(loss, extra, jnp.float32(0.0))) == 3
