"""What is known of a simulated screen's genes and pairs: files beside the data of a score run."""

from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from epistax.distributed.record import sha256
from epistax.distributed.report.sections.runs import Run

FLAGS = {"same_pathway": "same pathway", "synthetic_lethal": "synthetic lethal"}


@dataclass(frozen=True)
class Known:
    """Pathways by gene and flags by pair; both empty where nothing is known."""

    pathway: dict[str, str] = field(default_factory=dict)
    flags: pl.DataFrame | None = None  # a, b and columns of FLAGS
    remark: str = ""

    @property
    def pathways(self) -> tuple[str, ...]:
        """Each once, in the order of the file."""
        return tuple(dict.fromkeys(self.pathway.values()))


def known(run: Run) -> Known:
    """Of a score run: the truth it was judged by and the pathways beside it, if still there.

    A truth whose content is not the recorded one is not used.
    """
    recorded = {
        Path(entry["path"]).name: entry["sha256"] for entry in run.record.get("inputs") or ()
    }
    data = Path(run.record["options"]["data"])
    if "truth.parquet" not in recorded:
        return Known()
    # a sibling first: the directories of a demo move together
    for folder in (run.path.resolve().parent / data.parent.name, data.parent):
        path = folder / "truth.parquet"
        if path.is_file():
            if sha256(path) != recorded["truth.parquet"]:
                return Known(remark="truth.parquet has changed since the run and is not used")
            return Known(pathways(folder / "genes.parquet"), flags(path))
    return Known(remark="the truth that the run was judged by is no longer beside the data")


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
