"""The arrays of an npz file, without pickles: what matrix.py and arrays.py open."""

import zipfile
from collections.abc import Collection
from pathlib import Path

import numpy as np

from epistax.distributed import hints
from epistax.distributed.errors import BadInput
from epistax.distributed.formats.sheets import directory

LIMIT = 16 * 2**30  # bytes of arrays that are read; a zip can promise any size
SUFFIX = ".npy"  # of every array inside the zip
OBJECTS = {"x": "save one array of numbers (images must have one size: crop or resize them)"}


def load(path: str | Path, only: Collection[str] | None = None) -> dict[str, np.ndarray]:
    """The arrays by name, or those of `only`; fails on pickles and on what is no npz."""
    source = str(path)
    sizes = contents(path)
    wanted = [name for name in sizes if only is None or name in only]
    total = sum(sizes[name] for name in wanted)
    if total > LIMIT:
        raise BadInput(
            f"{source}: its arrays have {total / 2**30:,.1f} GiB, of which at most"
            f" {LIMIT // 2**30} are read; save fewer features or observations"
        )
    found: dict[str, np.ndarray] = {}
    try:
        with np.load(path, allow_pickle=False) as held:
            for name in wanted:
                found[name] = held[name]
    except (ValueError, OSError, EOFError, MemoryError, zipfile.BadZipFile, SyntaxError) as error:
        if "allow_pickle" in str(error):
            name = wanted[len(found)]
            remedy = OBJECTS.get(name, "save names as text")
            raise BadInput(f"{source}: `{name}` holds Python objects; {remedy}") from None
        raise BadInput(f"{source}: the npz file is damaged; copy it again") from None
    return found


def contents(path: str | Path) -> dict[str, int]:
    """Name and bytes of every array, as the zip promises them."""
    source = str(path)
    try:
        with zipfile.ZipFile(path) as held:
            members = held.infolist()
    except FileNotFoundError:
        raise BadInput(f"{source}: {hints.absent(source)}") from None
    except IsADirectoryError:
        raise BadInput(directory(path)) from None
    except zipfile.BadZipFile:
        with Path(path).open("rb") as file:
            cut_short = file.read(4) == b"PK\x03\x04"
        if cut_short:
            raise BadInput(f"{source}: the npz file is damaged; copy it again") from None
        raise BadInput(f"{source}: is no npz file; write it with numpy.savez") from None
    except OSError as error:
        raise BadInput(f"{source}: cannot be read ({error.strerror}); check its rights") from None
    named = [member for member in members if member.filename.endswith(SUFFIX)]
    return {member.filename.removesuffix(SUFFIX): member.file_size for member in named}


def names(path: str | Path) -> tuple[str, ...]:
    """The arrays' names; none where the file is no npz that can be read."""
    try:
        return tuple(contents(path))
    except BadInput:
        return ()  # whoever reads it says why
