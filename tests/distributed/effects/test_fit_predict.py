"""`effects fit` and `effects predict` through the door: held-out rows, what a file gives back."""

import json

import numpy as np
import polars as pl
import pytest

from epistax.cli import main
from epistax.distributed.effects import fitting, methods, stored
from epistax.distributed.effects.reading import read_samples
from epistax.distributed.options.effects import EffectsFit

FAST = {
    "default": ("--draws", "20"),
    "naiad": ("--epochs", "20", "--members", "2"),
    "linear": (),
}
NOISE = (("naiad-symmetric", "validated"), ("naiad-gaussian", "paper"))


@pytest.fixture(scope="module")
def fits(world, tmp_path_factory):
    """A run of each, made once; g19 has a single effect only."""
    folder = tmp_path_factory.mktemp("fits")
    alone = (pl.col("id1") == "g19") | (pl.col("id2") == "g19")
    world.filter(~alone | (pl.col("id2") == "control")).write_csv(folder / "pairs.csv")
    for model, flags in FAST.items():
        words = ["effects", "fit", str(folder / "pairs.csv"), "--model", model, "--folds", "3"]
        assert main([*words, *flags, "--out", str(folder / model), "--quiet"]) == 0
    return folder


def predict(fits, model, text, out, *words):
    (out.parent / "want.csv").write_text(text)
    want = str(out.parent / "want.csv")
    code = main(["effects", "predict", str(fits / model), want, "--out", str(out), *words])
    assert code == 0
    return pl.read_parquet(out / "predictions.parquet"), json.loads(
        (out / "summary.json").read_text()
    )


@pytest.mark.parametrize("model", FAST)
def test_every_row_is_predicted_by_fits_of_the_others(fits, model):
    summary = json.loads((fits / model / "summary.json").read_text())
    held = pl.read_parquet(fits / model / "heldout.parquet")
    assert held.columns == ["a", "b", "effect", "predicted", "sd", "low", "high", "fold"]
    assert held.height == summary["rows"] == 190 and summary["genes"] == 19
    assert sorted(held["fold"].value_counts()["count"]) == [63, 63, 64]
    error = held["effect"] - held["predicted"]
    assert summary["rmse"] == pytest.approx((error**2).mean() ** 0.5)
    inside = held["effect"].is_between(held["low"], held["high"])
    assert summary["covered_90"] == pytest.approx(inside.mean()) and 0.8 <= inside.mean() <= 0.97
    assert summary["factor"] > 0 and summary["folds"] == 3
    assert summary["members"] == (2 if model == "naiad" else 1)
    if model != "naiad":  # twenty passes teach it little
        assert summary["pearson"] > 0.95
    html = (fits / model / "report.html").read_text()
    assert html.count("<svg") == 2 and "Rows not seen" in html


def test_held_out_rows_of_the_linear_model_are_those_by_hand(fits):
    held = pl.read_parquet(fits / "linear" / "heldout.parquet")
    rows = pl.read_csv(fits / "pairs.csv")
    s = dict(rows.filter(pl.col("id2") == "control").select("id1", "score").rows())
    x = np.array([s[a] + s[b] for a, b in held.select("a", "b").rows()])
    y, fold = held["effect"].to_numpy(), held["fold"].to_numpy()
    for k in range(3):
        line = np.polyfit(x[fold != k], y[fold != k], 1)
        np.testing.assert_allclose(held["predicted"].to_numpy()[fold == k],
                                   np.polyval(line, x[fold == k]), atol=1e-5)  # fmt: skip


def test_each_member_has_validation_rows_of_its_own():
    part = np.arange(60) % 3
    jobs = fitting.drawn(np.random.default_rng(0), part, 3, 2, validated=True)
    assert jobs.train.shape[0] == 8 and (jobs.validation >= 0).sum(1).tolist() == [6] * 2 + [4] * 6
    for n, (train, looked) in enumerate(zip(jobs.train, jobs.validation, strict=True)):
        both = np.r_[train[train >= 0], looked[looked >= 0]]
        fold = n // 2 - 1
        assert sorted(both) == np.flatnonzero(part != fold).tolist()
    assert not np.array_equal(jobs.validation[0], jobs.validation[1])
    plain = fitting.drawn(np.random.default_rng(0), part, 3, 1, validated=False)
    assert (plain.validation < 0).all() and (plain.train[0] >= 0).all()


@pytest.mark.parametrize("model", FAST)
def test_predictions_are_the_same_to_the_bit_after_loading(fits, model, tmp_path):
    options = EffectsFit(pairs=str(fits / "pairs.csv"), out="x", model=model, folds=3,
                         **{"default": {"draws": 20}, "naiad": {"epochs": 20, "members": 2}}
                         .get(model, {}))  # fmt: skip
    samples = read_samples(options.pairs, options, apart=True)
    known = methods.read_known(options, samples.names, model)
    learned, _, _ = fitting.learn(options, samples, known)
    (tmp_path / stored.NAME).write_bytes(stored.encode(learned))
    for one in (stored.read(tmp_path), stored.read(fits / model)):
        told = [fitting.predicted(x, samples.genes, samples.singles) for x in (learned, one)]
        np.testing.assert_array_equal(*told)
    assert (told[0][1] > 0).all()


@pytest.mark.parametrize("model, widths", NOISE)
def test_networks_have_an_sd_their_own_or_that_of_validation(fits, model, widths):
    options = EffectsFit(pairs=str(fits / "pairs.csv"), out="x", model=model, folds=2, epochs=5,
                         members=2, widths=widths)  # fmt: skip
    samples = read_samples(options.pairs, options)
    learned, held, _ = fitting.learn(options, samples, methods.Known(None, None))
    loose = learned._replace(spare=0.0)
    told = [fitting.predicted(x, samples.genes, samples.singles)[1] for x in (learned, loose)]
    np.testing.assert_allclose(told[0] ** 2, told[1] ** 2 + learned.spare**2, rtol=1e-6)
    own = model == "naiad-gaussian"
    assert (learned.spare == 0) == own and held["sd"].min() > 0
    # fits of five passes err about as much on their validation rows as on rows left out
    error = (held["effect"] - held["predicted"]).to_numpy()
    assert own or 0.3 < learned.spare / np.sqrt((error**2).mean()) < 3


def test_rows_keep_their_order_and_what_is_new_is_told(fits, tmp_path):
    assert stored.read(fits / "naiad").config.net.genes == 20  # g19 is in no row, and has a place
    text = "a,b\ng03,g01\ng19,g02\ng03,g01\ng19,g19\ng04,g04\n"
    for model in FAST:
        frame, summary = predict(fits, model, text, tmp_path / model)
        names = [("g01", "g03"), ("g02", "g19"), ("g01", "g03"), ("g19", "g19"), ("g04", "g04")]
        assert frame.select("a", "b").rows() == names
        assert frame["unseen"].to_list() == [0, 1, 0, 1, 0] and summary["unseen"]["1"] == 2
        assert frame["predicted"][0] == frame["predicted"][2]
        assert (frame["low"] < frame["predicted"]).all() and (frame["sd"] > 0).all()
        width = json.loads((fits / model / "summary.json").read_text())["factor"]
        half = (frame["high"] - frame["low"]) / 2
        np.testing.assert_allclose(half, width * frame["sd"], rtol=1e-9)


def test_nothing_is_dropped_silently(fits, tmp_path, capsys):
    text = "id1,id2\ng01,g02\ng01,new\nnew,other\ng03,ctrl\ng05,nan\ng06,g07\n"
    (tmp_path / "singles.csv").write_text("gene,effect\nnew,-0.1\n")
    frame, summary = predict(fits, "linear", text, tmp_path / "a")
    said = capsys.readouterr()
    assert frame.height == 2 and summary["rows"] == 6
    left = {entry["key"]: (entry["count"], entry["examples"]) for entry in summary["left_out"]}
    assert left == {"unassigned": (1, []), "no_combination": (1, []),
                    "no_single": (2, ["new", "other"])}  # fmt: skip
    assert "give it with --singles (new, other)" in said.err and "2 of 6 rows" in said.out
    more = ("--singles", str(tmp_path / "singles.csv"))
    for model in ("linear", "default"):
        frame, summary = predict(fits, model, text, tmp_path / model, *more)
        assert frame.select("a", "b").rows()[1] == ("g01", "new") and frame["unseen"][1] == 1
    frame, summary = predict(fits, "naiad", text, tmp_path / "naiad", *more)
    reason = "with a gene that naiad was not fitted with; model default can"
    assert frame.height == 2 and reason in [entry["reason"] for entry in summary["left_out"]]


def test_rows_of_three_genes(fits, tmp_path):
    text = "a,b,c\ng01,g02,\ng03,g01,g02\n"
    for model in ("default", "linear"):
        frame, _ = predict(fits, model, text, tmp_path / model)
        assert frame.select("a", "b", "c").rows() == [("g01", "g02", None), ("g01", "g02", "g03")]
    frame, summary = predict(fits, "naiad", text, tmp_path / "naiad")
    assert frame.columns[:3] == ["a", "b", "predicted"] and frame.height == 1
    assert "of more than 2 genes" in summary["left_out"][0]["reason"]


def test_measured_rows_are_compared(fits, tmp_path, capsys):
    rows = pl.read_csv(fits / "pairs.csv").filter(pl.col("id2") != "control").head(30)
    text = rows.write_csv() + "g01,g05,\n"
    frame, summary = predict(fits, "default", text, tmp_path / "run")
    assert frame.height == 31 and frame["score"].null_count() == 1
    error = (frame["score"] - frame["predicted"]).drop_nulls()
    assert summary["measured"] == 30
    assert summary["rmse"] == pytest.approx((error**2).mean() ** 0.5) and summary["rmse"] < 0.05
    assert "30 have a score: rmse" in capsys.readouterr().out


@pytest.mark.parametrize(
    "text, words, says",
    [
        ("x,y\ng01,g02\n", [], "no columns of labels known by name"),
        ("g01,g02\ng03,g02\n", [], "its first line is data ('g01', 'g02'); add a header: a,b"),
        ("a,b\nnew,g02\n", [], "none of its 1 rows can be predicted: 1 with a gene without a sin"),
        ("a,b\n", [], "has a header but no rows"),
        ("a,b\ng01,g02\n", ["--columns", "a,z"], "--columns: no column 'z'"),
        ("a,b,score\ng01,g02,high\n", [], "'high' is not a number"),
    ],
)
def test_what_cannot_be_predicted_is_refused(fits, write, tmp_path, capsys, text, words, says):
    want, out = str(write(text)), str(tmp_path / "run")
    assert main(["effects", "predict", str(fits / "linear"), want, "--out", out, *words]) == 2
    error = capsys.readouterr().err
    assert says in error and error.count("\n") == 1 and not (tmp_path / "run").exists()
