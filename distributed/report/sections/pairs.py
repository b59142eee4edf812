"""The pair table of a score run, read as far as it is shown, with what is known of its pairs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from epistax.distributed.errors import BadInput
from epistax.distributed.report.sections.known import Known, known
from epistax.distributed.report.sections.runs import Run
from epistax.distributed.status import TESTED

COLUMNS = {
    "a": pl.String,
    "b": pl.String,
    "test": pl.String,
    "statistic": pl.Float64,
    "score": pl.Float64,
    "se": pl.Float64,
    "p_value": pl.Float64,
    "q_value": pl.Float64,
    "status": pl.String,
}
SYMBOLS = {
    "additive": "R",
    "mmd": "MMD²",
    "cosine": "cos²",
    "severity": "S",
    "knn": "ΔKL",
    "kl": "ΔKL",
    "logform": "ΔT",
    "logrms": "rms ΔT",
    "latent": "max min |Δc|",
}
SIGNED = ("knn", "kl", "logform")


def symbol(test: str) -> str:
    """How the statistic of a test is written."""
    family, _, form = test.partition(":")
    text = SYMBOLS.get(family, test)
    return f"{text}({form or 'sum'})" if family == "severity" else text


def size(test: str) -> str:
    """How the score of a test is written: the size of its statistic."""
    return f"|{symbol(test)}|" if test.partition(":")[0] in SIGNED else symbol(test)


@dataclass(frozen=True, eq=False)
class Pairs:
    """Scores by pair and test."""

    tests: tuple[str, ...]
    frame: pl.LazyFrame
    names: tuple[str, ...]  # every perturbation of a pair, by code point
    known: Known
    scale: float | None = None  # how large doubles are for the sum of their singles, without noise

    @classmethod
    def of(cls, run: Run) -> "Pairs":
        """Of a score run."""
        found = run.summary.get("tests")
        if not isinstance(found, dict) or not found:
            raise BadInput(f"{run.path / 'summary.json'}: names no tests; it is not of score")
        scale = found.get("additive", {}).get("scale", {}).get("common")
        frame = run.table("scores", COLUMNS)
        first = frame.filter(pl.col("test") == next(iter(found))).select("a", "b").collect()
        names = tuple(pl.concat([first["a"], first["b"]]).unique().sort().drop_nulls())
        return cls(tuple(found), frame, names, known(run, names), scale)

    def of_test(self, test: str) -> pl.LazyFrame:
        """The rows of one test."""
        return self.frame.filter(pl.col("test") == test)

    def strongest(self, test: str, count: int) -> pl.DataFrame:
        """The best pairs of a test, by p-value where there is one, else by score; with flags."""
        order, falling = ["p_value", "score", "a", "b"], [False, True, False, False]
        rows = (
            self.of_test(test)
            .filter(pl.col("status").is_in(TESTED))
            .sort(order, descending=falling, nulls_last=True)
            .head(count)
        )
        return self.flagged(rows.collect())

    def tested(self, test: str) -> pl.DataFrame:
        """All pairs of a test that have a figure."""
        rows = self.of_test(test).filter(pl.col("status").is_in(TESTED))
        return rows.filter(pl.col("score").is_not_null()).collect()

    def count(self, test: str) -> int:
        """Pairs with a figure in a test."""
        rows = self.of_test(test).filter(pl.col("status").is_in(TESTED)).select(pl.len())
        return int(rows.collect().item())

    def flagged(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Rows with a column of each flag, false where nothing is known of a pair."""
        if self.known.flags is None:
            return rows
        there = [name for name in self.known.words if name in self.known.flags.columns]
        both = rows.join(self.known.flags, on=["a", "b"], how="left", maintain_order="left")
        return both.with_columns(pl.col(there).fill_null(False))

    def wide(self, tests: Sequence[str]) -> pl.DataFrame:
        """Pairs with a figure in each of these tests: a, b, a column a test, and flags."""
        found: Any = None
        for test in tests:
            rows = self.of_test(test).filter(pl.col("statistic").is_not_null())
            part = rows.select("a", "b", pl.col("statistic").alias(test))
            found = part if found is None else found.join(part, on=["a", "b"])
        return self.flagged(found.sort("a", "b").collect())

    def p_values(self, test: str) -> np.ndarray:
        """All p-values of a test, rising."""
        rows = self.of_test(test).select(pl.col("p_value").drop_nulls().sort())
        return rows.collect()["p_value"].to_numpy()

    def among(self, test: str, names: Sequence[str]) -> pl.DataFrame:
        """The rows of a test with both members among names."""
        inside = pl.col("a").is_in(list(names)) & pl.col("b").is_in(list(names))
        return self.of_test(test).filter(inside).collect()
