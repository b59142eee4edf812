"""What is known of every perturbation beforehand: a table with a row a perturbation.

One column names them, the others are numbers (an embedding of its own effect, annotations as 0 and
1). Perturbations without a row, and single missing cells, take the mean of their column, which is
counted and said; rows of other names and columns of text are left out, likewise.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from epistax.distributed.errors import BadInput
from epistax.distributed.formats.sheets import floats, is_number, open_sheet, strings
from epistax.distributed.formats.where import listed

NAMES = ("gene", "genes", "gene_name", "gene_symbol", "symbol", "name", "perturbation", "id")
SEEN = 20  # cells by which a column is taken for text


@dataclass(frozen=True)
class Side:
    """Numbers of every perturbation, and what a reader should know of them."""

    values: np.ndarray  # float32 [p, d], no gaps
    columns: tuple[str, ...]
    remarks: tuple[str, ...]


def read_side(path: str, names: Sequence[str]) -> Side:
    """The numbers of these perturbations, in their order. BadInput where there are none."""
    sheet = open_sheet(path)
    header = list(sheet.header)
    lower = [cell.lower() for cell in header]
    named = next((lower.index(name) for name in NAMES if name in lower), 0)
    if all(is_number(cell) for k, cell in enumerate(header) if k != named):
        raise BadInput(f"{path}: has no header; name its columns, the first one gene")
    rest = [k for k in range(len(header)) if k != named]
    label, *text = strings(sheet, [named, *rest])
    columns: dict[str, np.ndarray] = {}
    words = []
    for k, column in zip(rest, text, strict=True):
        if not column.dtype.is_numeric():
            cells = [cell for cell in column.to_list() if cell.strip()][:SEEN]
            if cells and not any(is_number(cell) for cell in cells):
                words.append(header[k])
                continue
        columns[header[k]] = floats(column, sheet.where(header[k]))
    if not columns:
        raise BadInput(f"{path}: has no column of numbers beside {header[named]!r}")
    rows: Mapping[str, int] = {name.strip(): k for k, name in enumerate(label) if name}
    if len(rows) < len(label.drop_nulls()):
        twice = label.filter(label.is_duplicated())[0]
        raise BadInput(f"{path}: {twice!r} stands in it more than once; give a row a perturbation")
    there = np.array([name in rows for name in names])
    if not there.any():
        raise BadInput(
            f"{path}: none of its names ({listed(list(rows)[:3])}) is one of the {len(names):,} "
            f"perturbations ({listed(list(names)[:3])})"
        )
    values = np.full((len(names), len(columns)), np.nan)
    at = [rows[name] for name in names if name in rows]
    values[there] = np.stack(list(columns.values()), axis=1)[at]
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
    if words:
        remarks.append(f"columns of text are not used: {listed(words)}")
    filled = np.where(gaps, mean[None, :], values).astype(np.float32)
    return Side(filled, tuple(columns), tuple(f"{path}: {line}" for line in remarks))
