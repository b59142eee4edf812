"""The mean-field fit with side information: its bound, its start, its calibration."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

from epistax.engine import reward
from epistax.engine.pairs import Pairs, upper
from epistax.engine.posterior import elbo, informed, moments
from epistax.engine.posterior.elbo import Known, Normal
from epistax.engine.posterior.informed import MAIN, SHADOW, Informed
from epistax.engine.posterior.lowrank import Observed
from epistax.engine.screen import Measured

P, R, D, Q = 30, 3, 4, 120
QUICK = Informed(ranks=(R,), steps=300, warm_steps=60)


def observed(pairs, value, mask=None):
    mask = jnp.ones(len(pairs.i), bool) if mask is None else mask
    return Observed(Pairs(*map(jnp.asarray, pairs)), jnp.asarray(value, jnp.float32),
                    jnp.zeros(()), mask)  # fmt: skip


def some(q, p=P, seed=0):
    pairs = upper(p)
    chosen = np.sort(np.random.default_rng(seed).choice(len(pairs.i), q, replace=False))
    return Pairs(pairs.i[chosen], pairs.j[chosen])


@pytest.fixture(scope="module")
def case():
    """A start away from every special point, and what it is fitted to."""
    rng = np.random.default_rng(1)
    pairs = some(Q)
    data = Known(observed(pairs, rng.normal(size=Q)), jnp.asarray(rng.normal(size=(P, D)), "f4"))
    start = elbo.start(jax.random.key(0), data.observed, p=P, rank=R, d=D)
    keys = iter(jax.random.split(jax.random.key(1), 20))
    moved = [
        Normal(
            site.mean + 0.3 * jax.random.normal(next(keys), site.mean.shape),
            site.log_sd + 0.3 * jax.random.normal(next(keys), site.mean.shape),
        )
        for site in start[:6]
    ]
    return start._replace(**dict(zip(start._fields[:6], moved, strict=True))), data


def test_the_bound_is_that_of_many_draws(case):
    params, data = case
    every = jnp.ones(Q, bool)
    loss = jax.jit(lambda k: elbo.elbo_loss(k, params, every, data, minibatch=Q))
    ours = -Q * jax.vmap(loss)(jax.random.split(jax.random.key(2), 400)).mean()
    i, j = data.observed.pairs

    def one(key):
        b, s, map, own, effect_map, effect = (
            elbo.reparameterised(k, site)
            for k, site in zip(jax.random.split(key, 6), params[:6], strict=True)
        )
        u, a = data.side @ map + own, data.side @ effect_map + effect
        r = b + a[i] + a[j] + (u[i] * u[j]) @ s
        return dist.Normal(r, jnp.exp(params.log_sigma)).log_prob(data.observed.value).sum()

    drawn = jax.vmap(one)(jax.random.split(jax.random.key(3), 20_000))
    sds = elbo.prior(params)
    kl = sum(
        dist.kl_divergence(
            dist.Normal(site.mean, jnp.exp(site.log_sd)), dist.Normal(jnp.zeros(()), sd)
        ).sum()
        for site, sd in zip(params[:6], sds[:6], strict=True)
    )
    np.testing.assert_allclose(elbo.divergence(params), kl, rtol=1e-4)
    hyper = (params.log_sigma, params.log_tau, params.log_own)
    prior = sum(-0.5 * jnp.exp(2 * x) / elbo.HYPER**2 + x for x in hyper)
    error = drawn.std() / np.sqrt(len(drawn))
    assert abs(ours - (drawn.mean() - kl + prior)) < 5 * error + 0.01 * abs(ours)


def test_minibatches_estimate_the_whole_without_bias(case):
    params, data = case
    every = jnp.ones(Q, bool)
    grad = jax.jit(
        jax.grad(lambda q, k, size: elbo.elbo_loss(k, q, every, data, minibatch=size)),
        static_argnums=2,
    )
    keys = jax.random.split(jax.random.key(4), 1500)
    part = jax.vmap(lambda k: grad(params, k, 16).own.mean)(keys)
    whole = jax.vmap(lambda k: grad(params, k, Q).own.mean)(keys[:300])
    error = jnp.sqrt(part.var(0) / len(keys) + whole.var(0) / 300)
    z = (part.mean(0) - whole.mean(0)) / jnp.maximum(error, 1e-6)
    assert float(jnp.sqrt((z**2).mean())) < 1.3


def test_rows_that_do_not_count_change_nothing(case):
    params, data = case
    keep = jnp.arange(Q) % 3 > 0
    loss = lambda value: elbo.elbo_loss(  # noqa: E731
        jax.random.key(5), params, keep,
        data._replace(observed=data.observed._replace(value=value)), minibatch=Q,
    )  # fmt: skip
    other = jnp.where(keep, data.observed.value, 99.0)
    assert loss(other) == loss(data.observed.value)


def test_kappa_goes_from_the_guide_to_the_prior(case):
    params, data = case
    plain = informed.spread(params, data.side, jnp.float32(1.0))
    np.testing.assert_allclose(plain.s_sd, jnp.exp(params.s.log_sd), rtol=1e-5)
    var = data.side**2 @ jnp.exp(2 * params.map.log_sd) + jnp.exp(2 * params.own.log_sd)
    np.testing.assert_allclose(plain.u_sd**2, var, rtol=1e-4)
    wide = informed.spread(params, data.side, jnp.float32(1e9))
    own = jnp.exp(params.log_own)
    np.testing.assert_allclose(wide.s_sd, 1.0, rtol=1e-4)
    prior = (data.side**2).sum(1, keepdims=True) / D + own**2
    np.testing.assert_allclose(wide.u_sd**2, jnp.broadcast_to(prior, (P, R)), rtol=1e-3)
    for name in ("b", "a", "s", "u"):
        np.testing.assert_allclose(getattr(wide, name), getattr(plain, name))


def test_the_same_pairs_are_held_out_whatever_else_is_measured():
    pairs = upper(400)
    shown = np.asarray(informed.kept(pairs, 0.1))
    assert abs(1 - shown.mean() - 0.1) < 0.005
    order = np.random.default_rng(0).permutation(len(shown))[:500]
    again = informed.kept(Pairs(pairs.i[order], pairs.j[order]), 0.1)
    np.testing.assert_array_equal(again, shown[order])
    count = np.bincount(pairs.i[~shown], minlength=400) + np.bincount(pairs.j[~shown],
                                                                      minlength=400)  # fmt: skip
    assert abs(count.var() / (399 * 0.09) - 1) < 0.3  # spread over the perturbations by chance


def test_the_shadow_never_sees_what_is_held_out(case):
    params, data = case
    shown = informed.kept(data.observed.pairs, 0.1)
    both = jax.tree.map(lambda x: jnp.stack([x, x]), params)
    other = jnp.where(shown, data.observed.value, data.observed.value + 5)
    changed = data._replace(observed=data.observed._replace(value=other))
    one, two = (
        informed.trained(jax.random.key(0), both, known, shown, QUICK, 20)
        for known in (data, changed)
    )
    differ = jax.tree.map(lambda a, b: jnp.abs(a - b).max(tuple(range(1, a.ndim))), one, two)
    assert all(x[SHADOW] == 0 for x in jax.tree.leaves(differ))
    assert max(float(x[MAIN]) for x in jax.tree.leaves(differ)) > 0.01


def world(p, d, seed, n, noise=0.3):
    """Pairs of perturbations that side information tells apart: measured ones, and the truth."""
    rng = np.random.default_rng(seed)
    h = rng.normal(size=(p, d)).astype(np.float32)
    u, s = h @ rng.normal(size=(d, 2)) / np.sqrt(d), np.array([1.0, -1.0])
    pairs = upper(p)
    truth = (u[pairs.i] * s * u[pairs.j]).sum(1)
    chosen = rng.choice(len(truth), n, replace=False)
    score = truth[chosen] + noise * rng.normal(size=n)
    ones = jnp.ones(n, bool)
    table = Pairs(*(jnp.asarray(x[chosen]) for x in pairs))
    return h, Measured(table, jnp.asarray(score, "f4"), jnp.zeros(n), ones), pairs, truth, chosen


def fitted(p, measured, h, config=QUICK, belief=None, key=0):
    posterior = informed.informed(config, p=p, reward="score", side=h)
    return posterior, *posterior.fit(jax.random.key(key), belief, measured)


def predicted(posterior, belief, pairs):
    mean, var = posterior.moments(belief, Pairs(*map(jnp.asarray, pairs)))
    return np.asarray(mean), np.sqrt(np.asarray(var))


@pytest.fixture(scope="module")
def learned():
    """80 perturbations of which 20 occur in no measured pair."""
    p = 80
    h, _, pairs, truth, _ = world(p, 6, 0, 10)
    rng = np.random.default_rng(3)
    known = np.flatnonzero((pairs.i < 60) & (pairs.j < 60))
    chosen = rng.choice(known, 700, replace=False)
    score = jnp.asarray(truth[chosen] + 0.3 * rng.normal(size=700), jnp.float32)
    table = Pairs(*(jnp.asarray(x[chosen]) for x in pairs))
    measured = Measured(table, score, jnp.zeros(700), jnp.ones(700, bool))
    return p, h, measured, pairs, truth


def test_side_information_reaches_perturbations_without_a_measured_pair(learned):
    p, h, measured, pairs, truth = learned
    fresh = pairs.i >= 60
    corr = {}
    for name, side in (("with", h), ("without", None)):
        posterior, belief, info = fitted(p, measured, side)
        mean, _ = predicted(posterior, belief, pairs)
        says = mean[fresh].std() > 1e-3  # without, all of them look alike
        corr[name] = np.corrcoef(mean[fresh], truth[fresh])[0, 1] if says else 0.0
        assert bool(info["finite"])
    assert corr["with"] > 0.9 and abs(corr["without"]) < 0.2


def test_what_no_pair_holds_keeps_its_prior(learned):
    p, _, measured, _, _ = learned
    _, belief, _ = fitted(p, measured, None)
    own = belief.params.own
    np.testing.assert_allclose(own.mean[:, 60:], 0.0, atol=1e-6)
    np.testing.assert_allclose(own.log_sd[:, 60:], 0.0, atol=1e-4)


def test_intervals_hold_what_they_promise():
    inside, width = [], []
    for seed in range(3):
        h, measured, pairs, truth, chosen = world(60, 5, seed, 800)
        posterior, belief, _ = fitted(60, measured, h)
        mean, sd = predicted(posterior, belief, pairs)
        y = reward.standardise(jnp.asarray(truth, "f4"), belief.scale, positive=False)
        rest = np.setdiff1d(np.arange(len(truth)), chosen)
        inside.append((np.abs(np.asarray(y) - mean) < 1.645 * sd)[rest].mean())
        width.append(sd[rest].mean())
    assert 0.75 < np.mean(inside) < 0.99 and np.mean(width) < 0.6


def test_a_warm_start_keeps_what_was_learned(learned):
    p, h, measured, pairs, truth = learned
    posterior, belief, cold = fitted(p, measured, h)
    _, again, warm = fitted(p, measured, h, belief=belief, key=1)
    assert float(warm["held_out"]) > float(cold["held_out"]) - 0.1
    first, second = (predicted(posterior, b, pairs)[0] for b in (belief, again))
    assert np.corrcoef(first, second)[0, 1] > 0.99


@pytest.mark.slow
def test_the_rank_is_that_of_the_greatest_held_out_likelihood(learned):
    p, h, measured, _, _ = learned
    config = Informed(ranks=(1, 2), steps=300)
    _, belief, info = fitted(p, measured, h, config)
    each = [fitted(p, measured, h, Informed(ranks=(r,), steps=300))[2]["held_out"] for r in (1, 2)]
    assert info["rank"] == 1 + int(each[1] > each[0]) == belief.params.s.mean.shape[-1]


def test_draws_have_the_moments(learned):
    p, h, measured, pairs, _ = learned
    posterior, belief, _ = fitted(p, measured, h)
    few = Pairs(*(jnp.asarray(x[::50]) for x in pairs))
    keys = jax.random.split(jax.random.key(0), 4000)
    draws = jax.vmap(lambda k: posterior.sample(k, belief, few))(keys)
    mean, var = posterior.moments(belief, few)
    np.testing.assert_allclose(draws.mean(0), mean, atol=5 * float(jnp.sqrt(var.max() / 4000)))
    np.testing.assert_allclose(draws.var(0), var, rtol=0.25)
    factors = informed.factors(belief, informed.known(h, p))
    np.testing.assert_allclose(moments.of_pairs(factors, few)[0], mean)


def test_side_information_is_put_on_a_standard_scale():
    side = np.random.default_rng(0).normal(3.0, 5.0, size=(50, 3)).astype(np.float32)
    side[:, 1] = 7.0
    h = np.asarray(informed.known(side, 50))
    np.testing.assert_allclose(h.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(h.std(0), [1, 0, 1], atol=1e-5)
    assert informed.known(None, 5).shape == (5, 0)
