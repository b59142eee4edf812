"""Rewards in the units of the scores, of every belief: what a person reads of a pair."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from epistax.engine import reward as rewards
from epistax.engine.pairs import upper
from epistax.engine.posterior.ame import AME, ame
from epistax.engine.posterior.gibbs import Gibbs, gibbs
from epistax.engine.posterior.ignorant import IGNORANT
from epistax.engine.posterior.informed import Informed, informed
from epistax.engine.posterior.lowrank import LowRank, lowrank
from epistax.engine.screen import gather

P, N = 14, 70
PAIRS = upper(P)
RNG = np.random.default_rng(0)
EFFECT = RNG.normal(size=P).astype(np.float32)
SIGNED = EFFECT[PAIRS.i] + EFFECT[PAIRS.j] + np.outer(EFFECT, EFFECT)[PAIRS.i, PAIRS.j]
ORDER = RNG.permutation(len(PAIRS.i))
SHOWN, REST = ORDER[:N], ORDER[N:]
KEY = jax.random.key(0)
LATENT = LowRank(rank=2, steps=600, restarts=2)
MADE = {
    "ame": lambda **how: ame(AME(rank=3, draws=32), **how),
    "lowrank": lambda **how: lowrank(LATENT, **how),
    "informed": lambda **how: informed(Informed(ranks=(2,)), **how),
    "gibbs": lambda **how: gibbs(Gibbs(rank=2, chains=40, effect_sd=1.0), **how),
}
# scores of both signs in units of their own, and squared lengths with a long tail
SCORES = {"signed": 40.0 * SIGNED, "squared": np.exp(SIGNED / 2)}


def fitted(name, score, reward="score", singles=None):
    score = np.asarray(score, np.float32)
    measured = gather(PAIRS, score, np.zeros_like(score), SHOWN, length=N + 6)
    belief = MADE[name](p=P, reward=reward, singles=singles)
    held, _ = belief.fit(KEY, None, measured)
    return belief, held, measured


def told(belief, held, measured):
    return tuple(np.asarray(x) for x in belief.expected(held, measured, PAIRS))


@pytest.mark.parametrize("kind", SCORES)
@pytest.mark.parametrize("name", MADE)
def test_unmeasured_scores_are_told_in_their_own_units(name, kind):
    score = SCORES[kind]
    mean, sd = told(*fitted(name, score))
    error = np.abs(mean - score)[REST]
    assert error.mean() < 0.3 * np.abs(score - np.median(score))[REST].mean()
    assert (sd > 0)[REST].all() and np.mean(error < 3 * sd[REST] + 0.05 * score.std()) > 0.85
    if kind == "squared":
        assert (mean > 0).all()


@pytest.mark.parametrize("name", MADE)
def test_other_units_give_the_same_in_those(name):
    one, other = (told(*fitted(name, unit * SIGNED)) for unit in (1.0, 250.0))
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(250 * a, b, rtol=0.02, atol=0.02 * 250)


@pytest.mark.parametrize("reward", ["abs", "interaction"])
@pytest.mark.parametrize("name", ["ame", "lowrank"])
def test_sizes_are_those_of_the_reward_sought(name, reward):
    belief, held, measured = fitted(name, SIGNED, reward, jnp.asarray(EFFECT))
    mean, _ = told(belief, held, measured)
    si, sj = (jnp.asarray(EFFECT)[v] for v in (PAIRS.i, PAIRS.j))
    true = np.asarray(rewards.reward(reward, SIGNED, np.isin(np.arange(len(si)), SHOWN), si, sj))
    assert (mean > 0).all()
    if reward == "abs":
        assert np.corrcoef(mean[REST], true[REST])[0, 1] > 0.8
        assert 0.6 < mean[REST].mean() / true[REST].mean() < 1.4
    else:  # singles say all that there is
        assert mean[SHOWN].max() < 0.2 * SIGNED.std()


def test_what_is_measured_is_known():
    for kind, score in SCORES.items():
        mean, sd = told(*fitted("ame", score))
        np.testing.assert_allclose(mean[SHOWN], score[SHOWN], rtol=2e-3, atol=1e-3)
        assert (sd[SHOWN] < 2e-3 * (1 + np.abs(score[SHOWN]))).all(), kind


@pytest.mark.parametrize("name", ["lowrank", "informed"])
def test_mean_and_sd_are_those_of_the_draws_taken_back(name):
    belief, held, measured = fitted(name, SCORES["squared"])
    keys = jax.random.split(jax.random.key(1), 4000)
    drawn = jax.vmap(lambda key: belief.sample(key, held, PAIRS))(keys)
    back = {"lowrank": rewards.unscaled, "informed": rewards.unlevelled}[name]
    value = np.asarray(back(drawn, held.scale, positive=False))
    mean, sd = told(belief, held, measured)
    np.testing.assert_allclose(mean, value.mean(0), rtol=0.05, atol=0.05)
    # draws of a product are not normal, which the moments are taken for
    np.testing.assert_allclose(np.median(sd / value.std(0)), 1, atol=0.1)


def test_maps_are_undone_and_normal_values_carried_exactly():
    value, mask = np.array([-3.0, -0.5, 0.0, 0.2, 9.0], np.float32), np.ones(5, bool)
    for positive in (False, True):
        seen = np.abs(value) if positive else value
        scale = rewards.scale(seen, mask, positive=positive)
        there = rewards.standardise(seen, scale, positive=positive)
        back = rewards.unscaled(there, scale, positive=positive)
        np.testing.assert_allclose(back, seen, atol=1e-5)
        level = rewards.level(seen, mask, positive=positive)
        back = rewards.unlevelled(rewards.levelled(seen, level), level, positive=positive)
        np.testing.assert_allclose(back, seen, atol=1e-5)
    mean, var = jnp.array([0.5, -1.0]), jnp.array([0.25, 0.04])
    middle, sd = rewards.carried(mean, var, jnp.exp)  # a lognormal has both in closed form
    np.testing.assert_allclose(middle, np.exp(mean + var / 2), rtol=1e-4)
    np.testing.assert_allclose(sd, middle * np.sqrt(np.exp(var) - 1), rtol=1e-2)


def test_who_knows_nothing_says_nothing():
    measured = gather(PAIRS, np.zeros(len(PAIRS.i), np.float32), np.zeros(len(PAIRS.i), np.float32),
                      SHOWN, length=N)  # fmt: skip
    assert all(np.isnan(x).all() for x in IGNORANT.expected((), measured, PAIRS))
