"""`causal benchmark` through the door: trivial rows by hand, a known model, what no model sees."""

import json
import pickle

import jax.numpy as jnp
import numpy as np
import polars as pl
import pytest

from epistax.distributed.causal import benchmark, methods
from epistax.distributed.errors import BadInput
from epistax.distributed.plan import Plan
from epistax.distributed.report.causal import describe
from epistax.engine.causal import curves
from epistax.engine.causal.records import Latents, Method

D = 3


def tables(one, place=1):
    return one(Plan.of("k", one.work()).chunks[place])


def knower(mixing, bias=0.5):
    """Encodes by the inverse of M, fit k with noise k; decodes to M z + bias; a known prior."""
    inverse = np.linalg.pinv(mixing)

    def fit(keys, data, hooks):
        sizes = jnp.arange(len(keys), dtype=float)
        curve = np.stack([np.array([4.0, 1.0, 2.0, 1.5])] * len(keys), axis=1)
        return sizes, {"loss": curve, "error": curve, "validation": curve}

    def encode(fits, x, v):
        mean = jnp.stack([jnp.asarray(x @ inverse.T)] * len(fits))
        return Latents(mean, jnp.full(mean.shape, -1.0))

    def decode(fits, z, v):
        return z @ mixing.T + bias + fits[:, None, None]

    def prior(fits, v):
        mean = jnp.stack([jnp.asarray(v)[:, :D]] * len(fits))
        return Latents(mean, jnp.zeros(mean.shape))

    return Method(fit, encode, decode, prior, lambda fits, z: z)


@pytest.fixture
def known(monkeypatch, world):
    """Whatever model is asked for knows the mixing."""
    method = knower(world()["mixing"].astype(np.float32))
    monkeypatch.setattr(methods, "method", lambda name, config, temperatures=(): method)


@pytest.mark.slow
def test_trivial_rows_are_those_by_hand(source, known, call, tmp_path, capsys, world):
    out = tmp_path / "run"
    flags = ("--model", "vae", "--latents", 2, "--scale", "none", "--seeds", 2, "--json")
    assert call("benchmark", source, *flags, "--out", out) == 0
    summary = json.loads(capsys.readouterr().out)
    arrays, found = world(), pl.read_parquet(out / "results.parquet")
    x, of = arrays["x"], np.searchsorted(arrays["environments"][1:], arrays["environment"]) + 1
    of[arrays["environment"] == "DMSO"] = 0
    train = x[of <= 3]
    centred = train - train.mean(0)
    axes = np.linalg.svd(centred, full_matrices=False)[2][:2]
    for e, name in ((4, "E3"), (1, "E0")):
        own = x[of == e]
        left = (own - train.mean(0)) - (own - train.mean(0)) @ axes.T @ axes
        expected = {
            "mean-profile": (((own - train.mean(0)) ** 2).mean(),
                             ((own.mean(0) - train.mean(0)) ** 2).mean()),
            "control-profile": (((own - x[of == 0].mean(0)) ** 2).mean(),
                                ((own.mean(0) - x[of == 0].mean(0)) ** 2).mean()),
            "pca": ((left**2).mean(), None),
        }  # fmt: skip
        for model, (error, profile) in expected.items():
            (row,) = found.filter(
                pl.col("model") == model, pl.col("environment") == name
            ).iter_rows(named=True)
            assert row["reconstruction"] == pytest.approx(error, rel=1e-4)
            assert row["profile_error"] == (profile and pytest.approx(profile, rel=1e-4))
            assert row["split"] == ("validation" if e > 3 else "train") and row["n"] == 30
    held = found.filter(pl.col("split") == "validation", pl.col("model") == "pca")
    whole = held["reconstruction"].mean()  # as many samples of each
    assert summary["models"]["pca"]["reconstruction"]["mean"] == pytest.approx(whole)
    vae = summary["models"]["vae"]
    assert vae["ratio"] == pytest.approx(vae["reconstruction"]["mean"] / whole)


def test_a_known_model_is_judged_as_by_hand(source, known, world, study):
    asked = {"scale": "none", "seeds": 2, "epochs": 4, "setting": ("warmup=1",)}
    one = study(source, model=("environment",), temperature=(0.5, 1.0), **asked)
    made, arrays = tables(one), world()
    x = arrays["x"].astype(np.float32)
    results = made["results"].filter(pl.col("model") == "environment T=1")
    assert results["seed"].to_list() == [0] * 7 + [1] * 7 and set(results["temperature"]) == {1.0}
    inverse = np.linalg.pinv(arrays["mixing"])
    noise = x - x @ inverse.T @ arrays["mixing"].T
    rows = arrays["environment"] == "E3"
    for fit in (2, 3):  # the seeds of the second temperature
        row = results.filter(pl.col("environment") == "E3").row(fit - 2, named=True)
        expected = ((noise[rows] - 0.5 - fit) ** 2).mean()
        assert row["reconstruction"] == pytest.approx(expected, rel=1e-4)
        more = np.exp(-2) * (arrays["mixing"] ** 2).sum(1).mean()
        assert row["sampled"] == pytest.approx(expected + more, rel=0.2)
        start = x[arrays["environment"] == "DMSO"]
        vector = arrays["vectors"][4, :D]
        told = (start @ inverse.T + vector) @ arrays["mixing"].T + 0.5 + fit
        error = ((told.mean(0) - x[rows].mean(0)) ** 2).mean()
        assert row["profile_error"] == pytest.approx(error, rel=1e-3)
    shifts = made["shifts"].filter(
        pl.col("model") == "environment T=1", pl.col("seed") == 0, pl.col("environment") == "E3"
    )
    z, base = x @ inverse.T, arrays["environment"] == "DMSO"
    sd = np.sqrt(z[base].var(0) + np.exp(-2))
    np.testing.assert_allclose(shifts["shift"], (z[rows].mean(0) - z[base].mean(0)) / sd, rtol=1e-3)
    np.testing.assert_allclose(shifts["prior_mean"], arrays["vectors"][4, :D], rtol=1e-6)
    assert set(shifts["prior_sd"]) == {1.0}
    models = made["models"]
    assert (models["f1"] == 1).all() and (models["target_accuracy"] == 1).all()
    assert (models["mcc"] > 0.99).all() and models["worst_rise"].to_list() == [2.0] * 4
    assert made["curve"]["epoch"].to_list() == [1, 2, 3, 4] * 4
    assert made["curve"]["validation"].to_list() == [4.0, 1.0, 2.0, 1.5] * 4
    assert not made["ood"].height  # the vectors are codes


def test_what_a_model_is_given(source, monkeypatch, study):
    one = study(source, model=("vae",), seeds=1)
    seen = []

    def fit(keys, data, hooks):
        seen.append(data)
        raise KeyboardInterrupt

    monkeypatch.setattr(methods, "method", lambda *a: Method(fit, None, None, None, None))
    with pytest.raises(KeyboardInterrupt):
        tables(one)
    data, table = seen[0], one.table
    held = np.isin(table.environment, [4, 5, 6])
    reference = table.x[table.environment == 0]
    centre = np.median(reference, axis=0)
    spread = 1.4826 * np.median(np.abs(reference - centre), axis=0)
    expected = np.clip((table.x - centre) / spread, -10, 10)
    np.testing.assert_allclose(data.train.x, expected[~held], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(data.validation.x, expected[held], rtol=1e-4, atol=1e-4)
    assert set(data.validation.environment) == {4, 5, 6}
    changed = table.x.copy()
    changed[held] += 100
    other = benchmark.Benchmark(one.options, type(one.division)(
        type(table)(**{**vars(table), "x": changed}), one.division.held, ""), None, one.models,
        one.seeds)  # fmt: skip
    with pytest.raises(KeyboardInterrupt):
        tables(other)
    np.testing.assert_array_equal(seen[1].train.x, data.train.x)  # nor do they set the scale


def test_shuffled_vectors_stay_on_their_side(source, study):
    one = study(source, model=("vae",), seeds=1, shuffle=True)
    told, of = one.division.shuffled(0), one.table.environment
    held = np.isin(of, [4, 5, 6])
    for part in (held, ~held):
        np.testing.assert_array_equal(np.bincount(told[part]), np.bincount(of[part]))
    assert (told != of).mean() > 0.5
    assert [work["shuffled"] for work in one.work()] == [False, False, True]
    assert one.fits("vae", True)[0].label == "vae shuffled"


@pytest.fixture(scope="module")
def small(source, tmp_path_factory):
    """A benchmark of two real models, shuffled too."""
    from epistax.cli import main

    out = tmp_path_factory.mktemp("small") / "run"
    words = ("--model", "vae", "--model", "environment", "--epochs", "2", "--seeds", "2",
             "--latents", "2", "--setting", "warmup=0", "--quiet", "--out")  # fmt: skip
    assert main(["causal", "benchmark", str(source), *words, str(out)]) == 0
    return out


def test_the_real_thing(small):
    summary = json.loads((small / "summary.json").read_text())
    assert list(summary["models"]) == [
        "mean-profile", "control-profile", "pca", "vae", "environment",
    ]  # fmt: skip
    one = summary["models"]["environment"]
    assert one["reconstruction"]["sd"] is not None and one["worst_rise"] >= 1
    curve = pl.read_parquet(small / "curve.parquet")
    assert curve.height == 2 * 2 * 2
    models = pl.read_parquet(small / "models.parquet")
    last = curve.filter(pl.col("epoch") == 2).sort("model", "seed")["validation"]
    own = models.filter(pl.col("latents").is_not_null()).sort("model", "seed")["reconstruction"]
    np.testing.assert_allclose(own, last, rtol=1e-4)
    html = (small / "report.html").read_text()
    assert "control-profile" in html and html.count("<svg") == 2
    assert (small / "figures/shifts.png").exists() and not (small / "ood.parquet").exists()


def test_the_text_of_a_benchmark_is_as_wide_as_a_terminal(small):
    summary = json.loads((small / "summary.json").read_text())
    lines = describe(summary).split("\n")
    assert max(map(len, lines[:-1])) <= 80
    assert [line.split()[0] for line in lines[-6:-1]] == list(summary["models"])
    broken = summary["models"]["vae"] | {"worst_rise": None, "exploded": True}
    text = describe(summary | {"models": {"vae": broken}})
    assert "inf" in text.split("\n")[-2].split()


def test_stopped_and_resumed_gives_the_same_figures(source, known, call, tmp_path, monkeypatch):
    flags = ("--model", "vae", "--model", "environment", "--seeds", 2, "--epochs", 1)
    whole, halved = tmp_path / "whole", tmp_path / "halved"
    assert call("benchmark", source, *flags, "--out", whole) == 0
    real, calls = benchmark.Benchmark.__call__, []

    def interrupted(self, chunk):
        calls.append(chunk.work["model"])
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(self, chunk)

    monkeypatch.setattr(benchmark.Benchmark, "__call__", interrupted)
    assert call("benchmark", source, *flags, "--out", halved) == 75
    assert call("benchmark", source, *flags, "--out", halved, "--resume") == 0
    assert calls == ["trivial", "vae", "environment", "environment"]
    for name in ("results", "curve", "shifts"):
        one, two = (pl.read_parquet(run / f"{name}.parquet") for run in (whole, halved))
        assert one.equals(two)


def test_a_worker_gets_the_same_kernel(source, known, study):
    one = study(source, model=("vae",), seeds=1)
    sent = pickle.loads(pickle.dumps(one))
    for place in (0, 1):
        assert tables(one, place)["results"].equals(tables(sent, place)["results"])


@pytest.mark.parametrize("curve, warmup, rise", [
    ([3.0, 1.0, 2.0], 0, 2.0), ([3.0, 1.0, 2.0], 3, None), ([1.0, np.nan, 1.0], 0, np.inf),
])  # fmt: skip
def test_worst_rises(curve, warmup, rise):
    info = {"validation": np.array(curve)[:, None]}
    assert benchmark.rises(info, warmup) == [rise]
    assert rise is None or curves.worst_rise(np.array(curve), warmup) == rise


@pytest.mark.parametrize("more, says", [
    ({"latents": 9}, "--latents: 9 latents are more than the 8 features"),
    ({"model": ("vae",), "temperature": (0.1,)}, "--temperature: vae has no gate; drop it"),
    ({"setting": ("omega=1",)}, "--setting: 'omega' is no setting of the models"),
    ({"setting": ("rate=-1",)}, "--setting: rate='-1': `rate` is -1.0; it must be above 0"),
])  # fmt: skip
def test_settings_that_cannot_be_are_refused(source, more, says, study):
    with pytest.raises(BadInput) as refused:
        study(source, **more)
    assert says in str(refused.value)
