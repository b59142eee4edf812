"""The tables of models of effects: what they say of lines, and the page's copy of them."""

import json

import pytest

from epistax.benchmarks import naiadpages


def line(model, n, seed, rmse, **more):
    return {"name": "curve", "dataset": "norman", "model": model, "n_train": n, "seed": seed,
            "gene_frequency": n / 56, "rmse": rmse} | more  # fmt: skip


def round_line(acquisition, number, found, seed=89):
    return {"name": "rounds", "dataset": "norman", "model": "naiad", "acquisition": acquisition,
            "seed": seed, "round": number, "n_measured": 100 * number + 100, "test_share": 0.3,
            "top_200": found,
            "probable_200": found + 1, "measured_200": found - 9, "rmse": 0.05}  # fmt: skip


def test_errors_stand_beside_the_papers_at_the_nearest_size():
    lines = [line("naiad", n, seed, 0.05 + 0.001 * seed)
             for n in (100, 200, 500, 1000, 1500) for seed in (0, 1, 2)]  # fmt: skip
    text = naiadpages.tables(lines)
    assert "| 200 rows (3.6 a gene) | 500 rows (8.9 a gene) | 1,000 rows (17.9 a gene) |" in text
    assert "| naiad | 5.10 +- 0.10 (5.1) | 5.10 +- 0.10 (4.7) | 5.10 +- 0.10 (4.7) |" in text


def test_found_and_marginal_gain():
    lines = [round_line("mpe", 0, 80), round_line("mpe", 4, 140), round_line("mpe", 0, 90, 773),
             round_line("mpe", 4, 148, 773)]  # fmt: skip
    row = "| naiad | mpe | 144.0 +- 5.7 (144) | 145.0 +- 5.7 | 135.0 +- 5.7 | 14.75 |"
    assert row in naiadpages.tables(lines)


@pytest.mark.parametrize("number", ["2", "3", "4", "6", "7"])
def test_figures_that_the_lines_hold_are_drawn(number):
    lines = [line("naiad", n, seed, 0.05, pearson=0.9, tpr_200=0.5)
             for n in (100, 200) for seed in (0, 1)]  # fmt: skip
    lines += [round_line("mpe", number, 80 + number) for number in range(3)]
    assert number in dict(naiadpages.figures(lines))


def test_the_tables_of_the_page_are_those_of_the_committed_results(checkout):
    files = sorted((checkout / "benchmarks/results").glob("naiad-*.jsonl"))
    lines = [json.loads(text) for path in files for text in path.open()]
    made = set(naiadpages.tables(lines).splitlines())
    text = (checkout / "benchmarks/results/effects.md").read_text()
    begin, end = (text.index(f"<!-- {mark}: naiadpages -->") for mark in ("tables", "end"))
    rows = [row for row in text[begin:end].splitlines() if row.startswith("| ")]
    assert len(rows) > 10 and set(rows) <= made
