import jax
import jax.numpy as jnp
import numpy as np
import pytest

from epistax.engine import rounds
from epistax.engine.pairs import upper
from epistax.engine.policy.catalogue import Settings, policy
from epistax.engine.posterior.gibbs import Gibbs, gibbs
from epistax.engine.posterior.ignorant import IGNORANT
from epistax.engine.stats import metrics

P = 30
PAIRS = upper(P)
Q = len(PAIRS.i)


def toy(seed):
    """The spec's toy: 30 genes, the root of a positive rank-3 matrix, 6 strong sparse pairs."""
    rng = np.random.default_rng(seed)
    u, s = rng.normal(size=(P, 3)), np.abs(rng.normal(size=3)) + 0.3
    y = np.sqrt(((u**2 * s) @ (u**2).T)[PAIRS.i, PAIRS.j])
    y[rng.choice(Q, 6, replace=False)] += 3 * y.std()
    return y.astype(np.float32)


def play(y, name, seed, posterior=IGNORANT, *, batch=8, turns=11, draws=200, first=None):
    rule = policy(name, Settings(batch=batch, draws=draws), p=P)
    key = jax.random.key(seed)
    if first is None:
        first = np.asarray(rounds.shared_first(key, len(y), batch))
    return list(
        rounds.campaign(
            key,
            posterior,
            rule,
            PAIRS,
            lambda chosen: (y[chosen], np.zeros(len(chosen), np.float32)),
            batch=batch,
            rounds=turns,
            first=first,
        )
    )


def recall(y, history):
    measured = np.zeros(len(y), bool)
    for played in history:
        assert not measured[played.chosen].any()  # nothing is measured twice
        measured[played.chosen] = True
    return metrics.recall(measured, metrics.top(y, 0.05))


@pytest.fixture(scope="module")
def reference():
    return gibbs(Gibbs(rank=3, chains=200), p=P, reward="score")


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [4, 10])
def test_directed_sampling_beats_chance_on_the_toy(reference, seeds):
    # A25: 12 rounds of 8 of 435 pairs, 10 seeds: at least .3 above random
    worlds = [toy(seed) for seed in range(seeds)]
    found = [recall(y, play(y, "ids", n, reference)) for n, y in enumerate(worlds)]
    chance = [recall(y, play(y, "random", n)) for n, y in enumerate(worlds)]
    assert np.mean(found) >= np.mean(chance) + 0.3
    assert np.mean(chance) == pytest.approx(96 / 435, abs=0.08)


def test_scores_never_measured_cannot_matter(reference):
    y = toy(3)
    history = play(y, "ids", 0, reference, turns=3)
    seen = np.concatenate([played.chosen for played in history])
    poisoned = np.full_like(y, np.nan)
    poisoned[seen] = y[seen]
    again = play(poisoned, "ids", 0, reference, turns=3)
    for one, two in zip(history, again, strict=True):
        np.testing.assert_array_equal(one.chosen, two.chosen)


def test_only_the_chosen_are_asked_for():
    asked = []

    def measure(chosen):
        asked.append(np.array(chosen))
        return np.zeros(len(chosen), np.float32), np.zeros(len(chosen), np.float32)

    rule = policy("random", Settings(batch=5), p=P)
    first = np.arange(5)
    history = list(
        rounds.campaign(
            jax.random.key(0), IGNORANT, rule, PAIRS, measure, batch=5, rounds=3, first=first
        )
    )
    for one, two in zip(asked, history, strict=True):
        np.testing.assert_array_equal(one, two.chosen)


def test_pairs_that_run_out_end_the_run():
    y = toy(0)
    history = play(y, "random", 1, batch=100, turns=50)
    assert [len(played.chosen) for played in history] == [100, 100, 100, 100, 35]
    assert len(set(np.concatenate([played.chosen for played in history]).tolist())) == Q


def test_same_seed_same_choices_and_another_seed_others(reference):
    y = toy(1)
    runs = [play(y, "ids", seed, reference, turns=3) for seed in (0, 0, 1)]
    chosen = [np.concatenate([played.chosen for played in run]) for run in runs]
    np.testing.assert_array_equal(chosen[0], chosen[1])
    assert not np.array_equal(chosen[0], chosen[2])


def test_rounds_share_one_compilation(reference):
    y = toy(2)
    play(y, "ucb", 0, reference, turns=3)
    before = rounds._choose._cache_size()
    play(toy(4), "ucb", 5, reference, turns=3)
    assert rounds._choose._cache_size() == before


def test_first_batch_is_shared_and_distinct():
    first = rounds.shared_first(jax.random.key(7), Q, 50)
    assert len(set(np.asarray(first).tolist())) == 50
    np.testing.assert_array_equal(first, rounds.shared_first(jax.random.key(7), Q, 50))
    assert jnp.issubdtype(first.dtype, jnp.integer)
