"""Pictures of what stands out: size against q-value, pairs by rank, p-values against a uniform's.

The strongest pairs are named; the cloud behind them is an image, so that a page of many pairs
stays small.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from scipy import stats

from epistax.distributed.report.curves import COLOURS
from epistax.distributed.report.pictures import canvas, finish
from epistax.distributed.report.sections.blocks import number, printable

LEVEL = 0.1  # q-value of the dashed line
FLOOR = 1e-30  # smallest p or q drawn: what is less stands at the edge
END = 10.0  # -log10 p beyond which points of a quantile plot stand at the edge
WIDEST, LINE = 22, 0.055  # characters of a name, its height as a fraction of the axes
EDGE, MARGIN = 1.03, 0.26  # where names begin, of the axes; what they take of the figure


def volcano(every: pl.DataFrame, best: pl.DataFrame, symbol: str) -> Figure:
    """The statistic against its q-value; the best pairs are named."""
    figure, axes = canvas()

    def height(rows: pl.DataFrame) -> np.ndarray:
        return -np.log10(np.maximum(rows["q_value"].to_numpy(), FLOOR))

    cloud(axes, every["statistic"].to_numpy(), height(every))
    axes.set_ylim(0, 1.05 * max(1, float(height(best).max()), float(height(every).max())))
    axes.axhline(-np.log10(LEVEL), color="black", lw=0.8, ls="--", label=f"q = {LEVEL:g}")
    named(axes, best, best["statistic"].to_numpy(), height(best), symbol)
    axes.set_xlabel(f"{symbol}, the statistic")
    axes.set_ylabel("−log₁₀ q")
    return finish(figure, axes)


def ranked(scores: np.ndarray, best: pl.DataFrame, symbol: str, size: str) -> Figure:
    """Scores against their rank, from falling ones; `best` are the rows of the first."""
    figure, axes = canvas()
    at = places(len(scores))
    axes.plot(at + 1, scores[at], color="0.6", lw=1.2)
    axes.set_xscale("log")
    first = np.arange(1.0, best.height + 1)
    named(axes, best, first, best["score"].to_numpy(), symbol)
    axes.set_xlabel("rank of the pair")
    axes.set_ylabel(size)
    return finish(figure, axes)


def quantiles(found: Mapping[str, np.ndarray]) -> Figure:
    """P-values of each test, rising, against those of a uniform; where 95 % of these would lie."""
    figure, axes = canvas()
    end, most = 1.0, max(map(len, found.values()))
    at = places(most)
    low, high = (-np.log10(stats.beta.ppf(side, at + 1, most - at)) for side in (0.975, 0.025))
    axes.fill_between(-np.log10((at + 0.5) / most), low, high, color="0.88", lw=0,
                      label="uniform, 95 %")  # fmt: skip
    for k, (test, p) in enumerate(found.items()):
        at = places(len(p))
        expected = -np.log10((at + 0.5) / len(p))
        observed = -np.log10(np.maximum(p[at], 10**-END))
        colour = COLOURS[k % len(COLOURS)]
        axes.plot(expected, observed, "o", ms=3, mew=0, color=colour, label=test)
        end = max(end, float(expected.max()))
    axes.plot([0, end], [0, end], color="black", lw=0.8, ls="--", label="uniform")
    axes.set_xlabel("expected −log₁₀ p")
    axes.set_ylabel("observed −log₁₀ p")
    return finish(figure, axes)


def inflation(p: np.ndarray) -> float:
    """The median as a chi-square of one degree, over that of a uniform: 1 without interactions."""
    return float(stats.chi2.isf(np.median(p), 1) / stats.chi2.isf(0.5, 1))


def places(count: int) -> np.ndarray:
    """Few hundred places of a sorted list, dense at its start."""
    return np.unique(np.geomspace(1, count, 400).astype(int)) - 1


def cloud(axes: Any, x: np.ndarray, y: np.ndarray) -> None:
    """Dots of all pairs, as one image."""
    axes.scatter(x, y, s=6, color="0.6", lw=0, rasterized=True, label="all pairs")


def named(axes: Any, rows: pl.DataFrame, x: np.ndarray, y: np.ndarray, symbol: str) -> None:
    """Dots with a title each, and their names at the right, spread until none hides another."""
    pairs = [printable(f"{row['a']} + {row['b']}") for row in rows.iter_rows(named=True)]
    for k, row in enumerate(rows.iter_rows(named=True)):
        (dot,) = axes.plot(x[k], y[k], "o", ms=4.5, mew=0, color=COLOURS[0], zorder=3)
        dot.set_gid(f"pair-{k + 1}")
        dot.set_label(f"_{pairs[k]}: {figures(row, symbol)}")
    axes.set(xlim=axes.get_xlim(), ylim=axes.get_ylim())  # from here on they stay
    to_axes = axes.transData + axes.transAxes.inverted()
    at = to_axes.transform(np.column_stack([x, y]))
    heights = spread(at[:, 1])
    lines = [[spot, (EDGE, height)] for spot, height in zip(at, heights, strict=True)]
    leads = LineCollection(lines, colors="0.75", linewidths=0.5, transform=axes.transAxes)
    axes.add_collection(leads, autolim=False)
    texts = [
        axes.text(
            EDGE + 0.01,
            height,
            pair if len(pair) <= WIDEST else f"{pair[: WIDEST - 1]}…",
            transform=axes.transAxes,
            fontsize=7.5,
            va="center",
            parse_math=False,
        )
        for pair, height in zip(pairs, heights, strict=True)
    ]
    for artist in (leads, *texts):  # room is kept, not measured: that takes most of the time
        artist.set(clip_on=False, in_layout=False)
    axes.figure.get_layout_engine().set(rect=(0, 0, 1 - MARGIN, 1))


def spread(wanted: np.ndarray) -> np.ndarray:
    """Heights of names as fractions of the axes, near the wanted ones, a line apart."""
    order = np.argsort(-wanted, kind="stable")
    steps = LINE * np.arange(len(wanted))
    falling = np.minimum.accumulate(np.minimum(wanted[order], 1.0) + steps)
    out = np.empty(len(wanted))
    out[order] = np.maximum(falling, steps[-1:]) - steps
    return out


def figures(row: Mapping[str, Any], symbol: str) -> str:
    """`R 19.4, q 4e-29`."""
    q = row["q_value"]
    text = f"{symbol} {number(row['statistic'])}"
    return text if q is None else f"{text}, q {q:.1g}"
