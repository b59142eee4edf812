"""Models of effects as beliefs over rewards of pairs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from epistax.engine import beliefs, rounds
from epistax.engine.effectbelief import EffectBelief, effect_belief
from epistax.engine.pairs import Pairs, upper
from epistax.engine.policy.catalogue import Settings, policy
from epistax.engine.screen import gather

P = 20
KEY = jax.random.key(0)


def world(seed=0):
    rng = np.random.default_rng(seed)
    pairs = upper(P)
    s, a = rng.uniform(-1, 0, P), 0.4 * rng.normal(size=P)
    true = 0.8 * (s[pairs.i] + s[pairs.j]) + a[pairs.i] + a[pairs.j]
    return pairs, s, (true + 0.05 * rng.normal(size=len(true))).astype(np.float32)


def fitted(model, reward="score", n=120):
    pairs, s, y = world()
    posterior = effect_belief(EffectBelief(model, members=3), p=P, reward=reward, singles=s)
    chosen = np.random.default_rng(1).permutation(len(y))[:n]
    table = gather(pairs, y, np.zeros_like(y), chosen, length=150)
    belief, _ = posterior.fit(KEY, None, table)
    return posterior, belief, Pairs(*map(jnp.asarray, pairs)), y, chosen


@pytest.fixture(scope="module")
def mixed():
    return fitted("mixed")


def test_rewards_of_unmeasured_pairs_are_ranked(mixed):
    posterior, belief, pairs, y, chosen = mixed
    mean = np.asarray(posterior.moments(belief, pairs)[0])
    rest = np.setdiff1d(np.arange(len(y)), chosen)
    assert (
        np.corrcoef(np.argsort(np.argsort(mean[rest])), np.argsort(np.argsort(y[rest])))[0, 1] > 0.8
    )


def test_moments_are_those_of_the_draws_and_stand_at_their_pair(mixed):
    posterior, belief, pairs, _, _ = mixed
    mean, var = posterior.moments(belief, pairs)
    np.testing.assert_allclose(mean, belief.draws.mean(0), rtol=1e-5)
    np.testing.assert_allclose(var, belief.draws.var(0), rtol=1e-4, atol=1e-7)
    some = np.array([7, 0, 150, 44])
    part = Pairs(pairs.i[some], pairs.j[some])
    np.testing.assert_array_equal(posterior.moments(belief, part)[0], mean[some])
    draw = jax.jit(posterior.sample)(jax.random.key(3), belief, pairs)
    assert (np.asarray(belief.draws) == np.asarray(draw)[None]).all(1).any()


def test_rewards_are_told_in_the_units_of_the_scores(mixed):
    posterior, belief, pairs, y, chosen = mixed
    table = gather(world()[0], y, np.zeros_like(y), chosen, length=150)
    mean, sd = (np.asarray(x) for x in posterior.expected(belief, table, pairs))
    rest = np.setdiff1d(np.arange(len(y)), chosen)
    error = np.abs(mean - y)[rest]
    assert error.mean() < 0.3 * y.std() and np.mean(error < 1.645 * sd[rest]) > 0.75
    # f is undone draw by draw
    again = jax.nn.sigmoid((mean - belief.cut) / belief.width)
    assert np.corrcoef(again, posterior.moments(belief, pairs)[0])[0, 1] > 0.95


def test_a_reward_that_is_a_size_or_a_departure_is_told_as_such():
    posterior, belief, pairs, y, _ = fitted("mixed", "abs")
    mean = np.asarray(posterior.moments(belief, pairs)[0])
    assert np.corrcoef(mean, np.abs(y))[0, 1] > 0.7
    posterior, belief, pairs, y, _ = fitted("mixed", "interaction")
    s = world()[1]
    x = np.stack([np.ones(len(y)), s[pairs.i] + s[pairs.j], s[pairs.i] * s[pairs.j]], 1)
    departure = np.abs(y - x @ np.linalg.lstsq(x, y)[0])
    mean = np.asarray(posterior.moments(belief, pairs)[0])
    assert np.corrcoef(mean, departure)[0, 1] > 0.5


@pytest.mark.slow
def test_an_ensemble_of_networks_is_a_belief_too():
    posterior, belief, pairs, y, chosen = fitted("naiad-symmetric")
    mean, var = posterior.moments(belief, pairs)
    rest = np.setdiff1d(np.arange(len(y)), chosen)
    assert np.corrcoef(np.asarray(mean)[rest], y[rest])[0, 1] > 0.6
    assert (np.asarray(var) > 0).all()


@pytest.mark.parametrize("name", ["ids", "ucb", "ts"])
def test_policies_choose_by_it(mixed, name):
    posterior, belief, pairs, y, chosen = mixed
    open = np.ones(len(y), bool)
    open[chosen] = False
    rule = policy(name, Settings(batch=8, draws=32), p=P)
    picked, _ = rounds.choose(KEY, posterior, rule, belief, pairs, open, 8)
    assert open[picked].all() and len(set(picked.tolist())) == 8
    assert y[picked].mean() > y[open].mean()


def test_without_all_single_effects_it_is_refused():
    with pytest.raises(ValueError, match="single effects of all 20 genes"):
        effect_belief(EffectBelief("mixed"), p=P, reward="score", singles=None)


def test_every_name_makes_settings():
    for name in beliefs.NAMES:
        config = beliefs.settings(name, p=P)
        assert isinstance(config, EffectBelief) == (name in beliefs.EFFECTS)
        assert type(beliefs.of_rank(config, 2)) is type(config)
