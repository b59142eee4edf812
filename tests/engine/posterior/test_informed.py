"""The belief from few pairs: side information, held-out calibration, warm starts, draws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from epistax.engine import reward
from epistax.engine.pairs import Pairs, count, unrank, upper
from epistax.engine.posterior import heldout, informed, moments
from epistax.engine.posterior.informed import MAIN, Informed
from epistax.engine.screen import Measured

R = 3
QUICK = Informed(ranks=(R,), steps=30)


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


@pytest.mark.slow
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
    state = jax.tree.map(lambda x: x[MAIN], belief.states)
    mean = state.mean[60:] - state.slope[:1]
    np.testing.assert_allclose(mean, 0.0, atol=1e-5)
    var, prior = heldout.variances(state, informed.known(None, p))
    np.testing.assert_allclose(var[60:], prior[60:], rtol=1e-4)
    live = np.asarray(prior[0]) > 0.1
    assert live.sum() >= 2 and (np.asarray(var[:60]) < 0.5 * np.asarray(prior[:60]))[:, live].all()


def screen(p, q, seed, noise=0.5):
    """Gene effects and four components of both signs, measured with known errors."""
    rng = np.random.default_rng(seed)
    u, a = rng.normal(size=(p, 4)), 0.5 * rng.normal(size=p)
    pairs = unrank(rng.choice(count(p), min(q + 5000, count(p)), replace=False), p)
    truth = a[pairs.i] + a[pairs.j] + (u[pairs.i] * u[pairs.j]) @ np.array([0.5, -0.5, 0.5, -0.5])
    score = truth + noise * rng.normal(size=len(truth))
    here = Pairs(*(jnp.asarray(x[:q]) for x in pairs))
    table = Measured(here, jnp.asarray(score[:q], "f4"), jnp.full(q, noise, jnp.float32),
                     jnp.ones(q, bool))  # fmt: skip
    return table, Pairs(*(x[q:] for x in pairs)), truth[q:]


@pytest.mark.slow
@pytest.mark.parametrize("errors", ["known", "unknown"])
def test_nine_tenths_of_unmeasured_pairs_are_in_their_intervals(errors):
    """Within four standard errors of what 2,000 held-out pairs can teach."""
    inside, plain = [], []
    for seed in range(2):
        measured, rest, truth = screen(200, 2000, seed)
        if errors == "unknown":
            measured = measured._replace(se=0 * measured.se)
        posterior, belief, info = fitted(200, measured, None, Informed(ranks=(6,)))
        mean, sd = predicted(posterior, belief, rest)
        y = np.asarray(reward.levelled(jnp.asarray(truth, "f4"), belief.scale))
        inside.append((np.abs(y - mean) < 1.645 * sd).mean())
        state = jax.tree.map(lambda x: x[MAIN], belief.states)
        narrow = heldout.spread(state, informed.known(None, 200), jnp.float32(1.0))
        sd = np.sqrt(moments.of_pairs(narrow, Pairs(*map(jnp.asarray, rest)))[1])
        plain.append((np.abs(y - mean) < 1.645 * sd).mean())
        assert float(info["kappa"]) > 1
    assert 0.87 < np.mean(inside) < 0.935 and np.mean(plain) < np.mean(inside) - 0.03


def test_the_same_pairs_are_held_out_whatever_else_is_measured():
    pairs = upper(400)
    part = np.asarray(heldout.fold(pairs))
    assert np.abs(np.bincount(part) / len(part) - 0.1).max() < 0.005
    order = np.random.default_rng(0).permutation(len(part))[:500]
    again = heldout.fold(Pairs(pairs.i[order], pairs.j[order]))
    np.testing.assert_array_equal(again, part[order])
    held = part == 0
    count = np.bincount(pairs.i[held], minlength=400) + np.bincount(pairs.j[held], minlength=400)
    assert abs(count.var() / (399 * 0.09) - 1) < 0.3  # spread over the perturbations by chance


def test_shadows_never_see_what_is_held_out(learned):
    p, _, measured, _, _ = learned
    data = informed.observed(measured, "score", None, informed.known(None, p))
    keeps = heldout.shown(data, 2)
    other = data._replace(value=jnp.where(keeps[1], data.value, data.value + 5))
    one, two = (informed.moved(jax.random.key(0), None, d, keeps, QUICK, R) for d in (data, other))
    differ = jax.tree.map(lambda a, b: jnp.abs(a - b).max(tuple(range(1, a.ndim))), one, two)
    assert all(x[1] == 0 for x in jax.tree.leaves(differ))
    assert min(max(float(x[n]) for x in jax.tree.leaves(differ)) for n in (MAIN, 2)) > 0.01
    assert (np.asarray(keeps[MAIN]) == np.asarray(data.keep)).all()
    assert not (np.asarray(~keeps[1] & ~keeps[2]) & np.asarray(data.keep)).any()


def test_few_pairs_leave_the_usual_factor():
    measured, _, _ = screen(60, 100, 0)
    few = measured._replace(mask=jnp.arange(100) < 20)
    _, belief, info = fitted(60, few, None)
    assert float(belief.kappa) == heldout.KAPPAS[heldout.USUAL] and bool(info["finite"])


def test_a_warm_start_keeps_what_was_learned(learned):
    p, h, measured, pairs, truth = learned
    posterior, belief, cold = fitted(p, measured, h)
    _, again, warm = fitted(p, measured, h, belief=belief, key=1)
    assert float(warm["held_out"]) > float(cold["held_out"]) - 0.1
    first, second = (predicted(posterior, b, pairs)[0] for b in (belief, again))
    assert np.corrcoef(first, second)[0, 1] > 0.99


def test_a_fit_starts_anew_when_the_measured_have_doubled(learned):
    p, h, measured, _, _ = learned
    third = measured._replace(mask=jnp.arange(700) < 230)
    _, belief, _ = fitted(p, third, h)
    _, grown, _ = fitted(p, measured, h, belief=belief)
    assert int(belief.born) == 230 and int(grown.born) == 700
    _, kept, _ = fitted(p, measured._replace(mask=jnp.arange(700) < 400), h, belief=belief)
    assert int(kept.born) == 230


@pytest.mark.slow
def test_larger_ranks_are_tried_while_no_component_is_idle():
    measured, rest, truth = screen(100, 2500, 0, noise=0.2)
    ranks = {}
    for tried in ((2, 4), (2, 4, 8), (6, 12)):
        *_, info = fitted(100, measured, None, Informed(ranks=tried, steps=30))
        ranks[tried] = info["rank"], float(info["held_out"])
    assert ranks[2, 4][0] == 4 and ranks[2, 4, 8][0] in (4, 8) and ranks[6, 12][0] == 6
    one = fitted(100, measured, None, Informed(ranks=(2,), steps=30))[2]
    assert ranks[2, 4][1] > float(one["held_out"])


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
    np.testing.assert_allclose(h[:, 1:].mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(h[:, 1:].std(0), [1, 0, 1], atol=1e-5)
    np.testing.assert_array_equal(h[:, 0], 1.0)
    np.testing.assert_array_equal(informed.known(None, 5), np.ones((5, 1)))
