"""`epistax export` as AnnData: results in a screen or beside perturbations, predicted cells."""

import warnings
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import polars as pl
import pytest

from epistax.distributed.effects import stored as effects
from epistax.distributed.formats.screens import read_screen
from epistax.distributed.formats.tables import read_pairs
from epistax.distributed.options import Check
from epistax.distributed.options.response import ResponseFit
from epistax.distributed.response.reading import read_cells


def test_scores_go_into_a_copy_of_the_screen(scored, screen, finished, exported):
    before = screen.read_bytes()
    path = exported(scored, "anndata", "s.h5ad", "--data", str(screen))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of zarr formats to come
        anndata.read_h5ad(path).write_zarr(path.with_suffix(".zarr"))
    path = path.with_suffix(".zarr")
    again = exported(finished(scored.parent / "more", "rank", ranked=RANKED), "anndata", "t.h5ad",
                     "--data", str(path))  # fmt: skip
    made, found = anndata.read_h5ad(again), anndata.read_h5ad(screen)
    np.testing.assert_array_equal(made.X, found.X)
    assert made.obs.equals(found.obs) and screen.read_bytes() == before
    assert set(made.uns["epistax"]) == {"score", "rank"}  # the earlier one is kept
    held = made.uns["epistax"]["score"]
    said = pl.read_parquet(scored / "scores.parquet")
    assert held["scores"]["a"].astype(str).to_list() == said["a"].to_list()
    np.testing.assert_array_equal(held["scores"]["score"], said["score"].to_numpy())
    assert held["run"]["verb"] == "score" and held["run"]["run_key"] == "k"
    one, two = (read_screen(p, Check(files=("x",))) for p in (again, screen))
    assert one.names == two.names and (one.codes == two.codes).all()


RANKED = {"measure": ["mmd"] * 2, "rank": [1, 2], "a": ["A", "B"], "b": ["B", "D"],
          "score": [0.1, 0.2], "exact": [0.15, 0.25]}  # fmt: skip


def test_without_a_screen_perturbations_are_observations(scored, fit, exported):
    made = anndata.read_h5ad(exported(scored, "anndata", "s.h5ad"))
    assert made.obs_names.to_list() == ["A", "B", "C"]
    matrix = made.obsp["mmd_score"].toarray()
    np.testing.assert_allclose(matrix, [[0, 0.6, 1.4], [0.6, 0, 0], [1.4, 0, 0]])
    assert made.obsp["mmd_score"].nnz == 4  # what has no score is no zero
    made = anndata.read_h5ad(exported(fit, "anndata", "e.h5ad"))
    learned, told = effects.read(fit), pl.read_parquet(fit / "heldout.parquet")
    singles = dict(zip(learned.names, learned.singles.astype(float), strict=True))
    assert made.obs["single"].to_dict() == singles
    matrix = made.obsp["effect"].toarray()
    np.testing.assert_array_equal(matrix, matrix.T)
    at = {name: k for k, name in enumerate(made.obs_names)}
    assert told.height == 28
    for a, b, effect in told["a", "b", "effect"].iter_rows():
        assert matrix[at[a], at[b]] == effect


def profile_tables(keys: dict[str, list[str]], feature: str) -> dict[str, list[Any]]:
    """Two profiles of the features f0 and f2, one after the other."""
    rows = {name: [value for value in values for _ in range(2)] for name, values in keys.items()}
    values = {"predicted": [1.0, 2.0, 3.0, 4.0], "sd": [0.1, 0.2, 0.3, 0.4]}
    return rows | {feature: ["f0", "f2"] * 2} | values


@pytest.mark.parametrize(
    "verb, name, keys, feature",
    [
        ("response fit", "heldout", {"stratum": ["s", "t"], "arm": ["A", "A"],
                                     "known": [True, False]}, "gene"),
        ("response predict", "predictions", {"stratum": ["s", "s"], "arm": ["A", "B"]}, "gene"),
        ("causal predict", "predictions", {"environment": ["A", "B"]}, "feature"),
    ],
)  # fmt: skip
def test_profiles_are_rows_or_stand_beside_the_features(
    verb, name, keys, feature, screen, tmp_path, finished, exported
):
    run = finished(tmp_path / "run", verb, **{name: profile_tables(keys, feature)})
    made = anndata.read_h5ad(exported(run, "anndata", "p.h5ad"))
    np.testing.assert_allclose(made.X, [[1, 2], [3, 4]])
    np.testing.assert_allclose(made.layers["sd"], [[0.1, 0.2], [0.3, 0.4]])
    assert made.var_names.to_list() == ["f0", "f2"] and made.obs.columns.to_list() == [*keys]
    beside = anndata.read_h5ad(exported(run, "anndata", "b.h5ad", "--data", str(screen)))
    held = beside.varm["epistax_predicted"]
    assert held.columns.to_list() == made.obs_names.to_list()
    np.testing.assert_allclose(held, [[1, 3], [np.nan, np.nan], [2, 4]])


def test_latents_go_to_their_samples_and_shifts_to_perturbations(
    screen, tmp_path, finished, exported, complaint
):
    shifts = {"gene": ["A", "B"], "z1": [0.5, 0.0], "z2": [0.0, -1.0]}
    run = finished(tmp_path / "run", "causal fit", (screen,), shifts=shifts)
    made = anndata.read_h5ad(exported(run, "anndata", "p.h5ad"))
    assert made.obs_names.to_list() == ["A", "B"]
    np.testing.assert_allclose(made.obsm["X_causal"], [[0.5, 0], [0, -1]])
    words = [run, "--to", "anndata", "--out", tmp_path / "o.h5ad", "--data"]
    assert "has no latents.h5ad; run causal fit with --embed" in complaint(*words, screen)
    obs = pd.DataFrame(index=["sample1", "sample4"])
    latents = anndata.AnnData(obs=obs, obsm={"X_causal": np.array([[1.0, 2], [3, 4]])})
    latents.write_h5ad(run / "latents.h5ad")
    made = anndata.read_h5ad(exported(run, "anndata", "o.h5ad", "--data", str(screen)))
    gap = [np.nan] * 2
    np.testing.assert_allclose(made.obsm["X_causal"], [[1, 2], gap, gap, [3, 4], gap])
    other = exported(run, "anndata", "other.h5ad", "--data", str(screen))
    words = [run, "--to", "anndata", "--out", tmp_path / "x", "--data", other]
    assert "is not the file that the run read" in complaint(*words)


@pytest.fixture(scope="module")
def cells(tmp_path_factory, ran) -> tuple[Path, Path]:
    """Counts of cells in two strata under A, B and both, and what a fit predicts of them."""
    folder, rng, n, g = tmp_path_factory.mktemp("cells"), np.random.default_rng(0), 200, 20
    arm = rng.choice(["control", "A", "B", "A+B"], n)
    effect = {"A": rng.normal(size=g), "B": rng.normal(size=g)}
    rate = [1 + sum((v for k, v in effect.items() if k in a.split("+")), np.zeros(g)) for a in arm]
    obs = pd.DataFrame({"perturbation": arm, "cell_type": rng.choice(["x", "y"], n)},
                       index=[f"c{k}" for k in range(n)])  # fmt: skip
    counts = rng.poisson(np.exp(np.array(rate))).astype(np.float32)
    data = anndata.AnnData(counts, obs=obs, var=pd.DataFrame(index=[f"g{k}" for k in range(g)]))
    data.uns["values"] = "counts"
    data.write_h5ad(folder / "cells.h5ad")
    fitted = ran(folder, "response fit", str(folder / "cells.h5ad"), "--parts", "2")
    more = ["--cells", "--to", "A", "--to", "A+B", "--to", "control"]
    return folder / "cells.h5ad", ran(folder, "response predict", str(fitted), *more)


@pytest.mark.parametrize(
    "tool, column, labels",
    [
        ("pertpy", "perturbation", {"control", "A", "A+B"}),
        ("gears", "condition", {"ctrl", "A+ctrl", "A+B"}),
        ("cell-eval", "target_gene", {"non-targeting", "A", "A+B"}),
    ],
)
def test_predicted_cells_stand_beside_measured_controls(cells, tool, column, labels, exported):
    source, run = cells
    path = exported(run, tool, "out.h5ad")
    made, told = anndata.read_h5ad(path), anndata.read_h5ad(run / "cells.h5ad")
    assert set(made.obs[column]) == labels and made.obs_names.is_unique
    kept = told[told.obs["perturbation"] != "control"]  # the control of the model is not the truth
    measured = made[: made.n_obs - kept.n_obs]
    assert len(set(measured.obs[column])) == 1
    np.testing.assert_array_equal(made[measured.n_obs :].X, kept.X)
    raw = anndata.read_h5ad(source)
    own = raw.obs["perturbation"] == "control"
    library = raw.X.sum(1)
    want = np.log1p(raw.X[own] / library[own][:, None] * np.median(library))
    np.testing.assert_allclose(measured.X, want, rtol=1e-5)
    table = read_cells(str(path), ResponseFit(data=str(path), out="o"))
    assert table.arms.names == ("control", "A", "A+B")
    assert table.covariates and table.strata == ("x", "y")
    np.testing.assert_array_equal(table.cells.y, made.X)
    assert read_screen(path, Check(files=("x",))).names == ("A", "B")
    if tool == "gears":
        assert made.var["gene_name"].to_list() == made.var_names.to_list()
        assert set(made.obs["control"][made.obs["condition"] == "ctrl"]) == {1}


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["score", "rank", "causal fit"])
def test_real_runs_have_the_tables_that_are_written(verb, tmp_path, ran, exported):
    rng = np.random.default_rng(0)
    labels = np.repeat(["ctrl", "A+ctrl", "B+ctrl", "A+B", "C+ctrl", "B+C", "A+C"], 20)
    shift = np.array([[name in label for name in "ABC--"] for label in labels])
    x = rng.normal(size=shift.shape) + 3 * shift
    obs = pd.DataFrame({"condition": labels}, index=[f"c{k}" for k in range(len(x))])
    data = anndata.AnnData(x.astype(np.float32), obs=obs)
    data.write_h5ad(tmp_path / "d.h5ad")
    more = {
        "score": ["--test", "additive"],
        "rank": ["--measure", "cosine"],
        "causal fit": ["--model", "vae", "--vectors", "onehot", "--epochs", "2", "--embed"],
    }
    run = ran(tmp_path, verb, str(tmp_path / "d.h5ad"), *more[verb])
    made = anndata.read_h5ad(exported(run, "anndata", "o.h5ad", "--data", str(tmp_path / "d.h5ad")))
    held = made.uns["epistax"][verb.replace(" ", "_")]
    assert set(held) == {"run", *(path.stem for path in run.glob("*.parquet"))}
    assert verb != "causal fit" or np.isfinite(made.obsm["X_causal"]).all()
    alone = anndata.read_h5ad(exported(run, "anndata", "p.h5ad"))
    assert len(alone.obsp) or len(alone.obsm)
    if verb != "causal fit":
        assert len(read_pairs(exported(run, "naiad", "n.csv")).score)
