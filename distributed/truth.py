"""Judging scores by what is known of the pairs: simulated truth, or files of relations."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from epistax.distributed.errors import BadInput
from epistax.distributed.formats.relations import read_relations
from epistax.distributed.formats.sheets import open_parquet
from epistax.distributed.formats.where import listed
from epistax.engine.stats.metrics import auroc, average_precision

COLUMNS = {
    "additive": "interacting",
    "mmd": "disjoint",
    "cosine": "same_pathway",
    "severity": "same_pathway",
}
REVERSED = ("separable", "disjoint")  # columns that are true where there is no interaction


@dataclass(frozen=True)
class Labels:
    """Pairs with a yes or no, and the tests it speaks of (all where None)."""

    name: str
    pairs: pl.DataFrame  # a, b, label
    test: str | None = None
    others: bool | None = None  # the label of a pair that is not in the table; None: not judged


def truth(path: Path, tests: tuple[str, ...], asked: dict[str, str]) -> list[Labels]:
    """Columns of truth.parquet for the tests, by default or as asked."""
    sheet = open_parquet(str(path), path)
    frame = sheet.frame
    assert frame is not None
    if not {"a", "b"} <= set(frame.columns):
        raise BadInput(f"{path}: has no columns a, b; it is not the truth of a screen")
    found = []
    for test in tests:
        column = asked.get(test, COLUMNS[test.partition(":")[0]])
        if column not in frame.columns:
            if test in asked:
                raise BadInput(f"{path}: has no column {column!r}; it has {listed(frame.columns)}")
            continue
        if frame[column].dtype != pl.Boolean:
            raise BadInput(f"{path}: column {column!r} is {frame[column].dtype}, not true or false")
        label = ~frame[column] if column in REVERSED else frame[column]
        ordered = {"a": pl.min_horizontal("a", "b"), "b": pl.max_horizontal("a", "b")}
        found.append(Labels(column, frame.select(**ordered).with_columns(label=label), test))
    return found


def known(path: str, names: tuple[str, ...]) -> Labels:
    """A file of relations: its pairs are positives, all others negatives."""
    relations = read_relations(path, names)
    order = np.array(names)
    pairs = pl.DataFrame({"a": order[relations.i], "b": order[relations.j]})
    stem = path.rsplit("/", 1)[-1].split(".")[0]
    return Labels(stem, pairs.with_columns(label=pl.lit(True)), others=False)


def judge(frame: pl.DataFrame, test: str, labels: list[Labels]) -> dict[str, Any]:
    """AUROC and average precision of a test's score over its tested pairs.

    The truth's stand under auroc and average_precision, those of relation files under `known`.
    """
    rows = frame.filter(pl.col("test") == test, pl.col("score").is_not_null())
    out: dict[str, Any] = {}
    for entry in labels:
        if entry.test not in (None, test):
            continue
        both = rows.join(entry.pairs, on=["a", "b"], how="left", maintain_order="left")
        if entry.others is None:
            both = both.drop_nulls("label")
        label = both["label"].fill_null(bool(entry.others)).to_numpy().astype(bool)
        score = both["score"].to_numpy()
        found = {
            "auroc": auroc(score, label),
            "average_precision": average_precision(score, label),
            "positives": int(label.sum()),
            "judged": len(label),
        }
        if entry.test is None:
            out.setdefault("known", {})[entry.name] = found
        else:
            out |= {"truth": entry.name, **found}
    return out
