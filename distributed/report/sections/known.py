"""What is known of a screen's genes and pairs: the truth beside its data, or known relations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from epistax.distributed.errors import BadInput
from epistax.distributed.formats.relations import by_stem, read_relations
from epistax.distributed.record import sha256
from epistax.distributed.report.sections.runs import Run

FLAGS = {"same_pathway": "same pathway", "synthetic_lethal": "synthetic lethal"}


@dataclass(frozen=True)
class Known:
    """Pathways by gene and flags by pair; both empty where nothing is known."""

    pathway: dict[str, str] = field(default_factory=dict)
    flags: pl.DataFrame | None = None  # a, b and columns of `words`
    words: Mapping[str, str] = field(default_factory=lambda: FLAGS)  # what a flag means
    remark: str = ""

    @property
    def pathways(self) -> tuple[str, ...]:
        """Each once, in the order of the file."""
        return tuple(dict.fromkeys(self.pathway.values()))


def known(run: Run, names: Sequence[str]) -> Known:
    """Of a score run: the truth it was judged by and the pathways beside it, if still there.

    Without a truth the files of `--known`. Content that is not the recorded one is not used.
    """
    recorded = {
        Path(entry["path"]).name: entry["sha256"] for entry in run.record.get("inputs") or ()
    }
    data = Path(run.record["options"]["data"])
    if "truth.parquet" not in recorded:
        return related(run, recorded, names)
    path = beside(run, data.with_name("truth.parquet"))
    if path is None:
        return Known(remark="the truth that the run was judged by is no longer beside the data")
    if sha256(path) != recorded["truth.parquet"]:
        return Known(remark="truth.parquet has changed since the run and is not used")
    return Known(pathways(path.with_name("genes.parquet")), flags(path))


def beside(run: Run, path: Path) -> Path | None:
    """A file that the run read, in a sibling first: the directories of a demo move together."""
    places = (run.path.resolve().parent / path.parent.name / path.name, path)
    return next((place for place in places if place.is_file()), None)


def related(run: Run, recorded: Mapping[str, str], names: Sequence[str]) -> Known:
    """Pairs of `--known`, a flag a file."""
    frame = pl.DataFrame(schema={"a": pl.String, "b": pl.String})
    words, gone = {}, []
    for stem, given in by_stem(run.record["options"].get("known") or ()).items():
        path = beside(run, Path(given))
        if path is None or sha256(path) != recorded.get(path.name):
            gone.append(Path(given).name)
            continue
        try:
            found = read_relations(path, names)
        except BadInput:  # of perturbations that no pair has
            continue
        one, two = (np.take(np.array(names, object), side) for side in (found.i, found.j))
        flag = f"known:{stem}"
        words[flag] = stem.replace("_", " ")
        rows = pl.DataFrame({"a": one, "b": two, flag: True}, schema_overrides=frame.schema)
        frame = frame.join(rows, on=["a", "b"], how="full", coalesce=True)
    remark = f"{', '.join(gone)}: not there as the run read it, and not marked" if gone else ""
    filled = frame.with_columns(pl.col(list(words)).fill_null(False)) if words else None
    return Known(flags=filled, words=words, remark=remark)


def flags(path: Path) -> pl.DataFrame | None:
    """The flags of truth.parquet, in the order in which pairs are written."""
    columns = pl.scan_parquet(path).collect_schema()
    there = [name for name in FLAGS if columns.get(name) == pl.Boolean]
    if not there or not {"a", "b"} <= set(columns):
        return None
    ordered = {"a": pl.min_horizontal("a", "b"), "b": pl.max_horizontal("a", "b")}
    return pl.scan_parquet(path).select(**ordered, **{n: pl.col(n) for n in there}).collect()


def pathways(path: Path) -> dict[str, str]:
    """Genes and pathways of genes.parquet."""
    if not path.is_file():
        return {}
    frame = pl.read_parquet(path)
    if not {"gene", "pathway"} <= set(frame.columns):
        return {}
    return dict(frame.select(pl.col("gene", "pathway").cast(pl.String)).drop_nulls().rows())
