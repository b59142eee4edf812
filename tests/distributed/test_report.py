"""The report of real runs: what stands on the page, and that nothing else does."""

import base64
import hashlib
import json
import re
import shlex
import shutil
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import polars as pl
import pytest

from epistax import cli
from epistax.distributed import flags
from epistax.distributed.report import page

SVG = "{http://www.w3.org/2000/svg}"
TESTS = ("additive", "mmd", "cosine", "severity:min", "severity:max", "severity", "severity:double")
EVIL = ("<script>alert(1)</script>", 'a"b', "c&d", "$x^{$", "e'f")


class Reader(HTMLParser):
    """Tables by caption, ids, text and every attribute of a page."""

    def __init__(self, html):
        super().__init__()
        self.tables, self.attributes, self.tags, self.text = [], [], [], ""
        self.cell = None
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]
        if tag == "table":
            self.tables.append({"caption": "", "rows": []})
        elif tag == "tr":
            self.tables[-1]["rows"].append([])
        elif tag in ("td", "th", "caption"):
            self.cell = ""

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.tables[-1]["rows"][-1].append(self.cell)
        elif tag == "caption":
            self.tables[-1]["caption"] = self.cell
        if tag in ("td", "th", "caption"):
            self.cell = None

    def handle_data(self, data):
        self.text += data
        if self.cell is not None:
            self.cell += data

    def table(self, start):
        """Head and rows of the table whose caption starts so, what unfolds included."""
        found = [t for t in self.tables if t["caption"].startswith(start)]
        assert found, [t["caption"] for t in self.tables]
        return found[0]["rows"][0], [row for t in found for row in t["rows"][1:]]


def drawings(html):
    """The inlined pictures, parsed as XML."""
    return [ElementTree.fromstring(part) for part in re.findall(r"<svg.*?</svg>", html, re.DOTALL)]


def matrix(html):
    """The data of the page's matrix."""
    (data,) = re.findall(r'<script type="application/json">(.*?)</script>', html, re.DOTALL)
    return json.loads(data)


def number(cell):
    return float(cell.replace(",", ""))


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A small screen, scored and replayed, as one directory of steps."""
    base = tmp_path_factory.mktemp("work") / "demo"
    screen, scores, found = (base / name for name in ("screen", "scores", "discover-additive"))
    words = "simulate morphology --genes 16 --pathways 4 --wells 1 --features 24 --seed 1 --quiet"
    assert cli.main([*words.split(), "--out", str(screen)]) == 0
    known = ["--known", str(screen / "pathways.gmt")]
    tests = [word for test in TESTS for word in ("--test", test)]
    words = ["score", str(screen / "data.npz"), *tests, *known, "--quiet", "--out", str(scores)]
    assert cli.main(words) == 0
    words = "--test additive --batch 6 --rounds 4 --seeds 2 --policy ucb --policy random --quiet"
    words = ["discover", str(scores / "scores.parquet"), *words.split(), *known, "--out"]
    assert cli.main([*words, str(found)]) == 0
    verbs = {screen: "simulate", scores: "score", found: "discover"}
    steps = {p.name: {"verb": verb, "directory": str(p)} for p, verb in verbs.items()}
    record = {"verb": "demo", "run_key": "0", "options": {}}
    (base / "run.json").write_text(json.dumps(record))
    (base / "summary.json").write_text(json.dumps({"steps": steps}))
    return base


@pytest.fixture(scope="module")
def html(demo):
    return page.write(demo).read_text()


@pytest.fixture(scope="module")
def read(html):
    return Reader(html)


@pytest.fixture(scope="module")
def frame(demo):
    return pl.read_parquet(demo / "scores/scores.parquet")


def test_the_page_loads_nothing_and_is_well_formed(html, read):
    assert not {"link", "iframe", "object", "img"} & set(read.tags)
    for tag, name, value in read.attributes:
        assert name != "src" and not name.startswith("on")
        assert name != "href" or value.startswith(("#", "data:image/png;base64,")), (tag, value)
    assert "://" not in html and "url(" not in re.sub(r"url\(#", "", html)
    ids = [value for _, name, value in read.attributes if name == "id"]
    known = set(ids)
    for tag, _, value in (a for a in read.attributes if a[1] == "href"):
        assert tag == "image" or value[1:] in known
    assert len(ids) == len(set(ids)) > 100
    for target in re.findall(r"url\(#([^)]+)\)", html):
        assert target in ids
    assert all(t["caption"] for t in read.tables) and len(read.tables) > 15
    assert "<title>epistax report: demo</title>" in html and html.count("<h1>") == 1


def test_only_the_script_of_the_page_may_run(html, read):
    (policy,) = [
        value for _, name, value in read.attributes if name == "content" and "src" in value
    ]
    assert policy.startswith("default-src 'none'; ")
    assert read.tags.count("script") == 2  # one is data
    (own,) = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(own.encode()).digest()).decode()
    assert policy.endswith(f"script-src 'sha256-{digest}'")


def test_every_picture_is_xml_with_a_label(html):
    found = drawings(html)
    assert len(found) == 5 + 5 + 3  # what stands out, pictures, curves
    for root in found:
        assert root.get("role") == "img" and len(root.get("aria-label")) > 10


def test_sections_come_in_the_order_of_the_steps(read):
    titles = ("Simulated screen", "Pair tests", "Which pairs next: additive", "Run facts")
    heads = [read.text.index(f"\n{title}\n") for title in titles]
    assert heads == sorted(heads)


@pytest.mark.parametrize("test", TESTS)
def test_the_ranked_table_holds_the_figures_of_the_scores(test, read, frame, demo):
    head, rows = read.table(f"{test}: 120 pairs")
    assert len(rows) == 120 and [row[0] for row in rows] == [f"{k}" for k in range(1, 121)]
    truth = pl.read_parquet(demo / "screen/truth.parquet")
    truth = {frozenset((r["a"], r["b"])): r for r in truth.iter_rows(named=True)}
    pathway = dict(pl.read_parquet(demo / "screen/genes.parquet").rows())
    mine = {(r["a"], r["b"]): r for r in frame.filter(test=test).iter_rows(named=True)}
    for row in rows:
        a, b = row[1].split(" + ")
        want = mine.pop((a, b))
        for name, column in {"se": "se", "p": "p_value", "q": "q_value"}.items():
            if name in head:
                assert number(row[head.index(name)]) == pytest.approx(want[column], rel=0.05)
        at = next(k for k, name in enumerate(head) if name.startswith(("R", "MMD", "cos", "S(")))
        assert number(row[at]) == pytest.approx(want["statistic"], rel=6e-4)
        assert row[2] == " – ".join(dict.fromkeys((pathway[a], pathway[b])))
        known = truth[frozenset((a, b))]
        assert ("same pathway" in row[3]) == known["same_pathway"]
        assert ("synthetic lethal" in row[3]) == known["synthetic_lethal"]
    assert not mine
    best = frame.filter(test=test).sort("p_value", "score", descending=[False, True])
    assert rows[0][1] == f"{best['a'][0]} + {best['b'][0]}"


def test_squares_of_the_matrices_name_their_pair_and_figures(html, frame, demo):
    for below in ("mmd", "cosine"):
        root = ElementTree.parse(demo / f"scores/figures/matrix-additive-{below}.svg").getroot()
        squares = [
            (float(e.get("x")), float(e.get("y")), e[0].text)
            for e in root.iter(f"{SVG}rect")
            if len(e) and " + " in e[0].text
        ]
        assert len(squares) == 16 * 15
        seen = set()
        for x, y, title in squares:
            pair, _, figures = title.partition(": ")
            test = "additive" if x > y else below
            (row,) = frame.filter(
                test=test, a=pair.split(" + ")[0], b=pair.split(" + ")[1]
            ).iter_rows(named=True)
            sign, value, *q = figures.replace(",", "").split()
            assert sign == {"additive": "R", "mmd": "MMD²", "cosine": "cos²"}[test]
            assert float(value) == pytest.approx(row["statistic"], rel=6e-3)
            if row["q_value"] is not None:
                assert float(q[1]) == pytest.approx(row["q_value"], rel=0.5)
            seen.add((test, pair))
        assert len(seen) == 2 * 120


def test_genes_of_a_pathway_stand_together(html, demo):
    pathway = dict(pl.read_parquet(demo / "screen/genes.parquet").rows())
    root = ElementTree.parse(demo / "scores/figures/matrix-additive-mmd.svg").getroot()
    upright = [e for e in root.iter(f"{SVG}text") if "rotate" in e.get("transform", "")]
    groups = [pathway[e.text] for e in upright]
    assert len(groups) == 16
    assert sum(a != b for a, b in zip(groups, groups[1:], strict=False)) == 3
    data = matrix(html)
    assert [order["name"] for order in data["orders"]] == ["by pathway", "clustered", "by name"]
    assert [data["names"][k] for k in data["orders"][0]["places"]] == [e.text for e in upright]
    assert [pathway[name] for name in data["names"]] == data["groups"]


@pytest.mark.parametrize("test", ["additive", "mmd"])
def test_pictures_name_the_pairs_that_stand_out(test, html, frame):
    rows = frame.filter(test=test).sort("p_value", "score", descending=[False, True])
    best = [f"{a} + {b}" for a, b in rows.select("a", "b").head(12).iter_rows()]
    found = [root for root in drawings(html) if f"Volcano of {test}" in root.get("aria-label")]
    titles = [e.text for e in found[0].iter("title")]
    assert [t.partition(":")[0] for t in titles] == best
    assert titles[0].endswith(f", q {rows['q_value'][0]:.1g}")
    written = {"".join(e.itertext()).strip() for e in found[0].iter("text")}
    assert set(best) <= written


def test_the_page_holds_every_figure_of_its_matrix(html, frame):
    data = matrix(html)
    assert [layer["test"] for layer in data["layers"]] == ["additive", "mmd", "cosine"]
    for layer in data["layers"]:
        rows = frame.filter(test=layer["test"]).sort("a", "b")  # as the upper triangle goes
        values = np.frombuffer(base64.b64decode(layer["statistic"]), "<f4")
        np.testing.assert_allclose(values, rows["statistic"], rtol=1e-6)
        q = np.frombuffer(base64.b64decode(layer["q"]), "<u2")
        if rows["q_value"].is_null().all():
            assert set(q) == {65535}
        else:
            np.testing.assert_allclose(
                10.0 ** (-q.astype(float) / 100), rows["q_value"], rtol=0.012
            )


def test_headlines_are_those_of_the_summary(read, demo):
    tests = json.loads((demo / "scores/summary.json").read_text())["tests"]
    head, rows = read.table("What each test found")
    assert [row[0] for row in rows] == list(TESTS)
    for row in rows:
        entry, cells = tests[row[0]], dict(zip(head, row, strict=True))
        assert number(cells["tested"]) == entry["tested"] == 120
        if "auroc" in entry:
            assert number(cells["AUROC"]) == pytest.approx(entry["auroc"], abs=6e-4)
        if "found" in entry:
            assert number(cells["found at FDR 10\u00a0%"]) == entry["found"]["pairs"]
    head, rows = read.table("Known pairs: pathways")
    for row in rows:
        known = tests[row[0]]["known"]["pathways"]
        assert number(row[head.index("AUROC")]) == pytest.approx(known["auroc"], abs=6e-4)
        assert row[head.index("found")] == f"{known['found']} of {known['total']}"


def test_the_agreement_of_the_tests_is_shown(read, demo):
    found = json.loads((demo / "scores/summary.json").read_text())["agreement"]
    head, rows = read.table("How alike the tests rank 120 pairs")
    assert found["pairs"] == 120 and list(head)[1:] == [row[0] for row in rows] == list(TESTS)
    for row, own in zip(rows, found["spearman"], strict=True):
        assert [number(v) for v in row[1:]] == pytest.approx(own, abs=6e-3)


def test_discovery_tables_are_those_of_the_summary(read, demo):
    summary = json.loads((demo / "discover-additive/summary.json").read_text())
    head, rows = read.table("Share of the top 5")
    assert [row[0] for row in rows] == list(summary["policies"])
    for row in rows:
        found = summary["policies"][row[0]]["top_fraction"]
        for cell, entry in zip(row[1:], found.values(), strict=False):
            mean, sd = map(number, cell.split(" ± "))
            assert (mean, sd) == pytest.approx((entry["mean"], entry["sd"]), abs=6e-4)
    _, rows = read.table("Known pairs found: pathways")
    assert [row[0] for row in rows] == [*summary["policies"], "by chance (95 %)"]
    chance = next(iter(summary["known"]["pathways"]["at"].values()))["random_chance"]
    assert rows[-1][1].startswith(f"{chance['expected']:.1f} (")


@pytest.mark.parametrize("name", ["screen", "scores", "discover-additive"])
def test_the_command_shown_makes_the_same_run(name, read, demo):
    record = json.loads((demo / name / "run.json").read_text())
    _, rows = read.table(f"{record['verb']}: {name}")
    facts = dict(rows)
    words = shlex.split(facts["command"])
    assert words[:2] == ["epistax", record["verb"]]
    options = cli.parse(cli.VERBS[record["verb"]], words[2:])
    assert flags.decisive(options) == record["decisive"]
    assert options.out == record["options"]["out"]
    assert facts["seed"] == str(record["seed"]) and record["run_key"] == facts["run key"]
    for entry in record["inputs"]:
        line = f"{entry['path']}, sha256 {entry['sha256'][:12]}, {entry['bytes']:,} bytes"
        assert line in [row[1] for row in rows]


def test_captions_state_what_is_drawn(read, frame):
    wide = frame.pivot("test", index=["a", "b"], values="statistic")
    x, y = wide["cosine"].to_numpy(), wide["additive"].to_numpy()
    ranked = [np.argsort(np.argsort(v)) for v in (x, y)]
    assert f"rank correlation is {np.corrcoef(*ranked)[0, 1]:.2f}" in read.text
    assert f"Pearson {np.corrcoef(x, y)[0, 1]:.2f}" in read.text
    double = wide["severity:double"].to_numpy()
    summed = wide["severity"].to_numpy() * double
    (slope,) = np.linalg.lstsq(summed[:, None], double, rcond=None)[0]
    assert f"slope through 0: {slope:.2f}" in read.text
    assert f"Median share of the sum: all pairs {wide['severity'].median():.2f}" in read.text
    p = frame.filter(test="additive")["p_value"].to_numpy()
    assert f"p ≤ 0.05: additive {100 * (p <= 0.05).mean():.0f}\u00a0%" in read.text


def test_figures_are_kept_beside_the_scores(html, demo):
    names = {path.name for path in (demo / "scores/figures").iterdir()}
    for name in ("r-cosine", "by-pathway", "severity", "scale", "p-values"):
        assert {f"{name}.png", f"{name}.svg"} <= names
    assert {"matrix-additive-mmd.svg", "matrix-additive-cosine.svg"} <= names
    for path in (demo / "scores/figures").glob("*.svg"):
        assert ElementTree.parse(path).getroot().tag == "{http://www.w3.org/2000/svg}svg"


def test_again_is_the_same_bytes_wherever_it_is_made(html, demo, tmp_path, monkeypatch, capsys):
    before = {p: p.read_bytes() for p in demo.rglob("*") if p.is_file()}
    monkeypatch.chdir(tmp_path)
    assert cli.main(["report", str(demo)]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[0] == f"report: {demo / 'report.html'}" and not err
    assert f"figure: {demo / 'scores/figures/scale.png'}" in out.splitlines()
    assert {p: p.read_bytes() for p in demo.rglob("*") if p.is_file()} == before
    assert not list(tmp_path.iterdir())


def test_steps_that_moved_together_are_the_same_page(html, demo, tmp_path):
    moved = shutil.copytree(demo, tmp_path / "demo")
    (moved / "report.html").unlink()
    assert page.write(moved).read_text() == html


@pytest.mark.slow
def test_each_run_has_a_page_of_its_own(demo, tmp_path, capsys):
    copy = shutil.copytree(demo, tmp_path / "demo")
    for name, title in (("screen", "Simulated"), ("scores", "Pair tests"),
                        ("discover-additive", "Which pairs next: additive")):  # fmt: skip
        assert cli.main(["report", str(copy / name), "--json"]) == 0
        made = json.loads(capsys.readouterr().out)
        assert made["report"] == str(copy / name / "report.html")
        text = Path(made["report"]).read_text()
        assert f"<h2>{title}" in text and text.count("<h2>") == 2
    (copy / "run.json").unlink()
    (copy / "summary.json").unlink()
    text = page.write(copy).read_text()
    assert [text.index(f"<h2>{t}") for t in ("Simulated", "Pair tests", "Which pairs")]


def test_a_truth_that_changed_is_not_used_and_that_is_said(demo, tmp_path):
    copy = shutil.copytree(demo, tmp_path / "demo")
    path = copy / "screen/truth.parquet"
    pl.read_parquet(path).with_columns(same_pathway=~pl.col("same_pathway")).write_parquet(path)
    read = Reader(page.write(copy / "scores").read_text())
    assert "truth.parquet has changed since the run" in read.text
    assert "known as" not in read.text and "no pathways are known" in read.text
    assert "ordered by average-linkage clustering of R" in read.text


@pytest.fixture(scope="module")
def evil(tmp_path_factory):
    """A screen whose names are no friends of HTML; rows that are left out; a pair not tested."""
    base = tmp_path_factory.mktemp("evil")
    labels = ["control"] * 8 + [name for name in EVIL for _ in range(4)]
    pairs = [tuple(sorted((a, b))) for k, a in enumerate(EVIL) for b in EVIL[k + 1 :]]
    labels += [f"{a}+{b}" for a, b in pairs for _ in range(4)] + ["", "", "nan"]
    labels += ["lone+c&d"] * 3
    x = np.random.default_rng(0).normal(size=(len(labels), 6)).astype(np.float32)
    np.savez(base / "data.npz", x=x, perturbation=np.array(labels))
    flag = pl.DataFrame(pairs, schema=["a", "b"], orient="row")
    flag.with_columns(same_pathway=pl.lit(True), interacting=pl.col("a") == EVIL[0]).write_parquet(
        base / "truth.parquet"
    )
    groups = ["<b>one</b>", "<b>one</b>", "&two", "$three^{", "four\x01"]
    pl.DataFrame({"gene": EVIL, "pathway": groups}).write_parquet(base / "genes.parquet")
    words = ["score", str(base / "data.npz"), "--test", "additive", "--test", "cosine", "--quiet"]
    assert cli.main([*words, "--out", str(base / "run")]) == 0
    return page.write(base / "run").read_text()


def test_names_are_escaped_in_the_page_and_in_its_pictures(evil):
    read = Reader(evil)
    assert read.tags.count("script") == 2 and "b" not in read.tags
    assert "<script>alert" not in evil and "<b>one" not in evil
    _, rows = read.table("additive: 10 pairs")
    pairs = {" + ".join(sorted((a, b))) for k, a in enumerate(EVIL) for b in EVIL[k + 1 :]}
    assert {row[1] for row in rows} == pairs
    titles = [e.text for root in drawings(evil) for e in root.iter("title")]
    assert {t.partition(": ")[0] for t in titles} == pairs
    written = {e.text for root in drawings(evil) for e in root.iter("text")}
    assert {"$three^{", "&two", "four\ufffd"} <= written
    data = matrix(evil)
    assert data["names"] == sorted([*EVIL, "lone"])
    assert set(data["groups"]) == {"<b>one</b>", "&two", "$three^{", "four\ufffd", ""}
    assert set(data["colours"]) == set(data["groups"]) - {""}


def test_what_was_left_out_is_counted(evil):
    text = Reader(evil).text
    assert "\n3 – nobody knows what was perturbed: (empty), nan\n" in text
    assert "\n1 – pair without one of their singles (additive)\n" in text
    assert "\n1 – pair without one of their singles (cosine)\n" in text
    assert "lone + c&d" not in text.split("Pair matrices")[0].split("Strongest")[1]
    data = matrix(evil)
    assert data["reasons"] == ["not measured", "not tested (no_single)"]
    why = np.frombuffer(base64.b64decode(data["layers"][0]["q"]), "<u2")
    untested = iter(why[why >= 65000].tolist())
    expected = {f"{a} + {b}" for a, b in [("c&d", "lone")]}
    for k, a in enumerate(data["names"]):
        for b in data["names"][k + 1 :]:
            if "lone" in (a, b):
                assert next(untested) == 65000 + (f"{a} + {b}" in expected)
    assert "Severity of singles: --test severity:min --test severity:max" in text
