"""What a section of the report is made of, and how its numbers are written.

The template shows each block by its `kind`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

NO_TEXT = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, 2.2
OPEN = 20  # rows of a long table that stand open; the rest unfolds


@dataclass(frozen=True)
class Heading:
    """A heading inside a section."""

    text: str
    kind: ClassVar[str] = "heading"


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str
    kind: ClassVar[str] = "text"


@dataclass(frozen=True)
class Items:
    """A list, with the line that leads to it."""

    intro: str
    items: tuple[str, ...]
    kind: ClassVar[str] = "items"


@dataclass(frozen=True)
class Table:
    """Cells as text; the first `names` and the last `words` columns are text, others numbers.

    A long one is cut: the rows after `cut` unfold.
    """

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    names: int = 1
    words: int = 0
    note: str = ""  # what the columns mean
    cut: int = OPEN
    kind: ClassVar[str] = "table"

    @property
    def open(self) -> tuple[tuple[str, ...], ...]:
        """The rows that stand open."""
        return self.rows[: self.cut]

    @property
    def folded(self) -> tuple[tuple[str, ...], ...]:
        """The rows that unfold."""
        return self.rows[self.cut :]

    def number(self, column: int) -> bool:
        """Whether a column holds numbers."""
        return self.names <= column < len(self.head) - self.words

    @property
    def prose(self) -> bool:
        """Text only: its last column is broken into lines."""
        return self.names == len(self.head)

    @property
    def sorts(self) -> bool:
        """Whether a reader can want another order."""
        return len(self.rows) > 2 and not self.prose


@dataclass(frozen=True)
class Figure:
    """A picture as an SVG file; with `folder` also kept there, as PNG too where there is one."""

    name: str
    caption: str
    svg: bytes
    png: bytes = b""
    folder: Path | None = None

    def files(self) -> dict[Path, bytes]:
        """What is to be written."""
        if self.folder is None:
            return {}
        both = {"png": self.png, "svg": self.svg}
        return {self.folder / f"{self.name}.{kind}": data for kind, data in both.items() if data}


@dataclass(frozen=True)
class Figures:
    """Pictures side by side where there is room."""

    figures: tuple[Figure, ...]
    wide: bool = False  # one below the other, at their own size
    kind: ClassVar[str] = "figures"


@dataclass(frozen=True, eq=False)
class Matrix:
    """A pair matrix that the page's script draws from `data`; its pictures are kept as files."""

    caption: str
    data: Mapping[str, Any]
    figures: tuple[Figure, ...] = ()
    kind: ClassVar[str] = "matrix"


Block: TypeAlias = Heading | Text | Items | Table | Figures | Matrix


@dataclass(frozen=True)
class Section:
    """One section of the page."""

    title: str
    blocks: tuple[Block, ...]

    def figures(self) -> tuple[Figure, ...]:
        """All of its pictures."""
        return tuple(f for b in self.blocks if isinstance(b, Figures | Matrix) for f in b.figures)


def printable(text: str) -> str:
    """Without the characters that HTML and XML have no place for."""
    return NO_TEXT.sub("\ufffd", text)


def number(value: int | float | None, digits: int = 3) -> str:
    """Significant digits, thousands separated; nothing where there is nothing."""
    if value is None:
        return ""
    if isinstance(value, int) or 10 ** (digits - 1) <= abs(value) < 1e9:
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def padded(value: int | float | None, digits: int = 3) -> str:
    """The same for a column of a table: with the zeros at the end."""
    if value is None:
        return ""
    large = 10 ** (digits - 1) <= abs(value) < 1e9
    return f"{value:,.0f}" if large else f"{value:#.{digits}g}".removesuffix(".")


def fixed(value: int | float | None, digits: int = 3) -> str:
    """Decimals, nothing where there is nothing."""
    return "" if value is None else f"{value:,.{digits}f}"


def spread(value: Mapping[str, Any] | None, digits: int = 3) -> str:
    """Mean and, where there is one, sd."""
    if value is None:
        return ""
    text = fixed(value["mean"], digits)
    return text if value.get("sd") is None else f"{text} ± {fixed(value['sd'], digits)}"


def percent(share: int | float, digits: int = 1) -> str:
    """A share in percent, without zeros that say nothing."""
    text = f"{100 * share:.{digits}f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text}\u00a0%"


def plural(count: int, one: str, many: str = "") -> str:
    """`1 pair`, `1,225 pairs`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def left_out(found: Any) -> tuple[str, ...]:
    """What was read and is not used: a census has it by key, other summaries as a list."""
    entries = list(found.values()) if isinstance(found, Mapping) else list(found or ())
    return tuple(
        f"{entry['count']:,} – {entry['reason']}"
        + (f": {', '.join(map(str, entry['examples']))}" if entry.get("examples") else "")
        for entry in entries
    )
