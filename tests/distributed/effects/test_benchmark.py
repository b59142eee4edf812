"""`effects benchmark` through the door: figures that can be had by hand, and what is never seen."""

import dataclasses
import json
import pickle

import numpy as np
import polars as pl
import pytest

from epistax.cli import main
from epistax.distributed.effects import benchmark, methods, splits
from epistax.distributed.effects.reading import read_samples
from epistax.distributed.options import effects as options
from epistax.distributed.options.effects import EffectsBenchmark
from epistax.distributed.plan import Plan
from epistax.engine.effects import catalogue
from epistax.engine.policy import acquisitions

SAME = ("rmse", "pearson", "tpr_200", "covered_90", "width_90")


def design(path, **more):
    asked = EffectsBenchmark(pairs=str(path), out="x", **more)
    return benchmark.design(asked, read_samples(str(path), asked))


def test_figures_of_the_linear_model_are_those_by_hand(table, tmp_path, call, capsys):
    out = tmp_path / "run"
    flags = ("--model", "linear", "--n-train", "40,80", "--seeds", 2, "--json", "--out", out)
    assert call("benchmark", table, *flags) == 0
    summary = json.loads(capsys.readouterr().out)
    found = pl.read_parquet(out / "results.parquet")
    assert found.columns[:9] == [
        "dataset", "model", "n_train", "gene_frequency", "seed", "rmse", "pearson", "tpr_200",
        "seconds",
    ]  # fmt: skip
    assert found["n_train"].to_list() == [40, 40, 80, 80] and found["seed"].to_list() == [0, 1] * 2
    assert set(found["dataset"]) == {"pairs"} and found["gene_frequency"][0] == pytest.approx(4)
    rows = pl.read_csv(table).filter(pl.col("id2") != "control").sort("id1", "id2")
    s = dict(pl.read_csv(table).filter(pl.col("id2") == "control").select("id1", "score").rows())
    x = np.array([s[a] + s[b] for a, b in rows.select("id1", "id2").rows()])
    y, q = rows["score"].to_numpy(), rows.height
    for row in found.iter_rows(named=True):
        order = np.random.default_rng(1442 + row["seed"]).permutation(q)
        train, test = order[: row["n_train"]], order[q - int(0.3 * q) :]
        told = np.polyval(np.polyfit(x[train], y[train], 1), x[test])
        error = y[test] - told
        assert row["rmse"] == pytest.approx(np.sqrt((error**2).mean()), rel=1e-4)
        assert row["pearson"] == pytest.approx(np.corrcoef(told, y[test])[0, 1], rel=1e-4)
        n = len(test) // 10
        shared = set(np.argsort(told)[:n]) & set(np.argsort(y[test])[:n])
        assert row["tpr_200"] == pytest.approx(len(shared) / n) and row["n_lowest"] == n
        assert row["n_test"] == len(test) == 63
        sd = np.sqrt(((y[train] - np.polyval(np.polyfit(x[train], y[train], 1), x[train])) ** 2)
                     .sum() / (len(train) - 2))  # fmt: skip
        assert row["covered_90"] == pytest.approx((np.abs(error) <= 1.6449 * sd).mean())
    of = summary["models"]["linear"]["80"]["rmse"]
    values = found.filter(pl.col("n_train") == 80)["rmse"]
    assert of["mean"] == pytest.approx(values.mean()) and of["sd"] == pytest.approx(values.std())
    assert of["se"] == pytest.approx(values.std() / np.sqrt(2))
    html = (out / "report.html").read_text()
    assert "Error on the tested rows" in html and "<svg" in html
    assert "epistax effects benchmark" in html and (out / "figures/learning.png").exists()


@pytest.mark.parametrize(
    "level",
    [options.LEVELS[0], *(pytest.param(x, marks=pytest.mark.slow) for x in options.LEVELS[1:])],
)
def test_default_and_networks_are_judged_too(table, tmp_path, call, level, capsys):
    out = tmp_path / "run"
    flags = ("--model", "default", "--model", "naiad", "--n-train", 50, "--seeds", 2, "--draws", 15)
    words = ("--epochs", 5, "--hold-out", level, "--out", out)
    assert call("benchmark", table, *flags, *words) == 0
    assert level in capsys.readouterr().out
    found = pl.read_parquet(out / "results.parquet")
    assert found["model"].to_list() == ["default"] * 2 + ["naiad"] * 2
    assert set(found["hold_out"]) == {level}
    assert found.select(*SAME, "seconds", "compile_seconds").null_count().sum_horizontal()[0] == 0
    default = found.filter(pl.col("model") == "default")
    assert default["rmse"].max() < 0.15 and default["pearson"].min() > 0.8
    assert found["seconds"].min() > 0 and found["compile_seconds"].min() >= 0


def test_no_model_is_given_a_tested_value(table, monkeypatch):
    study = design(table, model=("linear",), n_train=(30,), seeds=2, hold_out="gene")
    (chunk,) = Plan.of("k", study.work()).chunks
    real, given = methods.method, []

    def watched(*args):
        model = real(*args)
        return model._replace(fit=lambda *a: given.append(a) or model.fit(*a))

    monkeypatch.setattr(methods, "method", watched)
    study(chunk)
    ((_, seen, jobs),) = given
    parts = [splits.split(seed, study.samples.genes, "gene") for seed in range(2)]
    for n, part in enumerate(parts):
        np.testing.assert_array_equal(jobs.train[n], part.pool[:30])
        assert set(jobs.validation[n][jobs.validation[n] >= 0]) == set(part.validation)
    used = np.concatenate([np.r_[part.pool[:30], part.validation] for part in parts])
    hidden = np.setdiff1d(np.arange(len(seen.value)), used)
    assert np.isnan(seen.value[hidden]).all() and np.isfinite(seen.value[used]).all()


def test_stopped_and_resumed_gives_the_same_figures(table, tmp_path, call, monkeypatch):
    flags = ("--model", "linear", "--n-train", "20,40,60", "--seeds", 2)
    whole, halved = tmp_path / "whole", tmp_path / "halved"
    assert call("benchmark", table, *flags, "--out", whole) == 0
    real, calls = benchmark.Benchmark.__call__, []

    def interrupted(self, chunk):
        calls.append(chunk)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(self, chunk)

    monkeypatch.setattr(benchmark.Benchmark, "__call__", interrupted)
    assert call("benchmark", table, *flags, "--out", halved) == 75
    assert call("benchmark", table, *flags, "--out", halved, "--resume") == 0
    assert len(calls) == 2 + 2  # one of three was kept
    one, two = (pl.read_parquet(run / "results.parquet") for run in (whole, halved))
    timed = ("seconds", "compile_seconds")
    assert one.drop(timed).equals(two.drop(timed))


def test_a_worker_gets_the_same_kernel(table):
    study = design(table, model=("linear",), n_train=(30,), seeds=1)
    (chunk,) = Plan.of("k", study.work()).chunks
    sent = pickle.loads(pickle.dumps(study))
    assert study(chunk).select(SAME).equals(sent(chunk).select(SAME))


def test_defaults_follow_the_size_of_the_data(table):
    study = design(table)
    assert tuple(study.known) == ("default", "naiad", "linear") and study.seeds == (0, 1, 2)
    assert study.sizes == (50, 100)  # 200 rows, for 20 a gene, are not free
    asked = dataclasses.replace(study.options, keep="last", epochs=7)
    config = methods.settings("naiad", asked, study.samples, 50)
    assert (config.training.keep, config.training.epochs) == ("last", 7)


def test_side_information_and_graphs_reach_the_models_that_use_them(table, tmp_path, capsys):
    side, graph = tmp_path / "side.csv", tmp_path / "graph.csv"
    pl.DataFrame({"gene": [f"g{n:02d}" for n in range(20)], "x": range(20)}).write_csv(side)
    graph.write_text("a,b\ng00,g01\ng01,g00\ng02,g03\n")
    models = ("default", "gears", "linear")
    study = design(table, model=models, side=str(side), graph=(str(graph),), n_train=(30,))
    default, gears, linear = (study.known[name] for name in models)
    assert default.side.shape == (20, 9) and default.graph is None  # a column, eight positions
    assert gears.side.shape == (20, 1) and len(gears.graph.edges) == 2
    assert abs(float(gears.side.mean())) < 1e-6
    assert linear.side is None and any("linear does not tell" in line for line in study.remarks)


def test_models_and_acquisitions_offered_are_those_the_engine_has():
    # options may not import the engine, so its lists are written twice
    assert set(options.MODELS) == set(catalogue.NAMES)
    assert options.ACQUISITIONS == acquisitions.NAMES


@pytest.mark.parametrize(
    "words, says",
    [
        (["--n-train", "5000"], "--n-train: 5,000 of the 210 rows are asked for, 126 are left"),
        (["--model", "nosuch"], "--model: 'nosuch' is not one of default"),
        (["--hold-out", "all"], "--hold-out: 'all' is not one of pair, gene, both_genes"),
    ],
)
def test_what_cannot_be_compared_is_refused(table, tmp_path, capsys, words, says):
    assert main(["effects", "benchmark", str(table), "--out", str(tmp_path / "run"), *words]) == 2
    error = capsys.readouterr().err
    assert says in error and error.count("\n") == 1 and not (tmp_path / "run").exists()
