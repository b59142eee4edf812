"""Environments that shift latents, through the door: what their files hold."""

import json

import anndata
import numpy as np
import polars as pl
import pytest

from epistax.cli import main

SCM = (
    ("growing", "--cells 20 --environments 6 --targets 3 --genes 8"),
    ("sparse", "--cells 20 --environments 8 --targets 2 --genes 6 --mixing relu --network"),
    ("two-environments", "--cells 30"),
    ("independent", "--cells 30 --genes 6 --error .3"),
)
L1000 = "--environments 24 --genes 30 --targets 6".split()


def simulate(kind, out, *words):
    return main(["simulate", kind, "--out", str(out), "--quiet", *words])


def npz(path):
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


@pytest.fixture(scope="module")
def l1000(tmp_path_factory):
    out = tmp_path_factory.mktemp("sim")
    for name, seed in (("one", "3"), ("again", "3"), ("other", "4")):
        assert simulate("l1000", out / name, *L1000, "--seed", seed) == 0
    return out


@pytest.mark.parametrize(("case", "words"), SCM)
def test_samples_environments_and_truth_agree(tmp_path, case, words):
    assert simulate("scm", tmp_path / "sim", "--case", case, *words.split()) == 0
    data = npz(tmp_path / "sim/data.npz")
    truth = pl.read_parquet(tmp_path / "sim/truth.parquet")
    assert truth.columns == ["environment", "target", "offset", "factor", "split"]
    names = data["environments"]
    assert names.dtype.kind == "U" and truth["environment"].to_list() == names.tolist()
    assert set(data["environment"]) == set(names) and len(set(names)) == len(names)
    assert len(data["vectors"]) == len(data["split"]) == len(names)
    assert truth["split"].to_list() == data["split"].tolist()
    control = names == "control"
    assert control.sum() == (case != "growing")
    assert (truth["target"].to_numpy()[control] == -1).all() and not data["vectors"][control].any()
    assert (truth["target"].to_numpy()[~control] >= 0).all()
    # the noises of an environment are those of its offset; the latents follow from them
    total = np.linalg.inv(np.eye(data["edges"].shape[0]) - data["edges"])
    np.testing.assert_allclose(data["c"], data["z"] @ total.T, atol=1e-4)
    if case in ("growing", "sparse"):
        assert 0 < (data["split"] == "validation").sum() <= len(names) / 2
        assert {"inner", "outer"} < set(data) and "mixing" not in data
        hidden = np.maximum(np.einsum("nd,ghd->ngh", data["c"], data["inner"]), 0)
        seen = (hidden * data["outer"]).sum(axis=2)
    else:
        assert set(data["split"]) == {"train"}
        seen = data["c"] @ data["mixing"].T
    noise = 0.1 if case == "sparse" else 0.3 if case == "independent" else 0.0
    assert data["noise"] == np.float32(noise)
    assert (data["x"] - seen).std() == pytest.approx(noise, rel=0.1, abs=1e-5)


def test_the_usual_case_says_what_it_holds(tmp_path, capsys):
    assert simulate("scm", tmp_path / "sim", "--cells", "5") == 0
    said = capsys.readouterr().out
    assert "1,200 samples of 20 features of 5 latents in 41 environments, 20 of them" in said
    assert f"next:  epistax causal benchmark {tmp_path}/sim/data.npz --out DIR" in said
    assert "mixing" in npz(tmp_path / "sim/data.npz")


def test_profiles_are_those_of_compounds(l1000, capsys):
    data = anndata.read_h5ad(l1000 / "one/data.h5ad")
    truth = pl.read_parquet(l1000 / "one/truth.parquet")
    assert truth.columns == ["environment", "target", "offset", "split"]
    assert truth["environment"].to_list()[:2] == ["DMSO", "C01"] and truth.height == 25
    assert (truth["split"] == "validation").sum() == round(335 / 1017 * 24)
    assert set(data.obs) == {"perturbation", "cell_line", "plate", "dose", "time", "split"}
    assert data.shape[1] == 30 and data.X.dtype == np.float32
    obs = data.obs.reset_index(drop=True)
    names = obs["perturbation"].astype(str).to_numpy()
    assert set(names) == set(truth["environment"])
    bits = data.obsm["fingerprint"]
    assert bits.shape == (len(obs), 1024) and not bits[names == "DMSO"].any()
    known = dict(zip(truth["environment"], truth["split"], strict=True))
    for name in ("C01", "C24"):
        own = names == name
        assert len(np.unique(bits[own], axis=0)) == 1 and 50 < bits[own][0].sum() < 150
        assert set(obs["split"][own]) == {known[name]}
    assert set(obs["dose"][names == "DMSO"]) == {0.0}
    assert set(obs["dose"]) == {0, 0.04, 0.12, 0.37, 1.11, 3.33, 10}
    # of a plate one line and one time
    assert obs.groupby("plate", observed=True)[["cell_line", "time"]].nunique().max().max() == 1
    latents = npz(l1000 / "one/latents.npz")
    assert latents["c"].shape == (len(obs), 6) and latents["mixing"].shape == (30, 6)
    summary = json.loads((l1000 / "one/summary.json").read_text())
    assert summary["samples"] == len(obs) and summary["controls"] == (names == "DMSO").sum()


def test_the_seed_decides(l1000):
    read = [anndata.read_h5ad(l1000 / n / "data.h5ad").X for n in ("one", "again", "other")]
    assert np.array_equal(read[0], read[1]) and read[0].shape != read[2].shape


def test_profiles_are_announced(tmp_path, capsys):
    assert simulate("l1000", tmp_path / "sim", *L1000) == 0
    said = capsys.readouterr().out
    assert "of 30 genes under 24 compounds, 8 of them held out, and" in said
    assert f"next:  epistax causal benchmark {tmp_path}/sim/data.h5ad --out DIR" in said
