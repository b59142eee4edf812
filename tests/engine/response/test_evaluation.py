"""R2 and Pearson against scikit-learn and scipy; protocols and streaming against plain means."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import pearsonr
from sklearn.metrics import r2_score

from epistax.engine.response import averages, individual
from epistax.engine.response.evaluation import Targets, pearson, r2, reachable, scored
from epistax.engine.response.records import Cells, Method, Predicted

G = 40


def targets(rng, k=4):
    mean, control = rng.normal(size=(2, k, G))
    chosen = np.zeros((k, G), bool)
    chosen[:, ::3] = True
    count = np.full(k, 9)
    return Targets(np.zeros(k, int), np.arange(k), count, mean, control, chosen)


def test_figures_are_those_of_other_libraries():
    rng = np.random.default_rng(0)
    wanted = targets(rng)
    told = wanted.mean[None] + rng.normal(size=(2, 4, G)) * np.array([0.3, 1.0])[:, None, None]
    found = scored(wanted, told)
    for m in range(2):
        rows = []
        for k in range(4):
            de, base = wanted.strongest[k], wanted.control[k]
            t, p = wanted.mean[k], told[m, k]
            rows.append([
                r2_score(t, p),
                r2_score(t[de], p[de]),
                r2_score(t - base, p - base),
                r2_score((t - base)[de], (p - base)[de]),
                pearsonr((t - base)[de], (p - base)[de])[0],
            ])  # fmt: skip
        np.testing.assert_allclose([x[m] for x in found], np.mean(rows, 0), rtol=1e-4)


def test_what_a_constant_shift_and_no_change_give():
    rng = np.random.default_rng(1)
    t, every = rng.normal(size=G).astype(np.float32), np.ones(G, bool)
    assert float(r2(t, t + 0.5, every)) == pytest.approx(r2_score(t, t + 0.5), abs=1e-5)
    assert float(r2(t, t, every)) == 1 and float(pearson(t, t + 0.5, every)) == pytest.approx(1)
    assert np.isnan(float(r2(t, t, ~every))) and np.isnan(float(pearson(t, 0 * t + 3, every)))
    wanted = targets(rng)
    found = scored(wanted, wanted.control[None])
    assert np.isnan(found.pearson_change_de[0]) and found.r2_change_all[0] <= 0


def test_groups_without_prediction_are_left_out_of_the_mean():
    rng = np.random.default_rng(2)
    wanted = targets(rng)
    told = wanted.mean + 0.1 * rng.normal(size=(4, G))
    told[2] = np.nan
    part = Targets(*(x[[0, 1, 3]] for x in wanted))
    np.testing.assert_allclose(scored(wanted, told[None]), scored(part, told[None, [0, 1, 3]]))


def test_the_ceiling_is_what_true_means_reach():
    rng = np.random.default_rng(3)
    k, n, sd = 60, 12, 1.5
    true, control = rng.normal(size=(2, k, G))
    cells = true[:, None] + sd * rng.normal(size=(k, n, G))
    wanted = targets(rng, k)._replace(count=np.full(k, n), mean=cells.mean(1), control=control)
    hoped = reachable(wanted, cells.var(1, ddof=1))
    reached = scored(wanted, true[None])
    for name in ("r2_all", "r2_de", "r2_change_all", "r2_change_de", "pearson_change_de"):
        assert getattr(hoped, name)[0] == pytest.approx(getattr(reached, name)[0], abs=0.02), name
    assert hoped.r2_all[0] < 0.95


def follower():
    """Two fits: the cell plus its arm and stratum, once and twice."""

    def predict(fitted, cells, arm):
        mean = jnp.asarray(cells.y)[None] + fitted[:, None, None] * (
            jnp.asarray(arm)[None, :, None] + 10.0 * jnp.asarray(cells.stratum)[None, :, None]
        )
        return Predicted(mean, jnp.ones_like(mean))

    return Method(lambda keys, data, hooks: (jnp.ones(len(keys)), {}), predict)


@pytest.mark.parametrize("block", [averages.BLOCK, 7 * G])
@pytest.mark.parametrize("protocol", ["classic", "native"])
def test_means_over_inputs_in_blocks_too(protocol, block, monkeypatch):
    monkeypatch.setattr(averages, "BLOCK", block)
    rng = np.random.default_rng(4)
    y = rng.normal(size=(50, G)).astype(np.float32)
    cells = Cells(y, rng.integers(0, 3, 50), rng.integers(0, 2, 50))
    stratum, arm = np.array([0, 1, 1]), np.array([1, 1, 2])
    chosen = averages.inputs(cells, stratum, protocol=protocol)
    found = averages.averaged(follower(), jnp.array([1.0, 2.0]), cells, chosen, stratum, arm)
    for k in range(3):
        own = cells.arm == 0 if protocol == "classic" else cells.stratum == stratum[k]
        for m in range(2):
            expected = y[own].astype(float).mean(0) + (m + 1) * (arm[k] + 10 * stratum[k])
            np.testing.assert_allclose(found[m, k], expected, atol=1e-4)


def test_fewer_inputs_are_an_even_choice_and_none_give_nothing():
    rows = np.arange(10, 20)
    assert averages.thinned(rows, 5).tolist() == [10, 12, 14, 16, 18]
    assert averages.thinned(rows, 10) is rows and averages.thinned(rows, None) is rows
    cells = Cells(np.ones((2, G), np.float32), np.zeros(2, int), np.zeros(2, int))
    stratum = np.array([0, 1])
    chosen = averages.inputs(cells, stratum, protocol="native")
    found = averages.averaged(follower(), jnp.ones(1), cells, chosen, stratum, np.zeros(2, int))
    assert np.isfinite(found[0, 0]).all() and np.isnan(found[0, 1]).all()


def test_individual_effects():
    rng = np.random.default_rng(5)
    e, stratum = 80, np.repeat([0, 1], 40)
    true = rng.normal(size=(e, 2, G)) + 2 * rng.normal(size=(1, 2, G))
    groups = ((0, 1), (1, 1))
    perfect = individual.judged(true, true, stratum, groups, count=10)
    np.testing.assert_allclose(perfect, [1, 1, 0, 1], atol=1e-12)
    flat = np.stack([true[stratum == c].mean(0) for c in (0, 1)])[stratum]
    found = individual.judged(true, flat, stratum, groups, count=10)
    assert np.isnan(found.within_stratum_corr) and found.sd_ratio == 0
    assert found.rmse_individual == pytest.approx(1, abs=0.1) and found.pearson_individual > 0.7
    half = individual.judged(true, flat + 0.5 * (true - flat), stratum, groups, count=10)
    assert half.sd_ratio == pytest.approx(0.5) and half.within_stratum_corr == pytest.approx(1)
    assert np.isnan(individual.judged(true, true, stratum, (), count=5)).all()
