"""`epistax export`: what it writes is read again to the same names and numbers."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats

from epistax.cli import main
from epistax.distributed.effects import stored as effects
from epistax.distributed.formats.side import read_rows
from epistax.distributed.formats.tables import read_pairs
from epistax.distributed.options.export import SHAPES as EVERY
from epistax.distributed.verbs.export import SHAPES

GENES = [f"G{k:02d}" for k in range(8)]


@pytest.fixture(scope="module")
def prediction(fit: Path, tmp_path_factory, ran) -> Path:
    folder = tmp_path_factory.mktemp("predict")
    (folder / "wanted.csv").write_text("a,b\nG00,G01\nG05,G02\nG03,G07\n")
    return ran(folder, "effects predict", str(fit), str(folder / "wanted.csv"))


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
def test_measured_effects_come_back_to_the_bit(fit, to, name, exported):
    table = read_pairs(exported(fit, to, name))
    assert table.names == tuple(GENES)
    assert pairs_of(table) == told(fit, "heldout", "effect")
    assert dict(zip(table.names, table.singles, strict=True)) == singles(fit)
    assert table.census["left_out"] == 0


def test_predictions_come_back_from_naiad(fit, prediction, exported):
    table = read_pairs(exported(prediction, "naiad", "n.csv"))
    assert pairs_of(table) == told(prediction, "predictions", "predicted")
    assert dict(zip(table.names, table.singles, strict=True)) == singles(fit)


@pytest.mark.parametrize("test, scale", [("additive", 1), ("mmd", 2)])
@pytest.mark.parametrize("to", ["naiad", "batchie", "gimap"])
def test_scores_of_one_test_come_back(scored, capfd, test, scale, to, exported):
    table = read_pairs(exported(scored, to, "table", "--test", test))
    assert pairs_of(table) == {("A", "B"): 0.3 * scale, ("A", "C"): 0.7 * scale}
    assert "left out: 1 pairs without a score" in capfd.readouterr().out


def test_interactions_for_gimap_are_effects_less_the_singles(fit, prediction, exported):
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


def test_gene_summary_of_single_effects(fit, exported):
    path = exported(fit, "mageck", "x.gene_summary.txt")
    rows = read_rows(str(path))
    column = {name: rows.values[:, k] for k, name in enumerate(rows.columns)}
    assert dict(zip(rows.label, column["neg|lfc"], strict=True)) == singles(fit)
    np.testing.assert_array_equal(column["neg|rank"], stats.rankdata(column["neg|lfc"]))
    np.testing.assert_array_equal(column["pos|rank"], stats.rankdata(-column["neg|lfc"]))
    frame = pl.read_csv(path, separator="\t", null_values="NA")
    assert frame["neg|p-value"].null_count() == 8  # nothing was tested
    assert (column["num"] == 7).all()


def test_gene_summary_of_predictions(prediction, exported):
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


def test_gene_summary_of_scores_has_one_side(scored, exported):
    path = exported(scored, "mageck", "x.gene_summary.txt", "--test", "mmd")
    frame = pl.read_csv(path, separator="\t", null_values="NA")
    assert frame["id"].to_list() == ["A+B", "A+C"] and frame["num"].to_list() == [9, 8]
    assert frame["pos|rank"].to_list() == [2, 1] and frame["neg|rank"].null_count() == 2
    assert frame["pos|p-value"].to_list() == [0.01, 0.2] == frame["pos|fdr"].to_list()


def test_what_a_run_does_not_have_is_said(scored, fit, tmp_path, finished, complaint):
    out = ["--out", tmp_path / "x"]
    for run, verb, to in ((scored, "score", "gears"), (fit, "effects fit", "pertpy")):
        said = complaint(run, "--to", to, *out)
        assert f"a run of {verb} has no {to}; it has {', '.join(SHAPES[verb])}" in said
    assert "the tests additive, mmd; choose one" in complaint(scored, "--to", "naiad", *out)
    words = [scored, "--to", "naiad", *out, "--test"]
    assert "no test 'knn'; it has additive, mmd" in complaint(*words, "knn")
    assert "says nothing to naiad" in complaint(scored, "--to", "naiad", *out, "--data", "d")
    assert "has no tests; leave it out" in complaint(fit, "--to", "naiad", *out, "--test", "a")
    cells = finished(tmp_path / "r", "response predict")
    assert "run response predict with --cells" in complaint(cells, "--to", "gears", *out)
    assert not (tmp_path / "x").exists()
    assert set(EVERY) == {shape for shapes in SHAPES.values() for shape in shapes}


def test_nothing_is_overwritten_without_force(scored, screen, tmp_path, complaint):
    out = tmp_path / "there.csv"
    out.write_text("mine")
    words = [scored, "--to", "naiad", "--test", "mmd", "--out"]
    assert f"--out: {out} exists; --force replaces it" in complaint(*words, out)
    assert out.read_text() == "mine"
    assert main(["export", *map(str, words), str(out), "--force"]) == 0
    assert out.read_text().startswith("id1,id2,score\n")
    assert "is a directory; name a file" in complaint(*words, tmp_path)
    assert "make it first" in complaint(*words, tmp_path / "no" / "x.csv")
    same = [scored, "--to", "anndata", "--data", screen, "--force", "--out", screen]
    assert "is the input; name another file" in complaint(*same)
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".tmp-")]


def test_names_that_another_tool_would_cut_are_refused(scored, tmp_path, complaint):
    path = scored / "scores.parquet"
    pl.read_parquet(path).with_columns(b=pl.col("b").replace("C", "HLA_C")).write_parquet(path)
    words = [scored, "--test", "mmd", "--out", tmp_path / "x", "--to"]
    assert "'HLA_C' holds '_', by which gimap joins names" in complaint(*words, "gimap")


def test_a_fit_that_is_another_now_is_refused(prediction, tmp_path, complaint):
    record = json.loads((prediction / "run.json").read_text())
    run, out = tmp_path / "run", ["--out", tmp_path / "x"]
    shutil.copytree(prediction, run)
    record["inputs"][0]["sha256"] = "0"
    (run / "run.json").write_text(json.dumps(record))
    said = complaint(run, "--to", "naiad", *out)
    assert "is another fit than effects predict has asked; run effects predict again" in said
    record["options"]["directory"] = "elsewhere"
    (run / "run.json").write_text(json.dumps(record))
    assert "its fit elsewhere is not there" in complaint(run, "--to", "naiad", *out)
