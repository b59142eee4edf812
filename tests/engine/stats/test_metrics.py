import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

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


@pytest.mark.parametrize("levels", [2, 7, 40, None])
def test_ranking_metrics_agree_with_scikit_learn_under_ties(levels):
    rng = np.random.default_rng(3)
    score = rng.normal(size=300)
    if levels:
        score = np.round(score * levels / 4)
    for label in (rng.random(300) < 0.1, score + rng.normal(size=300) > 1, np.arange(300) == 7):
        expected = sklearn_metrics.roc_auc_score(label, score)
        assert metrics.auroc(score, label) == pytest.approx(expected, abs=1e-12)
        expected = sklearn_metrics.average_precision_score(label, score)
        assert metrics.average_precision(score, label) == pytest.approx(expected, abs=1e-12)


def test_ranking_metrics_by_hand():
    score, label = np.array([3.0, 2.0, 2.0, 1.0]), np.array([True, True, False, False])
    assert metrics.auroc(score, label) == 3.5 / 4
    # the tie enters whole: recall 1/2 at precision 1, then 1/2 more at precision 2/3
    assert metrics.average_precision(score, label) == pytest.approx(0.5 + 0.5 * 2 / 3)
    # as good as a coin where all scores are equal
    assert metrics.auroc(np.zeros(4), label) == 0.5
    assert metrics.average_precision(np.zeros(4), label) == 0.5


def test_auroc_sees_order_only_and_turns_round_with_the_sign():
    rng = np.random.default_rng(4)
    score, label = np.round(rng.normal(size=500), 1), rng.random(500) < 0.2
    value = metrics.auroc(score, label)
    assert metrics.auroc(np.exp(score), label) == value
    assert metrics.auroc(-score, label) == pytest.approx(1 - value, abs=1e-12)
    assert metrics.auroc(score.astype(np.float32), label) == value


def test_ranking_metrics_are_nan_without_both_classes():
    score = np.arange(5.0)
    none, every = np.zeros(5, bool), np.ones(5, bool)
    assert np.isnan(metrics.auroc(score, none)) and np.isnan(metrics.auroc(score, every))
    assert np.isnan(metrics.average_precision(score, none))
    assert metrics.average_precision(score, every) == 1.0
    score[2] = np.nan
    some = np.arange(5) < 2
    assert np.isnan(metrics.auroc(score, some)) and np.isnan(metrics.average_precision(score, some))


def test_sign_test_counts_pairs_and_leaves_ties_out():
    first, second = np.array([0.3, 0.5, 0.2, 0.9, 0.4]), np.array([0.1, 0.5, 0.3, 0.1, 0.2])
    found = metrics.sign_test(first, second)
    assert found[:3] == (3, 1, 1)
    # two-sided: 3 or 4, and 0 or 1, of four fair tosses
    assert found.p == pytest.approx(2 * (4 + 1) / 2**4)
    assert metrics.sign_test(second, first) == (1, 3, 1, found.p)
    assert metrics.sign_test(first, first) == (0, 0, 5, 1.0)
