"""`response refine` through the door: edges of a graph that the cells hold, and how they rank."""

import json

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import average_precision_score


@pytest.fixture(scope="module")
def run(source, tmp_path_factory):
    """Edges that are right, by the effects of the perturbed genes, and as many that are not."""
    import anndata

    from epistax.cli import main

    folder = tmp_path_factory.mktemp("refined")
    data = anndata.read_h5ad(source)
    y = np.log1p(data.X / data.X.sum(1, keepdims=True) * 200)
    label, genes = data.obs["perturbation"].to_numpy(), np.array(data.var_names)
    right, wrong, rng = [], [], np.random.default_rng(0)
    for arm in genes[:4]:
        change = np.abs(y[label == arm].mean(0) - y[label == "control"].mean(0))
        change[:4] = np.nan
        right += [(arm, genes[k]) for k in np.flatnonzero(change > 0.3)]
        wrong += [(arm, genes[k]) for k in rng.choice(np.flatnonzero(change < 0.1), 10)]
    graph = folder / "graph.csv"
    lines = [f"{a},{b}" for a, b in dict.fromkeys([*right[::2], *wrong])]
    graph.write_text("\n".join(["source,target", *lines]) + "\n")
    by = {arm: [b for a, b in right if a == arm] for arm in genes[:4]}
    gmt = folder / "known.gmt"
    gmt.write_text("".join("\t".join([f"{a}_chip", "", *b]) + "\n" for a, b in by.items() if b))
    words = ["response", "refine", str(source), "--graph", str(graph), "--targets", str(gmt)]
    assert main([*words, "--out", str(folder / "run"), "--quiet"]) == 0
    return folder, set(right)


def test_edges_that_cells_hold_stay_and_come(run):
    folder, right = run
    edges = pl.read_parquet(folder / "run" / "edges.parquet")
    true = np.array([pair in right for pair in edges.select("source", "target").iter_rows()])
    np.testing.assert_array_equal(edges["known_targets"], true)
    score = edges["score"].to_numpy()
    assert (np.diff(score) <= 0).all()
    summary = json.loads((folder / "run" / "summary.json").read_text())
    judged = summary["judged"]["targets"]
    of = {"all": np.ones(len(true), bool), "prior": edges["prior"].to_numpy()}
    of["new"] = ~of["prior"]
    for part, mask in of.items():
        for name, column in (("refined", "score"), ("correlation", "correlation")):
            expected = average_precision_score(true[mask], edges[column].to_numpy()[mask])
            assert judged[name][part]["micro"] == pytest.approx(expected), (name, part)
    of_graph = judged["refined"]["prior"]
    assert of_graph["micro"] > of_graph["chance"] + 0.1
    graph = pl.read_csv(folder / "run" / "graph.csv")
    assert graph.columns == ["source", "target", "weight"]
    assert graph.height == summary["refined"] == summary["kept"] + summary["new"]
    assert summary["prior"] == int(edges["prior"].sum())


def test_a_refined_graph_is_a_graph(run, source, call, tmp_path):
    folder, _ = run
    graph = folder / "run" / "graph.csv"
    assert call("refine", source, "--graph", graph, "--out", tmp_path / "again") == 0
    html = (folder / "run" / "report.html").read_text()
    assert "Graph refined" in html and "of the graph, micro" in html


@pytest.mark.parametrize("content, says", [
    ("x\ty\n", "has no line NAME<TAB>about<TAB>gene"),
    ("SOX2\t\tg05\tg06\n", "none of its 1 sets (SOX2) is named by one of the regulators"),
    ("g00\t\tABC\n", "none of its targets is one of the genes"),
])  # fmt: skip
def test_targets_of_others_are_refused(source, call, tmp_path, capsys, write, content, says):
    graph, gmt = source.parent / "graph.csv", write(content, "known.gmt")
    words = ("--graph", graph, "--targets", gmt, "--out", tmp_path / "run")
    assert call("refine", source, *words) == 2
    error = capsys.readouterr().err
    assert says in error and error.count("\n") == 1 and not (tmp_path / "run").exists()


def test_without_a_graph_there_is_nothing_to_refine(source, call, tmp_path, capsys):
    assert call("refine", source, "--out", tmp_path / "run") == 2
    assert "--graph is missing" in capsys.readouterr().err
