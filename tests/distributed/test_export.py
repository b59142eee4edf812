"""`epistax export`: what it writes is read again to the same names and numbers."""

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import stats

from epistax.cli import main
from epistax.distributed.effects import stored as effects
from epistax.distributed.formats.screens import read_screen
from epistax.distributed.formats.side import read_rows
from epistax.distributed.formats.tables import read_pairs
from epistax.distributed.options import Check
from epistax.distributed.options.export import SHAPES as EVERY
from epistax.distributed.options.response import ResponseFit
from epistax.distributed.record import sha256
from epistax.distributed.response.reading import read_cells
from epistax.distributed.scoring import SCORES
from epistax.distributed.verbs.export import SHAPES

GENES = [f"G{k:02d}" for k in range(8)]
PAIRS = [(a, b) for k, a in enumerate(GENES) for b in GENES[k + 1 :]]


def ran(folder: Path, verb: str, *words: str) -> Path:
    out = folder / verb.replace(" ", "-")
    assert main([*verb.split(), *words, "--out", str(out), "--quiet"]) == 0
    return out


def finished(folder: Path, verb: str, inputs: tuple[Path, ...] = (), **tables: Any) -> Path:
    """A run directory of tables made by hand."""
    folder.mkdir(exist_ok=True)
    held = [{"path": str(p), "sha256": sha256(p)} for p in inputs]
    record = {"verb": verb, "options": {}, "run_key": "k", "inputs": held,
              "versions": {"epistax": "0"}}  # fmt: skip
    (folder / "run.json").write_text(json.dumps(record))
    (folder / "summary.json").write_text("{}")
    for name, columns in tables.items():
        pl.DataFrame(columns).write_parquet(folder / f"{name}.parquet")
    return folder


@pytest.fixture(scope="module")
def fit(tmp_path_factory) -> Path:
    """Effects of all pairs of eight genes, by the sum of singles."""
    folder, rng = tmp_path_factory.mktemp("effects"), np.random.default_rng(0)
    single = dict(zip(GENES, rng.normal(size=len(GENES)), strict=True))
    rows = [(a, b, single[a] + single[b] + rng.normal() / 9) for a, b in PAIRS]
    rows += [(gene, "negative", value) for gene, value in single.items()]
    pl.DataFrame(rows, schema=["id1", "id2", "score"], orient="row").write_csv(folder / "p.csv")
    return ran(folder, "effects fit", str(folder / "p.csv"), "--model", "linear")


@pytest.fixture(scope="module")
def prediction(fit: Path, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("predict")
    (folder / "wanted.csv").write_text("a,b\nG00,G01\nG05,G02\nG03,G07\n")
    return ran(folder, "effects predict", str(fit), str(folder / "wanted.csv"))


@pytest.fixture
def scored(tmp_path: Path) -> Path:
    """Two tests of three pairs, of which the last has no score."""
    rows = [
        (a, b, test, s and s - 1, s and s * scale, s, p, 5, 6, n, 7, "scored" if s else "few")
        for test, scale in (("additive", 1.0), ("mmd", 2.0))
        for a, b, s, p, n in (("A", "B", 0.3, 0.01, 9), ("A", "C", 0.7, 0.2, 8),
                              ("B", "C", None, None, 1))
    ]  # fmt: skip
    frame = pl.DataFrame(rows, schema=SCORES, orient="row")
    return finished(tmp_path / "run", "score", scores=frame.with_columns(q_value=pl.col("p_value")))


def exported(run: Path, to: str, name: str, *words: str) -> Path:
    out = run.parent / name
    assert main(["export", str(run), "--to", to, "--out", str(out), "--force", *words]) == 0
    return out


def refused(capfd: pytest.CaptureFixture[str], *words: object) -> str:
    assert main(["export", *map(str, words)]) == 2
    error = capfd.readouterr().err
    assert error.startswith("epistax export: ") and error.count("\n") == 1
    return error


def told(run: Path, name: str, value: str) -> dict[tuple[str, str], float]:
    frame = pl.read_parquet(run / f"{name}.parquet")
    return {tuple(sorted((a, b))): v for a, b, v in frame["a", "b", value].iter_rows()}


def pairs_of(table: Any) -> dict[tuple[str, str], float]:
    rows = zip(table.i, table.j, table.score, strict=True)
    return {(table.names[i], table.names[j]): v for i, j, v in rows}


def singles(run: Path) -> dict[str, float]:
    learned = effects.read(run)
    return dict(zip(learned.names, learned.singles.astype(float), strict=True))


@pytest.mark.parametrize("to, name", [("naiad", "n.csv"), ("batchie", "b.screen.h5")])
def test_measured_effects_come_back_to_the_bit(fit, to, name):
    table = read_pairs(exported(fit, to, name))
    assert table.names == tuple(GENES)
    assert pairs_of(table) == told(fit, "heldout", "effect")
    assert dict(zip(table.names, table.singles, strict=True)) == singles(fit)
    assert table.census["left_out"] == 0


def test_predictions_come_back_from_naiad(fit, prediction):
    table = read_pairs(exported(prediction, "naiad", "n.csv"))
    assert pairs_of(table) == told(prediction, "predictions", "predicted")
    assert dict(zip(table.names, table.singles, strict=True)) == singles(fit)


@pytest.mark.parametrize("test, scale", [("additive", 1), ("mmd", 2)])
@pytest.mark.parametrize("to", ["naiad", "batchie", "gimap"])
def test_scores_of_one_test_come_back(scored, capfd, test, scale, to):
    table = read_pairs(exported(scored, to, "table", "--test", test))
    assert pairs_of(table) == {("A", "B"): 0.3 * scale, ("A", "C"): 0.7 * scale}
    assert "left out: 1 pairs without a score" in capfd.readouterr().out


def test_interactions_for_gimap_are_effects_less_the_singles(fit, prediction):
    alone = singles(fit)
    path = exported(prediction, "gimap", "gi.tsv")
    frame = pl.read_csv(path, separator="\t", null_values="NA")
    assert frame["target_type"].value_counts().sort("count")["count"].to_list() == [3, 8]
    said = pl.read_parquet(prediction / "predictions.parquet")
    low, high = said["low"].to_numpy(), said["high"].to_numpy()
    summed = np.array([alone[a] + alone[b] for a, b in said["a", "b"].iter_rows()])
    gi = said["predicted"].to_numpy() - summed
    pairs = frame.filter(pl.col("target_type") == "gene_gene")
    np.testing.assert_allclose(pairs["gi_score"], gi, rtol=1e-12)
    sd = (high - low) / 2 / stats.norm.ppf(0.95)
    p = 2 * stats.norm.sf(np.abs(gi) / sd)
    np.testing.assert_allclose(pairs["p_val"], p, rtol=1e-9)
    np.testing.assert_allclose(pairs["fdr"], stats.false_discovery_control(p), rtol=1e-9)
    np.testing.assert_allclose(read_pairs(path).score, gi, rtol=1e-12)
    observed = read_pairs(path, columns=["pgRNA_target", "mean_observed_cs"], sep="_")
    assert pairs_of(observed) == told(prediction, "predictions", "predicted")
    assert dict(zip(observed.names, observed.singles, strict=True)) == alone


def test_gene_summary_of_single_effects(fit):
    path = exported(fit, "mageck", "x.gene_summary.txt")
    rows = read_rows(str(path))
    column = {name: rows.values[:, k] for k, name in enumerate(rows.columns)}
    assert dict(zip(rows.label, column["neg|lfc"], strict=True)) == singles(fit)
    np.testing.assert_array_equal(column["neg|rank"], stats.rankdata(column["neg|lfc"]))
    np.testing.assert_array_equal(column["pos|rank"], stats.rankdata(-column["neg|lfc"]))
    frame = pl.read_csv(path, separator="\t", null_values="NA")
    assert frame["neg|p-value"].null_count() == 8  # nothing was tested
    assert (column["num"] == 7).all()


def test_gene_summary_of_predictions(prediction):
    path = exported(prediction, "mageck", "x.gene_summary.txt")
    assert pairs_of(read_pairs(path, columns=["id", "pos|lfc"])) == told(
        prediction, "predictions", "predicted"
    )
    frame = pl.read_csv(path, separator="\t", null_values="NA")
    said = pl.read_parquet(prediction / "predictions.parquet")
    sd = (said["high"] - said["low"]).to_numpy() / 2 / stats.norm.ppf(0.95)
    z = said["predicted"].to_numpy() / sd
    np.testing.assert_allclose(frame["pos|p-value"], stats.norm.sf(z), rtol=1e-7)
    np.testing.assert_allclose(frame["neg|p-value"], stats.norm.cdf(z), rtol=1e-7)


def test_gene_summary_of_scores_has_one_side(scored):
    path = exported(scored, "mageck", "x.gene_summary.txt", "--test", "mmd")
    frame = pl.read_csv(path, separator="\t", null_values="NA")
    assert frame["id"].to_list() == ["A+B", "A+C"] and frame["num"].to_list() == [9, 8]
    assert frame["pos|rank"].to_list() == [2, 1] and frame["neg|rank"].null_count() == 2
    assert frame["pos|p-value"].to_list() == [0.01, 0.2] == frame["pos|fdr"].to_list()


LABELS = ["ctrl", "A+ctrl", "B+ctrl", "A+B", "C+ctrl"]


@pytest.fixture
def screen(tmp_path: Path) -> Path:
    x = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    obs = pd.DataFrame({"condition": LABELS}, index=[f"c{k}" for k in range(5)])
    data = anndata.AnnData(x, obs=obs, var=pd.DataFrame(index=["f0", "f1", "f2"]))
    data.write_h5ad(tmp_path / "screen.h5ad")
    return tmp_path / "screen.h5ad"


def test_scores_go_into_a_copy_of_the_screen(scored, screen):
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


def test_without_a_screen_perturbations_are_observations(scored, fit):
    made = anndata.read_h5ad(exported(scored, "anndata", "s.h5ad"))
    assert made.obs_names.to_list() == ["A", "B", "C"]
    matrix = made.obsp["mmd_score"].toarray()
    np.testing.assert_allclose(matrix, [[0, 0.6, 1.4], [0.6, 0, 0], [1.4, 0, 0]])
    assert made.obsp["mmd_score"].nnz == 4  # what has no score is no zero
    made = anndata.read_h5ad(exported(fit, "anndata", "e.h5ad"))
    assert made.obs["single"].to_dict() == singles(fit)
    matrix = made.obsp["effect"].toarray()
    np.testing.assert_array_equal(matrix, matrix.T)
    at = {name: k for k, name in enumerate(made.obs_names)}
    assert {k: matrix[at[k[0]], at[k[1]]] for k in PAIRS} == told(fit, "heldout", "effect")


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
    verb, name, keys, feature, screen, tmp_path
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


def test_latents_go_to_their_samples_and_shifts_to_perturbations(screen, tmp_path, capfd):
    shifts = {"gene": ["A", "B"], "z1": [0.5, 0.0], "z2": [0.0, -1.0]}
    run = finished(tmp_path / "run", "causal fit", (screen,), shifts=shifts)
    made = anndata.read_h5ad(exported(run, "anndata", "p.h5ad"))
    assert made.obs_names.to_list() == ["A", "B"]
    np.testing.assert_allclose(made.obsm["X_causal"], [[0.5, 0], [0, -1]])
    words = [run, "--to", "anndata", "--out", tmp_path / "o.h5ad", "--data"]
    assert "has no latents.h5ad; run causal fit with --embed" in refused(capfd, *words, screen)
    obs = pd.DataFrame(index=["sample1", "sample4"])
    latents = anndata.AnnData(obs=obs, obsm={"X_causal": np.array([[1.0, 2], [3, 4]])})
    latents.write_h5ad(run / "latents.h5ad")
    made = anndata.read_h5ad(exported(run, "anndata", "o.h5ad", "--data", str(screen)))
    gap = [np.nan] * 2
    np.testing.assert_allclose(made.obsm["X_causal"], [[1, 2], gap, gap, [3, 4], gap])
    other = exported(run, "anndata", "other.h5ad", "--data", str(screen))
    words = [run, "--to", "anndata", "--out", tmp_path / "x", "--data", other]
    assert "is not the file that the run read" in refused(capfd, *words)


@pytest.fixture(scope="module")
def cells(tmp_path_factory) -> tuple[Path, Path]:
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
def test_predicted_cells_stand_beside_measured_controls(cells, tool, column, labels):
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


def test_what_a_run_does_not_have_is_said(scored, fit, tmp_path, capfd):
    out = ["--out", tmp_path / "x"]
    for run, verb, to in ((scored, "score", "gears"), (fit, "effects fit", "pertpy")):
        said = refused(capfd, run, "--to", to, *out)
        assert f"a run of {verb} has no {to}; it has {', '.join(SHAPES[verb])}" in said
    assert "the tests additive, mmd; choose one" in refused(capfd, scored, "--to", "naiad", *out)
    words = [scored, "--to", "naiad", *out, "--test"]
    assert "no test 'knn'; it has additive, mmd" in refused(capfd, *words, "knn")
    assert "says nothing to naiad" in refused(capfd, scored, "--to", "naiad", *out, "--data", "d")
    assert "has no tests; leave it out" in refused(capfd, fit, "--to", "naiad", *out, "--test", "a")
    cells = finished(tmp_path / "r", "response predict")
    assert "run response predict with --cells" in refused(capfd, cells, "--to", "gears", *out)
    assert not (tmp_path / "x").exists()
    assert set(EVERY) == {shape for shapes in SHAPES.values() for shape in shapes}


def test_nothing_is_overwritten_without_force(scored, screen, tmp_path, capfd):
    out = tmp_path / "there.csv"
    out.write_text("mine")
    words = [scored, "--to", "naiad", "--test", "mmd", "--out"]
    assert f"--out: {out} exists; --force replaces it" in refused(capfd, *words, out)
    assert out.read_text() == "mine"
    assert main(["export", *map(str, words), str(out), "--force"]) == 0
    assert out.read_text().startswith("id1,id2,score\n")
    assert "is a directory; name a file" in refused(capfd, *words, tmp_path)
    assert "make it first" in refused(capfd, *words, tmp_path / "no" / "x.csv")
    same = [scored, "--to", "anndata", "--data", screen, "--force", "--out", screen]
    assert "is the input; name another file" in refused(capfd, *same)
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".tmp-")]


def test_names_that_another_tool_would_cut_are_refused(scored, tmp_path, capfd):
    path = scored / "scores.parquet"
    pl.read_parquet(path).with_columns(b=pl.col("b").replace("C", "HLA_C")).write_parquet(path)
    words = [scored, "--test", "mmd", "--out", tmp_path / "x", "--to"]
    assert "'HLA_C' holds '_', by which gimap joins names" in refused(capfd, *words, "gimap")


def test_a_fit_that_is_another_now_is_refused(prediction, tmp_path, capfd):
    record = json.loads((prediction / "run.json").read_text())
    run, out = tmp_path / "run", ["--out", tmp_path / "x"]
    shutil.copytree(prediction, run)
    record["inputs"][0]["sha256"] = "0"
    (run / "run.json").write_text(json.dumps(record))
    said = refused(capfd, run, "--to", "naiad", *out)
    assert "is another fit than effects predict has asked; run effects predict again" in said
    record["options"]["directory"] = "elsewhere"
    (run / "run.json").write_text(json.dumps(record))
    assert "its fit elsewhere is not there" in refused(capfd, run, "--to", "naiad", *out)


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["score", "rank", "causal fit"])
def test_real_runs_have_the_tables_that_are_written(verb, tmp_path):
    rng = np.random.default_rng(0)
    labels = np.repeat([*LABELS, "B+C", "A+C"], 20)
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
