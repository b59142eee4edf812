"""The pair matrix as SVG: one test above the diagonal, another below, genes ordered by pathway.

A square's title names its pair and figures. Colour goes with the square root of the score, the
statistic's size: R, MMD² and cos² are squared lengths, and few of them are large.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import polars as pl
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import pdist

from epistax.distributed.report.curves import COLOURS
from epistax.distributed.report.sections.blocks import number, printable
from epistax.distributed.report.sections.pairs import size, symbol

# one hue from light to dark: the same order to every reader
RAMP = ("#f7fbff", "#deebf7", "#c6dbef", "#9ecae1", "#6baed6", "#4292c6", "#2171b5", "#08519c",
        "#08306b")  # fmt: skip
ABSENT = "#d9d5cd"  # not measured
FULL = 0.995  # quantile of the statistic from which the colour is full
SIDE, LARGEST, LABEL = 700, 18, 14  # the matrix's size, a square's, characters of a name


@dataclass(frozen=True)
class Layer:
    """One test's figures by pair, and the scale of its colours."""

    test: str
    rows: Mapping[tuple[str, str], Mapping[str, float | str | None]]
    full: float

    @classmethod
    def of(cls, test: str, frame: pl.DataFrame) -> "Layer":
        """From the rows of a test."""
        kept = frame.select("a", "b", "statistic", "score", "q_value", "status")
        rows = {(row["a"], row["b"]): row for row in kept.iter_rows(named=True)}
        values = frame["score"].drop_nulls().to_numpy()
        full = float(np.quantile(values, FULL)) if len(values) else 0.0
        return cls(test, rows, full)

    def colour(self, pair: tuple[str, str]) -> str:
        """By the square root of the share of the full colour."""
        value = self.rows.get(pair, {}).get("score")
        if not isinstance(value, float):
            return ABSENT
        return shade((value / self.full) ** 0.5 if self.full > 0 else 0.0)

    def title(self, pair: tuple[str, str]) -> str:
        """`APO1 + APO6: R 19.4, q 4e-29`."""
        row, name = self.rows.get(pair), " + ".join(pair)
        if row is None:
            return f"{name}: not measured"
        value, q = row["statistic"], row["q_value"]
        if not isinstance(value, float):
            return f"{name}: not tested ({row['status']})"
        text = f"{name}: {symbol(self.test)} {number(value)}"
        return text + (f", q {q:.1g}" if isinstance(q, float) else "")


def shade(share: float) -> str:
    """The colour of a share from 0 to 1."""
    at = min(max(share, 0.0), 1.0) * (len(RAMP) - 1)
    low = min(int(at), len(RAMP) - 2)
    one, two = (np.array([int(c[k : k + 2], 16) for k in (1, 3, 5)]) for c in RAMP[low : low + 2])
    return "#" + "".join(f"{round(v):02x}" for v in one + (at - low) * (two - one))


def order(
    names: Sequence[str], rows: pl.DataFrame, pathway: Mapping[str, str], pathways: Sequence[str]
) -> list[str]:
    """By pathway, inside a pathway by average linkage of the scores; without pathways by that."""
    place = {name: k for k, name in enumerate(names)}
    matrix = np.full((len(names), len(names)), np.nan)
    for a, b, value in rows.select("a", "b", "score").iter_rows():
        if a in place and b in place and value is not None:
            matrix[place[a], place[b]] = matrix[place[b], place[a]] = value**0.5
    have = ~np.isnan(matrix)
    mean = np.where(have, matrix, 0).sum(1) / np.maximum(have.sum(1), 1)
    filled = np.where(have, matrix, mean[:, None])
    rank = {name: 0 for name in names}
    if len(names) > 2:
        leaves = leaves_list(linkage(pdist(filled), "average", optimal_ordering=True))
        rank = {names[leaf]: k for k, leaf in enumerate(leaves)}
    group = {name: k for k, name in enumerate(pathways)}
    last = len(pathways)
    return sorted(names, key=lambda n: (group.get(pathway.get(n, ""), last), rank[n]))


def matrix(names: Sequence[str], pathway: Mapping[str, str], above: Layer, below: Layer) -> bytes:
    """The SVG file of the ordered names."""
    n = len(names)
    side = max(4, min(LARGEST, SIDE // max(n, 1)))
    font = max(4.0, min(10.0, side * 0.85))
    margin = round(font * 0.62 * max((len(short(name)) for name in names), default=1)) + 8
    bar = 8 if pathway else 0
    left = top = margin + bar + 4
    groups = runs([pathway.get(name, "") for name in names]) if pathway else []
    right = 14 + round(5.6 * max((len(short(g, 24)) for g, _, _ in groups), default=0))
    width = max(left + n * side + right, left + 330)
    parts = squares(names, above, below, left, top, side)
    end = f'x2="{left + n * side}" y2="{top + n * side}"'
    parts.append(f'<line x1="{left}" y1="{top}" {end} stroke="#888888"/>')
    parts += labels(names, left - bar - 4, top - bar - 4, left, top, side, font)
    parts += bars(groups, left, top, side, n, bar)
    parts += legend(above, below, left, top + n * side + 22)
    height = top + n * side + 22 + (84 if above.test != below.test else 50)
    opened = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif">'
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>'
    )
    return printable("\n".join([opened, *parts, "</svg>", ""])).encode()


def squares(
    names: Sequence[str], above: Layer, below: Layer, left: int, top: int, side: int
) -> list[str]:
    """A square a pair and test; the diagonal stays empty."""
    size = side - 1 if side > 5 else side
    out = []
    for i, one in enumerate(names):
        for j, two in enumerate(names):
            if i == j:
                continue
            pair, layer = (min(one, two), max(one, two)), above if i < j else below
            out.append(
                f'<rect x="{left + j * side}" y="{top + i * side}" width="{size}" height="{size}"'
                f' fill="{layer.colour(pair)}"><title>{escape(layer.title(pair))}</title></rect>'
            )
    return out


def labels(
    names: Sequence[str], x: int, y: int, left: int, top: int, side: int, font: float
) -> list[str]:
    """Names at the left and, upright, at the top."""
    out = []
    for k, name in enumerate(names):
        text, middle = escape(short(name)), (k + 0.5) * side + font * 0.35
        style = f'font-size="{font:.1f}" fill="#333333"'
        out.append(f'<text x="{x}" y="{top + middle:.1f}" {style} text-anchor="end">{text}</text>')
        at = f"{left + middle:.1f} {y}"
        out.append(f'<text transform="translate({at}) rotate(-90)" {style}>{text}</text>')
    return out


def bars(
    groups: Sequence[tuple[str, int, int]], left: int, top: int, side: int, n: int, bar: int
) -> list[str]:
    """Pathways as bars along both sides, their names at the right."""
    out: list[str] = []
    free = float("-inf")  # where the last name ends
    for k, (name, first, count) in enumerate(groups):
        colour, length = COLOURS[k % 6], count * side - (1 if side > 5 else 0)
        title = f"<title>{escape(name or 'no pathway')}: {count:,}</title>"
        spot = f'x="{left - bar - 2}" y="{top + first * side}" width="{bar - 2}" height="{length}"'
        out.append(f'<rect {spot} fill="{colour}">{title}</rect>')
        spot = f'x="{left + first * side}" y="{top - bar - 2}" width="{length}" height="{bar - 2}"'
        out.append(f'<rect {spot} fill="{colour}">{title}</rect>')
        middle = top + (first + count / 2) * side + 3.5
        if middle - free >= 9:
            at = f'x="{left + n * side + 8}" y="{middle:.1f}"'
            text = escape(short(name, 24))
            out.append(f'<text {at} font-size="10" fill="#333333">{text}</text>')
            free = middle
    return out


def legend(above: Layer, below: Layer, x: int, y: int) -> list[str]:
    """A bar a test: what its colours mean."""
    out = []
    both = [("above the diagonal", above), ("below the diagonal", below)]
    for k, (where, layer) in enumerate(both if above.test != below.test else [("", above)]):
        line = y + 34 * k
        for step in range(40):
            at = f'x="{x + 4 * step}" y="{line}" width="4" height="10"'
            out.append(f'<rect {at} fill="{shade(step / 39)}"/>')
        text = f"{size(layer.test)}, {layer.test}" + (f", {where}" if where else "")
        style = 'font-size="10" fill="#333333"'
        out.append(f'<text x="{x + 170}" y="{line + 9}" {style}>{escape(text)}</text>')
        for share, anchor in ((0.0, "start"), (0.5, "middle"), (1.0, "end")):
            value = ("≥ " if share == 1 else "") + number(share**2 * layer.full, 2)
            spot = f'x="{x + 160 * share:g}" y="{line + 21}" text-anchor="{anchor}"'
            out.append(f'<text {spot} font-size="9" fill="#333333">{value}</text>')
    line = y + (34 if above.test == below.test else 68)
    out.append(f'<rect x="{x}" y="{line}" width="10" height="10" fill="{ABSENT}"/>')
    words = "not measured or not tested"
    out.append(f'<text x="{x + 16}" y="{line + 9}" font-size="10" fill="#333333">{words}</text>')
    return out


def runs(groups: Sequence[str]) -> list[tuple[str, int, int]]:
    """Neighbours of one group: its name, first place and length."""
    out: list[tuple[str, int, int]] = []
    for k, name in enumerate(groups):
        if out and out[-1][0] == name:
            out[-1] = (name, out[-1][1], out[-1][2] + 1)
        else:
            out.append((name, k, 1))
    return out


def short(name: str, most: int = LABEL) -> str:
    """A name that fits."""
    return name if len(name) <= most else name[: most - 1] + "…"
