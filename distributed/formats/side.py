"""What is known of every perturbation beforehand: a table with a row a perturbation.

One column names them, the others are numbers (an embedding of its own effect, annotations as 0 and
1). Perturbations without a row, and single missing cells, take the mean of their column, which is
counted and said; rows of other names and columns of text are left out, likewise.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import polars as pl

from epistax.distributed.errors import BadInput
from epistax.distributed.formats.sheets import floats, is_number, open_sheet, strings
from epistax.distributed.formats.where import listed

NAMES = ("gene", "genes", "gene_name", "gene_symbol", "symbol", "name", "perturbation",
         "environment", "id")  # fmt: skip
SEEN = 20  # cells by which a column is taken for text


@dataclass(frozen=True)
class Side:
    """Numbers of every perturbation, and what a reader should know of them."""

    values: np.ndarray  # float32 [p, d], no gaps
    columns: tuple[str, ...]
    remarks: tuple[str, ...]


class Rows(NamedTuple):
    """A table with a row a name, as it is."""

    label: pl.Series
    values: np.ndarray  # float64 [r, d], NaN where a cell is empty
    columns: tuple[str, ...]
    kept: dict[str, pl.Series]  # columns that were asked for as text
    words: tuple[str, ...]  # other columns of text, which are not used


def read_rows(path: str, keep: Sequence[str] = ()) -> Rows:
    """Names and numbers of a table. BadInput where it has no header."""
    sheet = open_sheet(path)
    header = list(sheet.header)
    lower = [cell.lower() for cell in header]
    named = next((lower.index(name) for name in NAMES if name in lower), 0)
    if all(is_number(cell) for k, cell in enumerate(header) if k != named) and len(header) > 1:
        raise BadInput(f"{path}: has no header; name its columns, the first one gene")
    rest = [k for k in range(len(header)) if k != named]
    label, *text = strings(sheet, [named, *rest])
    columns: dict[str, np.ndarray] = {}
    kept, words = {}, []
    for k, column in zip(rest, text, strict=True):
        if header[k] in keep:
            kept[header[k]] = column.cast(pl.String).str.strip_chars()
            continue
        if not column.dtype.is_numeric():
            cells = [cell for cell in column.to_list() if cell.strip()][:SEEN]
            if cells and not any(is_number(cell) for cell in cells):
                words.append(header[k])
                continue
        columns[header[k]] = floats(column, sheet.where(header[k]))
    values = np.reshape([*columns.values()], (len(columns), len(label))).T
    label = label.cast(pl.String).str.strip_chars().alias(header[named])
    return Rows(label, values, tuple(columns), kept, tuple(words))


def places(path: str, label: pl.Series) -> dict[str, int]:
    """The row of every name. BadInput where one stands in the table more than once."""
    rows = {name: k for k, name in enumerate(label) if name}
    if len(rows) < len(label.drop_nulls()):
        twice = label.filter(label.is_duplicated())[0]
        raise BadInput(f"{path}: {twice!r} stands in it more than once; give a row a perturbation")
    return rows


def read_side(path: str, names: Sequence[str]) -> Side:
    """The numbers of these perturbations, in their order. BadInput where there are none."""
    found = read_rows(path)
    if not found.columns:
        raise BadInput(f"{path}: has no column of numbers beside {found.label.name!r}")
    rows = places(path, found.label)
    there = np.array([name in rows for name in names])
    if not there.any():
        raise BadInput(
            f"{path}: none of its names ({listed(list(rows)[:3])}) is one of the {len(names):,} "
            f"perturbations ({listed(list(names)[:3])})"
        )
    values = np.full((len(names), len(found.columns)), np.nan)
    at = [rows[name] for name in names if name in rows]
    values[there] = found.values[at]
    gaps = np.isnan(values)
    mean = np.nanmean(np.where(gaps[there].all(0), 0.0, values), axis=0)
    absent = [name for name, here in zip(names, there, strict=True) if not here]
    remarks = []
    if absent:
        remarks.append(f"{len(absent):,} perturbations are not in it ({listed(absent[:3])}): means")
    if gaps[there].any():
        remarks.append(f"{int(gaps[there].sum()):,} cells are empty: means")
    if len(rows) > int(there.sum()):
        remarks.append(f"{len(rows) - int(there.sum()):,} rows of other names are not used")
    if found.words:
        remarks.append(f"columns of text are not used: {listed([*found.words])}")
    filled = np.where(gaps, mean[None, :], values).astype(np.float32)
    return Side(filled, found.columns, tuple(f"{path}: {line}" for line in remarks))
