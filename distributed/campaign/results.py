"""Results as a laboratory sends them: a table a,b,score[,se], read row by row.

A score that is a number is a measurement, NaN (or NA) is a failed well, an empty cell is a pair
without a result yet: a proposed.csv with a column of scores may come back half filled. A row that
another file holds to the last digit is taken for the same measurement, as in a table that grows;
--replicates says that it is another one. Failed wells are all alike, so they are the same only in
a file that holds all of the other. In one file, rows that are alike are replicates.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from epistax.distributed.campaign.lists import unknown
from epistax.distributed.errors import BadInput
from epistax.distributed.formats import tables
from epistax.distributed.formats.sheets import Sheet, floats, open_sheet, strings
from epistax.distributed.formats.where import listed
from epistax.distributed.labels import UNKNOWN, encode

Row = tuple[str, str, float | None, float | None]  # a, b, score (None: failed), se (None: unknown)


@dataclass(frozen=True)
class Results:
    """The rows of a file that are results, and what became of the others."""

    rows: tuple[Row, ...]
    read_as: str
    left_out: dict[str, int]  # how many rows, by the reason
    repeated: int = 0  # rows that other files hold


def read(
    path: str, *, columns: Sequence[str], key: str, place: Mapping[str, int],
    control: Sequence[str], sep: str,
) -> Results:  # fmt: skip
    """The results of a file. BadInput, with line numbers, for anything that is none."""
    sheet = open_sheet(path)
    roles = choose(sheet, columns)
    same_campaign(sheet, key)
    series = dict(zip(roles.all, strings(sheet, roles.all), strict=True))
    where = {k: sheet.where(sheet.header[k]) for k in roles.all}
    labels, score = [series[k] for k in roles.labels], series[roles.score]
    if score.dtype == pl.String:
        score = score.str.strip_chars()
    found = floats(score, where[roles.score])
    se = np.full(len(found), np.nan)
    if roles.se is not None:
        se = tables.errors(series[roles.se], where[roles.se])
    if not len(found):
        raise BadInput(f"{path}: has a header but no rows; write the table again")
    met = set().union(*(set(x.cast(pl.String).str.strip_chars().to_list()) for x in labels))
    coded = encode(
        labels, where[roles.labels[0]], sep=sep, control=[c for c in control if c in met]
    )
    codes, empty = coded.codes, tables.blank(score)
    strange = [k for k, name in enumerate(coded.names) if name not in place]
    if strange:
        rows = np.flatnonzero(np.isin(codes, strange).any(axis=1))
        name = coded.names[next(k for k in codes[rows[0]] if k in strange)]
        at = f"{path}: {where[roles.score].unit} {where[roles.score].number(rows[0])}"
        more = f" ({len(strange):,} such names)" if len(strange) > 1 else ""
        raise BadInput(f"{unknown(at, name, place)}{more}; nothing was recorded")
    lo, hi = (codes[:, -2], codes[:, -1]) if codes.shape[1] > 1 else (codes[:, 0],) * 2
    members, lost = (codes >= 0).sum(axis=1), codes[:, 0] == UNKNOWN
    pair = (members == 2) & (lo != hi) & ~lost
    reasons = {
        "pairs without a result yet": pair & empty,
        "control wells": (members == 0) & ~lost,
        "wells of a single gene": (members == 1) & ~lost,
        "wells of a gene with itself": (members == 2) & (lo == hi) & ~lost,
        "wells of three genes or more": (members > 2) & ~lost,
        "rows without a name": lost & ~empty,
    }
    names = coded.names
    rows = tuple(
        (*sorted((names[lo[k]], names[hi[k]])), number(found[k]), number(se[k]) or None)
        for k in np.flatnonzero(pair & ~empty)
    )
    left = {reason: int(where.sum()) for reason, where in reasons.items() if where.any()}
    if not rows:
        held = listed([f"{count:,} {reason}" for reason, count in left.items()])
        raise BadInput(f"{path}: has no result of a pair{f' ({held})' if held else ''}; "
                       "fill in the scores, NaN where a well failed")  # fmt: skip
    return Results(rows, tables.read_as(sheet, roles), left)


def choose(sheet: Sheet, columns: Sequence[str]) -> tables.Roles:
    """The columns, by name; what to do where there is no score."""
    lower = [name.lower() for name in sheet.header]
    if not columns and "score" not in lower and any({a, b} <= set(lower) for a, b in tables.PAIRS):
        has = listed([repr(name) for name in sheet.header])
        raise BadInput(
            f"{sheet.source}: has no column 'score', it has {has}; add what was measured as a "
            "column score, or name the columns with --columns a,b,score"
        )
    return tables.choose(sheet, columns)


def same_campaign(sheet: Sheet, key: str) -> None:
    """A table with the key of another campaign is not ours."""
    lower = [name.lower() for name in sheet.header]
    if "campaign" not in lower:
        return
    column = strings(sheet, [lower.index("campaign")])[0].cast(pl.String).str.strip_chars()
    held = sorted(set(column.to_list()) - {"", key, None})
    if held:
        raise BadInput(
            f"{sheet.source}: is of campaign {held[0]!r}, this is {key!r}; record it there, or "
            "drop the column campaign if the pairs were measured for this one too"
        )


def number(value: float) -> float | None:
    """A plain float; None for NaN."""
    return None if np.isnan(value) else float(value)


def new(found: Results, earlier: Iterable[Mapping[str, Any]]) -> Results:
    """Without the rows that earlier files hold: as many of each as they have."""
    given, held = Counter(found.rows), Counter[Row]()
    for entry in earlier:
        other = Counter(tuple(row) for row in entry["rows"])
        grown = other <= given
        held += Counter({row: n for row, n in other.items() if grown or row[2] is not None})
    rows = []
    for row in found.rows:
        if held[row] > 0:
            held[row] -= 1
        else:
            rows.append(row)
    return Results(tuple(rows), found.read_as, found.left_out, len(found.rows) - len(rows))
