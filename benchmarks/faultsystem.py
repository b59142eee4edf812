"""What Linux says of processes: who lives, who started whom, what they were called with."""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def short() -> Iterator[Path]:
    """A temporary folder whose name leaves room for those of Ray's sockets."""
    with tempfile.TemporaryDirectory(prefix="f-", dir="/tmp") as folder:
        yield Path(folder)


def stat(pid: int) -> list[str]:
    """What Linux says of a process, from its state on; nothing where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def alive(pid: int) -> bool:
    """Whether a process is there and has not ended."""
    return stat(pid)[:1] not in ([], ["Z"])


def parent(pid: int) -> int:
    """Of a process; 0 where it is gone."""
    found = stat(pid)
    return int(found[1]) if found else 0


def everyone() -> list[int]:
    """All processes."""
    return [int(path.name) for path in Path("/proc").glob("[0-9]*")]


def named(*words: str) -> list[int]:
    """Processes whose command line has all these words."""
    found = []
    for pid in everyone():
        try:
            line = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if all(word.encode() in line for word in words):
            found.append(pid)
    return [pid for pid in found if pid != os.getpid() and alive(pid)]


def until(condition: Any, within: float) -> bool:
    """Wait for something to become true; whether it did."""
    end = time.monotonic() + within
    while not (true := bool(condition())) and time.monotonic() < end:
        time.sleep(0.02)
    return true
