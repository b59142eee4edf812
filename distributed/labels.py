"""Labels of perturbations: names joined by `+`, in any order; canonical names a < b by code point.

`A+B` and `B+A` are one perturbation; blanks around a name do not count. A control name stands for
"nothing perturbed", so `A+ctrl` is the single A and `ctrl+ctrl` the control. A name given twice
(`A+A`) stays twice: it is the diagonal of a pair screen, not the single. A label with an
unassigned part (empty, nan, none, ...) says that nobody knows: it is no control, and whoever
reads it counts it and leaves it out. `A+` is a mistake.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import polars as pl

from epistax.distributed.errors import BadInput
from epistax.distributed.formats.where import Where, listed

CONTROLS = ("control", "ctrl", "non-targeting", "ntc", "negative", "dmso", "vehicle")
UNASSIGNED = ("", "nan", "na", "n/a", "<na>", "#n/a", "none", "null", "unassigned")

CONTROL, ABSENT, UNKNOWN = -1, -2, -3  # codes of parts that are no perturbation
Role: TypeAlias = Literal["perturbation", "control", "unassigned"]


@dataclass(frozen=True)
class Coded:
    """Labels as numbers: row r carries the names that codes[r] points to.

    Every row of codes is sorted, so its last columns hold the perturbations and the first ones
    CONTROL, ABSENT (no such part) or UNKNOWN (unassigned).
    """

    names: tuple[str, ...]  # perturbations, sorted by code point
    codes: np.ndarray  # int32 [n, k]
    controls: tuple[str, ...]  # control names met
    unassigned: tuple[str, ...]  # unassigned names met


def encode(
    columns: Sequence[pl.Series], where: Where, *, sep: str = "+", control: Iterable[str] = ()
) -> Coded:
    """Rows of one label column, or of several whose names belong together, as sorted codes.

    Fails on a part that is empty in a label that is not, and on a control that nowhere occurs.
    """
    if not sep:
        raise BadInput("--sep: the separator of names is empty; give one, such as +")
    control = tuple(control)
    # of every part: which distinct label a row has, and what these hold
    rows: list[np.ndarray] = []
    parts: list[pl.Series] = []
    for column in columns:
        label, row = distinct(column)
        for part in split(label, row, where, sep):
            rows.append(row)
            parts.append(part)
    met = pl.concat([part.unique() for part in parts]).unique().drop_nulls().to_list()
    roles = {name: role(name, control) for name in met}
    absent = [name for name in control if name not in roles]
    if absent:
        raise BadInput(unseen(where.source, absent[0], met))
    names, controls, unassigned = (
        tuple(sorted(name for name in met if roles[name] == wanted))
        for wanted in ("perturbation", "control", "unassigned")
    )
    meaning = [*range(len(names)), *[CONTROL] * len(controls), *[UNKNOWN] * len(unassigned)]
    code = np.array([*meaning, ABSENT], np.int32)  # the last entry answers for "no such part"
    universe = [*names, *controls, *unassigned]
    each = [code[number(part, universe)][row] for row, part in zip(rows, parts, strict=True)]
    if len(each) == 2:
        each = [np.minimum(*each), np.maximum(*each)]
    else:
        each = np.sort(np.stack(each), axis=0)
    # columns lie together: whoever reads codes reads one after the other
    return Coded(names, np.stack(each).T, controls, unassigned)


def role(name: str, control: Iterable[str] = ()) -> Role:
    """What one name stands for; `control` (exact) replaces the default list (any case)."""
    control = tuple(control)
    if name in control or (not control and name.lower() in CONTROLS):
        return "control"
    return "unassigned" if name.lower() in UNASSIGNED else "perturbation"


def pair_name(a: str, b: str, sep: str = "+") -> str:
    """The canonical label of a pair: the smaller name by code point first."""
    return sep.join(sorted((a, b)))


def distinct(column: pl.Series) -> tuple[pl.Series, np.ndarray]:
    """The labels that a column has, as text, and which of them every row has."""
    text = column.cast(pl.String)
    text = text.fill_null("") if text.null_count() else text
    labels = text.unique()
    return labels, number(text, labels.to_list())


def split(label: pl.Series, row: np.ndarray, where: Where, sep: str) -> list[pl.Series]:
    """The parts of every label, blanks trimmed; null where a label has fewer parts."""
    label = label.str.strip_chars()
    more = int(label.str.count_matches(sep, literal=True).max() or 0)
    if not more:
        return [label]
    fields = label.str.split_exact(sep, more).struct.unnest()
    parts = [part.str.strip_chars() for part in fields]
    empty = np.zeros(len(label), bool)
    for part in parts:
        empty |= (part == "").fill_null(False).to_numpy()
    rows = np.flatnonzero((empty & (label != "").to_numpy())[row])
    if len(rows):
        remedy = "write the missing name, or a control such as 'ctrl'"
        shown = label[int(row[rows[0]])]
        raise where.fault(rows, shown, f"has an empty part around {sep!r}", remedy)
    return parts


def number(part: pl.Series, universe: list[str]) -> np.ndarray:
    """Positions of names in universe; the length of universe for null."""
    code = part.cast(pl.Enum(universe)).to_physical()
    if not part.null_count():
        return code.to_numpy()
    return code.cast(pl.UInt32).fill_null(len(universe)).to_numpy()


def unseen(source: str, wanted: str, met: list[str]) -> str:
    """A control that the file does not have, and what the user may have meant."""
    near = [name for name in met if name.lower() == wanted.lower()]
    near = near or sorted(name for name in met if name.lower() in CONTROLS)
    hint = f"it has {listed([repr(n) for n in near])}" if near else "name one that it has"
    return f"{source}: no label is the control {wanted!r}; {hint} (--control is exact)"
