"""Simulated cells through the door: their files, and that these agree with one another."""

import json

import anndata
import numpy as np
import polars as pl
import pytest
from scipy.sparse import issparse

from epistax.cli import main
from epistax.distributed.simulated import cells as kind
from epistax.engine.simulate.cells_world import SMALL

FLAGS = (
    "--genes 40 --cells 400 --regulators 6 --perturbations 3 --types 2 --donors 2 --doses .5,1"
    " --depth 300 --followed 20 --quiet"
).split()
NAMES = ("one", "again", "other")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("sim")
    patch = pytest.MonkeyPatch()
    patch.setattr(kind, "AVERAGED", 200)
    for name, seed in zip(NAMES, "334", strict=True):
        words = [*FLAGS, "--seed", seed, "--out", str(out / name)]
        assert main(["simulate", "cells", *words]) == 0
    patch.undo()
    return out


@pytest.fixture(scope="module")
def data(made):
    return anndata.read_h5ad(made / "one/data.h5ad")


def npz(path):
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


def test_the_usual_size_is_the_engines():
    assert (kind.GENES, kind.CELLS) == (SMALL.genes, SMALL.cells)
    assert kind.named(12, 2).tolist()[:4] == ["TF1", "TF2", "G01", "G02"]


def test_the_file_says_what_it_holds(data):
    assert issparse(data.X) and data.shape == (400, 40)
    counts = data.X.toarray()
    assert (counts == np.rint(counts)).all() and counts.min() == 0
    assert np.median(counts.sum(1)) == pytest.approx(300, rel=0.1)
    fields = data.uns["fields"]
    assert data.uns["values"] == "counts" and list(fields["covariates"]) == ["cell_type", "donor"]
    assert set(data.obs) == {"perturbation", "control", "dose", "cell_type", "donor"}
    control = data.obs["perturbation"] == "control"
    assert (data.obs["control"] == control).all() and 40 < control.sum() < 130
    assert set(data.obs["perturbation"]) - {"control"} <= set(data.var_names[:6])
    assert set(data.obs["dose"][~control]) == {0.5, 1.0} and set(data.obs["dose"][control]) == {1.0}
    assert set(data.obs["cell_type"]) == {"type1", "type2"}


def test_what_would_have_been_agrees_with_what_was(made, data):
    followed = npz(made / "one/counterfactual.npz")
    assert followed["y_true"].shape == (20, 7, 40) and followed["y_true"].dtype == np.float32
    assert followed["genes"].tolist() == list(data.var_names)
    arms = list(zip(followed["perturbation"], followed["dose"], strict=True))
    obs = data.obs.iloc[followed["rows"]]
    own = [arms.index(a) for a in zip(obs["perturbation"], obs["dose"], strict=True)]
    counts = data.X.toarray()
    total = counts.sum(1, keepdims=True)
    y = np.log1p(counts / total * np.median(total))[followed["rows"]]
    close = [np.corrcoef(y[k], followed["y_true"][k, own[k]])[0, 1] for k in range(20)]
    assert min(close) > 0.6
    # expected expression: of perturbed cells it is nearer their means than that of the control
    effects = npz(made / "one/effects.npz")
    assert effects["mean"].shape == effects["se"].shape == (7, 4, 40)
    assert effects["cell_type"].tolist() == ["type1", "type1", "type2", "type2"]
    near = []
    for a, name in enumerate(effects["perturbation"][1:], 1):
        here = (data.obs["perturbation"] == name) & (data.obs["dose"] == effects["dose"][a])
        hit = list(data.var_names).index(name)
        measured = np.log1p(counts / total * np.median(total))[here.to_numpy(), hit].mean()
        near.append(abs(measured - effects["mean"][[a, 0], :, hit].mean(1)))
    assert np.mean([a < b for a, b in near]) == 1


def test_graph_and_truth_have_the_edges_that_are_announced(made):
    graph = pl.read_csv(made / "one/graph.csv")
    truth = pl.read_parquet(made / "one/truth.parquet")
    assert graph.columns == ["source", "target"]
    assert truth.columns == ["source", "target", "weight", "open_type1", "open_type2"]
    assert truth.select(pl.any_horizontal("open_type1", "open_type2").all()).item()
    assert (truth["weight"].abs() >= 0.4).all()
    summary = json.loads((made / "one/summary.json").read_text())
    right = graph.join(truth, on=["source", "target"], how="semi").height
    assert (summary["edges"], summary["known_edges"]) == (truth.height, graph.height)
    assert summary["right"] == right == graph.height - truth.height  # as many false as true
    assert graph["source"].str.starts_with("TF").all()
    assert (graph["source"] != graph["target"]).all()


def test_the_seed_decides(made):
    read = [anndata.read_h5ad(made / n / "data.h5ad").X.toarray() for n in NAMES]
    assert (read[0] == read[1]).all() and (read[0] != read[2]).any()
    files = [(made / n / "counterfactual.npz").read_bytes() for n in NAMES]
    assert files[0] == files[1] != files[2]


def test_what_was_made_is_told(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(kind, "AVERAGED", 10)
    assert main(["simulate", "cells", *FLAGS[:-1], "--out", str(tmp_path / "sim")]) == 0
    said = capsys.readouterr().out
    assert "400 cells of 40 genes under 3 perturbations" in said
    assert f"epistax response benchmark {tmp_path}/sim/data.h5ad --graph" in said
