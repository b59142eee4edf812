"""Where in a file something is wrong, said in one line: file, column, lines, value, remedy."""

from dataclasses import dataclass

import numpy as np

from epistax.distributed.errors import BadInput

SHOWN = 5  # numbers and names listed before the rest is only counted


@dataclass(frozen=True)
class Where:
    """A column of a file and how its rows are numbered for the user.

    Text files count lines from 1, the header included; parquet has rows only.
    """

    source: str
    column: str
    unit: str = "line"
    first: int = 2  # number of the first row of data
    kept: np.ndarray | None = (
        None  # where rows were dropped before: the position of each in the file
    )

    def number(self, row: int | np.integer) -> int:
        """The number the user sees for row (0-based) of the data."""
        return int(row if self.kept is None else self.kept[row]) + self.first

    def fault(self, rows: np.ndarray, value: object, problem: str, remedy: str) -> BadInput:
        """`pairs.csv: column 'score', line 7: 'abc' is not a number (2 such lines: 7, 9); ...`."""
        more = ""
        if len(rows) > 1:
            numbers = listed([f"{self.number(row)}" for row in rows[: SHOWN + 1]], len(rows))
            more = f" ({len(rows):,} such {self.unit}s: {numbers})"
        place = f"{self.source}: column {self.column!r}, {self.unit} {self.number(rows[0])}"
        return BadInput(f"{place}: {short(value)} {problem}{more}; {remedy}")


def listed(items: list[str], total: int | None = None) -> str:
    """The first few, then an ellipsis where there are more."""
    total = len(items) if total is None else total
    return ", ".join(items[:SHOWN]) + (", ..." if total > SHOWN else "")


def short(value: object) -> str:
    """A value as it is shown in a message: quoted, on one line, at most 40 characters."""
    text = value if isinstance(value, str) else str(value)
    return repr(text if len(text) <= 40 else text[:37] + "...")
