"""Pictures of the verbs `causal ...`, as matplotlib figures.

Figures 5 to 14 of "Towards Learning Cell Causal-Embeddings": errors over epochs, errors outside
the range of training, the decoder's rows turned; and which latents environments move.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from epistax.distributed.report.curves import COLOURS
from epistax.distributed.report.effectcurves import look
from epistax.distributed.report.pictures import canvas, finish, root

FAR, SHARE = 5.0, 0.99  # sds from which the colour of a shift is full, or a quantile of them
NOTHING = 1e-6  # share of the largest trivial error below which one is not drawn
HIGHEST = 30.0  # times the least trivial error: a curve above it ends at the edge
CROWDED = 20.0  # ratio of the ends of an axis from which only powers of ten are named
LABELLED = 40  # environments that are named on the axis
ROWS = 30  # latents of a map that are told apart


def validation(curve: pl.DataFrame, bare: Mapping[str, float]) -> Figure:
    """Errors of samples that validate by epoch, a band of one sd over seeds; lines: trivial."""
    figure, axes = canvas()
    for n, (name, part) in enumerate(curve.group_by("model", maintain_order=True)):
        by = part.group_by("epoch").agg(
            pl.col("validation").mean().alias("mean"),
            pl.col("validation").std().fill_null(0).alias("sd"),
        )
        by = by.sort("epoch")
        mean, sd = (by[column].to_numpy() for column in ("mean", "sd"))
        axes.plot(by["epoch"], mean, label=name[0], **look(n))
        axes.fill_between(by["epoch"], np.maximum(mean - sd, 0.5 * mean), mean + sd, alpha=0.2,
                          lw=0, color=COLOURS[n % len(COLOURS)])  # fmt: skip
    exact = NOTHING * max(bare.values(), default=0.0)
    shown = {name: value for name, value in bare.items() if value > exact}
    for n, (name, value) in enumerate(shown.items()):
        axes.axhline(value, color="0.45", lw=1, ls=("--", ":", "-.")[n % 3], label=name)
    axes.set_yscale("log")
    finite = curve["validation"].to_numpy()
    finite = finite[np.isfinite(finite) & (finite > 0)]
    if bare and len(finite) and finite.max() > HIGHEST * max(bare.values()):
        axes.set_ylim(top=HIGHEST * max(bare.values()))
    axes.set_xlabel("epoch")
    axes.set_ylabel("mean square error (log scale)")
    for axis in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
        axis(lambda value, _: f"{value:g}")
    low, high = axes.get_ylim()
    if high > CROWDED * low:
        axes.yaxis.set_minor_formatter(NullFormatter())
    return finish(figure, axes)


def outside(ood: pl.DataFrame) -> Figure:
    """Error by what is added to each latent, a line a model; dots: the exact linear models."""
    directions = sorted(set(ood["direction"]))
    figure, every = canvas(len(directions), sharey=True, height=3.6)
    for direction, axes in zip(directions, np.atleast_1d(every), strict=True):
        own = ood.filter(pl.col("direction") == direction)
        for n, (name, part) in enumerate(own.group_by("model", maintain_order=True)):
            by = part.group_by("offset").agg(
                pl.col("error").mean().alias("mean"),
                pl.col("error").min().alias("low"),
                pl.col("error").max().alias("high"),
            )
            by = by.sort("offset")
            label = str(name[0]) if direction == directions[0] else None
            axes.plot(by["offset"], by["mean"], label=label, **look(n))
            axes.fill_between(by["offset"], by["low"], by["high"], alpha=0.2, lw=0,
                              color=COLOURS[n % len(COLOURS)])  # fmt: skip
        exact = own.unique("offset").sort("offset")
        marks = {"anchor": ("o", "linear autoencoder"), "anchor_vae": ("x", "linear VAE")}
        for column, (marker, words) in marks.items():
            axes.plot(exact["offset"], exact[column], marker=marker, ms=3.5, ls="none", color="0.3",
                      mew=0.8, mfc="none", zorder=1, clip_on=False,
                      label=f"{words}, exact" if direction == directions[0] else None)  # fmt: skip
        root(axes, "y")
        axes.set_xlabel(f"added to latent {direction}")
    np.atleast_1d(every)[0].set_ylabel("mean square error (root scale)")
    axes.set_ylim(bottom=0)
    return finish(figure, np.atleast_1d(every)[0])


def turned(curves: pl.DataFrame) -> Figure:
    """Distance of the decoder's rows to the true ones at every angle, of the first seed."""
    first = curves.filter(pl.col("seed") == pl.col("seed").min())
    models = list(dict.fromkeys(first["model"]))
    figure, _ = canvas(height=0.9 + 1.7 * len(models))
    figure.clear()
    every = figure.subplots(len(models), 2, sharex=True, sharey=True, squeeze=False)
    for n, name in enumerate(models):
        for axes, flip in zip(every[n], (False, True), strict=True):
            own = first.filter(pl.col("model") == name, pl.col("flip") == flip)
            for _, part in own.group_by("feature", maintain_order=True):
                axes.plot(part["angle"], part["distance"], lw=0.8, color=COLOURS[n % len(COLOURS)])
            axes.spines[["top", "right"]].set_visible(False)
            axes.set_xticks(np.arange(5) * np.pi / 2, ["0", "π/2", "π", "3π/2", "2π"])
            axes.set_title(
                name + (", first column flipped" if flip else ""), fontsize=9, loc="left"
            )
        every[n, 0].set_ylabel("1 − cosine")
    for axes in every[-1]:
        axes.set_xlabel("angle; a line a feature")
    return figure


def moved(shifts: pl.DataFrame, names: Sequence[str]) -> Figure:
    """Shifts by latent and environment, a map a `model`; environments by the latent moved most."""
    tables = [matrix(shifts.filter(pl.col("model") == name)) for name in names]
    heights = [0.5 + 0.11 * min(max(len(values), 5), ROWS) for values, _ in tables]
    figure, every = canvas(1, height=1.0 + sum(heights))
    figure.clear()
    every = figure.subplots(len(names), 1, gridspec_kw={"height_ratios": heights}, squeeze=False)
    far = min(
        FAR, float(np.quantile(np.concatenate([np.abs(v).ravel() for v, _ in tables]), SHARE))
    )
    for name, axes, (values, labels) in zip(names, every[:, 0], tables, strict=True):
        image = axes.imshow(values, aspect="auto", cmap="RdBu_r", vmin=-far, vmax=far,
                            interpolation="nearest")  # fmt: skip
        axes.set_title(name, fontsize=9, loc="left")
        axes.set_ylabel("latent")
        d = len(values)
        ticks = np.unique(np.linspace(0, d - 1, min(d, 5)).round().astype(int))
        axes.set_yticks(ticks, [str(k + 1) for k in ticks])
        if len(labels) <= LABELLED:
            axes.set_xticks(range(len(labels)), labels, rotation=90, fontsize=6)
            for text in axes.get_xticklabels():
                text.set_parse_math(False)
        else:
            axes.set_xticks([])
    every[-1, 0].set_xlabel("environment")
    figure.colorbar(image, ax=every[:, 0], shrink=min(1.0, 2.0 / sum(heights)), pad=0.02,
                    label="shift, sds", extend="both")  # fmt: skip
    return figure


def matrix(part: pl.DataFrame) -> tuple[np.ndarray, list[str]]:
    """Shifts [d, e] of one fit, environments in the order of the latent that they move most."""
    wide = part.pivot("latent", index="environment", values="shift", maintain_order=True)
    values = wide.drop("environment").to_numpy().T
    size = np.nan_to_num(np.abs(values))
    order = np.lexsort((-size.max(0), size.argmax(0)))
    return values[:, order], [wide["environment"][int(k)] for k in order]
