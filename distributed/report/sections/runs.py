"""The finished runs that a report is made of, read from their directories."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from epistax.distributed.errors import BadInput
from epistax.distributed.formats.where import listed
from epistax.distributed.rundir import read_record

# those with something to look at, in the order of the work
VERBS = ("simulate", "score", "rank", "discover", "effects fit", "effects benchmark",
         "effects discover", "response fit", "response benchmark",
         "response refine", "causal fit", "causal benchmark")  # fmt: skip


@dataclass(frozen=True)
class Run:
    """A finished run: where it is, what was asked and what came of it."""

    name: str  # of its step, or of its directory
    path: Path
    record: Mapping[str, Any]
    summary: Mapping[str, Any]
    step: Mapping[str, Any] = field(default_factory=dict)  # what the run above says of it

    @property
    def verb(self) -> str:
        """What was done."""
        return str(self.record["verb"])

    def table(self, name: str, columns: Mapping[str, Any]) -> pl.LazyFrame:
        """Columns of NAME.parquet under their types, not yet read."""
        path = self.path / f"{name}.parquet"
        if not path.exists():
            raise BadInput(f"{path}: no such file; the run is not whole, run {self.verb} again")
        parts = str(path / "*.parquet") if path.is_dir() else str(path)
        try:
            frame = pl.scan_parquet(parts, glob=path.is_dir())
            missing = [c for c in columns if c not in frame.collect_schema()]
        except (pl.exceptions.PolarsError, OSError):
            raise BadInput(f"{path}: is damaged; run {self.verb} again") from None
        if missing:
            raise BadInput(f"{path}: has no column {listed(missing)}; it is not of {self.verb}")
        return frame.select(pl.col(name).cast(kind) for name, kind in columns.items())


def find(directory: Path) -> tuple[Run, ...]:
    """The run in a directory, or those in the directories in it."""
    if not directory.is_dir():
        raise BadInput(
            f"{directory}: is a file; name its run directory"
            if directory.exists()
            else f"{directory}: no such directory; check the path"
        )
    record = read_record(directory)
    if record is not None and record["verb"] in VERBS:
        return (read(directory, record),)
    if record is None and (directory / "run.json").exists():
        raise BadInput(f"{directory}: its run.json is damaged or not ours; name a run directory")
    steps = read(directory, record).summary.get("steps") if record is not None else None
    names = list(steps) if isinstance(steps, Mapping) else subdirectories(directory)
    runs = [entry for name in names if (entry := step(directory, name, steps)) is not None]
    if not runs:
        of = f"is a run of {record['verb']}" if record is not None else "is not a run directory"
        raise BadInput(f"{directory}: {of}; a report needs a run of {', '.join(VERBS)}")
    return tuple(runs if steps else sorted(runs, key=lambda run: (VERBS.index(run.verb), run.name)))


def subdirectories(directory: Path) -> Sequence[str]:
    """Names of the directories inside, hidden ones and links apart."""
    inside = (e for e in directory.iterdir() if e.is_dir() and not e.is_symlink())
    return sorted(entry.name for entry in inside if not entry.name.startswith("."))


def step(directory: Path, name: str, steps: Any) -> Run | None:
    """One directory inside; None where there is no run with something to look at.

    A step says where it was written; it may have moved since, together with the others.
    """
    said = steps.get(name) if isinstance(steps, Mapping) else None
    folder = Path(str(said.get("directory") or name)).name if isinstance(said, Mapping) else name
    path = directory / folder
    if folder in ("", ".", "..") or path.is_symlink():
        raise BadInput(f"{directory}: its step {name!r} leads elsewhere; name a run directory")
    record = read_record(path)
    if record is None and isinstance(said, Mapping) and said.get("verb") in VERBS:
        raise BadInput(f"{path}: the run of step {name!r} is not there; make it again")
    if record is None or record["verb"] not in VERBS:
        return None
    return replace(read(path, record, name), step=said if isinstance(said, Mapping) else {})


def read(path: Path, record: Mapping[str, Any], name: str = "") -> Run:
    """A run of ours with its summary, which is there once it has finished."""
    try:
        summary = json.loads((path / "summary.json").read_bytes())
    except FileNotFoundError:
        raise BadInput(
            f"{path}: is an unfinished run of {record['verb']}; the same command with --resume "
            "goes on"
        ) from None
    except (OSError, ValueError, RecursionError):
        summary = None
    if not isinstance(summary, dict):
        raise BadInput(f"{path / 'summary.json'}: is damaged; run {record['verb']} again")
    return Run(name or path.resolve().name, path, record, summary)
