"""Marginal effects: the identities of the robust estimate, what it survives, and its intervals."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from epistax.engine.response.marginal import (
    Estimate,
    averaged,
    combined,
    contrast,
    crossfitted,
    marginal,
    outcomes,
)


@pytest.fixture(scope="module")
def cells():
    rng = np.random.default_rng(0)
    y = rng.normal(size=(60, 4)).astype(np.float32)
    predicted = (0.5 * y + rng.normal(size=(60, 4))).astype(np.float32)
    treated, within = rng.random(60) < 0.4, rng.random(60) < 0.7
    return tuple(map(jnp.asarray, (predicted, y, treated, within)))


def test_robust_is_the_sample_mean_moved_by_the_model(cells):
    predicted, y, treated, within = map(np.asarray, cells)
    found = marginal(*cells)
    both = treated & within
    moved = predicted[within].mean(0) - predicted[both].mean(0)
    np.testing.assert_allclose(found.sample.mean, y[both].mean(0), atol=1e-6)
    np.testing.assert_allclose(found.naive.mean, predicted[within].mean(0), atol=1e-6)
    np.testing.assert_allclose(found.robust.mean, y[both].mean(0) + moved, atol=1e-6)
    error = y[both].std(0, ddof=1) / np.sqrt(both.sum())
    np.testing.assert_allclose(found.sample.se, error, rtol=1e-5)
    # (20) written out
    share = both.sum() / within.sum()
    influence = predicted + treated[:, None] / share * (y - predicted)
    error = influence[within].std(0, ddof=1) / np.sqrt(within.sum())
    np.testing.assert_allclose(found.robust.se, error, rtol=1e-5)


def test_cells_out_of_the_stratum_count_for_nothing(cells):
    predicted, y, treated, within = cells
    spoilt = jnp.where(within[:, None], y, jnp.nan), jnp.where(within, treated, True)
    other = jnp.where(within[:, None], predicted, jnp.nan)
    one, two = marginal(*cells), jax.jit(marginal)(other, *spoilt, within)
    kept = marginal(predicted[within], y[within], treated[within], within[within])
    for a, b, c in zip(*map(jax.tree.leaves, (one, two, kept)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)
        np.testing.assert_allclose(a, c, rtol=1e-5)


def test_without_cells_of_the_arm_only_the_model_speaks(cells):
    predicted, y, treated, within = cells
    found = marginal(predicted, y, treated & ~within, within)
    assert np.isfinite(found.naive.mean).all()
    assert np.isnan(found.sample.mean).all() and np.isnan(found.robust.mean).all()


def test_a_difference_of_arms_knows_that_errors_go_together(cells):
    predicted, y, treated, within = cells
    arms = [outcomes(predicted, y, t, within) for t in (treated, ~treated)]
    found = contrast(*arms, within)
    one, two = (averaged(a, within) for a in arms)
    np.testing.assert_allclose(found.mean, one.mean - two.mean, atol=1e-5)
    low, high = found.interval()
    np.testing.assert_allclose(high - low, 2 * 1.959964 * found.se, rtol=1e-4)


# two kinds of cells, z = 0 and 1, half each; Y(a) = z + noise of mean 0; arm a goes to .2 and .8 of
# them: a finite population in these very proportions, so that nothing is left to chance
Z = np.repeat([0.0, 1.0], 50)
GOT = np.concatenate([np.arange(50) < 10, np.arange(50) < 40])
TRUTH, RIGHT, WRONG = 0.5, 0.2 + 0.6 * Z, np.full(100, 0.5)


@pytest.mark.parametrize(
    "model, chance, expected",
    [(0 * Z, RIGHT, 0.5), (Z, WRONG, 0.5), (Z, RIGHT, 0.5), (0 * Z, WRONG, 0.8)],
    ids=["model wrong", "chances wrong", "both right", "both wrong"],
)
def test_one_of_model_and_chances_may_be_wrong(model, chance, expected):
    column = [jnp.asarray(v, jnp.float32)[:, None] for v in (model, Z)]
    every = jnp.ones(100, bool)
    found = marginal(*column, jnp.asarray(GOT), every, propensity=jnp.asarray(chance, jnp.float32))
    assert float(found.robust.mean[0]) == pytest.approx(expected, abs=1e-6)
    assert float(found.sample.mean[0]) == pytest.approx(0.8)  # who got it is not as the others


def covered(key, *, confounded, given):
    """Whether the interval of a simulated stratum of 200 cells holds the truth, 0.3."""
    k_z, k_t, k_y = jax.random.split(key, 3)
    z = jax.random.normal(k_z, (200,))
    chance = jax.nn.sigmoid(confounded * z - 0.5)
    treated = jax.random.uniform(k_t, (200,)) < chance
    y = (0.3 + z + jax.random.normal(k_y, (200,)))[:, None]
    every, fold = jnp.ones(200, bool), jnp.arange(200) % 2
    predicted = crossfitted(y, treated, every, fold, folds=2)
    found = marginal(predicted, y, treated, every, propensity=chance if given else None)
    low, high = found.robust.interval()
    return ((low < 0.3) & (0.3 < high))[0], found.robust.mean[0]


@pytest.mark.parametrize(
    "confounded, given, right", [(0, False, 1), (0.5, False, 0), (0.5, True, 1)]
)
def test_intervals_hold_as_often_as_they_say(confounded, given, right):
    keys = jax.random.split(jax.random.key(1), 2000)
    run = partial(covered, confounded=float(confounded), given=given)
    hold, mean = jax.jit(jax.vmap(run))(keys)
    if right:
        assert 0.935 < hold.mean() < 0.965 and abs(mean.mean() - 0.3) < 0.01
    else:  # the state of a cell decides what it gets, and nobody knows
        assert hold.mean() < 0.65 and mean.mean() > 0.45


@pytest.mark.parametrize("off", [0.0, 0.3, 3.0])
def test_combined_is_as_good_as_the_better_of_model_and_cells(off):
    """Of 5,000 genes the model is off by N(0, off^2), the cells by N(0, 0.3^2)."""
    rng = np.random.default_rng(0)
    truth = rng.normal(size=5000)
    naive, robust = (truth + sd * rng.normal(size=5000) for sd in (off, 0.3))
    se = np.full(5000, 0.3)
    parts = [jnp.asarray(x, jnp.float32) for x in (naive, robust, se)]
    found = combined(Estimate(parts[0], 0 * parts[2]), Estimate(*parts[1:]))
    error = np.sqrt(np.mean((np.asarray(found.mean) - truth) ** 2))
    best = 0.3 * off / np.hypot(0.3, off)  # of the two, weighted by what they are worth
    assert error == pytest.approx(best, abs=0.06 if off == 0 else 0.01)
    low, high = found.interval()
    assert np.mean((low < truth) & (truth < high)) >= 0.945


def test_cross_fitting_leaves_the_own_fold_out(cells):
    _, y, treated, within = cells
    fold = jnp.arange(60) % 3
    found = np.asarray(crossfitted(y, treated, within, fold, folds=3))
    mask = np.asarray(treated & within)
    for f in range(3):
        others = mask & (np.asarray(fold) != f)
        expected = np.asarray(y)[others].mean(0)
        np.testing.assert_allclose(found[np.asarray(fold) == f], np.broadcast_to(
            expected, found[np.asarray(fold) == f].shape), atol=1e-6)  # fmt: skip
