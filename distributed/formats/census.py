"""What was read and what was left out, with the reason: for a reader and for summary.json."""

import textwrap
from dataclasses import dataclass
from typing import Any, TypeAlias

from epistax.distributed.formats.where import SHOWN

Value: TypeAlias = int | float | str | bool | None
WIDTH = 80
LABEL = 22  # columns given to the name of a figure
FIGURE = 12  # columns given to the figure


@dataclass(frozen=True)
class Fact:
    """One figure: its key in summary.json, its name for a reader and a remark."""

    key: str  # empty: for the reader only
    label: str  # empty: in summary.json only
    value: Value
    note: str = ""
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class LeftOut:
    """Rows or cells that were read and are not used, and why."""

    key: str
    count: int
    reason: str
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class Census:
    """Everything one file held."""

    source: str
    kind: str
    facts: tuple[Fact, ...] = ()
    left_out: tuple[LeftOut, ...] = ()

    def __getitem__(self, key: str) -> Value:
        """The figure of that key, or the count of what was left out under it; 0 if nothing was."""
        for fact in self.facts:
            if fact.key == key:
                return fact.value
        return sum(entry.count for entry in self.left_out if entry.key == key)

    def lines(self) -> list[str]:
        """Aligned text of at most 80 columns."""
        room = WIDTH - len(self.kind) - 2
        source = self.source if len(self.source) <= room else "..." + self.source[3 - room :]
        out = [f"{source}: {self.kind}"]
        for fact in (fact for fact in self.facts if fact.label):
            out += row(fact.label, show(fact.value), remark(fact.note, fact.examples))
        for k, entry in enumerate(self.left_out):
            note = remark(entry.reason, entry.examples)
            out += row("" if k else "left out", show(entry.count), note)
        return out

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for summary.json."""
        told = [fact for fact in self.facts if fact.key]
        facts = {fact.key: fact.value for fact in told}
        names = {f"{fact.key}_examples": list(fact.examples) for fact in told if fact.examples}
        left = {
            entry.key: {
                "count": entry.count,
                "reason": entry.reason,
                "examples": list(entry.examples),
            }
            for entry in self.left_out
        }
        return {"source": self.source, "kind": self.kind, **facts, **names, "left_out": left}


def examples(names: list[str]) -> tuple[str, ...]:
    """The first five, as a census keeps them."""
    return tuple(names[:SHOWN])


def row(label: str, figure: str, note: str) -> list[str]:
    """A figure with its remark, the remark wrapped under itself; long figures stand as remarks."""
    if len(figure) > FIGURE:
        figure, note = "", f"{figure}  {note}".rstrip()
    start = f"  {label:<{LABEL}}{figure:>{FIGURE}}"
    if not note:
        return [start.rstrip()]
    indent = " " * (len(start) + 2)
    return textwrap.wrap(
        note, WIDTH, initial_indent=start + "  ", subsequent_indent=indent, break_on_hyphens=False
    )


def remark(note: str, names: tuple[str, ...]) -> str:
    """A note and the examples it speaks of."""
    return ": ".join(part for part in (note, ", ".join(names)) if part)


def show(value: Value) -> str:
    """A figure for a reader: thousands separated, four significant digits."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else value
