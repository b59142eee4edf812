"""The main job, through the door: what it writes, what it never looks at, how it resumes."""

import dataclasses
import json

import numpy as np
import polars as pl
import pytest

from epistax.cli import main
from epistax.distributed import tuning
from epistax.distributed.formats.tables import read_pairs
from epistax.distributed.options import Discover
from epistax.distributed.options import discover as options
from epistax.distributed.pool import pool
from epistax.distributed.replay import Replay
from epistax.distributed.study import design
from epistax.distributed.verbs import discover
from epistax.engine import beliefs
from epistax.engine.policy import catalogue as policies

P = 14
NAMES = [f"g{n:02d}" for n in range(P)]


def world(seed=0, singles=True):
    """A complete table: additive effects, a rank-1 interaction, a few strong pairs."""
    rng = np.random.default_rng(seed)
    s, u = rng.uniform(-1, 0, P), rng.normal(size=P)
    rows = []
    for a in range(P):
        for b in range(a + 1, P):
            score = 0.1 + 0.8 * (s[a] + s[b]) - 0.2 * s[a] * s[b] + 0.5 * u[a] * u[b]
            rows.append((NAMES[a], NAMES[b], score + 0.01 * rng.normal()))
    if singles:
        rows += [(name, "control", value) for name, value in zip(NAMES, s, strict=True)]
    return pl.DataFrame(rows, schema=["id1", "id2", "score"], orient="row")


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "pairs.csv"
    world().write_csv(path)
    return path


def run(table, out, *flags):
    return main(["discover", str(table), "--out", str(out), "--quiet", *map(str, flags)])


def test_tables_and_summary_are_those_of_the_contract(table, tmp_path, capsys):
    known = tmp_path / "complexes.txt"
    known.write_text("entity1,entity2\ng00,g01\ng01,g00\ng02,g03\nother,g05\n")
    out = tmp_path / "run"
    code = run(
        table, out, "--reward", "interaction", "--batch", 9, "--rounds", 4, "--seeds", 2,
        "--known", known, "--at", ".1,.2,.4", "--json", "--policy", "ids", "--policy", "random",
    )  # fmt: skip
    assert code == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary == json.loads((out / "summary.json").read_text())
    curve = pl.read_parquet(out / "curve.parquet")
    assert curve.columns == [
        "policy", "seed", "round", "n_measured", "top_fraction", "regret", "known_found",
        "true_top_fraction",
    ]  # fmt: skip
    assert curve.height == 2 * 2 * 5
    assert curve["n_measured"].to_list() == [9, 18, 27, 36, 45] * 4
    assert set(curve["seed"]) == {0, 1}
    for part in curve.partition_by("policy", "seed"):
        assert part["top_fraction"].is_sorted() and part["known_found"].is_sorted()
    # both policies share the random round 0 of a seed
    chosen = pl.read_parquet(out / "chosen.parquet").filter(pl.col("round") == 0, seed=1)
    first = [set(map(tuple, x.select("a", "b").rows())) for x in chosen.partition_by("policy")]
    assert first[0] == first[1] and len(first[0]) == 9
    ids = summary["policies"]["ids"]["top_fraction"]
    assert set(ids) == {"0.1", "0.2", "0.4", "end"} and set(ids["end"]) == {"mean", "sd", "se"}
    end = curve.filter(pl.col("policy") == "ids", pl.col("round") == 4)["top_fraction"]
    assert ids["end"]["mean"] == pytest.approx(end.mean())
    assert ids["end"]["sd"] == pytest.approx(end.std())
    assert summary["known"]["complexes"]["total"] == 2
    chance = summary["known"]["complexes"]["at"]["0.2"]["random_chance"]
    assert chance["expected"] == pytest.approx(0.4, abs=0.01)
    facts = json.loads((out / "run.json").read_text())["facts"]
    assert facts["belief"]["name"] == "ame" and facts["estimators"]["ids"] == "ids-defl"
    assert facts["policy_settings"]["lam"] == {"ids": 16.0}
    for figure in summary["figures"]:
        assert (tmp_path / figure).stat().st_size > 5000
    assert (out / "figures/discovery.svg").read_text().startswith("<?xml")


def test_nothing_is_measured_twice_and_rewards_are_those_of_the_full_fit(table, tmp_path):
    out = tmp_path / "run"
    assert run(table, out, "--reward", "interaction", "--batch", 13, "--policy", "ucb") == 0
    chosen = pl.read_parquet(out / "chosen.parquet")
    assert chosen.select("a", "b").is_duplicated().sum() == 0
    rows = world().filter(pl.col("id2") != "control")
    s = dict(world().filter(pl.col("id2") == "control").select("id1", "score").rows())
    si, sj = (np.array([s[name] for name in rows[c]]) for c in ("id1", "id2"))
    x = np.stack([np.ones(len(si)), si + sj, si * sj], axis=1)
    y = rows["score"].to_numpy()
    wanted = np.abs(y - x @ np.linalg.lstsq(x, y, rcond=None)[0])
    truth = rows.select(a="id1", b="id2").with_columns(wanted=wanted)
    both = chosen.join(truth, on=["a", "b"], how="left")
    np.testing.assert_allclose(both["reward"], both["wanted"], atol=1e-5)


def test_scores_never_chosen_cannot_matter(table, tmp_path, monkeypatch):
    # whatever a policy has not chosen is NaN in the second run; rewards serve the figures only
    out, again = tmp_path / "one", tmp_path / "two"
    flags = ("--reward", "interaction", "--batch", 10, "--rounds", 3, "--policy", "ids")
    assert run(table, out, *flags) == 0
    seen = set(map(tuple, pl.read_parquet(out / "chosen.parquet").select("a", "b").rows()))
    real = discover.pool

    def poisoned(*args, **kwargs):
        found = real(*args, **kwargs)
        for n, (i, j) in enumerate(zip(*found.pairs, strict=True)):
            if (found.names[i], found.names[j]) not in seen:
                found.score[n] = np.nan
        return found

    monkeypatch.setattr(discover, "pool", poisoned)
    assert run(table, again, *flags) == 0
    assert (out / "chosen.parquet").read_bytes() == (again / "chosen.parquet").read_bytes()


def test_stopped_and_resumed_gives_the_same_bytes(table, tmp_path, monkeypatch):
    flags = ("--batch", 9, "--rounds", 2, "--seeds", 2, "--policy", "greedy", "--policy", "random")
    whole, halved = tmp_path / "whole", tmp_path / "halved"
    assert run(table, whole, *flags) == 0
    real, calls = Replay.__call__, []

    def interrupted(self, chunk):
        calls.append(chunk)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(self, chunk)

    monkeypatch.setattr(Replay, "__call__", interrupted)
    assert run(table, halved, *flags) == 75
    assert not (halved / "summary.json").exists()
    assert run(table, halved, *flags, "--resume") == 0
    assert len(calls) == 3 + 2  # two of four were kept
    for name in ("curve", "known", "chosen"):
        one, two = (folder / f"{name}.parquet" for folder in (whole, halved))
        assert one.read_bytes() == two.read_bytes()


def test_more_rounds_than_pairs_end_early_and_say_so(table, tmp_path, capsys):
    out = tmp_path / "run"
    flags = ["--out", str(out), "--batch", "30", "--rounds", "50", "--policy", "random"]
    assert main(["discover", str(table), *flags]) == 0
    assert "50 rounds were asked for; the pairs end after 3" in capsys.readouterr().err
    curve = pl.read_parquet(out / "curve.parquet")
    assert curve["n_measured"].to_list() == [30, 60, 90, 91]
    assert curve["top_fraction"][-1] == 1.0


def test_pairs_without_singles_are_counted_listed_and_left_out(tmp_path, capsys):
    path = tmp_path / "pairs.csv"
    world().filter(~((pl.col("id2") == "control") & (pl.col("id1") == "g03"))).write_csv(path)
    out = tmp_path / "run"
    flags = ["--reward", "interaction", "--policy", "random", "--batch", "9", "--rounds", "2"]
    assert main(["discover", str(path), "--out", str(out), *flags]) == 0
    assert "13 pairs of 1 perturbations without a single effect (g03)" in capsys.readouterr().err
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["pairs"], summary["perturbations"]) == (78, 13)
    assert summary["left_out"][0]["count"] == 13


@pytest.mark.parametrize("belief", [pytest.param("lowrank", marks=pytest.mark.slow), "gibbs"])
def test_other_beliefs_run(table, tmp_path, belief):
    out = tmp_path / "run"
    flags = ("--belief", belief, "--rank", 2, "--batch", 9, "--rounds", 2, "--policy", "ids")
    assert run(table, out, *flags) == 0
    facts = json.loads((out / "run.json").read_text())["facts"]
    assert facts["belief"]["name"] == belief and facts["belief"]["rank"] == 2


def test_defaults_follow_the_size_of_the_data(table):
    asked = Discover(pairs=str(table), out="x")
    study = design(asked, pool(read_pairs(table), "score", source="x"))
    assert study.policies == ("ids", "random")
    assert study.batch == 2 and study.total / 91 == pytest.approx(0.425, abs=0.02)


def test_choices_offered_are_those_the_engine_has():
    # options may not import the engine, so its lists are written twice
    assert options.POLICIES == policies.NAMES
    (belief,) = (f for f in dataclasses.fields(Discover) if f.name == "belief")
    assert str(("auto", *beliefs.NAMES)) in str(belief.metadata)


@pytest.mark.slow
def test_k562_reaches_the_figures_promised(shared_data, tmp_path):
    out = tmp_path / "run"
    code = run(
        shared_data / "naiad/horlbeck_k562_gamma.csv", out, "--reward", "interaction",
        "--batch", 2500, "--rounds", 16, "--at", ".125,.425", "--policy", "ids",
    )  # fmt: skip
    assert code == 0
    found = json.loads((out / "summary.json").read_text())["policies"]["ids"]["top_fraction"]
    assert found["0.125"]["mean"] >= 0.45 and found["0.425"]["mean"] >= 0.86


@pytest.mark.parametrize(
    "file", ["naiad/norman_gamma.csv", "yeast_emap/schuldiner2005_emap.csv.gz"]
)
def test_real_screens_run(shared_data, tmp_path, file):
    out = tmp_path / "run"
    flags = ("--reward", "abs", "--rounds", 2, "--policy", "random")
    assert run(shared_data / file, out, *flags) == 0
    assert json.loads((out / "summary.json").read_text())["pairs"] > 6000


def test_truth_without_noise_is_judged_with_its_ceiling(tmp_path):
    sim = tmp_path / "sim"
    words = ["--genes", str(P), "--noise", "0.5", "--form", "positive", "--quiet"]
    assert main(["simulate", "matrix", *words, "--out", str(sim)]) == 0
    out, data = tmp_path / "run", sim / "data.parquet"
    flags = ("--truth", sim / "truth.parquet", "--batch", 13, "--rounds", 6, "--at", ".2,.4")
    assert run(data, out, *flags, "--seeds", 3, "--policy", "greedy", "--policy", "random") == 0
    summary = json.loads((out / "summary.json").read_text())
    scores = pl.read_parquet(data).join(pl.read_parquet(sim / "truth.parquet"), on=["a", "b"])
    top = set(map(tuple, scores.top_k(5, by="true_score").select("a", "b").rows()))
    for share, n in (("0.2", 18.2), ("0.4", 36.4)):
        held = [
            len(top & set(map(tuple, scores.top_k(k, by="score").select("a", "b").rows())))
            for k in (int(n), int(n) + 1)
        ]
        expected = np.interp(n, [int(n), int(n) + 1], held) / 5
        assert summary["ceiling"][share] == pytest.approx(expected)
    assert summary["policies"]["greedy"]["true_top_fraction"]["end"]["mean"] == 1
    curve = pl.read_parquet(out / "curve.parquet")
    chosen = pl.read_parquet(out / "chosen.parquet")
    for key, part in chosen.filter(pl.col("round") <= 2).group_by("policy", "seed"):
        found = len(top & set(map(tuple, part.select("a", "b").rows()))) / 5
        row = curve.filter(pl.col("policy") == key[0], pl.col("seed") == key[1])
        assert row["true_top_fraction"][2] == pytest.approx(found)
    against = summary["paired"]["against"]["random"]["area"]
    assert summary["paired"]["first"] == "greedy"
    assert against["wins"] + against["losses"] + against["ties"] == 3


def test_tuning_searches_the_grids_on_seeds_that_are_not_reported(table, tmp_path, capsys):
    out = tmp_path / "run"
    flags = ("--batch", 13, "--rounds", 2, "--seeds", 2, "--policy", "ucb", "--policy", "random")
    assert run(table, out, *flags, "--tune", "--rank", 2, "--seed", 5) == 0
    tried = pl.read_parquet(out / "tuning.parquet")
    assert set(tried["policy"]) == {"ucb"} and set(tried["seed"]) == {7, 8}
    assert sorted(set(tried["beta"].drop_nulls())) == list(tuning.GRIDS["beta"])
    assert tried["rank"].null_count() == tried.height == 16  # given, so kept
    assert tried["beta"].null_count() == 2  # the defaults compete
    means = tried.group_by("beta", maintain_order=True).agg(pl.col("area").mean())
    best = means["beta"][int(means["area"].arg_max())]
    summary = json.loads((out / "summary.json").read_text())
    assert summary["tuned"] == {"ucb": {} if best is None else {"beta": best}}
    curve = (out / "curve.parquet").read_bytes()
    assert set(pl.read_parquet(out / "curve.parquet")["seed"]) == {5, 6}
    # the reported runs are those of the setting that was found
    again = tmp_path / "again"
    assert run(table, again, *flags, "--rank", 2, "--seed", 5, "--beta", best or 0.5) == 0
    assert (again / "curve.parquet").read_bytes() == curve


def test_grids_are_those_of_the_papers_and_only_of_what_a_policy_uses():
    asked = Discover(pairs="x", out="y")
    sizes = {name: len(tuning.combinations(name, asked, 50)) for name in options.POLICIES}
    assert sizes["ids"] == 1 + 5 * 4 * 4 and sizes["ucb"] == 1 + 5 * 7 and sizes["random"] == 1
    assert sizes["ts"] == sizes["greedy"] == sizes["us"] == 1 + 5
    assert len(tuning.combinations("ids", dataclasses.replace(asked, lam=3.0), 50)) == 1 + 5 * 4
    assert tuning.combinations("ts", asked, 6) == [{}, {"rank": 3}, {"rank": 5}]
