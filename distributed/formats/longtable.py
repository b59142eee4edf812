"""Screens as tables: a row an observation; csv, tsv, txt, gz or parquet.

Features are the columns named with --features, else those numbered alike (emb_0, emb_1, ...), else
the one parquet column of lists. Other columns of numbers are never taken for features: plates and
wells are numbers too.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from epistax.distributed.errors import BadInput
from epistax.distributed.formats.census import LeftOut
from epistax.distributed.formats.features import numbered, only_without, pick
from epistax.distributed.formats.matrix import numbers
from epistax.distributed.formats.observations import Observations
from epistax.distributed.formats.roles import Held, Roles, choose
from epistax.distributed.formats.sheets import GAPS, Sheet, is_parquet, open_sheet, strings
from epistax.distributed.formats.tables import PAIRS
from epistax.distributed.formats.where import listed
from epistax.distributed.options.shared import ScreenOptions

SAMPLE = 200  # rows looked at to tell columns of numbers from text
BLOCK = 2**23  # values moved in one step


def read_long(sheet: Sheet, options: ScreenOptions) -> Observations:
    """The observations of an opened table."""
    roles = choose(offered(sheet), options)
    series = dict(zip(roles.all, strings(sheet, positions(sheet, roles.all)), strict=True))
    if not len(series[roles.labels[0]]):
        raise BadInput(f"{sheet.source}: has a header but no rows; write the table again")
    chosen = find(sheet, roles, options)
    if chosen is None:
        raise BadInput(unnamed(sheet, roles))
    x, names = vectors(sheet, chosen) if chosen.lists else cells(sheet, chosen.index)
    if chosen.lists and only_without(options.features):
        index = pick(sheet.source, names, options.features)
        x, names = x[:, index], tuple(names[k] for k in index)
    where, left = sheet.where(roles.labels[0]), ()
    blank = blank_lines(sheet, x, [series[name] for name in roles.labels])
    if blank.any():
        kept = np.flatnonzero(~blank)
        series = {name: column.gather(kept) for name, column in series.items()}
        x, where = x[kept], replace(where, kept=kept)
        left = (LeftOut("blank", int(blank.sum()), "blank lines"),)
    return Observations(
        source=sheet.source,
        kind="screen (table)",
        where=where,
        roles=roles,
        columns=series,
        x=x,
        features=names,
        origin="",
        left_out=left,
    )


@dataclass(frozen=True)
class Chosen:
    """The feature columns by position, or the one column of lists."""

    index: list[int]
    lists: bool = False


def offered(sheet: Sheet) -> Held:
    """The columns of a table, for roles."""
    return Held(sheet.source, sheet.header, pairs=PAIRS)


def find(sheet: Sheet, roles: Roles, options: ScreenOptions) -> Chosen | None:
    """The features the user named, else those known by their form; None where there are none."""
    wanted = options.features
    if wanted and not only_without(wanted):
        return named(sheet, others(sheet, roles), wanted)
    groups = groups_of(sheet, roles)
    if len(groups) > 1:
        has = listed([f"{prefix}* ({len(k)})" for prefix, k in groups.items()])
        raise BadInput(
            f"{sheet.source}: several sorts of columns are numbered: {has}; choose with"
            f" --features '{next(iter(groups))}*'"
        )
    if groups:
        return named(sheet, next(iter(groups.values())), wanted)
    lists = [k for k in others(sheet, roles) if is_list(sheet, k)]
    return Chosen(lists, lists=True) if len(lists) == 1 else None


def named(sheet: Sheet, index: list[int], wanted: Sequence[str]) -> Chosen:
    """Those of some columns that are wanted."""
    found = [index[k] for k in pick(sheet.source, [sheet.header[k] for k in index], wanted)]
    names = [sheet.header[k] for k in found]
    twice = [name for name in names if sheet.header.count(name) > 1]
    if twice:
        raise BadInput(f"{sheet.source}: has two columns {twice[0]!r}; rename one")
    lists = [is_list(sheet, k) for k in found]
    if any(lists) and len(found) > 1:
        raise BadInput(
            f"{sheet.source}: --features names {listed(names)}, of which a column of lists must be"
            " the only one; name it alone"
        )
    return Chosen(found, lists[0])


def groups_of(sheet: Sheet, roles: Roles) -> dict[str, list[int]]:
    """Columns that are numbered alike, by prefix, where at least one of them holds numbers."""
    held, numbers_in = others(sheet, roles), set(numeric(sheet, roles))
    groups = numbered([sheet.header[k] for k in held])
    places = {prefix: [held[k] for k in members] for prefix, members in groups.items()}
    return {prefix: index for prefix, index in places.items() if numbers_in & set(index)}


def others(sheet: Sheet, roles: Roles) -> list[int]:
    """Positions of the columns without a role."""
    return [k for k, name in enumerate(sheet.header) if name not in roles.all]


def numeric(sheet: Sheet, roles: Roles) -> list[int]:
    """Positions of the columns without a role whose first rows are numbers, gaps aside."""
    index = others(sheet, roles)
    if sheet.frame is not None:
        return [k for k in index if sheet.frame.to_series(k).dtype.is_numeric()]
    found = []
    for k, column in zip(index, strings(sample(sheet), index) if index else [], strict=True):
        text = column.str.strip_chars()
        told = text.filter(~text.str.to_lowercase().is_in(GAPS))
        if len(told) and told.cast(pl.Float64, strict=False).null_count() == 0:
            found.append(k)
    return found


def sample(sheet: Sheet) -> Sheet:
    """The first rows; all of them where cells are quoted, which may hold line ends."""
    if sheet.frame is not None:
        return replace(sheet, frame=sheet.frame.head(SAMPLE))
    if b'"' in sheet.data:
        return sheet
    return replace(sheet, data=b"\n".join(sheet.data.split(b"\n", SAMPLE)[:SAMPLE]))


def peek(path: str | Path) -> Sheet:
    """An opened table of which only the first rows are sure to be there."""
    if is_parquet(path):
        parts = Path(path) / "*.parquet" if Path(path).is_dir() else path
        try:
            frame = pl.scan_parquet(parts).head(SAMPLE).collect()
        except (pl.exceptions.PolarsError, OSError):
            return open_sheet(path)  # says what is wrong
        return Sheet(str(path), tuple(frame.columns), frame=frame)
    return open_sheet(path)


def is_list(sheet: Sheet, k: int) -> bool:
    """Whether a column holds a list of numbers in every cell."""
    if sheet.frame is None:
        return False
    kind = sheet.frame.to_series(k).dtype
    return isinstance(kind, pl.List | pl.Array) and kind.inner.is_numeric()


def blank_lines(sheet: Sheet, x: np.ndarray, labels: list[pl.Series]) -> np.ndarray:
    """Lines of a text file that hold neither a label nor a number."""
    if sheet.frame is not None:
        return np.zeros(len(x), bool)
    blank = np.isnan(x).all(axis=1)
    for label in labels:
        blank &= (label == "").to_numpy()
    return blank


def positions(sheet: Sheet, names: tuple[str, ...]) -> list[int]:
    """Where columns stand."""
    return [sheet.header.index(name) for name in names]


def cells(sheet: Sheet, index: list[int]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Columns of numbers as float32, NaN in gaps, and their names."""
    names = tuple(sheet.header[k] for k in index)
    frame = None if sheet.frame is None else sheet.frame.select(names)
    with np.errstate(over="ignore"):  # what does not fit becomes infinite, which is refused
        if frame is None or not all(kind.is_numeric() for kind in frame.dtypes):
            return numbers(sheet, index).astype(np.float32), names
        x = np.empty(frame.shape, np.float32)
        step = max(1, BLOCK // len(index))
        for k in range(0, len(x), step):
            block = frame.slice(k, step).select(pl.all().cast(pl.Float32).fill_null(float("nan")))
            x[k : k + step] = block.to_numpy()
    return x, names


def vectors(sheet: Sheet, chosen: Chosen) -> tuple[np.ndarray, tuple[str, ...]]:
    """A column of lists as float32, NaN where a row has no list, and names of its entries."""
    assert sheet.frame is not None  # only parquet has lists
    column, name = sheet.frame.to_series(chosen.index[0]), sheet.header[chosen.index[0]]
    if isinstance(column.dtype, pl.Array):
        column = column.arr.to_list()
    sizes = column.list.len()
    have = sizes.is_not_null().to_numpy()
    d = int(sizes.max() or 0)
    if not d:
        raise BadInput(f"{sheet.source}: every list in column {name!r} is empty; name others")
    other = np.flatnonzero(have & (sizes.fill_null(d) != d).to_numpy())
    if len(other):
        row = f"row {sheet.where(name).number(other[0])}"
        raise BadInput(
            f"{sheet.source}: column {name!r}, {row}: has {sizes[int(other[0])]:,} entries where"
            f" others have {d:,}; give every row as many"
        )
    flat = column.drop_nulls().explode().cast(pl.Float32).fill_null(float("nan")).to_numpy()
    names = tuple(f"{name}_{k}" for k in range(d))
    if have.all():
        return flat.reshape(-1, d), names
    x = np.full((len(have), d), np.nan, np.float32)
    x[have] = flat.reshape(-1, d)
    return x, names


def unnamed(sheet: Sheet, roles: Roles) -> str:
    """No features by name or form: what there is to choose from."""
    has = [repr(sheet.header[k]) for k in numeric(sheet, roles)]
    if not has:
        return f"{sheet.source}: has no column of numbers; a screen needs features"
    return (
        f"{sheet.source}: which columns are features is not told; it has the numbers"
        f" {listed(has)}: name features with --features, samples of read counts with --start and"
        " --end, or the score of a pair table with --columns"
    )
