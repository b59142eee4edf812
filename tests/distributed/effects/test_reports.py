"""What the verbs say on a terminal and in the report, of summaries made by hand."""

import pytest

from epistax.distributed.report import effects
from epistax.distributed.report.sections.effects_benchmark import rows_of


def spread(mean):
    return {"mean": mean, "sd": 0.1, "se": 0.05}


BENCHMARK = {
    "step": "benchmark", "dataset": "screen", "rows": 100_576, "genes": 448, "n_test": 30_172,
    "hold_out": "both_genes", "seeds": 3, "n_lowest": 200, "report": "run/report.html",
    "models": {
        "recover-symmetric": {"50000": {
            "rmse": spread(0.00123), "pearson": spread(0.9), "tpr_200": spread(0.25),
            "covered_90": None, "width_90": None, "seconds": spread(1234.5),
        }}
    },
}  # fmt: skip


def test_lines_are_short_and_nothing_is_rounded_away():
    text = effects.describe(BENCHMARK)
    assert max(map(len, text.splitlines())) <= 80
    (line,) = [line for line in text.splitlines() if line.startswith("recover")]
    assert line.split() == ["recover-symmetric", "50,000", "0.00123", "0.900", "0.250", "1234.5"]


@pytest.mark.parametrize("least, places", [(0.0523, 4), (0.5, 3), (2.3, 2), (340.0, 0), (0.0, 2)])
def test_three_digits_of_the_least_error_are_shown(least, places):
    assert effects.decimals([least, 5000.0 if least else 0.0]) == places


def test_a_correlation_of_a_constant_is_none():
    fit = {"step": "fit", "model": "linear", "members": 1, "rows": 20, "genes": 6, "folds": 2,
           "rmse": 0.1, "pearson": None, "covered_90": 0.9, "covered_90_told": 0.8,
           "factor": 2.0}  # fmt: skip
    assert "correlation none" in effects.describe(fit)
    assert "correlation none" in effects.describe(fit | {"pearson": float("nan")})


def test_rows_that_are_no_pair_are_named():
    plain = {"rows": 1, "genes": 3, "pairs_of_itself": 0, "larger": 0}
    assert rows_of(plain) == "1 row of 3 genes"
    both = plain | {"rows": 1200, "pairs_of_itself": 2, "larger": 30}
    assert rows_of(both) == (
        "1,200 rows of 3 genes (2 of a gene with itself, 30 of three genes or more)"
    )
