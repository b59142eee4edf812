"""A table as a sealed Parquet file: its bytes depend on the rows and the key alone.

The footer carries the chunk's key and a seal, the SHA-256 of the whole file computed with the
seal itself blank. One flipped bit anywhere, or a missing tail, and `verify` says so, before any
manifest exists. Any Parquet reader can read the file.
"""

import hashlib
import io

import polars as pl

MARK = b"epistax-seal:"
BLANK = b"0" * 64


class Damaged(Exception):
    """The bytes are not what was published."""


class Foreign(Exception):
    """A whole shard, of another run or chunk."""


def encode(frame: pl.DataFrame, key: str) -> bytes:
    """The file's content. No time, host or process number goes in: same rows, same bytes."""
    buffer = io.BytesIO()
    metadata = {"epistax.key": key, "epistax.seal": (MARK + BLANK).decode()}
    frame = frame.rechunk()  # how it was put together leaves no trace
    frame.write_parquet(buffer, compression="zstd", compression_level=3, metadata=metadata)
    blank = buffer.getvalue()
    start = blank.rfind(MARK) + len(MARK)
    if blank[start : start + 64] != BLANK:
        raise ValueError("the seal is not where the Parquet writer should have put it")
    return blank[:start] + hashlib.sha256(blank).hexdigest().encode() + blank[start + 64 :]


def decode(data: bytes, key: str) -> pl.DataFrame:
    """The rows, after the seal and the key were found right."""
    verify(data, key)
    return pl.read_parquet(io.BytesIO(data))


def verify(data: bytes, key: str) -> None:
    """Raise Damaged or Foreign, or return."""
    start = data.rfind(MARK) + len(MARK)
    if start < len(MARK):
        raise Damaged("no seal")
    blank = data[:start] + BLANK + data[start + 64 :]
    if hashlib.sha256(blank).hexdigest().encode() != data[start : start + 64]:
        raise Damaged("the seal does not fit the content")
    found = pl.read_parquet_metadata(io.BytesIO(data)).get("epistax.key")
    if found != key:
        raise Foreign(f"key {found}, not {key}")
