"""Where shards live: published exactly once, verified by content, resumed from files alone.

    shards/c000003-<key>.<table>.parquet      one file a chunk and table
    pieces/c000003-<key>.<table>.parquet      of a chunk that is being searched for what fails
    failed/c000003.json                       what could not be done of a chunk, and why
    manifest.json                             written last: id, rows, bytes, sha256 of every shard

Publishing is atomic and never overwrites: of two writers the first wins and the second is told.
The manifest's presence means complete; without it, what lies in the folder is the whole truth.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import polars as pl

from epistax.distributed import atomic, shard
from epistax.distributed.plan import Chunk, Plan
from epistax.distributed.record import dumps

Frames: TypeAlias = pl.DataFrame | Mapping[str, pl.DataFrame]


@dataclass(frozen=True)
class Census:
    """What was found on disk: chunks done and to do, and what was thrown away or left alone."""

    done: tuple[Chunk, ...]
    todo: tuple[Chunk, ...]
    damaged: int = 0
    foreign: int = 0
    strays: int = 0  # names that no chunk of the plan has; left alone


@dataclass(frozen=True)
class Store:
    """Shards of one run in one folder; every chunk gives one frame per table name."""

    folder: Path
    tables: tuple[str, ...] = ("rows",)

    def publish(self, chunk: Chunk, frames: Frames) -> bool:
        """Write a chunk's frames; False where another writer had published all of them."""
        frames = {self.tables[0]: frames} if isinstance(frames, pl.DataFrame) else frames
        if set(frames) != set(self.tables):
            raise ValueError(f"the kernel gave tables {sorted(frames)}, not {sorted(self.tables)}")
        encoded = {t: shard.encode(frames[t], chunk.key) for t in self.tables}
        if chunk.piece:
            self.beside("pieces").mkdir(mode=0o700, exist_ok=True)
        return any([atomic.publish(self.path(chunk, t), data) for t, data in encoded.items()])

    def scan(self, plan: Plan) -> Census:
        """Verify what is there; drop torn and foreign shards so that they are computed again.

        Only the holder of the run's lock may call it. A writer that outlived an earlier driver
        can still publish meanwhile: its bytes are the same, and the first one counts.
        """
        atomic.sweep(self.folder)
        bad = {"damaged": 0, "foreign": 0}
        done: list[Chunk] = []
        todo: list[Chunk] = []
        for chunk in plan.chunks:
            states = [self.inspect(self.path(chunk, table)) for table in self.tables]
            for table, state in zip(self.tables, states, strict=True):
                if state in bad:
                    bad[state] += 1
                    self.path(chunk, table).unlink()
            (done if set(states) == {"whole"} else todo).append(chunk)
        expected = {filename(c, t) for c in plan.chunks for t in self.tables}
        strays = sum(p.name not in expected for p in self.folder.iterdir())
        return Census(tuple(done), tuple(todo), **bad, strays=strays)

    def has(self, chunk: Chunk) -> bool:
        """Whether all of a chunk's tables are there, whole."""
        return all(self.inspect(self.path(chunk, table)) == "whole" for table in self.tables)

    def inspect(self, path: Path) -> str:
        """`whole`, `absent`, `damaged` or `foreign`; the key is part of the name."""
        key = path.name.split(".")[0].partition("-")[2]
        if path.is_symlink():
            return "foreign"
        try:
            shard.verify(path.read_bytes(), key)
        except FileNotFoundError:
            return "absent"
        except shard.Damaged:
            return "damaged"
        except shard.Foreign:
            return "foreign"
        return "whole"

    def read(self, plan: Plan, table: str = "") -> pl.DataFrame:
        """All rows of one table in the order of the plan, verified again on the way."""
        return pl.concat([self.frame(chunk, table or self.tables[0]) for chunk in plan.chunks])

    def frame(self, chunk: Chunk, table: str) -> pl.DataFrame:
        """One table of one chunk."""
        return shard.decode(self.path(chunk, table).read_bytes(), chunk.key)

    def paths(self, plan: Plan) -> list[Path]:
        """Every shard in the order of the plan, table by table within a chunk."""
        return [self.path(c, t) for c in plan.chunks for t in self.tables]

    def path(self, chunk: Chunk, table: str) -> Path:
        """The one name a shard can have."""
        folder = self.beside("pieces") if chunk.piece else self.folder
        return folder / filename(chunk, table)

    def beside(self, name: str) -> Path:
        """Another file or folder of the same run."""
        return self.folder.parent / name

    def close(self, plan: Plan) -> Path:
        """Write the manifest: the run's shards are complete."""
        path = self.folder.parent / "manifest.json"
        shards = [self.entry(c, t) for c in plan.chunks for t in self.tables]
        failed = sorted(int(p.stem[1:]) for p in self.beside("failed").glob("c*.json"))
        content = {"plan": plan.key, "failed": failed, "shards": shards}
        atomic.replace(path, (dumps(content) + "\n").encode())
        return path

    def entry(self, chunk: Chunk, table: str) -> dict[str, str | int]:
        """A shard's line in the manifest."""
        data = self.path(chunk, table).read_bytes()
        return {
            "id": chunk.id,
            "table": table,
            "file": self.path(chunk, table).name,
            "rows": shard.decode(data, chunk.key).height,
            "bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
        }


def filename(chunk: Chunk, table: str) -> str:
    """Of a shard."""
    return f"{chunk.name}.{table}.parquet"


def mismatches(manifest: Path, folder: Path) -> Sequence[str]:
    """Files of a finished run that are gone or differ from its manifest."""
    wrong = []
    for entry in json.loads(manifest.read_text())["shards"]:
        path = folder / entry["file"]
        data = path.read_bytes() if path.is_file() else b""
        if hashlib.sha256(data).hexdigest() != entry["sha256"]:
            wrong.append(entry["file"])
    return wrong
