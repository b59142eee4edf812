"""Files that are whole or absent, whatever moment the process dies at.

`publish` is for what must exist once (first writer wins, nothing is overwritten), `replace` for
what has a newest version. Both write a temporary file beside the target, sync it, and only then
give it its name.
"""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

TEMPORARY = ".tmp-"  # the start of a name that means: not published


def publish(path: Path, data: bytes) -> bool:
    """Create the file with this content; False if it was there already, left as it was."""
    with temporary(path, data) as temp:
        try:
            os.link(temp, path)
        except FileExistsError:
            return False
        sync_folder(path.parent)
    return True


def replace(path: Path, data: bytes) -> None:
    """Create the file or take the place of its earlier version."""
    with temporary(path, data) as temp:
        os.replace(temp, path)
        sync_folder(path.parent)


@contextlib.contextmanager
def temporary(path: Path, data: bytes) -> Iterator[Path]:
    """A synced file of this content in the target's folder, gone afterwards."""
    temp = path.with_name(f"{TEMPORARY}{secrets.token_hex(8)}-{path.name}")
    # O_EXCL and O_NOFOLLOW: never write through a name that somebody else put there
    handle = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield temp
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temp)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sweep(folder: Path) -> int:
    """Remove what writers that died left behind; only the holder of the run may call it."""
    left = [p for p in folder.iterdir() if p.name.startswith(TEMPORARY)]
    for path in left:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
    return len(left)
