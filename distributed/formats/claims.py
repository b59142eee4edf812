"""What a file says of its labels beside them: how many perturbations, and which cells are controls.

scPerturb counts the perturbations of a cell in `nperts`; GEARS and CellFlow mark controls in a
column `control` of 0 and 1. Where labels say otherwise, either the separator or a control's name is
not what it is taken for, and a screen would silently be read as another.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl

from epistax.distributed.errors import BadInput
from epistax.distributed.formats.census import Fact
from epistax.distributed.formats.where import Where, short
from epistax.distributed.labels import role
from epistax.distributed.options.shared import ScreenOptions

COUNT, FLAG = "nperts", "control"
SEPARATORS = ("+", "_", ",", "|", ";", "&")
TRUE = ("1", "1.0", "true", "yes", "ctrl", "control")
FALSE = ("0", "0.0", "false", "no", "")


def check(
    labels: Sequence[pl.Series], told: dict[str, pl.Series], where: Where, options: ScreenOptions
) -> tuple[Fact, ...]:
    """Refuse labels that another separator or control explains; count what nothing explains."""
    facts = []
    if COUNT in told:
        facts += counted(labels, told[COUNT], where, options)
    if FLAG in told:
        facts += marked(labels, told[FLAG], where, options)
    return tuple(facts)


def counted(
    labels: Sequence[pl.Series], count: pl.Series, where: Where, options: ScreenOptions
) -> list[Fact]:
    """The number of names in each label against the column that counts them."""
    want = count.cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy()

    def differ(sep: str) -> np.ndarray:
        have = carried(labels, sep, options.control)
        return np.flatnonzero(~np.isnan(want) & (have >= 0) & (have != want))

    wrong = differ(options.sep)
    if not len(wrong):
        return []
    better = [sep for sep in SEPARATORS if sep != options.sep and not len(differ(sep))]
    if better:
        said = f"is {carried(labels, options.sep, options.control)[wrong[0]]} perturbations by the "
        problem = f"{said}separator {options.sep!r} where {COUNT} says {want[wrong[0]]:g}"
        raise where.fault(wrong, labels[0][int(wrong[0])], problem, f"give --sep '{better[0]}'")
    note = f"observations whose label names more or fewer than {COUNT} says"
    return [Fact("count_differs", f"{COUNT} differs", len(wrong), note)]


def marked(
    labels: Sequence[pl.Series], flag: pl.Series, where: Where, options: ScreenOptions
) -> list[Fact]:
    """The controls by name against the column that marks them; any other column is passed over."""
    word = flag.cast(pl.String).fill_null("").str.strip_chars().str.to_lowercase()
    if not word.is_in([*TRUE, *FALSE]).all():
        return []
    flags, have = word.is_in(list(TRUE)).to_numpy(), carried(labels, options.sep, options.control)
    wrong = np.flatnonzero(flags & (have > 0))
    if len(wrong) and not (flags & (have == 0)).any():
        name = labels[0][int(wrong[0])]
        raise BadInput(
            f"{where.source}: the column {FLAG!r} marks {len(wrong):,} observations as controls, "
            f"such as {short(name)}, which is not known as one; name it with --control {name}"
        )
    other = len(wrong) + int((~flags & (have == 0)).sum())
    note = f"observations that label and column {FLAG!r} do not both call controls"
    return [Fact("control_differs", "controls differ", other, note)] if other else []


def carried(labels: Sequence[pl.Series], sep: str, control: tuple[str, ...]) -> np.ndarray:
    """How many perturbations each row names; -1 where nobody knows."""
    total, unknown = np.zeros(len(labels[0]), np.int64), np.zeros(len(labels[0]), bool)
    for column in labels:
        text = column.cast(pl.String).fill_null("")
        held = {}
        for word in text.unique():
            kinds = [role(part.strip(), control) for part in word.split(sep)]
            held[word] = -1 if "unassigned" in kinds else kinds.count("perturbation")
        one = text.replace_strict(held, return_dtype=pl.Int64).to_numpy()
        unknown |= one < 0
        total += one
    return np.where(unknown, -1, total)
