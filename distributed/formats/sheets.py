"""A file of rows and columns as text: csv, tsv, txt (also gzip) and parquet.

The separator is found in the first line; a byte order mark, CRLF and quoted cells are understood.
Gzip and parquet are known by their first bytes, whatever the suffix. A folder named *.parquet is
read as one table of its parts. Blank lines stay in, so that lines keep their numbers.
"""

import csv
import gzip
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from epistax.distributed import hints
from epistax.distributed.errors import BadInput
from epistax.distributed.formats.where import Where, listed

GAPS = ("", "na", "nan", "n/a", "<na>", "#n/a", "null", "none")  # no value, in any case
PANDAS_INDEX = "__index_level_0__"  # where pandas keeps row names in parquet


@dataclass(frozen=True)
class Sheet:
    """An opened file: its first line cut into cells, the rest not yet read."""

    source: str
    header: tuple[str, ...]
    data: bytes = b""  # the text after decompression; empty for parquet
    separator: str = ","
    frame: pl.DataFrame | None = None  # parquet only

    def where(self, column: str) -> Where:
        """How rows of a column are numbered in messages."""
        return (
            Where(self.source, column)
            if self.frame is None
            else Where(self.source, column, "row", 1)
        )


def open_sheet(path: str | Path) -> Sheet:
    """Look at a file; fails on what is no table, saying what it is instead."""
    source = str(path)
    if is_parquet(path):
        return open_parquet(source, path)
    data = read_bytes(path)
    if hints.foreign(source):
        raise BadInput(f"{source}: {hints.foreign(source)}")
    refuse_binary(source, data)
    data = data.removeprefix(b"\xef\xbb\xbf")
    if b"\n" not in data:
        data = data.replace(b"\r", b"\n")  # line ends of old Macs
    line, second = (decode(source, text) for text in first_lines(data))
    if not line.strip() and not data.strip():
        raise BadInput(f"{source}: the file is empty; write the table again")
    separator = find_separator(line, Path(source.removesuffix(".gz")).suffix)
    header, below = cut(line, separator), cut(second, separator)
    if line.startswith("#") and len(header) != len(below):
        raise BadInput(f"{source}: line 1 is a remark, not a header; take out the lines above it")
    if len(below) == len(header) + 1 and below[0] in header:  # R writes a matrix without its corner
        data, header = separator.encode() + data, ["", *header]
    return Sheet(source, tuple(cell.strip() for cell in header), data, separator)


def first_lines(data: bytes) -> tuple[bytes, bytes]:
    """The first two lines, without copying the rest."""
    end = data.find(b"\n")
    if end < 0:
        return data, b""
    then = data.find(b"\n", end + 1)
    return data[:end].rstrip(b"\r"), data[end + 1 : then if then >= 0 else None].rstrip(b"\r")


def find_separator(line: str, suffix: str) -> str:
    """The suffix's own sign where it occurs, else the one that cuts most; blanks come last."""
    own = {".csv": ",", ".tsv": "\t"}.get(suffix.lower(), "")
    if own and own in line:
        return own
    best = max("\t,;", key=lambda sign: len(cut(line, sign)))
    return best if len(cut(line, best)) > 1 else " "


def cut(line: str, separator: str) -> list[str]:
    """The cells of one line."""
    return next(csv.reader([line], delimiter=separator), [])


def is_number(cell: str) -> bool:
    """Whether a cell of the first line reads as a number, as data would."""
    try:
        float(cell)
    except ValueError:
        return False
    return True


def strings(sheet: Sheet, columns: Sequence[int], *, skip: int = 1) -> list[pl.Series]:
    """Columns by position as text, nothing interpreted; `skip` lines of header."""
    if sheet.frame is not None:
        picked = [sheet.frame.to_series(k) for k in columns]
        try:
            return [s if s.dtype.is_float() else s.cast(pl.String).fill_null("") for s in picked]
        except pl.exceptions.PolarsError:
            kinds = listed([f"{s.name!r} ({s.dtype})" for s in picked])
            raise BadInput(
                f"{sheet.source}: names must be text and scores numbers; it has {kinds}"
            ) from None
    width = max(len(sheet.header), max(columns) + 1)
    schema = {f"c{k}": pl.String for k in range(width)}
    # the header is read as a row: it fixes the width, whatever the lines after it look like
    frame = read_text(sheet, schema, columns, 0)
    check_widths(sheet, width)
    return [frame[f"c{k}"].slice(skip) for k in columns]


def floats(column: pl.Series, where: Where) -> np.ndarray:
    """A column as float64, NaN where there is no value; fails on text and on infinity."""
    if column.dtype.is_numeric():
        values = column.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    else:
        cast = column.cast(pl.Float64, strict=False)
        if cast.null_count():
            text = column.cast(pl.String).fill_null("").str.strip_chars()
            cast = text.cast(pl.Float64, strict=False)
            suspect = cast.is_null()
            bad = suspect & ~text.str.to_lowercase().is_in(GAPS)
            rows = np.flatnonzero(bad.to_numpy())
            if len(rows):
                value = text[int(rows[0])]
                comma = re.fullmatch(r"[-+]?\d*,\d+", value)
                remedy = "write decimals with a point" if comma else "correct or empty the cell"
                raise where.fault(rows, value, "is not a number", remedy)
        values = cast.fill_null(float("nan")).to_numpy()
    rows = np.flatnonzero(np.isinf(values))
    if len(rows):
        shown = column[int(rows[0])]
        raise where.fault(rows, shown, "is not a finite number", "correct or empty the cell")
    return values


def read_text(
    sheet: Sheet, schema: Mapping[str, Any], columns: Sequence[int], skip: int
) -> pl.DataFrame:
    """Columns of the text under a schema; polars' complaints in our words."""
    gaps = [form for gap in GAPS for form in {gap, gap.upper(), gap.capitalize(), "NaN"}]
    only_text = all(kind == pl.String for kind in schema.values())
    try:
        return pl.read_csv(
            sheet.data,
            has_header=False,
            skip_lines=skip,
            separator=sheet.separator,
            schema=schema,
            columns=sorted(columns),
            null_values=None if only_text else sorted(set(gaps)),
            empty_string_is_null=not only_text,
            raise_if_empty=False,
        )
    except pl.exceptions.PolarsError as error:
        if "utf-8" in str(error):
            decode(sheet.source, sheet.data)
        if "more fields" in str(error):
            check_widths(sheet, len(schema), always=True)
        if only_text:
            raise BadInput(
                f"{sheet.source}: not readable as a table; look for a quote that is never closed"
            ) from None
        raise


def check_widths(sheet: Sheet, width: int, *, always: bool = False) -> None:
    """Fail on the first line whose cells are not as many as the header's.

    A count of separators over the whole file finds nearly every good file good at once; only
    then are lines looked at one by one.
    """
    bare = re.sub(rb'"[^"]*"', b"", sheet.data) if b'"' in sheet.data else sheet.data
    count = occurrences(bare, "\n") + (not bare.endswith(b"\n"))
    if not always and occurrences(bare, sheet.separator) == (width - 1) * count:
        return
    lines = csv.reader(decode(sheet.source, sheet.data).split("\n"), delimiter=sheet.separator)
    for cells in lines:
        if any(cells) and len(cells) != width:
            have = f"{len(cells)} cell{'s' * (len(cells) != 1)}"
            raise BadInput(
                f"{sheet.source}: line {lines.line_num} has {have} where the header has {width};"
                " complete the line or quote names that hold the separator"
            )


def occurrences(data: bytes, sign: str) -> int:
    """How often a sign stands in the data: bytes.count stops at each, numpy compares many."""
    values, piece = np.frombuffer(data, np.uint8), 2**16  # bytes that a processor holds beside it
    starts = range(0, len(values), piece)
    return sum(int(np.count_nonzero(values[k : k + piece] == ord(sign))) for k in starts)


def read_bytes(path: str | Path) -> bytes:
    """The content, decompressed if it is gzip."""
    try:
        data = Path(path).read_bytes()
        return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    except FileNotFoundError:
        raise BadInput(f"{path}: {hints.absent(str(path))}") from None
    except IsADirectoryError:
        raise BadInput(directory(path)) from None
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise BadInput(f"{path}: the gzip data are cut short or damaged; copy it again") from None
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror}); check its rights") from None


def directory(path: str | Path) -> str:
    """A folder where a file is meant: what lies in it."""
    inside = sorted(entry.name for entry in Path(path).iterdir())
    held = f"it holds {listed(inside)}" if inside else "it is empty"
    return f"{path}: is a directory, not a file; {held}: name one file"


def refuse_binary(source: str, data: bytes) -> None:
    """Say what a file is that is no text."""
    kinds = {
        b"PK\x03\x04": "a zip archive or Excel workbook; save the sheet as csv",
        b"\x89HDF": "an HDF5 or h5ad file; give a table of pairs",
        b"\x93NUM": "a .npy array; save it as npz with `x` and `names`",
        b"\xff\xfe": "UTF-16 text; save it as UTF-8",
        b"\xfe\xff": "UTF-16 text; save it as UTF-8",
    }
    for magic, words in kinds.items():
        if data.startswith(magic):
            raise BadInput(f"{source}: is {words}")
    if data[:200].lstrip().lower().startswith((b"<!doctype html", b"<html")):
        raise BadInput(f"{source}: is a web page, not a table; download the file itself")
    if b"\0" in data[:65536]:
        raise BadInput(f"{source}: is a binary file, not a table; give csv, tsv, gz or parquet")


def is_parquet(path: str | Path) -> bool:
    """Whether a file starts as parquet does, or is a folder of parts; False if unreadable."""
    path = Path(path)
    if path.is_dir():
        return path.suffix == ".parquet" and any(path.glob("*.parquet"))
    try:
        with path.open("rb") as file:
            return file.read(4) == b"PAR1"
    except OSError:
        return False  # read_bytes says why


def open_parquet(source: str, path: str | Path) -> Sheet:
    """All of a parquet file, names kept by pandas moved to the front."""
    try:
        frame = pl.read_parquet(Path(path) / "*.parquet" if Path(path).is_dir() else path)
    except (pl.exceptions.PolarsError, OSError):
        raise BadInput(f"{source}: the parquet file is damaged; copy it again") from None
    if PANDAS_INDEX in frame.columns:
        frame = frame.select(PANDAS_INDEX, pl.exclude(PANDAS_INDEX)).rename({PANDAS_INDEX: ""})
    return Sheet(source, tuple(frame.columns), frame=frame)


def decode(source: str, data: bytes) -> str:
    """UTF-8, or the line that is not."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BadInput(f"{source}: line {line} is not UTF-8 text; save it as UTF-8") from None
