"""The default belief: no leak, symmetry, moments against draws, calibration, compilation."""

from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import spearmanr

from epistax.engine.pairs import Pairs, upper
from epistax.engine.posterior import ame as module
from epistax.engine.posterior.ame import AME, ame, scale
from epistax.engine.screen import Measured, gather

P = 40
PAIRS = upper(P)
Q = len(PAIRS.i)
LENGTH = 600
KNOWN = np.random.default_rng(7).permutation(Q)[:400]
OPEN = np.setdiff1d(np.arange(Q), KNOWN)
SINGLES = jnp.asarray(np.random.default_rng(2).uniform(-0.6, 0.0, P), jnp.float32)
ALL = Pairs(jnp.asarray(PAIRS.i), jnp.asarray(PAIRS.j))


@lru_cache
def truth(rank: int = 2) -> np.ndarray:
    """Additive and rank-2 effects, and noise whose scale differs between genes."""
    r = np.random.default_rng(3)
    u, a = r.normal(size=(P, rank)), 0.4 * r.normal(size=P)
    h = np.exp(0.4 * r.normal(size=P))
    i, j = PAIRS
    mean = a[i] + a[j] + (u[i] * np.resize([1.0, -1.0], rank) * u[j]).sum(1)
    return (0.1 * (mean + 0.5 * np.sqrt(h[i] * h[j]) * r.normal(size=Q))).astype(np.float32)


def table(score: np.ndarray, known: np.ndarray = KNOWN) -> Measured:
    return gather(PAIRS, score, np.zeros(Q, np.float32), known, length=LENGTH)


def build(reward: str = "score", singles: jax.Array | None = None, rank: int | None = None):
    return ame(AME(rank=rank), p=P, reward=reward, singles=singles)


@lru_cache
def fitted(reward: str = "score"):
    posterior = build(reward, SINGLES if reward == "interaction" else None)
    return posterior, posterior.fit(jax.random.key(0), None, table(truth()))[0]


@lru_cache
def drawer(posterior):
    return jax.jit(jax.vmap(posterior.sample, (0, None, None)))


def draw(posterior, belief, seed: int) -> np.ndarray:
    return np.asarray(drawer(posterior)(jax.random.split(jax.random.key(seed), 400), belief, ALL))


@pytest.mark.parametrize("reward", ["score", "interaction"])
def test_values_of_unmeasured_pairs_and_of_padding_do_not_matter(reward):
    posterior, belief = fitted(reward)
    poisoned = np.where(np.isin(np.arange(Q), KNOWN), truth(), np.nan)
    measured = table(poisoned)
    measured = measured._replace(score=jnp.where(measured.mask, measured.score, jnp.nan))
    again, _ = posterior.fit(jax.random.key(0), None, measured)
    assert np.isfinite(again.mean).all()
    np.testing.assert_array_equal(again.mean, belief.mean)


def test_same_key_same_belief_and_draw_and_another_key_others():
    posterior, belief = fitted()
    again, _ = posterior.fit(jax.random.key(0), None, table(truth()))
    other, _ = posterior.fit(jax.random.key(1), None, table(truth()))
    np.testing.assert_array_equal(again.mean, belief.mean)
    assert not np.array_equal(other.mean, belief.mean)
    one, two, three = (draw(posterior, belief, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, three)


def test_relabelled_genes_permute_the_predictions_up_to_monte_carlo_error():
    posterior, belief = fitted()
    label = np.random.default_rng(0).permutation(P).astype(np.int32)
    i, j = label[PAIRS.i], label[PAIRS.j]
    moved = Pairs(np.minimum(i, j), np.maximum(i, j))
    measured = gather(moved, truth(), np.zeros(Q, np.float32), KNOWN, length=LENGTH)
    other, _ = posterior.fit(jax.random.key(5), None, measured)
    here = posterior.moments(belief, ALL)[0][OPEN]
    there = posterior.moments(other, Pairs(*map(jnp.asarray, moved)))[0][OPEN]
    assert np.corrcoef(here, there)[0, 1] > 0.98
    assert np.abs(here - there).mean() < 0.03


@pytest.mark.parametrize("reward", ["score", "abs", "interaction"])
def test_moments_are_those_of_the_draws(reward):
    posterior, belief = fitted(reward)
    draws = draw(posterior, belief, 3)
    mean, var = (np.asarray(x) for x in posterior.moments(belief, ALL))
    # 400 draws: standard error of a mean at most .025, of an sd about 4 %
    assert np.abs(draws.mean(0) - mean).max() < 0.12
    assert abs((draws.mean(0) - mean).mean()) < 0.01
    ratio = draws.std(0)[OPEN] / np.sqrt(var[OPEN])
    assert 0.95 < np.median(ratio) < 1.05


def test_draws_share_the_uncertainty_of_a_gene():
    # gene 0 is measured with nobody: what is unknown about it is common to all of its pairs
    posterior, _ = fitted()
    known = KNOWN[PAIRS.i[KNOWN] != 0]
    belief, _ = posterior.fit(jax.random.key(0), None, table(truth(), known))
    draws = draw(posterior, belief, 4)
    logit = np.log(draws / (1 - draws))
    hub = np.abs(np.corrcoef(logit[:, np.flatnonzero(PAIRS.i == 0)].T))
    rest = np.abs(np.corrcoef(logit[:, OPEN[PAIRS.i[OPEN] != 0][:39]].T))
    off = ~np.eye(39, dtype=bool)
    assert hub[off].mean() > 2 * rest[off].mean()


def test_a_measured_pair_has_its_measured_reward():
    posterior, belief = fitted("abs")
    mean, var = posterior.moments(belief, ALL)
    np.testing.assert_allclose(mean[KNOWN], scale(belief, np.abs(truth()))[KNOWN], atol=1e-3)
    assert np.asarray(var[KNOWN]).max() < 1e-5 < np.asarray(var[OPEN]).min()


def test_squared_lengths_are_modelled_on_their_logarithm():
    # a product of gene factors: measured pairs keep their reward, the unmeasured are predicted
    rng = np.random.default_rng(5)
    u = rng.exponential(size=P) ** 2
    value = (u[PAIRS.i] * u[PAIRS.j]).astype(np.float32)
    posterior = ame(AME(), p=P, reward="score", singles=None)
    belief, _ = posterior.fit(jax.random.key(0), None, table(value, KNOWN))
    assert bool(belief.tail.long)
    mean, var = posterior.moments(belief, ALL)
    np.testing.assert_allclose(mean[KNOWN], scale(belief, value)[KNOWN], atol=2e-3)
    assert np.asarray(var[KNOWN]).max() < 1e-5
    ranks = spearmanr(np.asarray(mean)[OPEN], value[OPEN]).statistic
    assert ranks > 0.9
    draws = draw(posterior, belief, 6)
    low, high = np.quantile(draws, [0.05, 0.95], axis=0)
    inside = np.asarray(scale(belief, value))
    assert 0.8 < ((low <= inside) & (inside <= high))[OPEN].mean()


@pytest.mark.parametrize("reward", ["score", "abs"])
def test_ninety_percent_intervals_cover_unmeasured_rewards(reward):
    posterior, belief = fitted(reward)
    draws = draw(posterior, belief, 6)
    low, high = np.quantile(draws, [0.05, 0.95], axis=0)
    value = np.asarray(scale(belief, truth() if reward == "score" else np.abs(truth())))
    covered = ((low <= value) & (value <= high))[OPEN].mean()
    assert 0.8 < covered < 0.97


def test_finds_what_an_additive_model_cannot():
    posterior, belief = fitted()
    mean = np.asarray(posterior.moments(belief, ALL)[0])[OPEN]
    x = np.zeros((Q, P))
    x[np.arange(Q), PAIRS.i] = x[np.arange(Q), PAIRS.j] = 1.0
    additive = (x @ np.linalg.lstsq(x[KNOWN], truth()[KNOWN], rcond=None)[0])[OPEN]
    value = truth()[OPEN]
    assert spearmanr(mean, value).statistic > spearmanr(additive, value).statistic + 0.1


def test_genes_with_noisy_pairs_are_thought_likelier_to_hold_extreme_ones():
    rng = np.random.default_rng(1)
    loud = (PAIRS.i < 10).astype(float) + (PAIRS.j < 10)
    score = (0.1 * 2.0**loud * rng.normal(size=Q)).astype(np.float32)
    posterior, _ = fitted("abs")
    belief, _ = posterior.fit(jax.random.key(0), None, table(score))
    # one loud member doubles the sd: h is 4 times that of the others, pulled towards 1
    h = np.asarray(belief.chains.spread).mean(0)
    assert 1.6 < h[:10].mean() / h[10:].mean() < 5
    mean = np.asarray(posterior.moments(belief, ALL)[0])[OPEN]
    assert mean[loud[OPEN] == 2].mean() > 1.5 * mean[loud[OPEN] == 0].mean()


def test_expectation_of_a_sample_biased_to_high_scores_is_completed_by_the_model():
    # rewards of the truth use all pairs; a regression on the high scores alone is far off
    si, sj = np.asarray(SINGLES)[PAIRS.i], np.asarray(SINGLES)[PAIRS.j]
    score = truth() + 0.9 * (si + sj) - 0.5 * si * sj
    noisy = score + 0.05 * np.random.default_rng(0).normal(size=Q)
    biased = np.argsort(-noisy)[:400]
    design = np.stack([np.ones(Q), si + sj, si * sj], 1)
    exact = score - design @ np.linalg.lstsq(design, score, rcond=None)[0]
    alone = score - design @ np.linalg.lstsq(design[biased], score[biased], rcond=None)[0]
    posterior, _ = fitted("interaction")
    belief, _ = posterior.fit(jax.random.key(0), None, table(score.astype(np.float32), biased))
    f = np.asarray(posterior.moments(belief, ALL)[0])[biased].clip(1e-6, 1 - 1e-6)
    reward = belief.cut + belief.width * np.log(f / (1 - f))
    ours, theirs = (
        np.abs(r - np.abs(exact)[biased]).mean() for r in (reward, np.abs(alone)[biased])
    )
    assert ours < 0.7 * theirs


def test_a_large_standard_error_weakens_a_measurement():
    posterior, belief = fitted()
    measured = table(truth())
    vague = measured._replace(se=0.5 * measured.mask.astype(jnp.float32))
    other, _ = posterior.fit(jax.random.key(0), None, vague)
    exact, weak = (np.asarray(posterior.moments(b, ALL)[0])[OPEN].std() for b in (belief, other))
    assert weak < 0.7 * exact


def test_side_information_tells_what_no_measured_pair_holds():
    """Half of the genes are in no measured pair: nothing but side says how they act."""
    r = np.random.default_rng(5)
    side = r.normal(size=(P, 6)).astype(np.float32)
    u = side[:, :2] + 0.2 * r.normal(size=(P, 2))
    i, j = PAIRS
    score = ((u[i] * u[j]) @ np.array([1.0, -1.0]) + 0.1 * r.normal(size=Q)).astype(np.float32)
    seen = np.flatnonzero((i < P // 2) & (j < P // 2))
    rest = np.flatnonzero((i >= P // 2) & (j >= P // 2))

    def agreement(side):
        posterior = ame(AME(), p=P, reward="score", singles=None, side=side)
        belief, _ = posterior.fit(jax.random.key(0), None, table(score, seen))
        mean, _ = posterior.moments(belief, Pairs(*(x[rest] for x in ALL)))
        return spearmanr(mean, score[rest]).statistic

    assert agreement(side) > 0.8 and abs(agreement(None)) < 0.3


def test_rounds_share_one_compilation():
    posterior, _ = fitted()
    belief, _ = posterior.fit(jax.random.key(0), None, table(truth(), KNOWN[:100]))
    before = module._fit._cache_size()
    for n in (200, 300, 400):
        belief, _ = posterior.fit(jax.random.key(n), belief, table(truth(), KNOWN[:n]))
    assert module._fit._cache_size() == before


def test_refuses_an_interaction_without_singles():
    with pytest.raises(ValueError, match="singles"):
        build("interaction")
