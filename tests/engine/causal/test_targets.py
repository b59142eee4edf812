import numpy as np
import pytest

from epistax.engine.causal import targets


def encoded(order, scale, noise=0.0, extra=0):
    rng = np.random.default_rng(2)
    truth = rng.normal(size=(500, 4))
    found = truth[:, order] * scale + noise * rng.normal(size=(500, len(order)))
    return truth, np.concatenate([found, rng.normal(size=(500, extra))], axis=1)


def test_a_permuted_flipped_and_scaled_truth_is_recovered():
    order, scale = [2, 0, 3, 1], np.array([1.0, -3.0, 0.2, -1.0])
    truth, found = encoded(order, scale)
    match = targets.matched(found + 7, truth)
    assert match.latent.tolist() == [1, 3, 0, 2] and match.mcc == pytest.approx(1)
    shift = np.zeros((5, 4))
    shift[np.arange(5), [0, 1, 2, 3, 0]] = [3, -4, 2, -1, -9]
    assert targets.named(shift, match).tolist() == [2, 0, 3, 1, 2]


def test_more_latents_than_true_ones_and_fewer():
    truth, found = encoded([2, 0, 3, 1], np.ones(4), noise=0.5, extra=3)
    match = targets.matched(found, truth)
    assert match.latent.tolist() == [1, 3, 0, 2]
    size = [abs(np.corrcoef(found[:, k], truth[:, j])[0, 1]) for j, k in enumerate(match.latent)]
    np.testing.assert_allclose(match.correlation, size, rtol=1e-9)
    shift = np.zeros((2, 7))
    shift[0, 5], shift[1, 0] = -4, 1
    assert targets.named(shift, match).tolist() == [targets.NOBODY, 2]
    fewer = targets.matched(found[:, :2], truth)
    assert fewer.latent.tolist() == [1, targets.NOBODY, 0, targets.NOBODY]
    assert fewer.mcc == pytest.approx((match.correlation[0] + match.correlation[2]) / 4)
    assert targets.named(np.array([[0.0, 2.0]]), fewer).tolist() == [0]


def test_the_matching_is_of_the_largest_total():
    # both latents are nearest to the first truth; together they do best with one each
    truth, found = encoded([0, 0], np.ones(2))
    found[:, 1] += 0.6 * truth[:, 1]
    assert targets.matched(found, truth[:, :2]).latent.tolist() == [0, 1]


def test_a_latent_that_says_nothing_correlates_with_nothing():
    truth, found = encoded([0, 1, 2, 3], np.ones(4))
    found[:, 2] = 4.0
    match = targets.matched(found.astype(np.float32), truth)
    assert np.isfinite(match.correlation).all() and match.correlation[2] == 0
    assert match.mcc == pytest.approx(0.75)


def test_scores_by_hand():
    true = np.array([0, 0, 1, 1, 2])
    said = np.array([0, 1, 1, 1, targets.NOBODY])
    made = targets.scores(said, true)
    # F1 of 0: 2/3; of 1: 4/5; of 2: 0
    assert made.f1 == pytest.approx((2 / 3 + 4 / 5 + 0) / 3) and made.accuracy == 0.6
    assert targets.scores(true, true) == (1, 1)
