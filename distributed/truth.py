"""Judging scores by what is known of the pairs: simulated truth, or files of relations."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from epistax.distributed.errors import BadInput
from epistax.distributed.formats.relations import by_stem, read_relations
from epistax.distributed.formats.sheets import open_parquet
from epistax.distributed.formats.where import listed
from epistax.distributed.options.score import CRITIC
from epistax.engine.stats.metrics import auroc, average_precision

COLUMNS = {  # the first that is there
    "additive": ("interacting",),
    "mmd": ("disjoint", "interacting"),
    "cosine": ("same_pathway",),
    "severity": ("same_pathway",),
    **dict.fromkeys((*CRITIC, "knn", "latent"), ("separable", "same_gene")),
}
MEMBERS = {"a": pl.String, "b": pl.String}
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
        wanted = (asked[test],) if test in asked else COLUMNS[test.partition(":")[0]]
        column = next((name for name in wanted if name in frame.columns), None)
        if column is None:
            if test in asked:
                has = listed(frame.columns)
                raise BadInput(f"{path}: has no column {asked[test]!r}; it has {has}")
            continue
        if frame[column].dtype != pl.Boolean:
            raise BadInput(f"{path}: column {column!r} is {frame[column].dtype}, not true or false")
        label = ~frame[column] if column in REVERSED else frame[column]
        ordered = {"a": pl.min_horizontal("a", "b"), "b": pl.max_horizontal("a", "b")}
        found.append(Labels(column, frame.select(**ordered).with_columns(label=label), test))
    return found


def relations(paths: tuple[str, ...], names: tuple[str, ...]) -> list[Labels]:
    """Files of relations, by their stems: their pairs are positives, all others negatives."""
    found, order = [], np.array(names)
    for name, path in by_stem(paths).items():
        held = read_relations(path, names)
        pairs = pl.DataFrame({"a": order[held.i], "b": order[held.j]}, schema=MEMBERS)
        found.append(Labels(name, pairs.with_columns(label=pl.lit(True)), others=False))
    return found


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
        area, precision = auroc(score, label), average_precision(score, label)
        found = {
            "auroc": None if np.isnan(area) else area,
            "average_precision": None if np.isnan(precision) else precision,
            "positives": int(label.sum()),
            "judged": len(label),
        }
        if entry.test is None:
            out.setdefault("known", {})[entry.name] = found
        else:
            out |= {"truth": entry.name, **found}
    return out
