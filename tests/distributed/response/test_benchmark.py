"""`response benchmark` through the door: trivial rows by hand, and what no model is given."""

import json
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
import pytest
from sklearn.metrics import r2_score

from epistax.distributed.errors import BadInput
from epistax.distributed.options.response import ResponseBenchmark
from epistax.distributed.plan import Plan
from epistax.distributed.response import benchmark, methods
from epistax.distributed.response.dividing import divide
from epistax.distributed.response.reading import read_cells
from epistax.engine.response.records import Method, Predicted


def shifter():
    """The cell plus the mean shift of the arm, and a bit more by the key."""

    def fit(keys, data, hooks):
        mean = np.zeros((len(data.design.arms), data.train.y.shape[1]), np.float32)
        for a in range(len(mean)):
            rows = data.train.arm == a
            mean[a] = data.train.y[rows].mean(0)
        seed = jax.vmap(lambda k: jax.random.uniform(k))(keys)
        shift = jnp.broadcast_to(jnp.asarray(mean - mean[:1]), (len(keys), *mean.shape))
        return (shift, seed), {"validation": np.full((2, len(keys)), 0.5)}

    def predict(fitted, cells, arm):
        shift, seed = fitted
        moved = jnp.asarray(cells.y)[None] + shift[:, arm] - shift[:, jnp.asarray(cells.arm)]
        return Predicted(*[moved + 0.01 * seed[:, None, None]] * 2)

    return Method(fit, predict)


@pytest.fixture
def simple(monkeypatch):
    """Whatever model is asked for is `shifter`."""
    monkeypatch.setattr(methods, "of", lambda config, table, graph: shifter())


def design(path, **more):
    asked = ResponseBenchmark(data=str(path), out="x", **more)
    return benchmark.design(asked, read_cells(str(path), asked), None, None)


def test_trivial_rows_are_those_by_hand(source, simple, call, tmp_path, capsys):
    out = tmp_path / "run"
    graph = source.parent / "graph.csv"
    words = ("--graph", graph, "--model", "vci", "--hardest", 1, "--fewest", "15,5,15")
    flags = (*words, "--seeds", 2, "--held-out", "cell_type=alpha", "--json", "--out", out)
    assert call("benchmark", source, *flags) == 0
    summary = json.loads(capsys.readouterr().out)
    found = pl.read_parquet(out / "results.parquet")
    assert found.columns[:12] == [
        "model", "seed", "split", "evaluation", "groups", "cells", "r2_all", "r2_de",
        "r2_change_all", "r2_change_de", "pearson_change_de", "within_stratum_corr",
    ]  # fmt: skip
    study = design(source, hardest=1, held_out="cell_type=alpha", fewest=(15, 5, 15))
    parts, cells, (hard,) = study.division.split, study.table.cells, study.division.hard
    a = study.table.arms.names.index(hard)
    assert set(cells.arm[parts.ood]) == {a} and set(cells.stratum[parts.ood]) <= {0, 1}
    values = []
    for c in (0, 1):
        out_of = cells.y[parts.ood][cells.stratum[parts.ood] == c].astype(float).mean(0)
        train = [np.asarray(x)[parts.train] for x in cells]

        def mean(arm, stratum, train=train):
            return train[0][(train[1] == arm) & (train[2] == stratum)].astype(float).mean(0)

        others = [s for s in range(4) if ((train[1] == a) & (train[2] == s)).any()]
        assert others == [2, 3]
        n = [((train[1] == a) & (train[2] == s)).sum() for s in others]
        shift = np.average([mean(a, s) - mean(0, s) for s in others], axis=0, weights=n)
        values.append([r2_score(out_of, mean(0, c)), r2_score(out_of, mean(0, c) + shift)])
    ood = found.filter(pl.col("split") == "ood")
    for name, value in zip(("control-mean", "control-shift"), np.mean(values, 0), strict=True):
        (row,) = ood.filter(pl.col("model") == name).iter_rows(named=True)
        assert row["r2_all"] == pytest.approx(value, abs=1e-5) and row["groups"] == 2
        assert row["cells"] == len(parts.ood)
    assert set(ood["model"]) == {"control-mean", "control-shift", "ceiling", "vci"}
    assert "stratum-mean" in set(found.filter(pl.col("split") == "test")["model"])
    ceiling = ood.filter(pl.col("model") == "ceiling")["r2_change_de"][0]
    assert ceiling > ood.filter(pl.col("model") == "control-mean")["r2_change_de"][0]
    assert found.filter(pl.col("model") == "vci")["seed"].to_list() == [0, 1] * 3
    assert found["within_stratum_corr"].null_count() == found.height
    curve = pl.read_parquet(out / "curve.parquet")
    assert curve.height == 4 and set(curve["epoch"]) == {10, 20}
    assert summary["models"]["vci"]["ood"]["r2_de"]["sd"] is not None
    assert summary["held_out"] == [hard] and summary["category"] == "cell_type=alpha"
    html = (out / "report.html").read_text()
    assert "control-shift" in html and html.count("<svg") >= 3
    assert (out / "figures/changes.png").exists() and (out / "figures/genes.png").exists()


@pytest.mark.parametrize("protocol", ["classic", "native"])
def test_a_model_is_judged_as_by_hand(source, simple, protocol):
    study = design(source, hardest=1, seeds=2, evaluation=protocol, fewest=(15, 5, 15))
    chunk = Plan.of("k", study.work()).chunks[1]
    frame = study(chunk)["results"]
    row = frame.filter(pl.col("split") == "ood", pl.col("seed") == 1).row(0, named=True)
    cells, parts = study.table.cells, study.division.split
    model, values = shifter(), []
    fits, _ = model.fit(jnp.stack([jax.random.key(1)]), study.division.data, ())
    (judged,) = [one for one in study.judged if one.name == "ood"]
    for k, (c, a) in enumerate(zip(judged.targets.stratum, judged.targets.arm, strict=True)):
        own = cells.arm[parts.test] == 0
        if protocol == "native":
            own = cells.stratum[parts.test] == c
        rows = type(cells)(*(x[parts.test][own] for x in cells))
        told = model.predict(fits, rows, np.full(own.sum(), a)).mean[0]
        values.append(r2_score(judged.targets.mean[k], np.asarray(told, float).mean(0)))
    assert row["r2_all"] == pytest.approx(np.mean(values), abs=1e-4)


@pytest.mark.parametrize("leak_free", [False, True])
def test_no_model_is_given_a_held_out_cell(source, simple, leak_free):
    study = design(source, hardest=1, leak_free=leak_free)
    data, parts = study.division.data, study.division.split
    table = study.table.cells
    assert len(data.train.arm) == len(parts.train) and len(data.validation.arm) == len(parts.test)
    for one in (data.train, data.validation):
        assert not parts.held[one.stratum, one.arm].any()
    assert not data.strongest[parts.held].any() and parts.held.any()
    seen = set(map(bytes, np.concatenate([data.train.y, data.validation.y])))
    assert not seen & set(map(bytes, table.y[parts.ood]))


def test_leak_free_choices_do_not_depend_on_held_out_cells(source):
    asked = ResponseBenchmark(data=str(source), out="x", hardest=1, leak_free=True)
    table = read_cells(str(source), asked)
    one = divide(asked, table)
    rng = np.random.default_rng(0)
    y = table.cells.y.copy()
    y[one.split.ood] = rng.permuted(y[one.split.ood], axis=1) + 3
    other = divide(asked, pickle.loads(pickle.dumps(table)).__class__(
        **{**vars(table), "cells": table.cells._replace(y=y)}))  # fmt: skip
    assert one.hard == other.hard
    np.testing.assert_array_equal(one.strongest, other.strongest)
    published = ResponseBenchmark(data=str(source), out="x", hardest=1)
    changed = divide(published, table).strongest != divide(published, other.table).strongest
    assert changed.any()


def test_stopped_and_resumed_gives_the_same_figures(source, simple, call, tmp_path, monkeypatch):
    flags = ("--model", "vci", "--model", "ae", "--seeds", 2, "--fewest", "15,5,15", "--hardest", 1)
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
    assert calls == ["trivial", "vci", "ae", "ae"]
    timed = ("seconds", "compile_seconds")
    one, two = (pl.read_parquet(run / "results.parquet").drop(timed) for run in (whole, halved))
    assert one.equals(two)


def test_a_worker_gets_the_same_kernel(source, simple):
    study = design(source, seeds=1, hardest=1)
    sent = pickle.loads(pickle.dumps(study))
    for chunk in Plan.of("k", study.work()).chunks:
        one, two = study(chunk), sent(chunk)
        timed = ("seconds", "compile_seconds")
        assert one["results"].drop(timed).equals(two["results"].drop(timed))
        assert one["means"].equals(two["means"])


def test_without_covariates_nothing_is_held_out(source, simple):
    study = design(source, covariate=("none",), seeds=1)
    assert not study.division.category and not len(study.division.split.ood)
    assert "nothing is held out" in " ".join(study.remarks)
    found = study(Plan.of("k", study.work()).chunks[0])["results"]
    assert set(found["split"]) == {"train", "test"}
    assert "control-shift" not in set(found["model"])  # there is no other stratum


@pytest.mark.parametrize("more, says", [
    ({"held_out": "donor"}, "--held-out: 'donor' is not COVARIATE=LEVEL"),
    ({"held_out": "cell_type=gamma"}, "cell_type has no level 'gamma'; it has alpha, beta"),
    ({"hardest": 9}, "--hardest: 9 of the 4 perturbations"),
    ({"fewest": (30, 5)}, "--fewest: 2 numbers; give three"),
    ({"fewest": (3000, 5, 30)}, "no group of train has more than 3000 cells"),
])  # fmt: skip
def test_what_cannot_be_held_out_is_refused(source, simple, more, says):
    with pytest.raises(BadInput) as refused:
        design(source, **more)
    assert says in str(refused.value)


def test_strata_without_controls_and_arms_of_one_category_are_refused(world, simple, tmp_path):
    path = tmp_path / "data.h5ad"
    data = world()
    bare = (data.obs["control"] == 1) & (data.obs["cell_type"] == "beta")
    data[~(bare & (data.obs["donor"] == "d2")).to_numpy()].copy().write_h5ad(path)
    with pytest.raises(BadInput, match="no control cell in 1 of 4 strata .beta_d2; "):
        design(path)
    one = (data.obs["control"] == 1) | (data.obs["cell_type"] == "alpha")
    data[one.to_numpy()].copy().write_h5ad(path)
    with pytest.raises(BadInput, match="no perturbation has cells both in the held-out category"):
        design(path)


def test_marginal_effects_are_those_by_hand(source, simple):
    study = design(source, hardest=1, seeds=2, fewest=(15, 5, 15))
    frames = study(Plan.of("k", study.work()).chunks[1])
    table, rates = frames["marginal"], frames["estimates"]
    assert rates["estimator"].to_list() == ["naive", "sample", "robust", "combined"]
    train = [np.asarray(x)[study.division.split.train] for x in study.table.cells]
    model = shifter()
    fits, _ = model.fit(jnp.stack([jax.random.key(0)]), study.division.data, ())
    row = table.filter(pl.col("estimator") == "robust").row(0, named=True)
    c, a = study.table.strata.index(row["stratum"]), study.table.arms.names.index(row["arm"])
    g = study.table.genes.index(row["gene"])
    own = train[2] == c
    cells = type(study.table.cells)(*(x[own] for x in train))
    told = np.asarray(model.predict(fits, cells, np.full(own.sum(), a)).mean[0], float)[:, g]
    arm = cells.arm == a
    expected = cells.y[arm, g].mean() + told.mean() - told[arm].mean()
    assert row["mean"] == pytest.approx(expected, abs=1e-4) and row["low"] < expected < row["high"]
    sample = table.filter(pl.col("estimator") == "sample").row(0, named=True)
    assert sample["mean"] == pytest.approx(cells.y[arm, g].mean(), abs=1e-4)
    sd = cells.y[arm, g].std(ddof=1) / np.sqrt(arm.sum())
    assert sample["high"] - sample["low"] == pytest.approx(2 * 1.96 * sd, rel=1e-3)
    assert table["true"].null_count() == table.height
