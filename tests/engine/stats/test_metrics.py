import numpy as np
import pytest

from epistax.engine.stats import metrics


def test_top_is_a_ceiling_and_breaks_ties_by_position():
    reward = np.zeros(1225)
    assert metrics.top(reward, 0.05).sum() == 62  # ceil(61.25), as the papers' 62 of 1225
    assert metrics.top(np.arange(20.0), 0.1).nonzero()[0].tolist() == [18, 19]
    assert metrics.top(np.zeros(10), 0.2).nonzero()[0].tolist() == [0, 1]


def test_oracle_has_no_regret_and_finds_all_at_once():
    # A24
    reward = np.random.default_rng(0).normal(size=100)
    order = np.argsort(-reward)
    rounds = [order[k : k + 10] for k in range(0, 50, 10)]
    np.testing.assert_allclose(metrics.regret(reward, rounds), 0, atol=1e-12)
    measured = np.zeros(100, bool)
    measured[order[:10]] = True
    assert metrics.recall(measured, metrics.top(reward, 0.1)) == 1.0


def test_regret_by_hand_with_an_uneven_last_batch():
    reward = np.array([5.0, 1.0, 4.0, 2.0, 3.0])
    found = metrics.regret(reward, [np.array([1, 0]), np.array([3, 4]), np.array([2])])
    # oracle takes 5+4, 3+2, 1; chosen were 1+5, 2+3, 4
    np.testing.assert_allclose(found, [3, 0, -3])


def test_random_recall_is_the_share_measured():
    # A24: within three standard errors
    rng = np.random.default_rng(1)
    wanted = metrics.top(rng.normal(size=2000), 0.05)
    found = []
    for _ in range(400):
        measured = np.zeros(2000, bool)
        measured[rng.choice(2000, 600, replace=False)] = True
        found.append(metrics.recall(measured, wanted))
    assert abs(np.mean(found) - 0.3) < 3 * np.std(found) / np.sqrt(400)


def test_area_of_the_diagonal_is_a_half_and_of_the_oracle_more():
    n = np.arange(10, 101, 10)
    assert metrics.area(n, n / 100, 100) == pytest.approx(0.5)
    assert metrics.area(n, np.ones(10), 100) == pytest.approx(0.95)


def test_known_counts_against_the_hypergeometric():
    relation = np.arange(1000) < 100
    measured = np.arange(1000) % 4 == 0
    found = metrics.known(measured, relation)
    assert (found.found, found.total, found.expected) == (25, 100, 25.0)
    rng = np.random.default_rng(2)
    chance = [relation[rng.choice(1000, 250, replace=False)].sum() for _ in range(2000)]
    inside = np.mean([found.low <= c <= found.high for c in chance])
    assert 0.94 < inside < 0.985
    everything = metrics.known(np.ones(1000, bool), relation)
    assert (everything.low, everything.high) == (100, 100)
