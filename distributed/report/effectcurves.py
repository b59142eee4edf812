"""Pictures of the verbs `effects ...`, as matplotlib figures."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from epistax.distributed.report.curves import COLOURS, STYLES
from epistax.distributed.report.pictures import POINTS, canvas, finish
from epistax.engine.stats import prediction

MARKED = 8  # sizes that each get a mark on the axis
LEVELS = np.linspace(0.05, 0.95, 19)


def learning(results: pl.DataFrame) -> Figure:
    """Error by the number of training rows, a line a model; bars are standard errors over seeds."""
    figure, axes = canvas()
    by = results.group_by("model", "n_train", maintain_order=True).agg(
        pl.col("rmse").mean().alias("mean"),
        (pl.col("rmse").std() / pl.len().sqrt()).fill_null(0).alias("se"),
    )
    for n, (model, part) in enumerate(by.group_by("model", maintain_order=True)):
        part = part.sort("n_train")
        axes.errorbar(part["n_train"], part["mean"], part["se"], label=model[0], marker="o", ms=4,
                      capsize=2, **look(n))  # fmt: skip
    sizes = sorted(set(results["n_train"]))
    axes.set_xscale("log")
    axes.set_xticks(sizes, [f"{n:,}" for n in sizes])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("training rows (log scale)")
    axes.set_ylabel("root mean squared error on the tested rows")
    return finish(figure, axes)


def found(curve: pl.DataFrame, top: int) -> Figure:
    """Found by measured rows, of which those that were measured and not just predicted: dashes."""
    figure, axes = canvas()
    for n, (name, part) in enumerate(curve.group_by("acquisition", maintain_order=True)):
        by = part.group_by("n_measured").agg(
            pl.col("top_200").mean().alias("mean"),
            pl.col("top_200").min().alias("low"),
            pl.col("top_200").max().alias("high"),
            pl.col("measured_top").mean().alias("measured"),
        )
        by, colour = by.sort("n_measured"), COLOURS[n % len(COLOURS)]
        x = by["n_measured"]
        axes.plot(x, by["mean"], color=colour, marker="o", ms=4, label=name[0])
        axes.fill_between(x, by["low"], by["high"], color=colour, alpha=0.2, lw=0)
        axes.plot(x, by["measured"], color=colour, ls="--", lw=1)
    axes.plot([], [], color="0.4", ls="--", lw=1, label="of these measured")
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    sizes = sorted(set(curve["n_measured"]))
    if len(sizes) <= MARKED:
        axes.set_xticks(sizes, [f"{n:,}" for n in sizes])
    axes.set_xlabel("rows measured")
    axes.set_ylabel(f"found of the {top:,} strongest")
    return finish(figure, axes)


def scatter(heldout: pl.DataFrame) -> Figure:
    """Measured against predicted, of rows that the fit had not seen."""
    figure, axes = canvas()
    part = heldout
    if part.height > POINTS:
        part = part[np.sort(np.random.default_rng(0).choice(part.height, POINTS, replace=False))]
    x, y = part["predicted"].to_numpy(), part["effect"].to_numpy()
    wide = (part["high"] - part["low"]).to_numpy() / 2
    axes.errorbar(x, y, xerr=wide, fmt="none", ecolor="0.85", lw=0.5, zorder=0)
    axes.scatter(x, y, s=6, color=COLOURS[0], lw=0, label="a row; grey is its 90 % interval")
    ends = [min(x.min(), y.min()), max(x.max(), y.max())]
    axes.plot(ends, ends, color="black", lw=0.8, ls="--", label="equal")
    axes.set_xlabel("predicted by fits of the other rows")
    axes.set_ylabel("measured")
    return finish(figure, axes)


def coverage(heldout: pl.DataFrame, factor: float) -> Figure:
    """Share of the rows that intervals hold, by the share that they are to hold."""
    figure, axes = canvas()
    error = (heldout["effect"] - heldout["predicted"]).to_numpy()
    sd = heldout["sd"].to_numpy()
    plain = prediction.reach()
    for n, (scale, label) in enumerate(((1.0, "sd as told"), (factor / plain, "sd as calibrated"))):
        held = [prediction.covered(error, prediction.reach(level) * scale * sd) for level in LEVELS]
        axes.plot(LEVELS, held, marker="o", ms=3, label=label, **look(n))
    axes.plot([0, 1], [0, 1], color="black", lw=0.8, ls=":", label="equal")
    axes.set_xlabel("share that an interval is to hold")
    axes.set_ylabel("share of the rows that it holds")
    return finish(figure, axes)


def look(n: int) -> dict[str, Any]:
    """Colour and style of the nth line."""
    styles: Sequence[str] = STYLES
    return {"color": COLOURS[n % len(COLOURS)], "ls": styles[n // len(COLOURS) % len(styles)]}
