"""`response fit` and `response predict` through the door: the file, the means, the intervals."""

import json

import anndata
import numpy as np
import polars as pl
import pytest

from epistax.distributed.errors import BadInput
from epistax.distributed.response import stored
from epistax.engine.response import intervals


def learn(source, folder, name, *more):
    from epistax.cli import main

    graph = source.parent / "graph.csv"
    words = ["response", "fit", str(source), "--graph", str(graph), "--model", name, *more]
    assert main([*words, "--out", str(folder / name), "--quiet"]) == 0


@pytest.fixture(scope="module")
def fits(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fits")
    learn(source, folder, "default", "--parts", "2")
    return folder


@pytest.fixture(scope="module")
def network(source, fits):
    learn(source, fits, "ae", "--epochs", "2")
    return fits / "ae"


def test_a_fit_says_how_far_it_can_be_trusted(fits, source):
    summary = json.loads((fits / "default" / "summary.json").read_text())
    found = pl.read_parquet(fits / "default" / "heldout.parquet")
    assert set(found["known"]) == {True, False}
    for key, known in (("seen", True), ("unseen", False)):
        one, part = summary[key], found.filter(pl.col("known") == known)
        assert one["groups"] * 80 == part.height
        error = (part["measured"] - part["predicted"]).to_numpy()
        assert one["rmse"] == pytest.approx(np.sqrt((error**2).mean()))
        assert one["covered_90"] == pytest.approx(0.9, abs=0.01)
        half = one["factor"] * part["sd"].to_numpy()
        np.testing.assert_allclose((part["high"] - part["low"]).to_numpy(), 2 * half)
    assert summary["unseen"]["r2"] > 0.9  # effects are the same in all strata
    html = (fits / "default" / "report.html").read_text()
    assert "not seen" in html and "<svg" in html


@pytest.mark.parametrize("name", ["default", "ae"])
def test_the_file_of_a_fit_comes_back_to_the_bit(fits, network, name):
    found = stored.read(fits / name)
    assert stored.encode(found) == (fits / name / stored.NAME).read_bytes()
    assert found.model == name and found.strata[0] == "alpha_d1" and found.sep == "+"
    assert (found.controls.arm == 0).all() and set(found.controls.stratum) == {0, 1, 2, 3}


def test_damaged_and_foreign_files_are_refused(fits, tmp_path):
    with pytest.raises(BadInput, match="has no fit.npz; name the run directory"):
        stored.read(tmp_path)
    found = stored.read(fits / "default")
    for wrong in (found._replace(genes=found.genes[1:]), found._replace(count=found.count[1:])):
        (tmp_path / stored.NAME).write_bytes(stored.encode(wrong))
        with pytest.raises(BadInput, match="is damaged or no fit of ours"):
            stored.read(tmp_path)


def test_predictions(fits, call, tmp_path, capsys, source):
    out = tmp_path / "run"
    words = ("--to", "g01", "--to", "g03", "--stratum", "beta_d1", "--cells", "--json")
    assert call("predict", fits / "default", *words, "--out", out) == 0
    summary = json.loads(capsys.readouterr().out)
    found = pl.read_parquet(out / "predictions.parquet")
    assert found.height == 2 * 80 and set(found["stratum"]) == {"beta_d1"}
    assert (found["low"] <= found["predicted"]).all() and (found["sd"] > 0).all()
    data = anndata.read_h5ad(source)
    own = (data.obs["cell_type"] == "beta") & (data.obs["donor"] == "d1")
    counts, total = data.X, data.X.sum(1, keepdims=True)
    y = np.log1p(counts / total * np.median(total))
    for arm in ("g01", "g03"):
        part = found.filter(pl.col("arm") == arm)
        there = (own & (data.obs["perturbation"] == arm)).to_numpy()
        assert set(part["cells"]) == {int(there.sum())}
        bare = y[(own & (data.obs["perturbation"] == "control")).to_numpy()].mean(0)
        np.testing.assert_allclose(part["control"].to_numpy(), bare, atol=1e-4)
        change, told = y[there].mean(0) - bare, part["change"].to_numpy()
        assert np.corrcoef(change, told)[0, 1] > 0.8
    cells = anndata.read_h5ad(summary["cells"])
    learned = stored.read(fits / "default")
    n = int((learned.controls.stratum == learned.strata.index("beta_d1")).sum())
    assert cells.shape == (2 * n, 80) and set(cells.obs["perturbation"]) == {"g01", "g03"}
    mean = cells.X[(cells.obs["perturbation"] == "g03").to_numpy()].mean(0)
    np.testing.assert_allclose(mean, part["predicted"].to_numpy(), atol=1e-4)
    kept = cells.obs["cell"].to_numpy()[0] - 1
    assert data.obs["perturbation"].iloc[kept] == "control"


def test_all_arms_and_other_doses(network, call, tmp_path):
    assert call("predict", network, "--out", tmp_path / "all") == 0
    assert pl.read_parquet(tmp_path / "all" / "predictions.parquet").height == 4 * 4 * 80
    assert call("predict", network, "--to", "g01+g00@0.5+1", "--out", tmp_path / "new") == 0
    found = pl.read_parquet(tmp_path / "new" / "predictions.parquet")
    assert set(found["arm"]) == {"g01+g00@0.5+1"} and set(found["cells"]) == {0}


def test_the_default_is_between_doses_and_adds_up_perturbations(fits, call, tmp_path):
    words = ("--to", "g01", "--to", "g01@0.5", "--to", "g03", "--to", "g01+g03")
    assert call("predict", fits / "default", *words, "--out", tmp_path / "run") == 0
    found = pl.read_parquet(tmp_path / "run" / "predictions.parquet")
    whole, half, other, both = (
        found.filter(pl.col("arm") == name)["change"].to_numpy() for name in words[1::2]
    )
    large = np.abs(whole) > np.quantile(np.abs(whole), 0.9)
    np.testing.assert_allclose(half[large], 0.5 * whole[large], rtol=0.3, atol=0.02)
    assert np.corrcoef(both, whole + other)[0, 1] > 0.98


@pytest.mark.parametrize("words, says", [
    (("--to", "g0"), "--to: 'g0' is not one of the 4 perturbations"),
    (("--to", "g00@x"), "is no number"),
    (("--to", "g00+g01@1"), "does not match: 1 number is given for 2 perturbations"),
    (("--stratum", "alpha_d9"), "--stratum: 'alpha_d9' is none of the fit (did you mean alpha_d"),
])  # fmt: skip
def test_what_a_fit_cannot_tell_is_refused(fits, call, tmp_path, capsys, words, says):
    assert call("predict", fits / "default", *words, "--out", tmp_path / "run") == 2
    error = capsys.readouterr().err
    assert says in error and error.count("\n") == 1 and not (tmp_path / "run").exists()


def test_spreads_tell_the_models_errors_from_noise():
    rng = np.random.default_rng(0)
    k, g = 4000, 6
    own, noise = np.array([0, 0.1, 0.2, 0.3, 0.4, 0.5]), np.full((k, g), 0.04)
    change = 0.3 * rng.normal(size=(k, g))
    for slope in (0.0, 0.8):
        sd = np.sqrt(own**2 + (slope * change) ** 2)
        model = sd * rng.normal(size=(k, g))
        error = model + np.sqrt(noise) * rng.normal(size=(k, g))
        found = intervals.spread(error, change, noise)
        assert np.mean(np.abs(error) <= found.half(change, noise)) == pytest.approx(0.9, abs=0.001)
        held = np.abs(model) <= found.factor * found.sd(change)
        assert held.mean() == pytest.approx(0.9, abs=0.015)
        large = np.abs(change) > np.quantile(np.abs(change), 0.98)
        assert held[large].mean() == pytest.approx(0.9, abs=0.05)
        assert slope == 0 or found.slope > 0.3
    exact = intervals.spread(np.zeros((k, g)), change, noise)
    assert 0 < exact.own.max() < 0.05 and exact.slope == 0
