"""What happened to a run, one JSON line an event, for `status` and for whoever looks for a cause.

    {"time": 1763793306.123, "event": "done", "worker": "w2", "chunk": 7, "seconds": 0.81, ...}

Shards are the truth: a line lost or torn by a kill loses nothing but its words. Lines of different
writers do not mix: each is one append.
"""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from epistax.distributed.record import dumps

NAME = "events.jsonl"


@dataclass(frozen=True)
class Events:
    """The event log of one run; without a path nothing is written."""

    path: Path | None = None

    def write(self, event: str, **facts: Any) -> None:
        """Append a line."""
        if self.path is None:
            return
        line = dumps({"time": round(time.time(), 3), "event": event, **facts}, indent=None) + "\n"
        mode = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        handle = os.open(self.path, mode, 0o600)
        try:
            # a line that a kill tore off must not swallow this one
            torn = os.fstat(handle).st_size and not ends_whole(self.path)
            os.write(handle, (("\n" if torn else "") + line).encode())
        finally:
            os.close(handle)

    def read(self) -> Iterator[dict[str, Any]]:
        """All whole lines, oldest first."""
        if self.path is None or not self.path.is_file():
            return
        with self.path.open("rb") as file:
            for line in file:
                try:
                    event = json.loads(line)
                except ValueError:
                    continue
                if isinstance(event, dict) and "event" in event:
                    yield event


def ends_whole(path: Path) -> bool:
    """Whether the file's last line was finished."""
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
