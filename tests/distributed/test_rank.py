"""The verb `rank`, through the door: the table, its exact values, the audit, doubles, bad input."""

import json

import numpy as np
import polars as pl
import pytest

from epistax.cli import main

D, GENES = 5, [f"g{k:02d}" for k in range(12)]
ALIKE = ("g03", "g07")  # do the same
INERT = ("g09", "g10", "g11")


def write(path, *, n=40, control=160, doubles=(), genes=GENES, seed=0, batches=1):
    """Singles and controls; doubles do what both members do, and the pair alike nothing more."""
    rng = np.random.default_rng(seed)
    shift = {name: 1.5 * np.random.default_rng([1, k]).normal(size=D)
             for k, name in enumerate(genes)}  # fmt: skip
    shift |= dict.fromkeys(INERT, np.zeros(D))
    shift[ALIKE[1]] = shift[ALIKE[0]]
    x, label = [rng.normal(size=(control, D))], ["ctrl"] * control
    for name in genes:
        x.append(shift[name] + rng.normal(size=(n, D)))
        label += [name] * n
    for a, b in doubles:
        both = shift[a] + (0 if {a, b} == set(ALIKE) else shift[b])
        x.append(both + rng.normal(size=(n, D)))
        label += [f"{b}+{a}"] * n
    arrays = {"x": np.concatenate(x).astype(np.float32), "perturbation": np.array(label)}
    if batches > 1:
        batch = np.arange(len(label)) % batches
        arrays["x"] += 5 * batch[:, None].astype(np.float32)
        arrays["batch"] = np.array([f"b{k}" for k in batch])
    np.savez(path, **arrays)
    return path


def run(data, out, *flags):
    return main(["rank", str(data), "--out", str(out), "--quiet", *map(str, flags)])


def refused(capfd, *words):
    """The one line of a refusal, after which nothing is left."""
    assert main(["rank", *map(str, words), "--quiet"]) == 2
    error = capfd.readouterr().err
    assert error.count("\n") == 1 and "Traceback" not in error
    return error


@pytest.fixture(scope="module")
def ranked(tmp_path_factory):
    """All measures of a small screen with some doubles."""
    folder = tmp_path_factory.mktemp("ranked")
    data = write(folder / "screen.npz", doubles=[ALIKE, ("g00", "g01"), ("g02", "g05")])
    flags = [w for m in ("mmd", "cosine", "cosine:abs", "additive") for w in ("--measure", m)]
    assert run(data, folder / "run", *flags, "--active", 0.001) == 0
    return data, folder / "run"


def test_the_table_is_that_of_the_contract(ranked):
    _, out = ranked
    frame = pl.read_parquet(out / "ranked.parquet")
    assert frame.columns[:6] == ["measure", "rank", "a", "b", "score", "exact"]
    assert frame["measure"].unique(maintain_order=True).to_list() == [
        "mmd", "cosine", "cosine:abs", "additive",
    ]  # fmt: skip
    assert (frame["a"] < frame["b"]).all()
    for name, part in frame.partition_by("measure", as_dict=True).items():
        assert part["rank"].to_list() == list(range(1, part.height + 1))
        assert part["exact"].is_sorted(descending=name != ("mmd",)), name
        assert part.height == (66 if name == ("additive",) else 36), name
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["perturbations"], summary["pairs"]) == (12, 66)
    assert summary["measures"]["mmd"]["inactive"] == 3 and "audit" in summary
    assert summary["measures"]["additive"]["inactive"] == 0


def test_those_that_do_the_same_come_first_and_what_does_nothing_is_left_out(ranked):
    frame = pl.read_parquet(ranked[1] / "ranked.parquet")
    for name in ("mmd", "cosine"):
        part = frame.filter(pl.col("measure") == name)
        assert part.row(0)[2:4] == ALIKE
        assert not set(INERT) & (set(part["a"]) | set(part["b"]))
    assert frame.filter(pl.col("measure") == "mmd")["exact"][0] < 0.1


def test_values_are_those_of_plain_numpy(ranked):
    data, out = ranked
    held = np.load(data)
    x, label = held["x"].astype(np.float64), held["perturbation"]
    arms = {name: x[label == name] for name in ("ctrl", *GENES)}
    scale = json.loads((out / "run.json").read_text())["facts"]["bandwidth"]

    def k(a, b):
        r = ((arms[a][:, None] - arms[b][None]) ** 2).sum(axis=2)
        return np.exp(-r / 2 / scale**2).mean()

    noise = {n: (1 - k(n, n)) / (len(v) - 1) for n, v in arms.items()}
    var = {n: v.var(axis=0, ddof=1).sum() / len(v) for n, v in arms.items()}
    mean = {n: v.mean(axis=0) for n, v in arms.items()}
    for row in pl.read_parquet(out / "ranked.parquet").iter_rows(named=True):
        a, b = row["a"], row["b"]
        if row["measure"] == "mmd":
            inner = k(a, b) - k(a, "ctrl") - k(b, "ctrl") + k("ctrl", "ctrl") - noise["ctrl"]
            own = [k(n, n) + k("ctrl", "ctrl") - 2 * k(n, "ctrl") for n in (a, b)]
            wanted = 1 - 2 * inner / sum(own)
            assert row["score"] == pytest.approx(wanted, abs=0.06)
        else:
            one, two = mean[a] - mean["ctrl"], mean[b] - mean["ctrl"]
            inner = one @ two - var["ctrl"]
            wanted = inner / np.linalg.norm(one) / np.linalg.norm(two)
            if row["measure"] == "cosine:abs":
                wanted = abs(wanted)
            if row["measure"] == "additive":
                square = (one + two) @ (one + two) - var[a] - var[b] - 4 * var["ctrl"]
                wanted = np.sqrt(max(square, 0))
        assert row["exact"] == pytest.approx(wanted, rel=1e-3, abs=2e-3), row


def test_doubles_are_tested_and_not_looked_at_otherwise(ranked, tmp_path):
    _, out = ranked
    frame = pl.read_parquet(out / "ranked.parquet").filter(pl.col("measure") == "mmd")
    tested = frame.filter(pl.col("additive_p_value").is_not_null())
    assert set(tested.select("a", "b").rows()) == {ALIKE, ("g00", "g01"), ("g02", "g05")}
    by_pair = {(r["a"], r["b"]): r for r in tested.iter_rows(named=True)}
    assert by_pair[ALIKE]["additive_q_value"] < 1e-6
    assert by_pair["g00", "g01"]["additive_p_value"] > 1e-3
    summary = json.loads((out / "summary.json").read_text())
    assert summary["tests"]["additive"] == {"tested": 3, "found": 1}
    assert summary["tests"]["mmd"]["tested"] == 3
    alone = write(tmp_path / "alone.npz")
    assert run(alone, tmp_path / "run", "--active", 0.001) == 0
    without = pl.read_parquet(tmp_path / "run/ranked.parquet")
    assert "additive_statistic" not in without.columns
    both = frame.join(without, on=["a", "b"], suffix="_")
    assert both.height == frame.height == without.height
    np.testing.assert_allclose(both["exact"], both["exact_"], atol=1e-4)


def test_the_tests_are_those_of_score(ranked, tmp_path):
    data, out = ranked
    tested = pl.read_parquet(out / "ranked.parquet").filter(
        (pl.col("measure") == "mmd") & pl.col("additive_p_value").is_not_null()
    )
    words = ["score", str(data), "--out", str(tmp_path / "score"), "--quiet", "--test", "additive"]
    assert main(words) == 0
    both = tested.join(pl.read_parquet(tmp_path / "score/scores.parquet"), on=["a", "b"])
    assert both.height == 3
    np.testing.assert_allclose(both["additive_statistic"], both["statistic"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(both["additive_p_value"], both["p_value"], rtol=1e-4)
    np.testing.assert_allclose(both["additive_q_value"], both["q_value"], rtol=1e-4)


def test_few_are_kept_and_the_audit_says_what_was_missed(tmp_path, capsys):
    genes = [f"g{k:02d}" for k in range(40)]
    data = write(tmp_path / "screen.npz", genes=genes, n=30)
    flags = ("--keep", 25, "--audit", 300, "--audit-genes", 10)
    assert main(["rank", str(data), "--out", str(tmp_path / "run"), *map(str, flags)]) == 0
    out, err = capsys.readouterr()
    frame = pl.read_parquet(tmp_path / "run/ranked.parquet")
    assert frame.height == 25 and frame.row(0)[2:4] == ALIKE
    audit = pl.read_parquet(tmp_path / "run/audit.parquet")
    assert dict(audit["sample"].value_counts().rows()) == {"random": 300, "genes": 45}
    entry = json.loads((tmp_path / "run/summary.json").read_text())["measures"]["mmd"]
    random = audit.filter(pl.col("sample") == "random")
    top = random.sort("exact").head(3).select("a", "b").rows()
    near = random.sort("score").head(3).select("a", "b").rows()
    assert entry["audit"]["random"]["total"] == 3
    assert entry["audit"]["random"]["found"] == len(set(top) & set(near))
    wanted = np.corrcoef(random["score"], random["exact"])[0, 1]
    assert entry["audit"]["random"]["correlation"] == pytest.approx(wanted) and wanted > 0.98
    assert max(map(len, out.splitlines())) <= 80 or str(tmp_path) in max(out.splitlines(), key=len)
    assert "audit:" in out and "300 random pairs" in out and "g03 + g07" in out
    page = (tmp_path / "run/report.html").read_text()
    assert "All pairs by single effects" in page and "g03 + g07" in page
    assert (tmp_path / "run/figures/audit.svg").exists()


def test_far_has_the_largest_distances_of_all_perturbations(ranked, tmp_path):
    data, _ = ranked
    flags = ("--order", "far", "--measure", "mmd", "--measure", "cosine", "--test", "additive")
    assert run(data, tmp_path / "run", *flags) == 0
    frame = pl.read_parquet(tmp_path / "run/ranked.parquet")
    mmd = frame.filter(pl.col("measure") == "mmd")
    assert mmd.height == 66 and mmd["exact"].is_sorted(descending=True)
    assert mmd.row(0)[2:4] != ALIKE and set(mmd.tail(3)["a"]) | set(mmd.tail(3)["b"]) >= {"g10"}
    cosine = frame.filter(pl.col("measure") == "cosine")
    assert cosine["exact"].is_sorted() and cosine["exact"][0] < -0.5
    assert "mmd_statistic" not in frame.columns


def test_batches_are_taken_out_and_all_may_be_ranked(tmp_path):
    data = write(tmp_path / "screen.npz", batches=2)
    assert run(data, tmp_path / "run", "--active", 1, "--audit", 0) == 0
    frame = pl.read_parquet(tmp_path / "run/ranked.parquet")
    assert frame.height == 66 and frame.row(0)[2:4] == ALIKE
    assert not (tmp_path / "run/audit.parquet").exists()
    inert = frame.filter(pl.col("a").is_in(INERT) & pl.col("b").is_in(INERT))
    assert (inert["exact"] > 0.5).all()


def test_a_screen_in_which_nothing_happens_has_no_pair_to_rank(tmp_path, capsys):
    rng = np.random.default_rng(0)
    label = np.repeat(["ctrl", "a", "b", "c"], [90, 30, 30, 30])
    np.savez(tmp_path / "s.npz", x=rng.normal(size=(180, 4)), perturbation=label)
    assert run(tmp_path / "s.npz", tmp_path / "run") == 0
    assert "0 kept of 0 pairs of 0 perturbations" in capsys.readouterr().out
    assert pl.read_parquet(tmp_path / "run/ranked.parquet").height == 0


def test_one_observation_each_is_enough_for_means(tmp_path, capfd):
    data = write(tmp_path / "screen.npz", n=1, control=1)
    assert "have two observations alone" in refused(capfd, data, "--out", tmp_path / "no")
    assert not (tmp_path / "no").exists()
    assert run(data, tmp_path / "run", "--measure", "cosine") == 0
    assert "nothing says which perturbations do nothing" in capfd.readouterr().out
    assert pl.read_parquet(tmp_path / "run/ranked.parquet").height == 66


@pytest.mark.parametrize(
    "labels, flags, message",
    [
        (["a", "b", "c"], [], "no observation is a control"),
        (["ctrl", "a", "a+b"], [], "1 of 2 perturbations were measured alone"),
        (["ctrl", "a", "b"], ["--control", "none"], "no label is the control 'none'"),
        (["ctrl", "a", "b"], ["--measure", "cosin"], "(did you mean cosine?)"),
        (["ctrl", "a", "b"], ["--active", "0"], "--active: 0 is not a fraction"),
        (["ctrl", "a", "b"], ["--units", "wells"], "has no well"),
    ],
)
def test_what_cannot_be_ranked_is_one_line(labels, flags, message, tmp_path, capfd):
    rng = np.random.default_rng(0)
    label = np.repeat(labels, 10)
    np.savez(tmp_path / "s.npz", x=rng.normal(size=(len(label), 3)), perturbation=label)
    assert message in refused(capfd, tmp_path / "s.npz", "--out", tmp_path / "run", *flags)
    assert not (tmp_path / "run").exists()


def test_gaps_are_left_out_and_counted_and_gaps_alone_refused(tmp_path, capfd):
    data = write(tmp_path / "screen.npz")
    held = dict(np.load(data))
    held["x"][200:203, 1] = np.nan
    np.savez(tmp_path / "gaps.npz", **held)
    assert main(["rank", str(tmp_path / "gaps.npz"), "--out", str(tmp_path / "run")]) == 0
    assert "left out: 3 without a value in some feature" in capfd.readouterr().err
    held["x"][:, 1] = np.nan
    np.savez(tmp_path / "gaps.npz", **held)
    assert "without any value" in refused(capfd, tmp_path / "gaps.npz", "--out", tmp_path / "no")


def test_a_finished_run_is_not_made_again(ranked, capfd):
    data, out = ranked
    flags = [w for m in ("mmd", "cosine", "cosine:abs", "additive") for w in ("--measure", m)]
    flags += ["--active", "0.001"]
    before = (out / "ranked.parquet").read_bytes()
    assert run(data, out, *flags, "--resume") == 0
    assert (out / "ranked.parquet").read_bytes() == before
    assert "finished run" in refused(capfd, data, "--out", out, *flags)


@pytest.mark.slow
def test_a_real_screen_with_controls_for_partners(shared_data, tmp_path):
    controls = ["Fluc", "pbl_1", "th_2", "CSN4_1", "CSN3_1", "Pvr_2"]
    code = run(
        shared_data / "horn2011_mapk/horn2011_long.csv.gz", tmp_path / "run",
        "--label-col", "templateSymbol,querySymbol", "--features", "nrCells,area,intensity",
        "--batch-col", "Platebarcode", "--log2", "--center", "none", "--whiten", "--keep", 50,
        *(word for name in controls for word in ("--control", f"Ctrl_{name}")), "--audit", 1000,
    )  # fmt: skip
    assert code == 0
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    assert summary["perturbations"] == 93
    assert summary["measures"]["mmd"]["audit"]["random"]["recall"] >= 0.9
    frame = pl.read_parquet(tmp_path / "run/ranked.parquet")
    assert frame.height == 50 and frame["additive_p_value"].is_not_null().all()
