"""What an HDF5 file or a zarr folder may hold before anything of it is read.

A link can lead to any file of the machine, and a zarr codec is a function that the file chooses:
`pickle` runs code. Links out of the file are refused, and codecs that are not on the list.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from epistax.distributed.errors import BadInput

CODECS = {
    "bytes",
    "blosc",
    "crc32c",
    "delta",
    "gzip",
    "lz4",
    "sharding_indexed",
    "shuffle",
    "transpose",
    "vlen-bytes",
    "vlen-utf8",
    "zlib",
    "zstd",
}
METADATA = ("zarr.json", ".zarray")  # of zarr 3 and of zarr 2
LARGEST = 2**26  # bytes of one metadata file


def guard_hdf5(source: str, file: Any) -> None:
    """Refuse an open h5py.File with links, or with data that stand in other files."""
    import h5py

    def fault(name: str, link: Any) -> str | None:
        if isinstance(link, h5py.ExternalLink | h5py.SoftLink):
            kind = "an external" if isinstance(link, h5py.ExternalLink) else "a soft"
            return f"{name!r} is {kind} link, which is not followed; copy the data into the file"
        entry = file[name]
        if isinstance(entry, h5py.Dataset) and (entry.is_virtual or entry.external):
            return f"the data of {name!r} stand in another file, which is not read; copy them here"
        return None

    found = file.visititems_links(fault)  # stops at the first
    if found is not None:
        raise BadInput(f"{source}: {found}")


def guard_zarr(path: str | Path) -> None:
    """Refuse a zarr folder with symbolic links, or with codecs that are not on the list."""
    source = str(path)
    for folder, folders, files in os.walk(path):
        for name in (*folders, *files):
            if os.path.islink(os.path.join(folder, name)):
                where = os.path.relpath(os.path.join(folder, name), path)
                raise BadInput(
                    f"{source}: {where!r} is a symbolic link, which is not followed; copy the data"
                    " into the folder"
                )
        for name in set(METADATA) & set(files):
            entry = os.path.relpath(folder, path)
            for codec in codecs(read_json(source, Path(folder, name))):
                if codec.removeprefix("numcodecs.") not in CODECS:
                    raise BadInput(
                        f"{source}: {entry!r} is stored with the codec {codec!r}, which is not read"
                        f" (it may run code); known are {', '.join(sorted(CODECS))}: write it again"
                        " with zstd"
                    )


def read_json(source: str, path: Path) -> dict[str, Any]:
    """One metadata file."""
    try:
        if path.stat().st_size <= LARGEST:
            found = json.loads(path.read_bytes())
            if isinstance(found, dict):
                return found
    except (OSError, ValueError, RecursionError):
        pass
    raise BadInput(f"{source}: {path.name!r} in {path.parent.name!r} is damaged; copy it again")


def codecs(metadata: dict[str, Any]) -> Iterator[str]:
    """Names of every codec of an array, those inside shards included."""
    for key in ("codecs", "index_codecs", "filters", "compressor"):  # the last two of zarr 2
        held = metadata.get(key)
        for codec in held if isinstance(held, list) else [held]:
            if isinstance(codec, dict):
                yield str(codec.get("name", codec.get("id")))
                configuration = codec.get("configuration")
                if isinstance(configuration, dict):
                    yield from codecs(configuration)
            elif codec is not None:
                yield str(codec)
