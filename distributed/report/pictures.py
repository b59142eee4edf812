"""The published pictures of a screen of pairs, as matplotlib figures.

"Pairwise interactions in cell morphology": R against squared cosine with known pairs, both by
pathway, severity, doubles against the sum of their singles.
"""

import io
import warnings
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import matplotlib
import numpy as np
import polars as pl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from epistax.distributed.report.curves import COLOURS
from epistax.distributed.report.sections.blocks import printable

POINTS = 3000  # drawn of all pairs; known ones always are, as many of each
MARKERS = ("o", "D", "^", "s", "v", "P")
SETTINGS = {"svg.fonttype": "none", "font.size": 9.0}  # text stays text
LETTERS = 88  # of a legend as wide as a figure


def rendered(name: str, figure: Figure) -> tuple[bytes, bytes]:
    """As SVG and PNG, the same bytes every time."""
    svg, png = io.BytesIO(), io.BytesIO()
    with matplotlib.rc_context({**SETTINGS, "svg.hashsalt": name}), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of letters that the font does not have
        figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
        figure.set_layout_engine("none")  # it is laid out
        figure.savefig(png, format="png", dpi=150)
    return titled(printable(svg.getvalue().decode()), figure).encode(), png.getvalue()


def titled(svg: str, figure: Figure) -> str:
    """With the labels of artists that have an id as their titles; legends skip those after `_`."""
    for artist in figure.findobj(lambda a: a.get_gid() is not None):
        opened = f'<g id="{artist.get_gid()}">'
        title = escape(str(artist.get_label()).removeprefix("_"))
        svg = svg.replace(opened, f"{opened}<title>{title}</title>", 1)
    return svg


def canvas(
    columns: int = 1, *, rows: int = 1, height: float = 3.8, **about: Any
) -> tuple[Figure, Any]:
    """A figure outside pyplot."""
    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(5.6, height), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(rows, columns, **about)
    for one in np.ravel(axes):
        one.spines[["top", "right"]].set_visible(False)
    return figure, axes


def against(pairs: pl.DataFrame, words: Mapping[str, str]) -> Figure:
    """R against squared cosine; known pairs stand out."""
    figure, axes = canvas()
    root(axes, "y")
    cloud(axes, pairs, "cosine", "additive", words)
    axes.set_xlabel("squared cosine of the two single effects")
    axes.set_ylabel("R, departure from additivity (root scale)")
    return finish(figure, axes)


def by_pathway(pairs: pl.DataFrame, pathway: Mapping[str, str], order: Sequence[str]) -> Figure:
    """R and squared cosine, a row a pathway: boxes of all its pairs, dots of those within it."""
    figure, both = canvas(2, height=0.9 + 0.24 * len(order), sharey=True)
    first, second = (
        pairs[side].replace_strict(pathway, default=None, return_dtype=pl.String).to_numpy()
        for side in ("a", "b")
    )
    rng = np.random.default_rng(0)
    for axes, column in zip(both, ("additive", "cosine"), strict=True):
        values = pairs[column].to_numpy()
        if column == "additive":
            root(axes, "x")
        boxes(axes, [values[(first == g) | (second == g)] for g in order],
              np.arange(len(order)), "0.85", vertical=False)  # fmt: skip
        for k, group in enumerate(order):
            inside = values[(first == group) & (second == group)][:POINTS]
            jitter = k + rng.uniform(-0.25, 0.25, len(inside))
            label = "both members in the pathway" if k == 0 else None
            axes.scatter(inside, jitter, s=7, color=COLOURS[0], lw=0, label=label, zorder=3)
    both[0].set_yticks(range(len(order)), [printable(name) for name in order])
    for text in both[0].get_yticklabels():
        text.set_parse_math(False)  # a name may hold a dollar sign
    both[0].invert_yaxis()
    both[0].set_xlabel("R (root scale)")
    both[1].set_xlabel("squared cosine")
    return figure


def severity(pairs: pl.DataFrame, words: Mapping[str, str]) -> Figure:
    """Shares of the double's effect that its singles have: all pairs and known ones."""
    figure, axes = canvas()
    columns = {"severity:min": "weaker single", "severity:max": "stronger single",
               "severity": "sum of both"}  # fmt: skip
    groups = {"all pairs": (np.ones(pairs.height, bool), "0.75")}
    for k, (flag, called) in enumerate(words.items()):
        if flag in pairs.columns and pairs[flag].any():
            groups[called] = (pairs[flag].to_numpy(), COLOURS[k % len(COLOURS)])
    width = 0.8 / len(groups)
    shown = []
    for k, (called, (mask, colour)) in enumerate(groups.items()):
        values = [pairs[column].to_numpy()[mask] for column in columns]
        shown += values
        at = np.arange(len(columns)) + (k - (len(groups) - 1) / 2) * width
        boxes(axes, values, at, colour, vertical=True, width=0.8 * width)
        axes.scatter([], [], marker="s", color=colour, label=f"{called} ({mask.sum():,})")
    axes.axhline(1, color="black", lw=0.8, ls="--", zorder=0)
    axes.set_xticks(range(len(columns)), list(columns.values()))
    axes.set_ylabel("share of the double's severity")
    ends = [np.quantile(v, (0.02, 0.98)) for v in shown if len(v)]
    axes.set_ylim(min(*(low for low, _ in ends), 0) - 0.05, max(*(t for _, t in ends), 1) + 0.1)
    return finish(figure, axes)


def scale(pairs: pl.DataFrame, slope: float, words: Mapping[str, str]) -> Figure:
    """Severity of the double against that of the sum of its singles."""
    figure, axes = canvas()
    both = pairs.with_columns(summed=pl.col("severity") * pl.col("severity:double"))
    cloud(axes, both, "summed", "severity:double", words)
    end = max(float(np.nan_to_num(both[c].max())) for c in ("summed", "severity:double"))
    axes.plot([0, end], [0, end], color="black", lw=0.8, ls="--", label="equal")
    axes.plot([0, end], [0, slope * end], color=COLOURS[2], lw=1.2, label=f"slope {slope:.2f}")
    axes.set_xlim(right=1.08 * float(np.nan_to_num(both["summed"].max())) or 1)
    axes.set_ylim(bottom=min(0, float(both["severity:double"].min() or 0)), top=1.05 * end)
    axes.set_xlabel("S(hᵢ + hⱼ), sum of the singles")
    axes.set_ylabel("S(hᵢⱼ), the double")
    return finish(figure, axes)


def cloud(axes: Any, pairs: pl.DataFrame, x: str, y: str, words: Mapping[str, str]) -> None:
    """Dots of all pairs, at most POINTS of them, with known ones on top."""
    part = sampled(pairs)
    axes.scatter(part[x], part[y], s=6, color="0.7", lw=0, label="all pairs")
    for k, (flag, called) in enumerate(words.items()):
        if flag not in pairs.columns or not pairs[flag].any():
            continue
        part = sampled(pairs.filter(pl.col(flag)))
        colour, marker = COLOURS[k % len(COLOURS)], MARKERS[k % len(MARKERS)]
        axes.scatter(part[x], part[y], s=10 + 8 * min(k, 2), color=colour, marker=marker,
                     lw=0.4, edgecolors="white", label=called)  # fmt: skip


def sampled(pairs: pl.DataFrame) -> pl.DataFrame:
    """At most POINTS rows, a choice that does not change."""
    if pairs.height <= POINTS:
        return pairs
    chosen = np.random.default_rng(0).choice(pairs.height, POINTS, replace=False)
    return pairs[np.sort(chosen)]


def boxes(
    axes: Any, values: Sequence[np.ndarray], at: np.ndarray, colour: str, *, vertical: bool,
    width: float = 0.6,
) -> None:  # fmt: skip
    """Quartiles, whiskers from 5 to 95 %, nothing beyond."""
    axes.boxplot(
        values,
        positions=at,
        widths=width,
        whis=(5, 95),
        showfliers=False,
        patch_artist=True,
        manage_ticks=False,
        orientation="vertical" if vertical else "horizontal",
        boxprops={"facecolor": colour, "lw": 0.6},
        medianprops={"color": "black", "lw": 1.2},
        whiskerprops={"lw": 0.6},
        capprops={"lw": 0.6},
    )


def root(axes: Any, which: str) -> None:
    """A scale by the square root of the size, with its sign: R is a squared length."""

    def forward(v: Any) -> Any:
        return np.sign(v) * np.sqrt(np.abs(v))

    def back(v: Any) -> Any:
        return np.sign(v) * np.square(v)

    getattr(axes, f"set_{which}scale")("function", functions=(forward, back))


def finish(figure: Figure, axes: Any) -> Figure:
    """A legend below the axes, where it hides nothing."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        fit = LETTERS // (6 + max(map(len, labels)))  # a line stands before each
        columns = max(1, min(len(handles), 4, fit))
        figure.legend(loc="outside lower center", frameon=False, fontsize=8, ncols=columns)
    return figure
