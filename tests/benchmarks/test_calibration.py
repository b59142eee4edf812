"""The calibration study: its null is one, its harness is the engine's, its figures are kept."""

import json

import jax
import numpy as np
import pytest
import scipy.stats

from epistax.benchmarks import calibration, quadruples
from epistax.benchmarks.quadruples import Design
from epistax.engine.interaction import paired
from epistax.engine.screen import screen

ADDITIVE, MMD = Design("additive", 80), Design("mmd", 80)
NUMBER = 400  # of quadruples everywhere, so that a design compiles once


def p_values(design, methods, *, seed, delta=0.0):
    shared = quadruples.common(design, seed=3)
    return quadruples.p_values(jax.random.key(seed), design, shared, methods, NUMBER, delta)


@pytest.mark.parametrize("shifted", [True, False])
def test_the_null_is_one(shifted):
    """Control and double together are distributed as the singles together; or their means add."""
    mixed = quadruples.population(MMD._replace(shifted=shifted))
    means = [sorted(mixed.means[pair].reshape(-1, 4).tolist()) for pair in ([0, 3], [1, 2])]
    assert means[0] == means[1] and (mixed.scale == 1).all()
    added = quadruples.population(ADDITIVE._replace(shifted=shifted)).means
    np.testing.assert_allclose(added[3] - added[1] - added[2] + added[0], 0)
    apart = [np.abs(of[0] - of[1]).max() > 0 for of in (mixed.means, added)]
    assert apart == [shifted, shifted]


def test_cells_of_a_well_correlate():
    of = quadruples.population(ADDITIVE._replace(shifted=False))
    x = np.asarray(quadruples.draw(jax.random.key(0), of, 20_000, 10_000)).reshape(-1, 2, 4)
    found = np.mean(x[:, 0] * x[:, 1])
    np.testing.assert_allclose([found, np.var(x)], [quadruples.ALIKE, 1], atol=0.01)


def test_the_effect_is_the_populations_squared_mmd():
    delta, scale = 2.0, 4.0
    of = quadruples.population(MMD, delta)
    x = np.asarray(quadruples.draw(jax.random.key(1), of, 1200, 0), np.float64)
    flat = x.reshape(-1, 4)
    squares = (flat**2).sum(axis=1)
    gram = np.exp((2 * flat @ flat.T - squares[:, None] - squares[None, :]) / (2 * scale**2))
    blocks = gram.reshape(4, 1200, 4, 1200)
    means = blocks.mean(axis=(1, 3))
    own = (np.trace(means) * 1200 - 4) / 1199  # each arm's without the cells themselves
    sign = np.array([0.5, -0.5, -0.5, 0.5])
    found = sign @ (means - np.diag(np.diag(means))) @ sign + own / 4
    assert found == pytest.approx(calibration.effect("mmd", delta, scale), rel=0.15)


def test_a_quadruple_is_tested_as_its_screen_would_be():
    design = Design("additive", 80, 16)
    mine = p_values(design, ("spectral",), seed=4)["spectral"]
    codes = np.repeat([[-1, -1], [-1, 0], [-1, 1], [0, 1]], 80, axis=0)
    for key, p in zip(jax.random.split(jax.random.key(4), NUMBER)[:3], mine[:3], strict=True):
        k_draw, _ = jax.random.split(key)
        x = quadruples.draw(k_draw, quadruples.population(design), 80, 16).reshape(320, 4)
        alone = screen(np.asarray(x), codes, p=2, well=np.arange(320) // 5)
        found = paired.additive(alone, residual=False, seed=0).test(np.arange(1)).p
        np.testing.assert_allclose(found, p, rtol=1e-3)


@pytest.mark.parametrize(
    "design",
    [
        pytest.param(MMD, marks=pytest.mark.slow),
        ADDITIVE,
        Design("mmd", 80, 16),
        Design("additive", 80, 16),
    ],
)
def test_the_default_holds_its_level(design):
    p = p_values(design, ("spectral",), seed=0)["spectral"]
    assert scipy.stats.binomtest(int((p <= 0.05).sum()), len(p), 0.05).pvalue > 0.002
    assert scipy.stats.kstest(p, "uniform").pvalue > 0.002


@pytest.mark.slow
def test_resampling_holds_its_level_where_singles_differ_from_the_control():
    for method, p in p_values(MMD, ("gamma", "multiplier"), seed=1).items():
        assert 0.02 <= np.mean(p <= 0.05) <= 0.09, method


def test_wells_ignored_inflate_the_level():
    level = {}
    for blind in (False, True):
        design = Design("additive", 80, 16, blind=blind)
        level[blind] = np.mean(p_values(design, ("spectral",), seed=2)["spectral"] <= 0.05)
    assert level[False] <= 0.09 and level[True] > 0.15


@pytest.mark.parametrize(("design", "delta"), [(MMD, 3.2), (ADDITIVE, 1.3)])
def test_a_large_shift_is_found(design, delta):
    p = p_values(design, ("spectral",), seed=5, delta=delta)["spectral"]
    assert np.mean(p <= 0.05) > 0.9


def test_the_smallest_shift_is_read_off_the_curve():
    shifts = np.linspace(0, 4, 9)
    curve = [
        {"test": "mmd", "n": 80, "method": "spectral", "shift": s, "effect": s**2}
        | {"level_05": scipy.stats.norm.cdf(s - 2), "level_001": 0.1}
        for s in shifts
    ]
    (row,) = calibration.detectable(curve)
    assert row["shift_level_05"] == pytest.approx(2 + scipy.stats.norm.ppf(0.8), abs=0.01)
    assert row["shift_level_001"] is None


def test_a_rate_counts_p_values_at_the_level_itself():
    p = np.float64(np.float32(1 / 1000))
    assert calibration.rates(np.array([p, 1.0]))["level_001"] == 0.5


def test_the_study_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(calibration, "MUST", [ADDITIVE])
    monkeypatch.setattr(calibration, "FINER", {"additive": 0.4})
    monkeypatch.setattr(calibration, "MORE", [])
    monkeypatch.setattr(calibration, "BLIND", [])
    monkeypatch.setattr(calibration, "RESAMPLED", ("gamma",))
    monkeypatch.setattr(calibration, "STEPS", (0.0, 2.0))
    monkeypatch.setattr(calibration, "screens", lambda count, seed: iter([{"screens": count}]))
    out = tmp_path / "calibration.json"
    calibration.main(["--out", str(out), "--quick", "--quadruples", str(NUMBER)])
    found = json.loads(out.read_text())
    assert [row["method"] for row in found["calibration"]] == ["spectral", "gamma"]
    assert len(found["power"]) == 4 and len(found["detectable"]) == 2
    assert found["device"] and found["seconds"] > 0


@pytest.fixture
def committed(checkout):
    path = checkout / "benchmarks" / "results" / "calibration-mmd.json"
    return json.loads(path.read_text())


def test_the_committed_study_keeps_the_musts(committed):
    rows = {
        (row["test"], row["n"], row["wells"], row["shifted"]): row
        for row in committed["calibration"]
        if row["must"]
    }
    assert set(rows) == {(d.test, d.n, d.wells, d.shifted) for d in calibration.MUST}
    for row in rows.values():
        assert row["quadruples"] >= 10_000 and calibration.kept(row), row["scenario"]


def test_the_committed_study_measures_every_method_and_power(committed):
    measured = {
        (row["n"], row["shifted"], row["method"])
        for row in committed["calibration"]
        if row["test"] == "mmd" and row["quadruples"] >= 1000
    }
    methods = ("spectral", *calibration.RESAMPLED)
    assert measured >= {(n, s, m) for n in (80, 300) for s in (True, False) for m in methods}
    for test in ("mmd", "additive"):
        rows = [row for row in committed["detectable"] if row["test"] == test]
        assert tuple(row["n"] for row in rows) == calibration.CELLS
        shifts = [row["shift_level_05"] for row in rows]
        assert shifts == sorted(shifts, reverse=True)
    for row in committed["screens"]:
        assert row["screens"] >= 20 and row["level_05"] <= 0.09 and row["discoveries"] <= 0.5
