"""Square matrices of pair scores: csv, tsv, gz or parquet with names, npz with `x` and `names`.

The first line names the columns, the first column the rows (R's form, whose first line lacks the
corner, too). Rows and columns may stand in different orders but name the same set. An empty, NA
or NaN cell is a pair not measured. Where both triangles have a value the mean is taken, and
differences are counted. Rows of a control hold the singles. A name given twice is an error: two
alleles or reagents of one gene are two perturbations, and their mean would be neither.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from epistax.distributed.errors import BadInput
from epistax.distributed.formats import npz
from epistax.distributed.formats.census import Fact, LeftOut, examples
from epistax.distributed.formats.pairtable import PairTable, assemble
from epistax.distributed.formats.sheets import (
    Sheet,
    check_widths,
    floats,
    is_number,
    read_text,
    strings,
)
from epistax.distributed.formats.where import Where, listed
from epistax.distributed.labels import Coded, encode

AGREE = 1e-6  # relative difference of the two triangles that rounding in a text file explains


def is_matrix(sheet: Sheet) -> bool:
    """Whether the first column's names are those of the first line, at least in part.

    A first line that ends in a number which is no row's name is data, not a header.
    """
    if sheet.frame is not None:
        kind = sheet.frame.to_series(0).dtype
        if kind.is_float() or kind.is_nested():
            return False  # parquet whose first column holds no names
    rows = set(strings(sheet, [0])[0].str.strip_chars().to_list()) - {""}
    data = is_number(sheet.header[-1]) and sheet.header[-1] not in rows
    return bool(rows & set(sheet.header[1:])) and not data


def read_matrix(sheet: Sheet, *, control: Iterable[str] = (), sep: str = "+") -> PairTable:
    """A matrix with its names."""
    label = strings(sheet, [0])[0]
    kept = np.flatnonzero((label.str.strip_chars() != "").to_numpy())  # drops blank lines
    rows = label.gather(kept).str.strip_chars().to_list()
    columns = list(sheet.header[1:])
    x = numbers(sheet, range(1, len(sheet.header)))[kept]
    return symmetric(sheet.source, x, rows, columns, control=control, sep=sep)


def read_array(path: str | Path, *, control: Iterable[str] = (), sep: str = "+") -> PairTable:
    """An npz file with x [p, p] and names [p]."""
    source, content = str(path), npz.load(path)
    if not {"x", "names"} <= set(content):
        has = listed(sorted(content))
        raise BadInput(f"{source}: has {has}; a matrix needs the arrays `x` and `names`")
    x, names = content["x"], [str(name).strip() for name in content["names"].ravel()]
    if x.ndim != 2 or x.shape != (len(names), len(names)):
        shape = " x ".join(map(str, x.shape))
        raise BadInput(f"{source}: `x` is {shape} but `names` has {len(names)}; make them agree")
    if x.dtype.kind not in "fiu":
        raise BadInput(f"{source}: `x` holds {x.dtype}, not numbers; save it as float")
    x = x.astype(np.float64)
    check_finite(source, x, names, names)
    return symmetric(source, x, names, names, control=control, sep=sep)


def symmetric(
    source: str,
    x: np.ndarray,
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    control: Iterable[str],
    sep: str,
) -> PairTable:
    """The upper triangle of x and of its transpose, averaged."""
    check_names(source, rows, columns)
    place = {name: k for k, name in enumerate(columns)}
    x = x[:, [place[name] for name in rows]]
    whole = encode(
        [pl.Series(rows, dtype=pl.String)], Where(source, "names"), sep=sep, control=control
    )
    if whole.codes.shape[1] > 1:
        joined = next(name for name in rows if sep in name)
        raise BadInput(
            f"{source}: the row {joined!r} is a combination; a matrix names single perturbations"
            " (set --sep if the sign is part of a name)"
        )
    one, p = whole.codes[:, 0], len(rows)
    i, j = np.triu_indices(p)
    upper, lower = x[i, j], x[j, i]
    both = ~np.isnan(upper) & ~np.isnan(lower) & (i != j)
    size = np.maximum(np.abs(upper), np.abs(lower))
    differ = both & (np.abs(upper - lower) > AGREE * size)
    # a + b = b + a to the last bit, so that the transpose gives the same table
    score = np.where(np.isnan(upper), lower, np.where(np.isnan(lower), upper, (upper + lower) / 2))
    gap = np.isnan(score)
    if gap.all():
        raise BadInput(f"{source}: every cell of the matrix is a gap; fill in what was measured")
    named = (one[i] >= 0) & (one[j] >= 0) & (i != j)
    facts = [Fact("rows", "rows and columns", p)]
    if differ.any():
        most = float(np.abs(upper - lower)[differ].max())
        pairs = [f"{rows[i[k]]}{sep}{rows[j[k]]}" for k in np.flatnonzero(differ)[:5]]
        note = f"pairs whose two cells differ (by up to {most:.3g}), averaged"
        facts.append(Fact("disagree", "two values", int(differ.sum()), note, examples(pairs)))
    gaps = int((gap & named).sum())
    share = f"gaps: taken as not measured ({gaps / max(int(named.sum()), 1):.1%} of pairs)"
    coded = Coded(
        whole.names,
        np.sort(np.stack([one[i][~gap], one[j][~gap]], axis=1), axis=1),
        whole.controls,
        whole.unassigned,
    )
    return assemble(
        source,
        "square matrix",
        coded,
        score[~gap],
        None,
        facts=tuple(facts),
        left_out=(LeftOut("gaps", gaps, share),) if gaps else (),
        replicates=False,
    )


def check_names(source: str, rows: Sequence[str], columns: Sequence[str]) -> None:
    """Square, with the same names on both sides, each once."""
    for side, names in (("row", rows), ("column", columns)):
        if len(set(names)) < len(names):
            seen: set[str] = set()
            twice = [name for name in names if name in seen or seen.add(name)]  # type: ignore[func-returns-value]
            more = f" and {len(set(twice)) - 1:,} more" if len(set(twice)) > 1 else ""
            raise BadInput(
                f"{source}: the {side} name {twice[0]!r}{more} occurs more than once;"
                " give alleles or reagents names of their own"
            )
    row_set, column_set = set(rows), set(columns)
    absent = [name for name in rows if name not in column_set]
    extra = [name for name in columns if name not in row_set]
    if absent or extra:
        name, has, lacks = (absent[0], "row", "column") if absent else (extra[0], "column", "row")
        raise BadInput(
            f"{source}: {len(rows):,} rows and {len(columns):,} columns do not name the same set:"
            f" {name!r} has a {has} but no {lacks}; complete the matrix"
        )


def numbers(sheet: Sheet, columns: Sequence[int]) -> np.ndarray:
    """Columns by position, ascending, as float64, NaN in gaps.

    A cell that is no number is looked for only after the fast way has failed.
    """
    width = len(sheet.header)
    if sheet.frame is None:
        kinds = {k: pl.Float64 for k in columns}
        schema = {f"c{k}": kinds.get(k, pl.String) for k in range(width)}
        try:
            frame = read_text(sheet, schema, columns, 1)
            check_widths(sheet, width)
            x = frame.to_numpy()
            if not np.isinf(x).any():
                return x
        except pl.exceptions.PolarsError:
            pass
    cells = strings(sheet, columns)
    named = [(cell, sheet.where(sheet.header[k])) for cell, k in zip(cells, columns, strict=True)]
    return np.stack([floats(cell, where) for cell, where in named], axis=1)


def check_finite(source: str, x: np.ndarray, rows: Sequence[str], columns: Sequence[str]) -> None:
    """No infinity in an array."""
    at = np.argwhere(np.isinf(x))
    if len(at):
        row, column = at[0]
        raise BadInput(
            f"{source}: x[{row}, {column}] ({rows[row]}, {columns[column]}) is {x[row, column]}"
            f" ({len(at):,} such cells); use NaN where nothing was measured"
        )
