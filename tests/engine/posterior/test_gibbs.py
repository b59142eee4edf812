import jax
import jax.numpy as jnp
import numpy as np
import pytest

from epistax.engine.pairs import upper
from epistax.engine.posterior import gibbs as module
from epistax.engine.posterior.gibbs import Gibbs, gibbs
from epistax.engine.screen import gather


def test_conditional_of_one_factor_by_hand():
    # A20: two genes, one observation, m = 1: u_1 | . has mean s u_2 y / (sigma^2 + s^2 u_2^2)
    # and variance sigma^2 / (sigma^2 + s^2 u_2^2)
    with jax.enable_x64(True):
        s, u2, y, variance = 1.3, -0.7, 0.9, 0.36
        x = jnp.array([[99.0], [s * u2]])  # row 0 is gene 1 itself, weight 0
        weight = jnp.array([0.0, 1 / variance])
        key = jax.random.key(5)
        draw, effect = module.factors_of(key, x, jnp.array([0.0, y]), weight, 0.0)
        mean = s * u2 * y / (variance + s**2 * u2**2)
        sd = np.sqrt(variance / (variance + s**2 * u2**2))
        xi = jax.random.normal(key, (1,))
        np.testing.assert_allclose(draw, mean + sd * xi, atol=1e-10)
        assert effect == 0


def test_gaussian_draws_have_the_mean_and_covariance_asked_for():
    a = np.random.default_rng(0).normal(size=(3, 3))
    precision = jnp.asarray(a @ a.T + np.eye(3), jnp.float32)
    h = jnp.array([1.0, -2.0, 0.5])
    keys = jax.random.split(jax.random.key(0), 40000)
    draws = jax.vmap(module.gaussian, (0, None, None))(keys, precision, h)
    np.testing.assert_allclose(draws.mean(0), np.linalg.solve(precision, h), atol=0.03)
    np.testing.assert_allclose(np.cov(draws.T), np.linalg.inv(precision), atol=0.03)


def test_scale_regression_equals_the_list_of_pairs():
    rng = np.random.default_rng(1)
    p, r = 7, 2
    u = jnp.asarray(rng.normal(size=(p, r)), jnp.float32)
    y = rng.normal(size=(p, p)).astype(np.float32)
    weight = np.triu(rng.uniform(size=(p, p)) * (rng.uniform(size=(p, p)) < 0.6), 1)
    weight = jnp.asarray(weight, jnp.float32)
    s, b = module.scales(jax.random.key(2), u, jnp.asarray(y), weight)
    i, j = upper(p)
    x = jnp.concatenate([u[i] * u[j], jnp.ones((len(i), 1))], axis=1)
    wanted = module.regression(
        jax.random.key(2), x, jnp.asarray(y)[i, j], weight[i, j], jnp.ones(r + 1)
    )
    np.testing.assert_allclose(jnp.append(s, b), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("rank", [1, 3])
def test_no_observations_leave_the_prior(rank):
    # A21: R has mean 0 and variance m + 1
    p = 4
    pairs = upper(p)
    nothing = gather(
        pairs, np.zeros(6, np.float32), np.zeros(6, np.float32), np.zeros(0, int), length=3
    )
    posterior = gibbs(Gibbs(rank=rank, chains=4000, sweeps=5), p=p, reward="score")
    belief, _ = posterior.fit(jax.random.key(0), None, nothing)
    mean, var = posterior.moments(belief, pairs)
    np.testing.assert_allclose(mean, 0.0, atol=5 * np.sqrt((rank + 1) / 4000))
    np.testing.assert_allclose(var.mean(), rank + 1, rtol=0.1)


def test_intervals_cover_what_was_not_measured():
    rng = np.random.default_rng(3)
    p = 25
    pairs = upper(p)
    u = rng.normal(size=(p, 2))
    y = ((u * np.array([1.0, -0.8])) @ u.T)[pairs.i, pairs.j].astype(np.float32)
    chosen = rng.choice(len(y), 150, replace=False)
    posterior = gibbs(Gibbs(rank=2, chains=200, sweeps=150, effect_sd=0.3), p=p, reward="score")
    belief, _ = posterior.fit(
        jax.random.key(0), None, gather(pairs, y, np.zeros_like(y), chosen, length=150)
    )
    draws = jax.vmap(module.reward_of, (0, None))(belief, pairs)
    low, high = np.quantile(draws, [0.05, 0.95], axis=0)
    rest = np.setdiff1d(np.arange(len(y)), chosen)
    # the belief lives on a squashed scale; squash is monotone, so ranks of the truth must agree
    from epistax.engine import reward as rewards

    mask = np.isin(np.arange(len(y)), chosen)
    scale = rewards.scale(y, mask, positive=False)
    truth = np.asarray(rewards.standardise(y, scale, positive=False))[rest]
    assert 0.75 < np.mean((low[rest] <= truth) & (truth <= high[rest])) <= 1.0


def test_more_perturbations_than_a_grid_holds_are_refused():
    with pytest.raises(ValueError, match="3000"):
        gibbs(Gibbs(), p=3000, reward="score")
