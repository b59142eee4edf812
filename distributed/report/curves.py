"""Discovery curves as PNG and SVG: found against measured, regret, known relations."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from epistax.distributed.study import Study
from epistax.engine.stats import metrics

# Okabe and Ito's palette: told apart by colour-blind readers too
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
STYLES = ("-", "--", "-.", ":")


def draw(
    folder: Path, study: Study, frames: Mapping[str, pl.DataFrame], relations: Mapping[str, Any]
) -> list[str]:
    """Write the figures of a discovery run; their paths, PNG first."""
    figures = {
        "discovery": discovery(study, frames["curve"]),
        "regret": lost(study, frames["curve"]),
    }
    for relation, (_, inside) in relations.items():
        rows = frames["known"].filter(pl.col("relation") == relation)
        figures[f"known-{relation}"] = known(study, rows, relation, int(inside.sum()))
    paths = []
    for name, figure in figures.items():
        for kind in ("png", "svg"):
            path = folder / f"{name}.{kind}"
            figure.savefig(path, dpi=150, metadata={"Date": None} if kind == "svg" else None)
            paths.append(str(path))
    return sorted(paths, key=lambda path: path.endswith("svg"))


def discovery(study: Study, curve: pl.DataFrame) -> Figure:
    """Share of the top pairs found, with the oracle above and chance below."""
    figure, axes = canvas()
    q, k = len(study.pool.score), int(study.wanted.sum())
    end = study.total / q
    axes.plot([0, min(end, k / q), end], [0, min(1, end * q / k), min(1, end * q / k)],
              color="0.6", lw=1, label="oracle")  # fmt: skip
    axes.plot([0, end], [0, end], color="0.6", lw=1, ls=":", label="chance")
    bands(axes, study, curve, "top_fraction")
    axes.set_xlabel(f"share of the {q:,} pairs measured")
    axes.set_ylabel(f"share of the top {study.options.top:.1%} found")
    axes.set_ylim(0, 1.02)
    return finish(figure, axes, f"Discovery, reward {study.options.reward}")


def lost(study: Study, curve: pl.DataFrame) -> Figure:
    """Cumulative regret per measured pair against the oracle."""
    figure, axes = canvas()
    per_pair = curve.with_columns(
        (pl.col("regret").cum_sum().over("policy", "seed") / pl.col("n_measured")).alias("lost")
    )
    bands(axes, study, per_pair, "lost")
    axes.set_xlabel(f"share of the {len(study.pool.score):,} pairs measured")
    axes.set_ylabel("regret per measured pair (units of the reward)")
    axes.set_ylim(bottom=0)
    return finish(figure, axes, "Regret against the oracle")


def known(study: Study, rows: pl.DataFrame, relation: str, total: int) -> Figure:
    """Known relations found, with the 95 % range of a random choice."""
    figure, axes = canvas()
    q = len(study.pool.score)
    n = np.unique(np.linspace(0, study.total, 60).astype(int))
    inside = np.arange(q) < total
    chance = [metrics.known(np.arange(q) < k, inside) for k in n]
    axes.fill_between(n / q, [c.low for c in chance], [c.high for c in chance], color="0.85",
                      lw=0, label="chance, 95 %")  # fmt: skip
    bands(axes, study, rows, "found")
    axes.set_xlabel(f"share of the {q:,} pairs measured")
    axes.set_ylabel(f"known pairs found, of {total:,}")
    axes.set_ylim(bottom=0)
    return finish(figure, axes, f"Known relations: {relation}")


def bands(axes: Any, study: Study, rows: pl.DataFrame, column: str) -> None:
    """Each policy's mean over seeds, in a band from the lowest to the highest seed."""
    q = len(study.pool.score)
    for n, policy in enumerate(study.policies):
        part = rows.filter(pl.col("policy") == policy)
        by = part.group_by("n_measured").agg(
            pl.col(column).mean().alias("mean"),
            pl.col(column).min().alias("low"),
            pl.col(column).max().alias("high"),
        )
        by = by.sort("n_measured")
        x, colour = by["n_measured"].to_numpy() / q, COLOURS[n % len(COLOURS)]
        style = STYLES[n // len(COLOURS) % len(STYLES)]
        axes.plot(x, by["mean"], color=colour, ls=style, marker="o", ms=3, label=policy)
        axes.fill_between(x, by["low"], by["high"], color=colour, alpha=0.2, lw=0)


def canvas() -> tuple[Figure, Any]:
    """A figure outside pyplot: no display, no global state."""
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    return figure, axes


def finish(figure: Figure, axes: Any, title: str) -> Figure:
    """Title and legend."""
    axes.set_title(title, loc="left")
    axes.set_xlim(left=0)
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure
