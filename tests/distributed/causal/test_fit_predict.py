"""`causal fit` and `causal predict` through the door: the file, the shifts, the profiles."""

import json

import anndata
import numpy as np
import polars as pl
import pytest

from epistax.distributed.causal import stored
from epistax.distributed.errors import BadInput
from epistax.distributed.formats.side import read_side


@pytest.fixture(scope="module")
def fitted(source, tmp_path_factory):
    """An environment model of few epochs, two members."""
    from epistax.cli import main

    out = tmp_path_factory.mktemp("fit") / "run"
    words = ("--epochs", "3", "--latents", "3", "--members", "2", "--embed", "--split-col", "none")
    words = (*words, "--setting", "warmup=0", "--quiet", "--out", str(out))
    assert main(["causal", "fit", str(source), *words]) == 0
    return out


def test_a_fit_says_what_environments_move(fitted, world):
    summary, arrays = json.loads((fitted / "summary.json").read_text()), world()
    assert summary["validation"] is None and summary["base"] == ["control"]
    frame = pl.read_parquet(fitted / "embedding.parquet")
    assert frame.height == 2 * 7 * 3 and set(frame["split"]) == {"train"}
    data = anndata.read_h5ad(fitted / "latents.h5ad")
    z, sd = data.obsm["X_causal"], data.obsm["X_causal_sd"]
    assert data.shape[0] == len(arrays["x"])
    rows = (data.obs["environment"] == "E2").to_numpy()
    own = frame.filter(pl.col("environment") == "E2", pl.col("member") == 1)
    np.testing.assert_allclose(own["mean"], z[rows].mean(0), rtol=1e-4, atol=1e-5)
    variance = z.var(0), (sd**2).mean(0)
    assert (variance[0] > 0).all()
    base = (data.obs["perturbation"] == "control").to_numpy()
    spread = np.sqrt(z[base].var(0) + (sd[base] ** 2).mean(0))
    expected = (z[rows].mean(0) - z[base].mean(0)) / spread
    np.testing.assert_allclose(own["shift"], expected, rtol=1e-3, atol=1e-4)
    side = pl.read_parquet(fitted / "shifts.parquet")
    assert side.columns == ["gene", *(f"m{m}_z{k}" for m in (1, 2) for k in (1, 2, 3))]
    np.testing.assert_allclose(side.row(2)[1:4], expected, rtol=1e-3, atol=1e-4)
    html = (fitted / "report.html").read_text()
    assert "Latents and who moves them" in html and html.count("<svg") == 2


def test_the_shifts_inform_a_search(fitted, tmp_path):
    from epistax.cli import main

    names = [f"E{k}" for k in range(6)]
    side = read_side(str(fitted / "shifts.parquet"), names)
    assert side.values.shape == (6, 6) and not side.remarks
    rng = np.random.default_rng(0)
    rows = [f"{a},{b},{rng.normal():.3f}" for i, a in enumerate(names) for b in names[:i]]
    (tmp_path / "pairs.csv").write_text("\n".join(["id1,id2,score", *rows]) + "\n")
    words = ["discover", str(tmp_path / "pairs.csv"), "--side", str(fitted / "shifts.parquet")]
    more = ["--policy", "greedy", "--batch", "3", "--rounds", "1", "--seeds", "1", "--quiet"]
    assert main([*words, *more, "--out", str(tmp_path / "run")]) == 0


def test_the_file_of_a_fit_comes_back_to_the_bit(fitted):
    found = stored.read(fitted)
    assert stored.encode(found) == (fitted / stored.NAME).read_bytes()
    assert found.model == "environment" and found.trained.all() and found.members == 2
    assert found.config.latents == 3 and found.coding.kind == "array vectors"


def test_damaged_and_foreign_files_are_refused(fitted, tmp_path):
    with pytest.raises(BadInput, match="has no fit.npz; name the run directory of a finished ca"):
        stored.read(tmp_path)
    found = stored.read(fitted)
    for wrong in (found._replace(features=found.features[1:]), found._replace(base=found.base[1:])):
        (tmp_path / stored.NAME).write_bytes(stored.encode(wrong))
        with pytest.raises(BadInput, match="is damaged or no fit of ours"):
            stored.read(tmp_path)


def test_profiles_of_seen_environments(fitted, call, tmp_path, world):
    assert call("predict", fitted, "--out", tmp_path / "run") == 0
    found, arrays = pl.read_parquet(tmp_path / "run" / "predictions.parquet"), world()
    assert found.height == 7 * 8
    control = arrays["x"][arrays["environment"] == "DMSO"].mean(0)
    part = found.filter(pl.col("environment") == "E1")
    np.testing.assert_allclose(part["control"], control, atol=1e-4)
    still = found.filter(pl.col("environment") == "control")
    np.testing.assert_allclose(still["change"], 0, atol=1e-5)
    np.testing.assert_allclose(still["predicted"], control, atol=1.0)  # in the features' own units
    np.testing.assert_allclose((part["predicted"] - still["predicted"]), part["change"], atol=1e-4)
    priors = pl.read_parquet(tmp_path / "run" / "environments.parquet")
    assert priors.height == 7 * 2 * 3 and priors["seen"].all()
    moved = priors.filter(pl.col("environment") == "E1", pl.col("member") == 1)
    assert moved["moves"].sum() == 1
    at = moved["prior_mean"].abs().to_numpy().argmax()
    assert moved["moves"][int(at)]
    assert not priors.filter(pl.col("environment") == "control")["moves"].any()


def test_new_environments_by_their_vectors(fitted, call, write, tmp_path, world):
    vector = world()["vectors"][2]
    cells = ",".join(f"{value}" for value in vector)
    table = write(f"name,a,b,c,d,e\nnew,1,1,0,0,1\nlike E1,{cells}\n", "new.csv")
    assert call("predict", fitted, "--environments", table, "--to", "E1", "--out",
                tmp_path / "run") == 0  # fmt: skip
    found = pl.read_parquet(tmp_path / "run" / "predictions.parquet")
    assert list(dict.fromkeys(found["environment"])) == ["E1", "like E1", "new"]
    one, same = (found.filter(pl.col("environment") == n)["predicted"] for n in ("E1", "like E1"))
    np.testing.assert_allclose(one, same, rtol=1e-5)
    priors = pl.read_parquet(tmp_path / "run" / "environments.parquet")
    seen = dict(zip(priors["environment"], priors["seen"], strict=True))
    assert seen == {"E1": True, "like E1": True, "new": False}


@pytest.mark.parametrize("text, says", [
    ("name,a,b\nnew,1,1\n", "its vectors have 2 numbers, those of the fit 5 (array vectors)"),
    ("name,note\nnew,x\n", "1 of 1 environments have no vector"),
    ("name,a,b,c,d,e\nnew,1,1,,0,1\n", "1 of 1 environments have no vector"),
    (None, "--to: 'E9' is no environment of the fit"),
])  # fmt: skip
def test_what_a_fit_cannot_tell_is_refused(fitted, call, write, tmp_path, capsys, text, says):
    asked = ("--to", "E9") if text is None else ("--environments", write(text, "new.csv"))
    assert call("predict", fitted, *asked, "--out", tmp_path / "run") == 2
    error = capsys.readouterr().err
    assert says in error and error.count("\n") == 1 and not (tmp_path / "run").exists()


def test_covariates_and_known_drugs_make_new_combinations(call, tmp_path, write):
    import pandas as pd

    rng = np.random.default_rng(0)
    drug = np.array(["DMSO", "A", "B"])[np.arange(60) % 3]
    line = np.where(np.arange(60) % 4 == 0, "M", "K")
    line[drug == "A"] = "K"
    obs = pd.DataFrame({"drug": drug, "line": line, "dose": np.where(drug == "DMSO", 0, 10)})
    obs.index = [f"s{k}" for k in range(60)]
    bits = {"DMSO": [0, 0], "A": [1, 0], "B": [0, 1]}
    data = anndata.AnnData(rng.normal(size=(60, 6)).astype(np.float32), obs=obs)
    data.obsm["fingerprint"] = np.array([bits[d] for d in drug], np.float32)
    data.write_h5ad(tmp_path / "data.h5ad")
    flags = ("--covariate", "line,dose", "--epochs", 1, "--latents", 2, "--model", "environment")
    assert call("fit", tmp_path / "data.h5ad", *flags, "--out", tmp_path / "fit") == 0
    learned = stored.read(tmp_path / "fit")
    assert learned.every.names == (
        "control|K|0", "control|M|0", "A|K|10", "B|K|10", "B|M|10")  # fmt: skip
    table = write("name,line,dose\nA,M,10\n", "new.csv")
    assert call("predict", tmp_path / "fit", "--environments", table, "--out",
                tmp_path / "run") == 0  # fmt: skip
    found = pl.read_parquet(tmp_path / "run" / "predictions.parquet")
    assert set(found["environment"]) == {"A|M|10"}
    own = data.X[((drug == "DMSO") & (line == "M"))].mean(0)
    np.testing.assert_allclose(found["control"], own, atol=1e-5)  # the controls of its line
    for text in ("name,line\nA,M\n", "name,line,dose\nA,X,10\n"):  # no dose; no such line
        asked = ("--environments", write(text, "other.csv"), "--out", tmp_path / "x")
        assert call("predict", tmp_path / "fit", *asked) == 2
