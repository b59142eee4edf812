"""`effects discover` through the door: the protocol, what is written, how it resumes."""

import json
import pickle

import numpy as np
import polars as pl
import pytest

from epistax.cli import main
from epistax.distributed.effects import rounds
from epistax.distributed.effects.reading import read_samples
from epistax.distributed.options.effects import EffectsDiscover
from epistax.distributed.plan import Plan
from epistax.distributed.progress import Progress

FAST = ("--model", "linear", "--acquisition", "mpe", "--acquisition", "uniform", "--top", 20,
        "--start", 20, "--step", 10, "--rounds", 2)  # fmt: skip


def strongest(table, n):
    rows = pl.read_csv(table).filter(pl.col("id2") != "control").sort("score").head(n)
    return set(rows.select("id1", "id2").rows())


def test_curves_are_those_of_the_rows_chosen(table, tmp_path, call, capsys):
    out = tmp_path / "run"
    assert call("discover", table, *FAST, "--seeds", 2, "--json", "--out", out) == 0
    summary = json.loads(capsys.readouterr().out)
    curve, chosen = (pl.read_parquet(out / f"{name}.parquet") for name in ("curve", "chosen"))
    assert curve.columns == [
        "model", "acquisition", "seed", "round", "n_measured", "top_200", "probable_200",
        "measured_top", "rmse",
    ]  # fmt: skip
    assert chosen.columns == ["model", "acquisition", "seed", "round", "a", "b", "effect"]
    assert curve.height == 2 * 2 * 3 and set(curve["n_measured"]) == {20, 30, 40}
    wanted = strongest(table, 20)
    for (name, seed), part in chosen.group_by("acquisition", "seed"):
        assert part.height == 40 and part.select("a", "b").n_unique() == 40
        for k in range(3):
            held = part.filter(pl.col("round") <= k).select("a", "b").rows()
            row = curve.filter(acquisition=name, seed=seed, round=k)
            assert row["measured_top"][0] == len(set(held) & wanted) <= row["top_200"][0] <= 20
    scores = pl.read_csv(table).filter(pl.col("id2") != "control")
    both = chosen.join(scores, left_on=["a", "b"], right_on=["id1", "id2"])
    assert both.height == chosen.height and (both["effect"] - both["score"]).abs().max() < 1e-12
    first = chosen.filter(pl.col("round") == 0, seed=1).partition_by("acquisition")
    assert first[0].select("a", "b").equals(first[1].select("a", "b"))
    end = curve.filter(pl.col("round") == 2, acquisition="mpe")["top_200"]
    found = summary["acquisitions"]["mpe"]
    assert found["top_200"][2]["mean"] == end.mean() and found["top_200"][2]["sd"] == end.std()
    begin = curve.filter(pl.col("round") == 0, acquisition="mpe")["top_200"]
    assert found["marginal_gain"]["mean"] == pytest.approx((end - begin).mean() / 2)
    html = (out / "report.html").read_text()
    assert "Found of the 20 strongest" in html and "<svg" in html


def test_uniform_measures_the_order_of_its_seed_and_never_the_test_rows(table, tmp_path, call):
    out = tmp_path / "run"
    assert call("discover", table, *FAST, "--seed-list", "89,773", "--out", out) == 0
    chosen = pl.read_parquet(out / "chosen.parquet")
    assert set(chosen["seed"]) == {89, 773}
    rows = pl.read_csv(table).filter(pl.col("id2") != "control").sort("id1", "id2")
    names, q = rows.select("id1", "id2").rows(), rows.height
    for seed in (89, 773):
        order = np.random.default_rng(seed).permutation(q)
        part = chosen.filter(acquisition="uniform", seed=seed).select("a", "b").rows()
        assert part == [names[k] for k in order[:40]]
        kept = {names[k] for k in order[q - int(0.3 * q) :]}
        assert not kept & set(chosen.filter(seed=seed).select("a", "b").rows())


@pytest.mark.slow
def test_a_network_and_the_default_choose(table, tmp_path, call):
    for model, flag in (("default", "--draws"), ("naiad", "--epochs")):
        out = tmp_path / model
        flags = ("--model", model, flag, 10, "--start", 30, "--step", 20, "--rounds", 1)
        assert call("discover", table, *flags, "--seeds", 1, "--top", 20, "--out", out) == 0
        curve = pl.read_parquet(out / "curve.parquet")
        first = "probability" if model == "default" else "mpe"
        assert curve["acquisition"].to_list() == [first, "uniform"] * 2
        summary = json.loads((out / "summary.json").read_text())
        assert summary["members"] == (1 if model == "default" else 3)


def test_stopped_and_resumed_gives_the_same_bytes(table, tmp_path, call, monkeypatch):
    whole, halved = tmp_path / "whole", tmp_path / "halved"
    assert call("discover", table, *FAST, "--out", whole) == 0
    real, calls = rounds.Rounds.__call__, []

    def interrupted(self, chunk):
        calls.append(chunk)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(self, chunk)

    monkeypatch.setattr(rounds.Rounds, "__call__", interrupted)
    assert call("discover", table, *FAST, "--out", halved) == 75
    assert call("discover", table, *FAST, "--out", halved, "--resume") == 0
    assert len(calls) == 2 + 2
    for name in rounds.TABLES:
        one, two = (run / f"{name}.parquet" for run in (whole, halved))
        assert one.read_bytes() == two.read_bytes()


def test_a_worker_gets_the_same_kernel(table):
    asked = EffectsDiscover(pairs=str(table), out="x", model="linear", start=20, step=5, rounds=1,
                            top=20)  # fmt: skip
    study = rounds.design(asked, read_samples(str(table), asked), Progress("", quiet=True))
    chunk = Plan.of("k", study.work()).chunks[1]
    sent = pickle.loads(pickle.dumps(study))
    for name, frame in study(chunk).items():
        assert frame.equals(sent(chunk)[name])


@pytest.mark.parametrize(
    "words, says",
    [
        (["--top", "20"], "--start, --step: 500 rows after 4 rounds, 147 of the 210 can be"),
        (["--start", "20", "--step", "5"], "--top: 200 of 120 rows are sought; give fewer"),
        (["--acquisition", "best"], "--acquisition: 'best' is not one of uniform, mpe"),
        (["--test-share", "1"], "--test-share: 1 is not a fraction from 0 to below 1"),
    ],
)
def test_what_cannot_be_played_is_refused(table, tmp_path, capsys, words, says):
    if "200 of" in says:
        table.write_text("\n".join(table.read_text().splitlines()[:121] + singles(table)))
    assert main(["effects", "discover", str(table), "--out", str(tmp_path / "run"), *words]) == 2
    error = capsys.readouterr().err
    assert says in error and error.count("\n") == 1 and not (tmp_path / "run").exists()


def singles(table):
    return [line for line in table.read_text().splitlines() if ",control," in line]
