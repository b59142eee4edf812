"""Batch, plate, well and reagent of observations: columns of text as numbers into their names."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from epistax.distributed.formats.roles import Roles
from epistax.distributed.formats.sheets import GAPS
from epistax.distributed.labels import number

NOBODY = "(unknown)"  # the batch, plate, well or guide of an observation that names none


@dataclass(frozen=True)
class Experiment:
    """What n observations carry beside label and features; None where no column tells."""

    batch: np.ndarray | None  # int32 [n]
    batches: tuple[str, ...]
    plates: int | None
    well: np.ndarray | None  # int32 [n]: distinct (batch, plate, well)
    wells_unknown: int  # observations that name no well: each is one of its own
    guides: int | None
    sides: np.ndarray | None  # int32 [n, 2], see ScreenTable


def describe(
    roles: Roles, columns: Mapping[str, pl.Series], rows: np.ndarray | None, *, nested: bool
) -> Experiment:
    """The columns that roles name, at rows (None: all).

    nested: wells are numbered anew in every batch and plate.
    """
    held = {name: words(columns[name], rows) for name in roles.all}
    batch, batches = (None, ()) if roles.batch is None else numbered(held[roles.batch])
    plate, plates = (None, ()) if roles.plate is None else numbered(held[roles.plate])
    well, nowhere = None, np.zeros(0, bool)
    if roles.well is not None:
        nowhere = (held[roles.well] == NOBODY).to_numpy()
        outer = [code for code in (batch, plate) if code is not None and nested]
        well = together(numbered(held[roles.well])[0], outer, nowhere)
    guides = [held[name] for name in roles.guides]
    return Experiment(
        batch,
        batches,
        None if plate is None else len(plates),
        well,
        int(nowhere.sum()),
        int((pl.concat(guides).unique() != NOBODY).sum()) if guides else None,
        sides([held[name] for name in roles.labels], guides),
    )


def words(column: pl.Series, rows: np.ndarray | None) -> pl.Series:
    """A column as text, NOBODY where it says nothing."""
    text = (column if rows is None else column.gather(rows)).cast(pl.String).fill_null("")
    text = text.str.strip_chars()
    return text.set(text.str.to_lowercase().is_in(GAPS), NOBODY)


def numbered(text: pl.Series) -> tuple[np.ndarray, tuple[str, ...]]:
    """Text as int32 numbers into its sorted distinct values."""
    universe = sorted(text.unique().to_list())
    return number(text, universe).astype(np.int32), tuple(universe)


def together(well: np.ndarray, outer: list[np.ndarray], nowhere: np.ndarray) -> np.ndarray:
    """Numbers of distinct wells within the outer columns; rows of `nowhere` are alone."""
    key = np.zeros(len(well), np.int64)
    for code in (*outer, well):
        key = np.unique(key, return_inverse=True)[1] * (int(code.max()) + 1) + code
    key[nowhere] = key.max() + 1 + np.arange(nowhere.sum())
    return np.unique(key, return_inverse=True)[1].astype(np.int32)


def sides(labels: list[pl.Series], guides: list[pl.Series]) -> np.ndarray | None:
    """The reagent in either of two label columns as written, else the name; None for one column.

    Both columns are numbered in one list, so that a reagent has one number on either side.
    """
    if len(labels) < 2:
        return None
    if len(guides) == 2:
        pairs = zip(guides, labels, strict=True)
        labels = [guide.zip_with(guide != NOBODY, label) for guide, label in pairs]
    codes, _ = numbered(pl.concat(labels))
    return codes.reshape(2, -1).T.copy()
