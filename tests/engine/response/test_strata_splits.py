"""Group moments, splits and DE genes against plain numpy and scipy."""

import numpy as np
import pytest
from scipy.stats import ttest_ind

from epistax.engine.response import differential, splits, strata, trivial
from epistax.engine.response.records import Cells

C, A, G, N = 3, 5, 30, 400


@pytest.fixture(scope="module")
def cells():
    rng = np.random.default_rng(0)
    arm, stratum = rng.integers(0, A, N), rng.integers(0, C, N)
    effect = rng.normal(size=(A, G))
    effect[0], effect[3] = 0, 3 * effect[3]
    y = effect[arm] + rng.normal(size=(C, G))[stratum] + rng.normal(size=(N, G))
    return Cells(y.astype(np.float32), arm, stratum)


@pytest.fixture(scope="module")
def groups(cells):
    return strata.grouped(cells, strata=C, arms=A)


def test_moments_are_those_of_numpy_in_blocks_too(cells, groups, monkeypatch):
    monkeypatch.setattr(strata, "BLOCK", 7 * G)
    again = strata.grouped(cells, strata=C, arms=A)
    for c in range(C):
        for a in range(A):
            own = cells.y[(cells.stratum == c) & (cells.arm == a)].astype(np.float64)
            assert groups.count[c, a] == again.count[c, a] == len(own)
            np.testing.assert_allclose(groups.mean[c, a], own.mean(0), atol=1e-12)
            np.testing.assert_allclose(groups.variance[c, a], own.var(0, ddof=1), atol=1e-12)
            np.testing.assert_allclose(again.variance[c, a], own.var(0, ddof=1), atol=1e-12)


def test_a_group_without_cells_is_nothing():
    cells = Cells(np.ones((2, 3), np.float32), np.array([0, 1]), np.array([0, 0]))
    found = strata.grouped(cells, strata=2, arms=2)
    assert found.count.tolist() == [[1, 1], [0, 0]]
    assert not found.mean[1].any() and not found.variance.any()


def test_distances_are_those_of_means_by_hand(cells, groups):
    label = np.array([0, 1, 1, 2, 3])  # two doses of one perturbation
    strata_used = np.array([True, False, True])
    far = splits.distances(groups, label, 4, strata_used)
    there = strata_used[cells.stratum]
    for p in range(4):
        own = label[cells.arm] == p
        one, other = (cells.y[there & which].astype(float).mean(0) for which in (own, ~own))
        assert far[p] == pytest.approx(np.linalg.norm(one - other))
    assert far.argmax() == 2  # the arm of threefold effect
    chosen = splits.hardest(far, np.array([False, True, True, True]), 1)
    assert chosen.tolist() == [False, False, True, False]
    assert splits.hardest(far, np.array([False, True, True, True]), 9).sum() == 3


def test_leak_free_distances_do_not_see_the_held_out_stratum(cells, groups):
    label, rng = np.arange(A), np.random.default_rng(1)
    used = np.array([False, True, True])
    moved = cells._replace(y=cells.y + np.where(cells.stratum == 0, 5.0, 0.0)[:, None]
                           * rng.normal(size=cells.y.shape))  # fmt: skip
    other = strata.grouped(moved._replace(y=moved.y.astype(np.float32)), strata=C, arms=A)
    far = [splits.distances(one, label, A, used) for one in (groups, other)]
    np.testing.assert_array_equal(*far)
    every = np.ones(C, bool)
    assert not np.allclose(*(splits.distances(one, label, A, every) for one in (groups, other)))


def test_a_split_is_a_partition_and_the_same_every_time(cells):
    held = np.zeros((C, A), bool)
    held[0, 3] = True
    found = splits.split(cells, held)
    assert np.array_equal(np.sort(np.concatenate(found[:3])), np.arange(N))
    inside = held[cells.stratum, cells.arm]
    assert np.array_equal(found.ood, np.flatnonzero(inside)) and len(found.ood)
    assert len(found.train) == round(0.8 * (~inside).sum())
    assert all(np.array_equal(x, y) for x, y in zip(found, splits.split(cells, held), strict=True))
    assert not np.array_equal(found.train, splits.split(cells, held, seed=1).train)


def test_welch_is_that_of_scipy(cells, groups):
    t = differential.welch(groups)
    for c, a in ((0, 1), (2, 4)):
        one, other = (
            cells.y[(cells.stratum == c) & (cells.arm == k)].astype(float) for k in (a, 0)
        )
        np.testing.assert_allclose(t[c, a], ttest_ind(one, other, equal_var=False)[0], rtol=1e-9)
    chosen = differential.strongest(t, 5)
    assert not chosen[:, 0].any() and (chosen[:, 1:].sum(2) == 5).all()
    assert np.abs(t[1, 2][chosen[1, 2]]).min() >= np.abs(t[1, 2][~chosen[1, 2]]).max()


def test_small_groups_and_constant_genes_have_no_t():
    y = np.array([[1.0, 0], [2, 0], [5, 0], [6, 0], [9, 0]], np.float32)
    cells = Cells(y, np.array([0, 0, 1, 1, 2]), np.zeros(5, int))
    t = differential.welch(strata.grouped(cells, strata=1, arms=3))
    assert t[0, 1, 0] == pytest.approx(4 / np.sqrt(0.5)) and t[0, 1, 1] == 0
    assert np.isnan(t[0, 2]).all() and not differential.strongest(t, 1)[0, 2].any()


def test_borrowed_t_comes_from_other_strata_only():
    t = np.array([[[1.0, 2]], [[3.0, -4]], [[5.0, 6]]])
    held = np.array([[True], [False], [False]])
    found = differential.borrowed(t, held)
    np.testing.assert_allclose(found[0, 0], np.array([8, 2]) / np.sqrt(2))
    np.testing.assert_array_equal(found[1:], t[1:])
    changed = t.copy()
    changed[0] = 99
    np.testing.assert_array_equal(differential.borrowed(changed, held), found)
    assert np.isnan(differential.borrowed(t[:1], held[:1])).all()


def test_trivial_predictions_by_hand():
    count = np.array([[4, 2], [4, 6], [4, 0]])
    mean = np.array([[[1.0], [3.0]], [[2.0], [5.0]], [[7.0], [0.0]]])
    train = strata.Groups(count, mean, np.zeros_like(mean))
    np.testing.assert_array_equal(trivial.control_mean(train)[..., 0], [[1, 1], [2, 2], [7, 7]])
    own = trivial.stratum_mean(train)[..., 0]
    assert own[0].tolist() == [1, 3] and np.isnan(own[2, 1])
    shifted = trivial.control_shift(train)[:, 1, 0]
    np.testing.assert_allclose(shifted, [1 + 3, 2 + 2, 7 + (2 * 2 + 6 * 3) / 8])
    np.testing.assert_array_equal(trivial.control_shift(train)[:, 0, 0], [1, 2, 7])
    alone = strata.Groups(count[:1], mean[:1], np.zeros((1, 2, 1)))
    assert np.isnan(trivial.control_shift(alone)[0, 1, 0])
