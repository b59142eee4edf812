"""Pictures of the verbs `response ...`, as matplotlib figures."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from matplotlib.figure import Figure

from epistax.distributed.report.curves import COLOURS
from epistax.distributed.report.effectcurves import look
from epistax.distributed.report.pictures import POINTS, canvas, finish

LOWEST = -0.5  # below, a bar ends at the edge and has its number


def by_model(models: Mapping[str, Any], split: str, trivial: Sequence[str]) -> Figure:
    """R2 of DE genes and of their change, a row a model; bars are sds over seeds."""
    names = [name for name, of in models.items() if split in of]
    figure, both = canvas(2, height=1.1 + 0.3 * len(names), sharey=True)
    shown = {"r2_de": "R², DE genes", "r2_change_de": "R² of the change, DE genes"}
    for axes, (key, words) in zip(both, shown.items(), strict=True):
        values = [(models[name][split][key] or {"mean": np.nan}) for name in names]
        mean = np.array([one["mean"] for one in values], float)
        sd = np.array([one.get("sd") or 0.0 for one in values], float)
        colour = ["0.75" if name in trivial else COLOURS[0] for name in names]
        at = np.arange(len(names))
        axes.barh(at, np.maximum(mean, LOWEST), color=colour, height=0.7)
        wide = np.where(sd > 0, sd, np.nan)
        axes.errorbar(mean, at, xerr=wide, fmt="none", ecolor="black", capsize=2, lw=0.8)
        for k, value in enumerate(mean):
            if np.isfinite(value):
                end = max(value + sd[k], 0.0)  # right of the axis, of a negative one too
                axes.annotate(f"{value:.2f}", (end, k), fontsize=7, xytext=(3, 0), va="center",
                              textcoords="offset points")  # fmt: skip
        low = np.nanmin(np.maximum(mean - sd, LOWEST), initial=0.0)
        axes.set_xlim(float(low) * 1.05, 1.2)
        axes.axvline(0, color="black", lw=0.6)
        axes.set_xlabel(words)
    both[0].set_yticks(range(len(names)), names)
    both[0].invert_yaxis()
    return figure


def changes(means: pl.DataFrame, names: Sequence[str]) -> Figure:
    """Measured against predicted change from the control; one picture a `model`."""
    figure, axes = canvas(len(names), height=2.9, sharey=True, sharex=True)
    every = np.atleast_1d(axes)
    both = means.with_columns(
        x=pl.col("predicted") - pl.col("control"), y=pl.col("measured") - pl.col("control")
    )
    for k, (name, one) in enumerate(zip(names, every, strict=True)):
        part = both.filter(pl.col("model") == name)
        if part.height > POINTS:
            rows = np.random.default_rng(0).choice(part.height, POINTS, replace=False)
            part = part[np.sort(rows)]
        one.scatter(part["x"], part["y"], s=5, lw=0, color=COLOURS[k % len(COLOURS)], alpha=0.6)
        one.axline((0, 0), slope=1, color="black", lw=0.8, ls="--")
        one.set_title(name, fontsize=9)
        one.set_xlabel("predicted change")
    every[0].set_ylabel("measured change")
    return figure


def learning(curve: pl.DataFrame) -> Figure:
    """The validation score by epoch, a band over the seeds."""
    figure, axes = canvas()
    for n, (name, part) in enumerate(curve.group_by("model", maintain_order=True)):
        by = part.group_by("epoch").agg(
            pl.col("validation").mean().alias("mean"),
            pl.col("validation").min().alias("low"),
            pl.col("validation").max().alias("high"),
        )
        by = by.sort("epoch")
        axes.plot(by["epoch"], by["mean"], label=name[0], **look(n))
        axes.fill_between(by["epoch"], by["low"], by["high"], alpha=0.2, lw=0,
                          color=COLOURS[n % len(COLOURS)])  # fmt: skip
    late = curve.filter(pl.col("epoch") > 0.2 * curve["epoch"].max())["validation"]
    if len(late):  # the first epochs may be far below all others
        low, high = float(late.min()), float(curve["validation"].max())  # type: ignore[arg-type]
        room = 0.1 * max(high - low, 0.01)
        axes.set_ylim(low - room, high + room)
    axes.set_xlabel("epoch")
    axes.set_ylabel("validation: mean R² of all and DE genes")
    return finish(figure, axes)
