"""What a run consists of: chunks that are computed alone and published once.

A chunk is a number and the parameters of its work. Its key hashes the run key and those
parameters, so that a shard says by its name alone whether it belongs to this very run.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from epistax.distributed.record import plain


@dataclass(frozen=True)
class Chunk:
    """One unit of work; `work` holds plain values (names, seeds, ranges), never arrays."""

    id: int
    key: str
    work: Mapping[str, Any]
    piece: bool = False  # a part of a chunk that could not be done as a whole

    @property
    def name(self) -> str:
        """Integers and hex only: no label of the data becomes a file name."""
        return f"c{self.id:06d}-{self.key}"

    @property
    def kind(self) -> str:
        """What the first chunk of a kind compiles, the others need not."""
        return str(self.work.get("test", ""))

    def cut(self, work: Mapping[str, Any]) -> "Chunk":
        """A piece of it, whose key says of what."""
        return Chunk(self.id, chunk_key(self.key, work), dict(work), piece=True)


@dataclass(frozen=True)
class Plan:
    """All chunks of a run, in the order of their results."""

    key: str
    chunks: tuple[Chunk, ...]

    @classmethod
    def of(cls, run_key: str, work: Iterable[Mapping[str, Any]]) -> "Plan":
        """Number the pieces of work and give each its key."""
        chunks = tuple(Chunk(i, chunk_key(run_key, w), dict(w)) for i, w in enumerate(work))
        return cls(digest([run_key, [c.key for c in chunks]]), chunks)


def chunk_key(run_key: str, work: Mapping[str, Any]) -> str:
    """16 hex digits of run and parameters; the chunk's number is not among them."""
    return digest([run_key, work])


def digest(value: Any) -> str:
    """A short content hash of plain values."""
    text = json.dumps(plain(value), sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
