"""Recall of known relations by `score --known`, through the door: figures, words, refusals."""

import itertools
import json

import numpy as np
import polars as pl
import pytest

from epistax.cli import main

GENES = [f"g{k}" for k in range(9)]
TWICE = "g1,g0\ng3,g3\ng4,zz\ng2,g1\n"  # the other direction, itself, a stranger
INSIDE = {
    ("g0", "g1"), ("g1", "g2"), ("g0", "g5"), ("g7", "g8"), ("g6", "g8"),
    ("g1", "g3"), ("g1", "g4"), ("g2", "g4"), ("g3", "g5"), ("g2", "g8"),
}  # fmt: skip
KNOWN = "entity1,entity2\n" + TWICE + "".join(f"{a},{b}\n" for a, b in sorted(INSIDE))
SIDES = ["upper", "both"]


def write(path, *, seed=0):
    """Nine genes: g7 not alone, g6 without an effect, (g0, g5) and pairs of g8 but one not made."""
    rng = np.random.default_rng(seed)
    h = rng.normal(size=(9, 4))
    control = rng.normal(size=(24, 4))
    x, label = [control], ["ctrl"] * 24
    for members in [(i,) for i in range(9)] + list(itertools.combinations(range(9), 2)):
        if members in ((7,), (0, 5)) or (members[-1] == 8 and members not in ((8,), (2, 8))):
            continue
        n = 24 if members == (6,) else 12
        noise = control if members == (6,) else rng.normal(size=(n, 4))
        x.append(noise + sum(h[i] for i in members if members != (6,)))
        label += ["+".join(GENES[i] for i in members)] * n
    np.savez(path, x=np.concatenate(x).astype(np.float32), perturbation=np.array(label))
    return path


def run(data, out, *flags):
    return main(["score", str(data), "--out", str(out), "--quiet", *map(str, flags)])


def summary(out):
    return json.loads((out / "summary.json").read_text())


def beyond(value, base, tail, side):
    """Whether each value is in a tail of base, by counting."""
    high = np.array([np.mean(base < v) >= 1 - tail - 1e-9 for v in value])
    low = np.array([np.mean(base <= v) <= tail + 1e-9 for v in value])
    return high if side == "upper" else high | low


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("known")
    write(folder / "screen.npz")
    (folder / "CORUM.txt").write_text(KNOWN)
    (folder / "sets.gmt").write_text("one\t-\tg0\tg1\ng2\t-\tg2\tg1\tzz\n")
    return folder


@pytest.fixture(scope="module")
def efaar(folder):
    flags = ["--known", folder / "CORUM.txt", "--known", folder / "sets.gmt", "--tail", 0.2]
    flags += ["--test", "additive", "--test", "cosine", "--recall", "efaar"]
    assert run(folder / "screen.npz", folder / "efaar", *flags) == 0
    return folder / "efaar", flags


@pytest.mark.parametrize("null", ["rest", "all"])
@pytest.mark.parametrize("tail", [0.05, 0.25])
def test_figures_follow_from_the_scores(folder, tmp_path, null, tail):
    flags = ["--test", "additive", "--test", "severity", "--recall", null, "--tail", tail]
    assert run(
        folder / "screen.npz", tmp_path / "run", "--known", folder / "CORUM.txt", *flags
    ) == 0  # fmt: skip
    frame = pl.read_parquet(tmp_path / "run/scores.parquet")
    table = pl.read_parquet(tmp_path / "run/known.parquet")
    assert table.columns == [
        "test", "relation", "side", "tail", "null", "found", "total", "universe", "null_pairs",
        "recall", "low", "high", "expected", "by_degree", "macro", "genes",
    ]  # fmt: skip
    assert table.select("test", "side").rows() == [
        (test, side) for test in ("additive", "severity") for side in SIDES
    ]
    for row in table.iter_rows(named=True):
        part = frame.filter(pl.col("test") == row["test"], pl.col("statistic").is_not_null())
        value = part["statistic"].to_numpy()
        known = np.array([pair in INSIDE for pair in part.select("a", "b").iter_rows()])
        base = value if null == "all" else value[~known]
        hit = beyond(value, base, tail, row["side"])
        assert (row["tail"], row["null"], row["relation"]) == (tail, null, "CORUM")
        sizes = (hit[known].sum(), known.sum(), len(value), len(base))
        assert (row["found"], row["total"], row["universe"], row["null_pairs"]) == sizes
        assert row["recall"] == pytest.approx(hit[known].mean(), abs=1e-12)
        chance = hit if null == "all" else hit[~known]
        assert row["expected"] == pytest.approx(chance.mean(), abs=1e-12)
        assert 0 <= row["low"] <= row["recall"] <= row["high"] <= 1
    entry = summary(tmp_path / "run")["tests"]["severity"]["known"]["CORUM"]
    one, two = table.filter(pl.col("test") == "severity").drop("test", "relation").to_dicts()
    assert entry["two_sided"] == two and one.items() <= entry.items()
    assert (entry["in_screen"], entry["positives"]) == (10, entry["total"]) == (10, 7)
    assert entry["auroc"] is not None and entry["judged"] == entry["universe"]
    assert summary(tmp_path / "run")["known"].endswith("known.parquet")


def test_efaar_ranks_signed_cosines_of_all_single_effects(folder, efaar):
    out, _ = efaar
    held = np.load(folder / "screen.npz")
    mean = {
        name: held["x"][held["perturbation"] == name].astype(np.float64).mean(0)
        for name in ("ctrl", *GENES)
        if (held["perturbation"] == name).any()
    }
    on_map = [name for name in mean if name not in ("ctrl", "g6")]
    pairs = list(itertools.combinations(on_map, 2))
    assert len(on_map) == 7 and "g8" in on_map and ("g0", "g5") in pairs
    effect = {name: mean[name] - mean["ctrl"] for name in on_map}
    length = {name: np.linalg.norm(effect[name]) for name in on_map}
    cosine = np.array([effect[a] @ effect[b] / length[a] / length[b] for a, b in pairs])
    known = np.array([pair in INSIDE for pair in pairs])
    entry = summary(out)["efaar"]
    facts = {name: entry[name] for name in ("perturbations", "no_single", "no_effect")}
    assert facts == {"perturbations": 7, "no_single": 1, "no_effect": 1}
    table = pl.read_parquet(out / "known.parquet").filter(pl.col("test") == "cosine:singles")
    assert table.select("relation", "side").rows() == [
        (relation, side) for relation in ("CORUM", "sets") for side in SIDES
    ]
    for row in table.filter(pl.col("relation") == "CORUM").iter_rows(named=True):
        hit = beyond(cosine, cosine, 0.2, row["side"])
        assert (row["total"], row["universe"], row["null_pairs"], row["null"]) == (8, 21, 21, "all")
        assert row["recall"] == pytest.approx(hit[known].mean(), abs=1e-12)
        assert row["expected"] == pytest.approx(hit.mean(), abs=1e-12)
    one, two = table.filter(pl.col("relation") == "CORUM").drop("test", "relation").to_dicts()
    found = entry["known"]["CORUM"]
    assert found["two_sided"] == two and one.items() <= found.items()
    assert found["in_screen"] == 10
    tests = summary(out)["tests"]
    assert {tests[name]["known"]["CORUM"]["null"] for name in tests} == {"all"}


def test_a_finished_run_says_the_same_and_another_seed_moves_the_interval_alone(
    folder, efaar, tmp_path, capsys
):
    out, flags = efaar
    before = {name: (out / name).read_bytes() for name in ("known.parquet", "scores.parquet")}
    capsys.readouterr()
    assert run(folder / "screen.npz", out, *flags, "--resume") == 0
    again = capsys.readouterr().out
    assert run(folder / "screen.npz", tmp_path / "run", *flags) == 0
    fresh = capsys.readouterr().out
    assert fresh.replace(str(tmp_path / "run"), "") == again.replace(str(out), "")
    for name, content in before.items():
        assert (tmp_path / "run" / name).read_bytes() == content == (out / name).read_bytes()
    assert run(folder / "screen.npz", tmp_path / "seed", *flags, "--seed", 5) == 0
    one, two = (pl.read_parquet(f / "known.parquet") for f in (out, tmp_path / "seed"))
    assert one.drop("low", "high").equals(two.drop("low", "high"))
    assert one.select("low", "high").rows() != two.select("low", "high").rows()


def test_a_run_stopped_after_its_tests_goes_on_to_the_same_bytes(
    folder, efaar, tmp_path, monkeypatch
):
    from epistax.distributed import known

    out, flags = efaar

    def stopping(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(known, "by_tests", stopping)
    assert run(folder / "screen.npz", tmp_path / "run", *flags) == 75
    monkeypatch.undo()
    assert not (tmp_path / "run/known.parquet").exists()
    assert run(folder / "screen.npz", tmp_path / "run", *flags, "--resume") == 0
    one, two = ((f / "known.parquet").read_bytes() for f in (out, tmp_path / "run"))
    assert one == two
    figures = [summary(f) for f in (out, tmp_path / "run")]
    assert figures[0]["efaar"] == figures[1]["efaar"]


def test_what_is_said(folder, efaar, capsys):
    out, flags = efaar
    assert run(folder / "screen.npz", out, *flags, "--resume") == 0
    shown = capsys.readouterr().out
    lines = [line for line in shown.splitlines() if line.startswith(("  known", "    "))]
    assert len(lines) > 6 and max(map(len, lines)) <= 80
    text = " ".join(shown.split())
    entry = summary(out)["tests"]["additive"]["known"]["CORUM"]
    words = f"known CORUM: {entry['found']} of {entry['total']} in the top 20% of all"
    assert f"{words} {entry['universe']}: recall {entry['recall']:.3f} (" in text
    assert "(95% 0." in text
    assert "efaar: signed cosines of 7 single effects" in text
    assert "left out: 1 not measured alone, 1 without an effect" in text
    assert "in the top or bottom 20% of all 21: recall" in text
    assert "known:  " in shown


def test_relations_that_were_not_tested_are_no_error(folder, tmp_path, capsys):
    (tmp_path / "apart.csv").write_text("g0,g5\ng6,g8\ng7,g8\n")
    (tmp_path / "outside.csv").write_text("g0,zz\n")
    flags = ["--known", tmp_path / "apart.csv", "--known", tmp_path / "outside.csv"]
    assert run(folder / "screen.npz", tmp_path / "run", *flags, "--test", "additive") == 0
    shown = capsys.readouterr().out
    assert "known apart: none of 3 known pairs was tested" in shown
    assert "known outside: no known pair has both members in the screen" in shown
    assert "nan" not in shown
    table = pl.read_parquet(tmp_path / "run/known.parquet")
    figures = ["recall", "low", "high", "expected", "by_degree", "macro"]
    assert table.select(pl.col(figures).is_null().all()).row(0) == (True,) * 6
    assert set(table.select("found", "total", "genes").rows()) == {(0, 0, 0)}
    entry = summary(tmp_path / "run")["tests"]["additive"]["known"]["apart"]
    assert entry["recall"] is None and entry["auroc"] is None and entry["in_screen"] == 3


def test_where_every_tested_pair_is_known(folder, tmp_path, capsys):
    (tmp_path / "all.gmt").write_text("all\t-\t" + "\t".join(GENES) + "\n")
    flags = ["--known", tmp_path / "all.gmt", "--test", "additive"]
    assert run(folder / "screen.npz", tmp_path / "run", *flags) == 0
    shown = " ".join(capsys.readouterr().out.split())
    total = summary(tmp_path / "run")["tests"]["additive"]["known"]["all"]["total"]
    assert f"known all: all {total} pairs are known, none is left to compare with" in shown


def test_files_of_one_name_are_kept_apart(folder, tmp_path):
    (tmp_path / "CORUM.csv").write_text("g0,g1\n")
    flags = ["--known", folder / "CORUM.txt", "--known", tmp_path / "CORUM.csv"]
    assert run(folder / "screen.npz", tmp_path / "run", *flags, "--test", "additive") == 0
    found = summary(tmp_path / "run")["tests"]["additive"]["known"]
    assert {name: entry["in_screen"] for name, entry in found.items()} == {
        "CORUM": 10,
        "CORUM-2": 1,
    }


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--tail", "0"], "--tail: 0 is not a share above 0 and at most 0.5"),
        (["--tail", "0.51"], "--tail: 0.51 is not a share"),
        (["--recall", "none"], "--recall: 'none' is not one of rest, all, efaar"),
        (["--recall", "efaar"], "--recall: efaar needs a file of known relations"),
        (["--known", "CORUM.txt", "--recall", "efaar", "--center", "fit"], "--center fit takes"),
    ],
)
def test_refusals(folder, tmp_path, monkeypatch, capsys, flags, said):
    monkeypatch.chdir(folder)
    assert run("screen.npz", tmp_path / "run", *flags) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert not (tmp_path / "run").exists()
