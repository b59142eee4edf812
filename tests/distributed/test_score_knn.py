"""`score --test knn`, through the door."""

import json

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from epistax.cli import main

HITS = {"A": 0, "B": 0, "C": 1, "D": 1}  # the latent that each gene moves


def write(folder, *, d=3, n=60, drop=None, truth=True):
    """Latents N(0, 1), N(2, 1) where hit, in numpy's own format, and the truth beside them."""
    rng = np.random.default_rng(0)
    pairs = [(a, b) for a in HITS for b in HITS if a < b]
    classes = [((), 4 * n)] + [((gene,), n) for gene in HITS] + [(pair, n) for pair in pairs]
    x, label = [], []
    for members, count in classes:
        name = "+".join(members) or "ctrl"
        count = dict([drop]).get(name, count) if drop else count
        z = rng.normal(size=(count, 3))
        z[:, list({HITS[gene] for gene in members})] += 2
        x.append(z)
        label += [name] * count
    x = np.concatenate(x)
    x = x if d == 3 else x @ rng.normal(size=(3, d)) + 0.1 * rng.normal(size=(len(x), d))
    folder.mkdir(exist_ok=True)
    np.savez(folder / "data.npz", x=x.astype(np.float32), perturbation=np.array(label))
    if truth:
        a, b = zip(*pairs, strict=True)
        apart = [HITS[i] != HITS[j] for i, j in pairs]
        pl.DataFrame({"a": a, "b": b, "separable": apart}).write_parquet(folder / "truth.parquet")
    return folder / "data.npz"


def run(data, out, *flags):
    return main(["score", str(data), "--out", str(out), *map(str, flags)])


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("knn")
    data = write(folder / "sim", n=250)
    assert run(data, folder / "run", "--quiet", "--test", "knn", "--test", "knn:adaptive") == 0
    return folder / "run"


def test_rows_have_a_signed_statistic_and_its_size(done):
    frame = pl.read_parquet(done / "scores.parquet")
    assert frame["test"].unique(maintain_order=True).to_list() == ["knn", "knn:adaptive"]
    assert frame.height == 12 and set(frame["status"]) == {"ok"}
    assert (frame["score"] == frame["statistic"].abs()).all()
    assert frame.select(pl.col("se", "p_value", "q_value").is_null().all()).row(0) == (True,) * 3
    same = frame.filter(pl.concat_str("a", "b").is_in(["AB", "CD"]))
    assert same.height == 4 and (same["statistic"] < -0.8).all()  # -2 in truth


def test_the_truth_beside_the_data_judges(done):
    summary = json.loads((done / "summary.json").read_text())["tests"]
    frame = pl.read_parquet(done / "scores.parquet")
    for name, rows in frame.group_by("test"):
        inseparable = pl.concat_str("a", "b").is_in(["AB", "CD"])
        wanted = roc_auc_score(rows.select(inseparable).to_series(), rows["score"])
        entry = summary[name[0]]
        assert entry["truth"] == "separable" and entry["positives"] == 2
        assert entry["auroc"] == pytest.approx(wanted) and wanted > 0.8
        assert "found" not in entry


def test_many_features_are_projected_and_it_is_said(tmp_path, capsys):
    data = write(tmp_path / "sim", d=24, truth=False)
    assert run(data, tmp_path / "run", "--test", "knn") == 0
    said = capsys.readouterr().err
    assert "knn: 24 features are projected onto their 10 leading principal components, " in said
    held = json.loads((tmp_path / "run/run.json").read_text())["facts"]["knn"]
    assert (held["features"], held["used"]) == (24, 10) and 0.9 < held["share"] < 1
    assert f"{held['share']:.0%} of the variance" in said


@pytest.mark.parametrize("name, left", [("A+C", 6), ("B", 6), ("ctrl", 6)])
def test_what_is_too_few_is_said(name, left, tmp_path, capsys):
    data = write(tmp_path / "sim", drop=(name, left))
    assert run(data, tmp_path / "run", "--quiet", "--test", "knn", "--test", "additive") == 0
    frame = pl.read_parquet(tmp_path / "run/scores.parquet")
    few = frame.filter(pl.col("status") == "few")
    members = set(name.split("+"))
    touched = [
        (a, b)
        for a, b in frame.filter(test="knn").select("a", "b").rows()
        if name == "ctrl" or members <= {a, b}
    ]
    assert set(few["test"]) == {"knn"} and few.select("a", "b").rows() == touched
    assert few["statistic"].is_null().all()
    assert f"{len(touched)} with fewer than 2 observations (knn: 7)" in capsys.readouterr().out


def test_residuals_are_refused(tmp_path, capsys):
    data = write(tmp_path / "sim", truth=False)
    assert run(data, tmp_path / "run", "--test", "knn:adaptive", "--center", "fit") == 2
    assert "--test: 'knn:adaptive' compares classes with controls" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_another_column_of_the_truth(tmp_path):
    data = write(tmp_path / "sim", n=20)
    truth = pl.read_parquet(tmp_path / "sim/truth.parquet")
    truth.select("a", "b", same_gene=~pl.col("separable")).write_parquet(
        tmp_path / "sim/truth.parquet"
    )
    assert run(data, tmp_path / "run", "--quiet", "--test", "knn") == 0
    entry = json.loads((tmp_path / "run/summary.json").read_text())["tests"]["knn"]
    assert entry["truth"] == "same_gene" and entry["positives"] == 2
