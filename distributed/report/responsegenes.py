"""Responses gene by gene, of some groups from the best predicted to the worst."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from matplotlib.figure import Figure

from epistax.distributed.report.curves import COLOURS
from epistax.distributed.report.pictures import MARKERS, canvas, finish
from epistax.distributed.report.sections.blocks import printable

GROUPS, GENES = 4, 12  # groups drawn, and genes of each


def genes(means: pl.DataFrame, names: Sequence[str]) -> Figure:
    """The genes that change most in the groups of `ranked`, by what the first model predicts.

    Bars hold the sd of the measured cells (`measured_sd`), or 90 % intervals of what is predicted
    (`low`, `high`), whichever the table has.
    """
    figure, both = canvas(2, rows=GROUPS // 2, height=5.6, sharey=True)
    chosen = ranked(means.filter(pl.col("model") == names[0]))
    for axes, (stratum, arm, share) in zip(both.flat, chosen, strict=False):
        group = means.filter((pl.col("stratum") == stratum) & (pl.col("arm") == arm))
        panel(axes, group, names, first=axes is both.flat[0])
        title = f"{printable(arm)}, {printable(stratum)}: R² {share:.2f}"
        axes.set_title(title, fontsize=8, parse_math=False)
    for axes in both.flat[len(chosen) :]:
        axes.set_axis_off()
    for axes in both[:, 0]:
        axes.set_ylabel("change from control")
    return finish(figure, both.flat[0])


def panel(axes: Any, group: pl.DataFrame, names: Sequence[str], *, first: bool) -> None:
    """One group; the `first` is the one whose labels the legend shows."""
    hidden = "" if first else "_"
    own = group.filter(pl.col("model") == names[0])
    size = (own["measured"] - own["control"]).abs()
    top = own[size.arg_sort(descending=True)[:GENES].to_numpy()]
    at, control = np.arange(top.height), top["control"].to_numpy()
    style = {"ms": 4, "lw": 0.8}
    sd = top["measured_sd"].to_numpy() if "measured_sd" in top.columns else None
    axes.errorbar(at, top["measured"].to_numpy() - control, yerr=sd, fmt="D", color="black",
                  label=f"{hidden}measured", **style)  # fmt: skip
    for n, name in enumerate(names):
        model = group.filter(pl.col("model") == name)
        part = top.select("gene").join(model, on="gene", how="left", maintain_order="left")
        value, reach = part["predicted"].to_numpy(), None
        if {"low", "high"} <= set(part.columns):
            reach = np.abs(part.select("low", "high").to_numpy().T - value)
        aside = 0.6 * (n + 1) / (len(names) + 1)
        axes.errorbar(at + aside, value - control, yerr=reach, color=COLOURS[n % len(COLOURS)],
                      fmt=MARKERS[n % len(MARKERS)], label=f"{hidden}predicted, {name}",
                      **style)  # fmt: skip
    axes.axhline(0, color="black", lw=0.6)
    axes.set_xticks(at, [printable(x) for x in top["gene"]], rotation=90, fontsize=7)
    for text in axes.get_xticklabels():
        text.set_parse_math(False)  # a name may hold a dollar sign


def ranked(one: pl.DataFrame) -> list[tuple[str, str, float]]:
    """Stratum, arm and R² of the change: the best group, the worst, those between evenly spaced."""
    y, x = pl.col("measured") - pl.col("control"), pl.col("predicted") - pl.col("control")
    share = 1 - (y - x).pow(2).sum() / (y - y.mean()).pow(2).sum()
    groups = one.group_by("stratum", "arm", maintain_order=True).agg(share.alias("share"))
    groups = groups.filter(pl.col("share").is_finite()).sort("share", descending=True)
    places = np.linspace(0, groups.height - 1, min(GROUPS, groups.height)).round().astype(int)
    return groups[places].rows()
