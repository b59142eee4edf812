"""The tables of models of responses: what they say of lines, and the page's copy of them."""

import json

import pytest

from epistax.benchmarks import graphvcipages


def model(world, name, r2, *, trial=None, validation=0.0, protocol="classic", **more):
    line = {"name": "models", "size": "small", "world": world, "model": name, "split": "ood",
            "r2_all": 0.9, "r2_de": r2, "r2_change_all": 0.5, "r2_change_de": None}  # fmt: skip
    if trial is not None:
        line |= {"trial": trial, "validation": validation, "evaluation": protocol, "seed": 0,
                 "cpu_seconds": 3.0}  # fmt: skip
    return line | more


def test_of_every_world_the_trial_counts_that_validates_best():
    lines = [model(0, "control-shift", 0.8), model(1, "control-shift", 0.9)]
    for world, best in ((0, 1), (1, 0)):
        for at, weight in enumerate((10.0, 50.0)):
            lines.append(model(world, "graphvci", 0.7 + 0.1 * at, trial={"omega1": weight},
                               validation=float(at == best)))  # fmt: skip
    text = graphvcipages.tables(lines)
    assert "| control-shift | 0.900 +- 0.000 | 0.850 +- 0.050 |" in text
    assert "| graphvci | 0.900 +- 0.000 | 0.750 +- 0.050 |" in text
    row = next(x for x in text.splitlines() if x.startswith("| graphvci"))
    assert "| -0.100 +- 0.100 |" in row and row.endswith("| 2 |")


def edge(world, score, value):
    parts = {f"{figure}_{part}": value for figure in ("micro", "macro") for part in
             ("all", "prior", "new")}  # fmt: skip
    curve = {f"precision_at_{part}": [1.0, value] for part in ("all", "prior", "new")}
    return {"name": "refinement", "size": "small", "world": world, "score": score} | parts | curve


def test_scores_are_compared_world_by_world():
    lines = [edge(w, s, v + 0.1 * w) for w in (0, 1) for s, v in (("prior", 0.3), ("ours", 0.8))]
    row = next(x for x in graphvcipages.tables(lines).splitlines() if x.startswith("| prior"))
    assert row.endswith("| 0.500 +- 0.000 | 0.500 +- 0.000 | 0.500 +- 0.000 |")


@pytest.mark.parametrize("name", ["models", "curves", "edges"])
def test_figures_that_the_lines_hold_are_drawn(name):
    lines = [model(w, m, 0.8, r2_change_de=0.5) for w in (0, 1) for m in ("ceiling", "x")]
    lines += [edge(w, "ours", 0.8) for w in (0, 1)]
    lines += [{"name": "curves", "size": "small", "decoder": "key-independent", "graph": "prior",
               "epoch": e, "seed": s, "r2_de": 0.8} for e in (10, 20) for s in (0, 1)]  # fmt: skip
    assert name in dict(graphvcipages.figures(lines))


def test_the_tables_of_the_page_are_those_of_the_committed_results(checkout):
    folder = checkout / "benchmarks/results"
    files = [p for kind in ("graphvci", "refinement", "marginal") for p in folder.glob(f"{kind}-*")]
    lines = [json.loads(text) for path in files if path.suffix == ".jsonl" for text in path.open()]
    made = set(graphvcipages.tables(lines).splitlines())
    text = (checkout / "benchmarks/results/response.md").read_text()
    begin, end = (text.index(f"<!-- {mark}: graphvcipages -->") for mark in ("tables", "end"))
    rows = [row for row in text[begin:end].splitlines() if row.startswith("| ")]
    assert len(rows) > 10 and set(rows) <= made
