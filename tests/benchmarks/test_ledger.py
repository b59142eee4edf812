"""The tables of speed: what they say of records, and the copy of them beside the results."""

import pytest

from epistax.benchmarks import growth, harness, ledger, limits
from epistax.distributed.options.bench import SUITES
from epistax.engine.pairs import count

ROW = {"name": "mmd.estimate", "size": {"genes": 50, "cells": 1200, "rank": 8, "seed": 0},
       "ours_seconds": 0.25, "reference": "numpy", "reference_seconds": 30.0, "ratio": 120.0,
       "cpu_seconds": 0.5, "compile_seconds": 2.0, "peak_rss_mb": 1234.5}  # fmt: skip


def test_a_row_says_what_was_measured():
    row = ledger.row(ROW)
    assert row == [
        "MMD of every pair of a screen (`mmd.estimate`)",
        "50 genes, 1,200 cells, rank 8",
        "0.25 s (0.5 processor s; compiled in 2 s)",
        "numpy: 30 s",
        "120",
        "1,234 MB",
    ]
    alone = ROW | {"reference": None, "reference_seconds": None, "ratio": None}
    assert ledger.row(alone)[3:5] == ["–", "–"]


def test_the_exponent_of_a_power_is_told():
    rows = [{"name": "growth.toy", "size": {"n": n}, "ours_seconds": 1e-6 * n**1.5 + (n < 9) * 1e-4,
             "peak_rss_mb": 7.0} for n in (4, 16, 64, 256)]  # fmt: skip
    found = harness.exponents(rows, "n", since=16)
    assert found["seconds_exponent_from_16"] == pytest.approx(1.5, abs=1e-3)
    assert found["seconds_exponent"] < 1.5 and found["memory_exponent"] == 0.0
    cells = ledger.slope(found)
    assert cells[:2] == ["`toy`", "n 4, 16, 64, 256"] and cells[2].endswith("(1.50 from 16)")
    shown = [panel.axison for panel in ledger.figure([*rows, found]).axes]
    assert shown == [True, False, False, False]
    # rows of a growth are told by their exponent, not one by one
    assert "growth.toy" not in ledger.tables([*rows, found])


def test_the_work_of_kernels_is_counted():
    made = {name: (scale, work) for name, _, scale, work in limits.kernels(None, 0)}
    scale, work = made["mmd.estimate"]
    # the double's own block and four others of every pair, half of what is symmetric
    pairs, n, d = count(50), scale["wells"], scale["features"]
    singles = (50 + 51 / 2) * n * n
    assert work.exps == 4.5 * pairs * n * n + singles
    assert work.flops == pytest.approx(2 * d * work.exps)
    assert made["moments.all_pairs"][1].flops == 60 * count(20_000)
    assert made["mmd.pvalue"][1].flops - work.flops == 5 * pairs * 2 * n * n * 1000


def test_every_case_of_growth_has_four_sizes():
    assert all(len(case.sizes) >= 4 for case in growth.CASES.values())


@pytest.mark.slow
def test_suites_of_growth_and_limits_run():
    grown = list(growth.suite(size=16, repeats=1, seed=0))
    assert sum("seconds_exponent" in r for r in grown) == len(growth.CASES)
    reached = list(limits.suite(size=64, repeats=1, seed=0))
    rates = {f"limit.{name}" for name in ("matmul", "bandwidth", "exp", "sqrt")}
    assert {r["name"] for r in reached} >= rates
    assert all(r["share"] > 0 for r in reached if "share" in r)


def test_the_committed_table_is_that_of_the_committed_results(checkout):
    folder = checkout / "benchmarks/results"
    files = [folder / f"{suite}-epyc-2-cores.jsonl" for suite in sorted(SUITES)]
    made = ledger.tables(ledger.read(file for file in files if file.exists()))
    page = (folder / "speed.md").read_text(encoding="utf-8")
    assert page.partition(ledger.BEGIN)[2].partition(ledger.END)[0].strip() == made
    readme = (checkout / "README.md").read_text(encoding="utf-8")
    shown = readme.partition(ledger.BEGIN)[2].partition(ledger.END)[0].strip().splitlines()
    assert len(shown) > 6 and set(shown) <= set(made.splitlines())
