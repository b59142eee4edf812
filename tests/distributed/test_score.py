"""The verb `score`, through the door: rows, q-values, statuses, truth, resuming, real data."""

import json

import numpy as np
import polars as pl
import pytest
from scipy.stats import false_discovery_control
from sklearn.metrics import average_precision_score, roc_auc_score

from epistax.cli import main

GENES = [f"g{k}" for k in range(6)]
D = 5


def effects():
    """Singles' shifts, and one pair that does more than both."""
    h = np.random.default_rng(1).normal(size=(6, D))
    return h, {(1, 4): 2.5 * np.ones(D)}


def write(path, *, n=40, wells=False, batches=1, drop=(), seed=0):
    """A complete screen in numpy's own format; drop leaves labels out."""
    rng = np.random.default_rng(seed)
    h, extra = effects()
    classes = [((), 3 * n)] + [((i,), n) for i in range(6)]
    classes += [((i, j), n) for i in range(6) for j in range(i + 1, 6)]
    x, label, batch, well = [], [], [], []
    for k, (members, count) in enumerate(classes):
        name = "+".join(GENES[i] for i in reversed(members)) or "ctrl"
        if name in drop:
            continue
        mean = sum((h[i] for i in members), np.zeros(D)) + extra.get(members, 0)
        rows = mean + rng.normal(size=(count, D))
        at = np.arange(count) % batches
        rows += 3 * at[:, None]  # a batch effect
        wells_of = np.arange(count) // 8
        if wells:
            rows += rng.normal(size=(count, D))[wells_of]
        x.append(rows)
        label += [name] * count
        batch += [f"b{b}" for b in at]
        well += [f"w{k}-{w}" for w in wells_of]
    arrays = {"x": np.concatenate(x).astype(np.float32), "perturbation": np.array(label)}
    if batches > 1:
        arrays["batch"] = np.array(batch)
    if wells:
        arrays["well"] = np.array(well)
    np.savez(path, **arrays)
    return path


def run(data, out, *flags):
    return main(["score", str(data), "--out", str(out), "--quiet", *map(str, flags)])


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """All tests on a complete screen."""
    folder = tmp_path_factory.mktemp("scored")
    data, out = write(folder / "screen.npz"), folder / "run"
    names = ["additive", "mmd", "mmd:matern", "cosine", "severity", "severity:double"]
    assert run(data, out, *(w for name in names for w in ("--test", name)), "--compose") == 0
    return data, out, names


def test_rows_are_those_of_the_contract(scored):
    _, out, names = scored
    frame = pl.read_parquet(out / "scores.parquet")
    assert frame.columns == [
        "a", "b", "test", "statistic", "score", "se", "p_value", "q_value",
        "n_a", "n_b", "n_ab", "n_control", "status",
    ]  # fmt: skip
    assert frame["test"].unique(maintain_order=True).to_list() == names
    assert frame.height == 15 * len(names) and (frame["a"] < frame["b"]).all()
    assert set(frame["status"]) == {"ok"} and (frame["score"] >= 0).all()
    assert frame.select("n_a", "n_b", "n_ab", "n_control").unique().rows() == [(40, 40, 40, 120)]
    for part in frame.filter(pl.col("p_value").is_not_null()).partition_by("test"):
        wanted = false_discovery_control(part["p_value"].to_numpy())
        np.testing.assert_allclose(part["q_value"], wanted, rtol=1e-12)


def test_statistics_are_those_of_plain_numpy(scored):
    data, out, _ = scored
    held = np.load(data)
    x, label = held["x"].astype(np.float64), held["perturbation"]
    frame = pl.read_parquet(out / "scores.parquet")
    arms = {name: x[label == name] for name in np.unique(label)}
    for row in frame.iter_rows(named=True):
        four = [arms[name] for name in ("ctrl", row["a"], row["b"], f"{row['b']}+{row['a']}")]
        zero, i, j, ij = (arm.mean(axis=0) for arm in four)
        if row["test"] == "additive":
            bias = sum(arm.var(axis=0, ddof=1).sum() / len(arm) for arm in four)
            wanted = ((ij - i - j + zero) ** 2).sum() - bias
        elif row["test"] == "cosine":
            a, b = i - zero, j - zero
            wanted = (a @ b) ** 2 / (a @ a) / (b @ b)
        elif row["test"] == "severity":
            sign = np.sign(ij - zero)
            wanted = (i + j - 2 * zero) @ sign / np.abs(ij - zero).sum()
        elif row["test"] == "severity:double":
            wanted = np.abs(ij - zero).sum()
        else:
            continue
        assert row["statistic"] == pytest.approx(wanted, rel=1e-3, abs=1e-4)
        assert row["score"] == max(row["statistic"], 0)


def test_the_planted_pair_is_found_and_no_other(scored):
    _, out, _ = scored
    frame = pl.read_parquet(out / "scores.parquet")
    additive = frame.filter(pl.col("test") == "additive").sort("p_value")
    assert additive.row(0)[:2] == ("g1", "g4") and additive["p_value"][0] < 1e-20
    assert additive["p_value"][1] > 1e-3
    best = additive.row(0, named=True)
    assert best["statistic"] == pytest.approx(2.5**2 * D, abs=4 * best["se"])


def test_predicted_effects_are_sums_of_single_effects(scored, tmp_path):
    _, out, _ = scored
    assert pl.read_parquet(out / "composed.parquet").height == 0
    data = write(tmp_path / "screen.npz", drop=("g3+g2",))
    assert run(data, tmp_path / "run", "--compose") == 0
    composed = pl.read_parquet(tmp_path / "run/composed.parquet")
    held = np.load(data)
    mean = {n: held["x"][held["perturbation"] == n].mean(axis=0) for n in ("ctrl", "g2", "g3")}
    assert composed.select("a", "b").rows() == [("g2", "g3")]
    wanted = mean["g2"] + mean["g3"] - 2 * mean["ctrl"]
    np.testing.assert_allclose(composed.row(0)[2:], wanted, atol=1e-5)


def test_what_cannot_be_tested_is_named(tmp_path, capsys):
    data = write(tmp_path / "screen.npz", drop=("g2",))
    held = dict(np.load(data))
    few = np.flatnonzero(held["perturbation"] == "g5+g4")[1:]
    kept = np.setdiff1d(np.arange(len(held["x"])), few)
    np.savez(data, **{name: value[kept] for name, value in held.items()})
    assert run(data, tmp_path / "run") == 0
    frame = pl.read_parquet(tmp_path / "run/scores.parquet").filter(pl.col("test") == "mmd")
    status = {(a, b): s for a, b, s in frame.select("a", "b", "status").rows()}
    assert status["g4", "g5"] == "few" and status["g0", "g2"] == "no_single"
    assert sum(s == "no_single" for s in status.values()) == 5
    silent = frame.filter(pl.col("status") != "ok")
    assert silent.select(pl.col("statistic", "p_value", "q_value").is_null().all()).row(0) == (
        True, True, True,
    )  # fmt: skip
    assert np.isfinite(frame.filter(pl.col("status") == "ok")["p_value"].to_numpy()).all()
    shown = capsys.readouterr().out
    assert "5 without one of their singles" in shown and "1 with fewer than 2" in shown


def test_batches_are_centred_on_their_controls(tmp_path):
    plain, shifted = write(tmp_path / "a.npz"), write(tmp_path / "b.npz", batches=2)
    assert run(plain, tmp_path / "a", "--test", "additive") == 0
    assert run(shifted, tmp_path / "b", "--test", "additive") == 0
    a, b = (pl.read_parquet(tmp_path / n / "scores.parquet")["statistic"] for n in "ab")
    assert np.abs(a.to_numpy() - b.to_numpy()).max() < 0.5
    assert json.loads((tmp_path / "b/run.json").read_text())["facts"]["center"] == "batch"
    assert run(shifted, tmp_path / "c", "--test", "cosine", "--center", "none") == 0
    assert json.loads((tmp_path / "c/run.json").read_text())["facts"]["center"] == "none"


def test_wells_count_as_one_draw(tmp_path):
    data = write(tmp_path / "screen.npz", wells=True)
    assert run(data, tmp_path / "wells", "--test", "additive") == 0
    assert run(data, tmp_path / "cells", "--test", "additive", "--units", "observations") == 0
    p = {
        name: pl.read_parquet(tmp_path / name / "scores.parquet")
        .filter((pl.col("a") != "g1") | (pl.col("b") != "g4"))["p_value"]
        .to_numpy()
        for name in ("wells", "cells")
    }
    assert (p["cells"] < 0.05).mean() > 0.5 > 0.3 > (p["wells"] < 0.05).mean()


@pytest.mark.parametrize("null", ["gamma", "multiplier", "permutation", "none"])
def test_other_nulls_agree_with_the_default(scored, tmp_path, null):
    data, out, _ = scored
    flags = ("--null", null, "--draws", 400, "--test", "mmd", "--test", "additive")
    assert run(data, tmp_path / "run", *flags) == 0
    other = pl.read_parquet(tmp_path / "run/scores.parquet")
    default = pl.read_parquet(out / "scores.parquet").filter(
        pl.col("test").is_in(["mmd", "additive"])
    )
    both = default.join(other, on=["a", "b", "test"], suffix="_other")
    np.testing.assert_allclose(both["statistic"], both["statistic_other"], atol=1e-6)
    if null == "none":
        assert both["p_value_other"].is_null().all()
    else:
        usual = both.filter(pl.col("p_value") > 0.01)
        assert usual.height > 5
        excess = (usual["p_value_other"] - usual["p_value"]).to_numpy()
        # the arms differ, so that permuting them is conservative
        assert excess.min() > -0.1 and (null == "permutation" or excess.max() < 0.1)
        assert null == "gamma" or other["p_value"].min() >= 1 / 401


def test_truth_beside_the_data_judges(tmp_path, capsys):
    folder = tmp_path / "sim"
    folder.mkdir()
    data = write(folder / "data.npz")
    pairs = [(GENES[i], GENES[j]) for i in range(6) for j in range(i + 1, 6)]
    truth = pl.DataFrame(pairs, schema=["a", "b"], orient="row").with_columns(
        interacting=(pl.col("a") == "g1"), disjoint=(pl.col("b") != "g4"), odd=pl.lit(1.0)
    )
    turned = truth.select(a="b", b="a", interacting="interacting", disjoint="disjoint", odd="odd")
    pl.concat([truth[:7], turned[7:]]).write_parquet(folder / "truth.parquet")
    assert run(data, tmp_path / "run", "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    frame = pl.read_parquet(tmp_path / "run/scores.parquet").join(truth, on=["a", "b"])
    for name, label in (("additive", pl.col("interacting")), ("mmd", ~pl.col("disjoint"))):
        part = frame.filter(pl.col("test") == name).with_columns(label=label)
        entry = summary["tests"][name]
        assert entry["auroc"] == pytest.approx(roc_auc_score(part["label"], part["score"]))
        wanted = average_precision_score(part["label"], part["score"])
        assert entry["average_precision"] == pytest.approx(wanted)
        assert entry["seconds"] > 0
    assert run(data, tmp_path / "again", "--truth", "mmd=interacting") == 0
    assert run(data, tmp_path / "bad", "--truth", "mmd=nosuch") == 2
    assert "'nosuch'; it has a, b, interacting" in capsys.readouterr().err
    assert run(data, tmp_path / "bad", "--truth", "mmd=odd") == 2
    assert "not true or false" in capsys.readouterr().err


def test_a_stopped_run_goes_on_to_the_same_bytes(scored, tmp_path, monkeypatch):
    from epistax.distributed.scoring import Scorer

    data, out, names = scored
    flags = [w for name in names for w in ("--test", name)] + ["--compose"]
    real, calls = Scorer.__call__, []

    def stopping(self, chunk):
        if len(calls) == 2:
            raise KeyboardInterrupt
        calls.append(chunk)
        return real(self, chunk)

    monkeypatch.setattr(Scorer, "__call__", stopping)
    assert run(data, tmp_path / "run", *flags) == 75
    monkeypatch.undo()
    assert run(data, tmp_path / "run", "--resume", *flags) == 0
    one, two = ((f / "scores.parquet").read_bytes() for f in (out, tmp_path / "run"))
    assert one == two


def test_scores_feed_discover(scored, tmp_path):
    _, out, _ = scored
    scores = str(out / "scores.parquet")
    flags = ["--test", "mmd", "--batch", "3", "--rounds", "2", "--out", str(tmp_path / "d")]
    assert main(["discover", scores, "--quiet", *flags]) == 0


@pytest.mark.slow
def test_doubles_alone_are_fitted(tmp_path, capsys):
    rng = np.random.default_rng(0)
    names = [f"d{k:02d}" for k in range(24)]
    main_effect = rng.normal(size=(24, 3))
    rows = []
    for i in range(24):
        for j in range(24):
            if i != j:
                x = main_effect[i] + main_effect[j] + 0.3 * rng.normal(size=3)
                x = x + 3.0 * ({i, j} == {3, 7}) + 5.0 * (j % 4)
                rows.append((names[i], names[j], f"p{j % 4}", *x))
    table = tmp_path / "wells.csv"
    schema = ["gene1", "gene2", "plate", "f_0", "f_1", "f_2"]
    pl.DataFrame(rows, schema=schema, orient="row").write_csv(table)
    assert run(table, tmp_path / "none") == 2
    assert "--center fit" in capsys.readouterr().err
    assert run(table, tmp_path / "run", "--center", "fit", "--whiten") == 0
    for name, part in (
        pl.read_parquet(tmp_path / "run/scores.parquet").partition_by("test", as_dict=True).items()
    ):
        best = part.sort("p_value", "a")
        assert best.row(0)[:2] == ("d03", "d07"), name
        assert best["q_value"][0] < 0.01 < 0.05 < best["q_value"][1]


@pytest.mark.slow
def test_the_known_genetic_pairs_of_a_real_screen_rank_high(shared_data, tmp_path):
    folder = shared_data / "horn2011_mapk"
    known = pl.read_csv(folder / "networks.txt", separator="\t").filter(pl.col("genetic") == 1)
    known.select("gene1", "gene2").write_csv(tmp_path / "genetic.csv")
    controls = ["Fluc", "pbl_1", "th_2", "CSN4_1", "CSN3_1", "Pvr_2"]
    code = run(
        folder / "horn2011_long.csv.gz", tmp_path / "run",
        "--label-col", "templateSymbol,querySymbol", "--guide-col", "templateRID,queryRID",
        "--features", "nrCells,area,intensity", "--batch-col", "Platebarcode",
        "--log2", "--center", "fit", "--whiten", "--known", tmp_path / "genetic.csv",
        *(word for name in controls for word in ("--control", f"Ctrl_{name}")),
        "--test", "additive",
    )  # fmt: skip
    assert code == 0
    found = json.loads((tmp_path / "run/summary.json").read_text())["tests"]["additive"]
    against = found["known"]["genetic"]
    assert (against["positives"], against["judged"]) == (118, 4278)
    assert against["auroc"] > 0.76 and against["average_precision"] > 0.1
    assert (against["total"], against["universe"], against["null_pairs"]) == (118, 4278, 4160)
    assert against["recall"] > 0.3 > against["by_degree"] > 0.15 > against["expected"] == 0.05
    assert against["low"] < against["recall"] < against["high"] and against["genes"] == 44
