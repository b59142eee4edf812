"""Parts of the report on runs made by hand: sizes, odd summaries, damage, what an SVG may hold."""

import json
import re
from xml.etree import ElementTree

import numpy as np
import polars as pl
import pytest

from epistax import cli
from epistax.distributed.errors import BadInput
from epistax.distributed.record import sha256
from epistax.distributed.report import heatmap, matrices, outstanding, page
from epistax.distributed.report.sections import svg
from epistax.distributed.report.sections.blocks import number, padded, percent
from epistax.distributed.report.sections.pairs import symbol

SCORES = ("a", "b", "test", "statistic", "score", "se", "p_value", "q_value", "status")


def record(verb, **options):
    return {"verb": verb, "run_key": "k", "options": options, "inputs": [], "versions": {}}


def score_run(folder, *, genes=5, tests=("additive",), seed=0, keep=None):
    """A score run written by hand: every pair, a gamma a statistic; `keep` thins the pairs."""
    rng, names = np.random.default_rng(seed), [f"G{k:04d}" for k in range(genes)]
    i, j = np.triu_indices(genes, 1)
    if keep:
        chosen = np.sort(rng.choice(len(i), keep, replace=False))
        i, j = i[chosen], j[chosen]
    frames = []
    for test in tests:
        value = rng.gamma(0.5, size=len(i))
        p = np.exp(-3 * value) if test.startswith(("additive", "mmd")) else np.full(len(i), np.nan)
        columns = (np.take(names, i), np.take(names, j), [test] * len(i), value, value, value / 9,
                   p, p, ["ok"] * len(i))  # fmt: skip
        frames.append(pl.DataFrame(dict(zip(SCORES, columns, strict=True))).fill_nan(None))
    folder.mkdir(parents=True)
    pl.concat(frames).write_parquet(folder / "scores.parquet")
    summary = {"tests": {t: {"tested": len(i), "untested": {}, "top": []} for t in tests}}
    (folder / "run.json").write_text(json.dumps(record("score", data="data.npz")))
    (folder / "summary.json").write_text(json.dumps(summary))
    return pl.concat(frames)


DISCOVERY = {
    "input": {"test": "mmd", "left_out": {"x": {"count": 3, "reason": "rows without a name"}}},
    "perturbations": 14, "pairs": 91, "reward": "score", "belief": "ame", "batch": 9, "rounds": 4,
    "pairs_measured": 45, "seeds": 2, "top": 0.05, "top_pairs": 5, "known": {},
    "left_out": [{"key": "y", "count": 7, "reason": "pairs without a single", "examples": ["g3"]}],
    "policies": {
        name: {
            "top_fraction": {"0.1": {"mean": 0.25, "sd": 0.05}, "end": {"mean": 1.0, "sd": 0.0}},
            "area_under_discovery_curve": {"mean": 0.5, "sd": None},
            "regret_per_pair": {"mean": 0.0123, "sd": None},
        }
        for name in ("ids", "random")
    },
}  # fmt: skip


def discover_run(folder, **more):
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(record("discover", pairs="p.csv")))
    (folder / "summary.json").write_text(json.dumps(DISCOVERY | more))
    return folder


def cells(html, caption):
    """Rows of the table whose caption starts so."""
    (table,) = re.findall(rf"<caption><span>{re.escape(caption)}.*?</table>", html, re.DOTALL)
    return [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in table.split("<tr>")[2:]]


def test_a_large_screen_shows_its_strongest_and_says_so(tmp_path):
    frame = score_run(tmp_path / "run", genes=400, tests=("additive", "mmd"), keep=20_000)
    html = page.write(tmp_path / "run").read_text()
    assert "additive: the 200 strongest of 20,000 pairs, by p, then score" in html
    assert "<summary>rows 21 to 200</summary>" in html
    assert "All 400 perturbations, ordered by" in html
    small = (tmp_path / "run/figures/matrix-additive-mmd.svg").read_text()
    titles = re.findall(r"<title>(G\d+ \+ G\d+): (.*?)</title>", small)
    count = int(re.search(r"As pictures, for the (\d+) in the strongest pairs", html)[1])
    assert 140 <= count <= 150 and len(titles) == count * (count - 1)
    assert sum(text == "not measured" for _, text in titles) > 1000
    best = frame.filter(test="additive").sort("p_value").row(0, named=True)
    assert f"{best['a']} + {best['b']}" in {pair for pair, _ in titles}
    assert "Drawn:" not in html  # few enough dots


def test_known_relations_are_marked_where_there_is_no_truth(tmp_path):
    tests = ("additive", "cosine", "severity:min", "severity:max", "severity")
    score_run(tmp_path / "run", genes=6, tests=tests)
    (tmp_path / "my_complexes.csv").write_text("a,b\nG0003,G0001\nG0002,G0005\nG0001,other\n")
    (tmp_path / "sets.gmt").write_text("one\tx\tG0001\tG0002\tG0003\n")
    paths = [tmp_path / name for name in ("my_complexes.csv", "sets.gmt")]
    made = json.loads((tmp_path / "run/run.json").read_text())
    made["inputs"] = [{"path": str(p), "sha256": sha256(p), "bytes": 1} for p in paths]
    made["options"]["known"] = [str(p) for p in paths]
    (tmp_path / "run/run.json").write_text(json.dumps(made))
    html = page.write(tmp_path / "run").read_text()
    marked = {row[1]: row[2] for row in cells(html, "additive: 15 pairs")}
    assert {pair for pair, said in marked.items() if "my complexes" in said} == {
        "G0001 + G0003", "G0002 + G0005",
    }  # fmt: skip
    assert marked["G0001 + G0003"] == "my complexes, sets" and marked["G0001 + G0002"] == "sets"
    assert marked["G0000 + G0001"] == ""
    assert "; my complexes (2): median R " in html and "; sets (3): median R " in html
    assert "my complexes (2)" in (tmp_path / "run/figures/severity.svg").read_text()
    paths[0].write_text("a,b\nG0003,G0004\n")
    html = page.write(tmp_path / "run").read_text()
    assert "my_complexes.csv: not there as the run read it, and not marked" in html
    assert "my complexes" not in html and "; sets (3): median R " in html


def test_a_matrix_of_very_many_is_cut_to_its_strongest(tmp_path):
    frame = score_run(tmp_path / "run", genes=900, tests=("additive",), keep=9_000)
    html = page.write(tmp_path / "run").read_text()
    named = re.search(r"The (\d+) of 900 perturbations in the strongest pairs by additive", html)
    assert 490 <= int(named[1]) <= heatmap.most(1) == 500
    (data,) = re.findall(r'<script type="application/json">(.*?)</script>', html, re.DOTALL)
    names = json.loads(data)["names"]
    assert len(names) == int(named[1]) and names == sorted(names)
    best = frame.sort("p_value").head(100)
    assert set(best["a"]) | set(best["b"]) <= set(names)
    assert [heatmap.most(tests) for tests in (2, 3, 7)] == [500, 487, 319]
    assert len(html) < 6_000_000


def test_tests_that_would_add_a_picture_are_named(tmp_path):
    score_run(tmp_path / "run", tests=("severity",))
    html = page.write(tmp_path / "run").read_text()
    assert "R against squared cosine: --test additive --test cosine would add it" in html
    assert "singles: --test severity:double would add it" in html
    assert "P-values of all pairs: the run has no p-values" in html
    assert html.count("<svg") == 1  # the pairs by rank


def test_pictures_without_a_truth_leave_the_highlighting_out(tmp_path):
    score_run(tmp_path / "run", tests=("additive", "cosine"), genes=90)
    html = page.write(tmp_path / "run").read_text()
    assert "Drawn: 3,000 of the pairs at random" in html
    assert "synthetic lethal" not in html and "by pathway: no pathways are known" in html
    assert "ordered by average-linkage clustering of R" in html


@pytest.mark.parametrize("genes", [2, 3])
def test_the_smallest_screens_have_a_page(tmp_path, genes):
    tests = ("additive", "mmd", "cosine", "severity:min", "severity:max", "severity")
    score_run(tmp_path / "run", genes=genes, tests=tests)
    html = page.write(tmp_path / "run").read_text()
    assert "G0000 + G0001" in html and ("only 1 pair with" in html) == (genes == 2)


def test_a_test_without_any_tested_pair_has_a_page(tmp_path):
    frame = score_run(tmp_path / "run", tests=("additive", "cosine"))
    none = [pl.lit(None, pl.Float64).alias(c) for c in SCORES[3:8]]
    frame.with_columns(*none, status=pl.lit("few")).write_parquet(tmp_path / "run/scores.parquet")
    html = page.write(tmp_path / "run").read_text()
    assert '"reasons": ["not measured", "not tested (few)"]' in html
    assert "<svg" not in html
    drawn = (tmp_path / "run/figures/matrix-additive-cosine.svg").read_text()
    assert "G0000 + G0001: not tested (few)" in drawn


def test_scores_in_parts_are_one_table(tmp_path):
    frame = score_run(tmp_path / "run", tests=("additive", "mmd"))
    whole = page.write(tmp_path / "run").read_text()
    (tmp_path / "run/scores.parquet").unlink()
    (tmp_path / "run/scores.parquet").mkdir()
    for part in (0, 1):
        rows = frame[10 * part : 10 * (part + 1)]
        rows.write_parquet(tmp_path / f"run/scores.parquet/part-{part:04d}.parquet")
    assert page.write(tmp_path / "run").read_text() == whole


def test_additions_to_a_discovery_are_shown_and_the_unknown_do_not_matter(tmp_path):
    shares = {"0.1": {"mean": 0.125, "sd": 0.1}, "end": {"mean": 0.5, "sd": 0.1}}
    policies = {name: entry | {"true_top_fraction": shares, "new": [1]}
                for name, entry in DISCOVERY["policies"].items()}  # fmt: skip
    sign = {"wins": 2, "losses": 0, "ties": 1, "p": 0.5}
    run = discover_run(
        tmp_path / "run",
        policies=policies,
        ceiling={"0.1": 0.75, "end": 1.0},
        paired={"first": "ids", "against": {"random": dict.fromkeys(("0.1", "end", "area"), sign)}},
        tuned={"ids": {"lam": 2.0}},
        something={"else": None},
    )
    html = page.write(run).read_text()
    truly = cells(html, "Share of the top 5\u00a0% by the true reward")
    assert truly[0] == ["ids", "0.125 ± 0.100", "0.500 ± 0.100"]
    assert truly[-1] == ["best by the observed reward", "0.750", "1.000"]
    against = cells(html, "ids against the others")
    assert [row[1] for row in against] == ["10\u00a0%", "49.5\u00a0%", "area"]
    assert {(row[0], *row[2:]) for row in against} == {("random", "2", "0", "1", "0.5")}
    assert ["tuned ids", "lam 2"] in cells(html, "discover: run")


def test_a_share_that_reads_as_the_end_is_the_end(tmp_path):
    policies = json.loads(json.dumps(DISCOVERY["policies"]))
    for entry in policies.values():
        entry["top_fraction"]["0.4945"] = {"mean": 0.999, "sd": 0.0}
    html = page.write(discover_run(tmp_path / "run", policies=policies)).read_text()
    assert html.count(">49.5\u00a0%<") == 1 and "0.999" not in html


def test_a_discovery_says_what_was_left_out(tmp_path):
    html = page.write(discover_run(tmp_path / "run")).read_text()
    assert "<li>3 – rows without a name</li>" in html
    assert "<li>7 – pairs without a single: g3</li>" in html
    assert cells(html, "Share of the top 5")[0][-1] == "0.0123"
    assert "by the true reward" not in html and "against the others" not in html


def damage(run, how):
    """Break one file of a run."""
    scores, summary = run / "scores.parquet", run / "summary.json"
    whole = scores.read_bytes()
    if how == "cut table":
        scores.write_bytes(whole[: len(whole) // 2])
    elif how == "no table":
        scores.unlink()
    elif how == "text for a table":
        scores.write_text("a,b\n1,2\n")
    elif how == "other columns":
        pl.DataFrame({"a": ["x"]}).write_parquet(scores)
    elif how == "text for numbers":
        frame = pl.read_parquet(scores).with_columns(statistic=pl.lit("x"))
        frame.write_parquet(scores)
    elif how == "middle of the table":
        scores.write_bytes(whole[:8] + bytes(200) + whole[208:])
    elif how == "text for a summary":
        summary.write_text("{")
    elif how == "list for a summary":
        summary.write_text("[]")
    elif how == "summary of another verb":
        summary.write_text('{"policies": {}}')
    elif how == "summary of other shape":
        summary.write_text('{"tests": {"additive": 3}}')
    elif how == "unfinished":
        summary.unlink()
    elif how == "damaged record":
        (run / "run.json").write_text("{")
    elif how == "record of other shape":
        (run / "run.json").write_text('{"verb": "score", "run_key": 1, "options": 7}')


@pytest.mark.parametrize(
    "how, says",
    [
        ("cut table", "scores.parquet: is damaged"),
        ("no table", "scores.parquet: no such file"),
        ("text for a table", "scores.parquet: is damaged"),
        ("other columns", "has no column b, test"),
        ("text for numbers", "holds a file that is damaged or not as the run wrote it"),
        ("middle of the table", "holds a file that is damaged or not as the run wrote it"),
        ("text for a summary", "summary.json: is damaged"),
        ("list for a summary", "summary.json: is damaged"),
        ("summary of another verb", "names no tests"),
        ("summary of other shape", "holds a file that is damaged or not as the run wrote it"),
        ("unfinished", "is an unfinished run of score"),
        ("damaged record", "its run.json is damaged or not ours"),
        ("record of other shape", "holds a file that is damaged or not as the run wrote it"),
    ],
)
def test_damage_is_one_line_and_nothing_is_written(how, says, tmp_path, capfd):
    score_run(tmp_path / "run")
    damage(tmp_path / "run", how)
    before = sorted(tmp_path.rglob("*"))
    assert cli.main(["report", str(tmp_path / "run")]) == 2
    out, err = capfd.readouterr()
    assert not out and err.count("\n") == 1 and "Traceback" not in err
    assert err.startswith("epistax report: ") and says in err
    assert sorted(tmp_path.rglob("*")) == before


def test_a_damaged_curve_is_refused(tmp_path, capfd):
    run = discover_run(tmp_path / "run")
    (run / "figures").mkdir()
    (run / "figures/discovery.svg").write_text("<svg><g></svg>")
    assert cli.main(["report", str(run)]) == 2
    assert "figures/discovery.svg: is damaged" in capfd.readouterr().err
    assert not (run / "report.html").exists()


def test_a_step_cannot_lead_elsewhere(tmp_path, capfd):
    score_run(tmp_path / "outside")
    demo = tmp_path / "demo"
    demo.mkdir()
    (demo / "run.json").write_text(json.dumps(record("demo")))
    (demo / "link").symlink_to(tmp_path / "outside")
    for target in ("..", "link"):
        steps = {"steps": {"scores": {"verb": "score", "directory": target}}}
        (demo / "summary.json").write_text(json.dumps(steps))
        assert cli.main(["report", str(demo)]) == 2
        assert "its step 'scores' leads elsewhere" in capfd.readouterr().err
    steps = {"steps": {"scores": {"verb": "score", "directory": "gone"}}}
    (demo / "summary.json").write_text(json.dumps(steps))
    assert cli.main(["report", str(demo)]) == 2
    assert "the run of step 'scores' is not there" in capfd.readouterr().err
    assert not (demo / "report.html").exists() and not (tmp_path / "outside/figures").exists()


def test_figures_that_lead_elsewhere_are_not_written(tmp_path):
    score_run(tmp_path / "run")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run/figures").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BadInput, match="leads out of the run directory"):
        page.write(tmp_path / "run")
    assert not list((tmp_path / "elsewhere").iterdir())


def test_nothing_that_runs_or_loads_survives_in_a_picture():
    source = b"""<?xml version="1.0"?><!DOCTYPE svg PUBLIC "x" "http://www.w3.org/x.dtd">
      <svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"
      onload="a()">
      <style>*{fill: red} #g1 {clip-path: url(#c1)}</style><script>alert(1)</script>
      <defs><clipPath id="c1"><path d="M0 0"/></clipPath></defs>
      <g id="g1" clip-path="url(#c1)"><use xlink:href="#g1"/><use xlink:href="http://x.org/a#b"/>
      <a href="javascript:a()"><text>gone</text></a><rect style="fill: url(http://x.org)"/>
      <image href="data:image/png;base64,AA=="/><image href="data:image/svg+xml,x"/>
      <foreignObject><b/></foreignObject><text onclick="a()">a &lt; b</text></g></svg>"""
    text = svg.inline("x.svg", source, "p", 'say "it"')
    assert "http" not in text and "script" not in text and "foreign" not in text
    assert "onload" not in text and "onclick" not in text and "gone" not in text
    root = ElementTree.fromstring(text)
    assert root.get("id") == "p" and root.get("aria-label") == 'say "it"'
    assert [e.get("href") for e in root.iter("use")] == ["#p.g1", None]
    assert [e.get("href") for e in root.iter("image")] == ["data:image/png;base64,AA==", None]
    (group,) = root.iter("g")
    assert group.get("clip-path") == "url(#p.c1)" and group.get("id") == "p.g1"
    (style,) = root.iter("style")
    assert style.text.startswith("#p *{fill: red}")
    assert [e.text for e in root.iter("text")] == ["a < b"]


def test_colours_rise_with_the_root_of_the_statistic():
    frame = pl.DataFrame(
        {"a": list("ABCDE"), "b": list("VWXYZ"), "statistic": [-1.0, 0.0, 0.25, 1.0, None],
         "score": [0.0, 0.0, 0.25, 1.0, None], "q_value": [None] * 5,
         "status": ["ok"] * 4 + ["few"]},
        schema_overrides={"q_value": pl.Float64},
    )  # fmt: skip
    layer = matrices.Layer(matrices.Layer.of("additive", frame).test,
                           matrices.Layer.of("additive", frame).rows, 1.0)  # fmt: skip
    colours = [layer.colour(pair) for pair in zip("ABCDE", "VWXYZ", strict=True)]
    assert colours[:2] == [matrices.RAMP[0]] * 2 and colours[3] == matrices.RAMP[-1]
    assert colours[2] == matrices.RAMP[len(matrices.RAMP) // 2]
    assert colours[4] == layer.colour(("P", "Q")) == matrices.ABSENT
    light = [sum(int(c[k : k + 2], 16) for k in (1, 3, 5)) for c in matrices.RAMP]
    assert light == sorted(light, reverse=True)


def test_names_of_pairs_stand_a_line_apart_near_their_dots():
    wanted = np.array([0.5, 1.2, 0.5, 0.01, 0.0, 0.5])
    found = outstanding.spread(wanted)
    order = np.argsort(-found)
    assert order.tolist() == np.argsort(-wanted, kind="stable").tolist()
    assert np.diff(found[order]).max() <= -outstanding.LINE + 1e-9
    assert 0 <= found.min() and found.max() <= 1
    np.testing.assert_allclose(found[[0, 1]], [0.5, 1.0])
    alone = np.array([0.9, 0.1])
    np.testing.assert_allclose(outstanding.spread(alone), alone)


def test_the_inflation_of_uniform_p_values_is_one():
    p = (np.arange(999) + 0.5) / 999
    assert outstanding.inflation(p) == pytest.approx(1, abs=1e-6)
    assert outstanding.inflation(p**2) > 2 > 1 > outstanding.inflation(p**0.5)


def test_the_order_puts_alike_rows_together():
    names = list("ABCDEF")
    rows = [(a, b, 9.0 if (a in "ACE") == (b in "ACE") else 0.0)
            for k, a in enumerate(names) for b in names[k + 1 :]]  # fmt: skip
    frame = pl.DataFrame(rows, schema=["a", "b", "score"], orient="row")
    found = "".join(matrices.order(names, frame, {}, ()))
    assert {frozenset(found[:3]), frozenset(found[3:])} == {frozenset("ACE"), frozenset("BDF")}
    by = matrices.order(names, frame, {"A": "x", "B": "x", "C": "y"}, ("y", "x"))
    assert by[0] == "C" and set(by[1:3]) == {"A", "B"}


def test_numbers_are_written_alike():
    assert [number(v) for v in (None, 0.0, 1225, 12345.6, 0.25)] == [
        "", "0", "1,225", "12,346", "0.25",
    ]  # fmt: skip
    assert [padded(v, 4) for v in (None, 0.25, 21.9151, 1234.0, 19_100.2)] == [
        "", "0.2500", "21.92", "1,234", "19,100",
    ]  # fmt: skip
    assert [percent(v) for v in (0.1, 0.408, 1)] == ["10\u00a0%", "40.8\u00a0%", "100\u00a0%"]
    assert [symbol(t) for t in ("additive", "mmd:matern", "severity", "severity:min", "new")] == [
        "R", "MMD²", "S(sum)", "S(min)", "new",
    ]  # fmt: skip
