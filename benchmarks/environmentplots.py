"""Figures 5 to 14 of "Towards Learning Cell Causal-Embeddings", and more, from lines.

The lines are those of benchmarks/environments.py. A model has one colour throughout; lines are
solid by default and dashed as published.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy import ndarray

from epistax.benchmarks.naiadpages import Line, finished, of, values
from epistax.engine.causal.settings import NAMES

CASES = {
    "independent": "6.1, independent latents, trained in (0, 0)",
    "dependent": "6.2, dependent latents, trained in (0, 0)",
    "two-environments": "6.3, dependent latents, trained in (0, 0) and (0, 0.5)",
}
OUTSIDE = {  # figure: case, model
    "5": ("independent", "vae"),
    "7": ("two-environments", "environment"),
    "8": ("two-environments", "conditional"),
    "11": ("dependent", "vae"),
    "13": ("two-environments", "vae"),
}
TURNED = {"6": "independent", "12": "dependent", "14": "two-environments"}
LEARNING = {"9": "growing", "10": "l1000"}
STYLES = {"published": "--", "default": "-"}
ANCHORS = {"variational": "o", "linear": "^"}
NONE = 1e-9  # an exact error below is 0
LIMIT = 1.1  # of rises


def figures(lines: Sequence[Line]) -> Iterable[tuple[str, Any]]:
    """Each by its number in the paper or its name."""
    # here: the other suites run where matplotlib is not installed
    from matplotlib.figure import Figure

    def panels(rows: int, columns: int, width: float = 4.2, height: float = 3.4) -> Any:
        figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
        return figure, figure.subplots(rows, columns, squeeze=False)

    errors = [x for x in of(lines, name="two") if "error" in x]
    for number, (case, model) in OUTSIDE.items():
        own = of(errors, case=case, model=model)
        if own:
            figure, axes = panels(1, 2, 4.6)
            for k, axis in enumerate(axes[0]):
                outside(axis, of(own, direction=k), k)
            figure.suptitle(
                f"Figure {number}: {model}; {CASES[case]} (thin: one world)", fontsize=10
            )
            yield number, finished(figure, axes)
    for number, case in TURNED.items():
        own = [x for x in of(lines, name="two", case=case, model="vae") if "plain" in x]
        if own:
            kinds = [p for p in STYLES if of(own, preset=p)]
            figure, axes = panels(len(kinds), 2)
            for row, preset in zip(axes, kinds, strict=True):
                turned(row, of(own, preset=preset)[0])
            title = f"Figure {number}: vae; {CASES[case]}; first world"
            figure.suptitle(f"{title}\n(rows of M alike lie on one another)", fontsize=10)
            yield number, finished(figure, axes)
    for number, part in LEARNING.items():
        own = alike(of(lines, name=part))
        if own:
            kinds = [p for p in STYLES if of(own, preset=p)]
            figure, axes = panels(1, len(kinds), 4.6, 3.8)
            for axis, preset in zip(axes[0], kinds, strict=True):
                learning(axis, of(own, preset=preset))
                axis.set_title(f"{preset}: {risen(of(own, preset=preset))}", fontsize=9)
            figure.suptitle(f"Figure {number}: environments never trained in; {titled(own)}",
                            fontsize=10)  # fmt: skip
            yield number, finished(figure, axes)
    own = alike(of(lines, name="remedies"))
    if own:
        figure, axes = panels(1, 2, 4.6, 1 + 0.3 * len(values(own, "remedy")))
        remedies(axes[0], own)
        figure.suptitle(f"{titled(own)}: added to the published settings one at a time\n"
                        "(all: the default settings)", fontsize=10)  # fmt: skip
        yield "remedies", finished(figure, axes)
    own = of(lines, name="sparse", row="temperature")
    if own:
        kinds = values([x | {"kind": kind(x)} for x in own], "kind")
        figure, axes = panels(1, len(kinds))
        for axis, one in zip(axes[0], kinds, strict=True):
            temperature(axis, [x for x in own if kind(x) == one])
            axis.set_title(one, fontsize=9)
        figure.suptitle("environment, by the temperature of its gates", fontsize=10)
        yield "temperature", finished(figure, axes)
    names = {"two", "growing", "l1000", "sparse"}
    if names <= {x["name"] for x in lines}:
        figure, axes = panels(2, 2, 5.6, 4.4)
        overview(axes, lines)
        yield "environments", figure


def kind(line: Line) -> str:
    """Of a world of `sparse`."""
    latents = "latents with causes" if line["network"] else "independent latents"
    return f"{line['mixing']} mixing, {latents}"


def alike(lines: Sequence[Line]) -> list[Line]:
    """Those of the size that comes first."""
    return [x for x in lines if x.get("size") == lines[0].get("size")]


def titled(lines: Sequence[Line]) -> str:
    """What they are of."""
    size = lines[0].get("size")
    number = len(values(lines, "world"))
    return f"{lines[0]['name']}{f', {size} size' if size else ''}, {number} worlds"


def over_profile(line: Line) -> ndarray:
    """Errors by epoch over that of the mean profile; nan where there is no number."""
    return np.array(line["curve"], float) / line["mean_profile"]


def number(value: float | None) -> float:
    """A figure of a line: null is one that grew past all numbers."""
    return np.inf if value is None else value


def risen(lines: Sequence[Line]) -> str:
    """How many curves rise no further than the limit."""
    within = sum(number(x["worst_rise"]) <= LIMIT for x in lines)
    return f"{within} of {len(lines)} curves rise by at most {LIMIT - 1:.0%}"


def means(lines: Sequence[Line], key: str) -> ndarray:
    """Over worlds, at each offset; what is 0 is left out, as axes are logarithmic."""
    found = np.array([x[key] for x in lines], float).mean(axis=0)
    return np.where(found > NONE, found, np.nan)


def outside(axis: Any, lines: Sequence[Line], direction: int) -> None:
    """Errors by offset: the mean of worlds, each of them thin, and the exact ones as marks."""
    at, told = lines[0]["offsets"], []
    for preset, style in STYLES.items():
        own = of(lines, preset=preset)
        if not own:
            continue
        colour = f"C{NAMES.index(own[0]['model'])}"
        for line in own:
            axis.plot(at, line["error"], style, color=colour, lw=0.6, alpha=0.35)
        mean = np.mean([x["error"] for x in own], axis=0)
        axis.plot(at, mean, style, color=colour, label=preset, lw=1.8)
        told.append(f"{preset} {mean[-1]:.3g}")
    for name, mark in ANCHORS.items():
        exact = means(lines, f"anchor_{name}")
        told.append(f"exact, {name} {0 if np.isnan(exact[-1]) else exact[-1]:.3g}")
        if not np.isnan(exact).all():
            axis.plot(at, exact, mark, color="black", ms=3, fillstyle="none",
                      label=f"exact, {name}")  # fmt: skip
    axis.set_yscale("log")
    axis.set_title(f"direction {direction}; at T = {at[-1]:g}: {', '.join(told[:-2])}\n"
                   f"{', '.join(told[-2:])}", fontsize=8)  # fmt: skip
    axis.set(xlabel=f"T: offset of latent {direction}", ylabel="mean square error a feature")


def turned(axes: Any, line: Line) -> None:
    """Cosine distance of each row by angle, with M's first column as it is and negated."""
    ways = {"plain": "M as it is", "flipped": "M's first column negated"}
    for axis, (way, label) in zip(axes, ways.items(), strict=True):
        told = line[way]
        table = np.array(told["distance"], float)
        angles = np.linspace(0, 2, table.shape[1])
        for row, curve in enumerate(table):
            width = 4 - 3 * row / len(table)  # those below show beside those above
            axis.plot(angles, curve, lw=width, color=f"C{row}", label=f"row {row}")
        axis.axvline(told["angle"] / np.pi, color="black", lw=0.8, ls=":")
        axis.set_title(f"{line['preset']}, {label}: nearest at {told['angle'] / np.pi:.2f} pi,\n"
                       f"mean distance {told['mean_distance']:.2g}", fontsize=8)  # fmt: skip
        axis.set(xlabel="angle / pi", ylabel="cosine distance", ylim=(-0.05, 2.05))


def learning(axis: Any, lines: Sequence[Line]) -> None:
    """Errors by epoch over the mean profile's: geometric mean and sd of worlds, by model."""
    for preset in [p for p in STYLES if of(lines, preset=p)]:
        for name in [n for n in NAMES if of(lines, preset=preset, model=n)]:
            curves = [over_profile(x) for x in of(lines, preset=preset, model=name)]
            drawn(axis, curves, f"C{NAMES.index(name)}", STYLES[preset], name)
        share = np.mean([x["components"] / x["mean_profile"] for x in of(lines, preset=preset)])
        axis.axhline(share, color="black", lw=1, ls=STYLES[preset], label="components")
    axis.axhline(1, color="grey", lw=1, ls=":", label="mean profile")
    if any(None in x["curve"] for x in lines):
        axis.plot([], [], "x", color="grey", label="not finite after")
    axis.set_yscale("log")
    axis.set(xlabel="epoch", ylabel="error / that of the mean profile")


def drawn(axis: Any, curves: Sequence[ndarray], colour: str, style: str, label: str) -> None:
    """One model; worlds one by one, thin, once one of them is no number: it ends in a cross."""
    table = np.log(np.stack(curves))
    mean, sd = table.mean(axis=0), table.std(axis=0)
    epochs = np.arange(1, len(mean) + 1)
    axis.plot(epochs, np.exp(mean), style, color=colour, lw=1.4, label=label)
    axis.fill_between(epochs, np.exp(mean - sd), np.exp(mean + sd), color=colour, alpha=0.15, lw=0)
    for curve in curves:
        axis.plot(epochs, np.where(np.isnan(mean), curve, np.nan), style, color=colour, lw=0.6)
        known = np.flatnonzero(np.isfinite(curve))
        if 0 < len(known) and not np.isfinite(curve[-1]):
            axis.plot(epochs[known[-1]], curve[known[-1]], "x", color=colour, ms=7)


def remedies(axes: Any, lines: Sequence[Line]) -> None:
    """A point a model and remedy: geometric mean of worlds; a cross at the edge if not finite."""
    from matplotlib.ticker import LogLocator, NullFormatter

    names = values(lines, "remedy")
    shown = {
        "worst rise after the warm-up": lambda x: number(x["worst_rise"]),
        "final error / that of the mean profile": lambda x: number(x["final"]) / x["mean_profile"],
    }
    for axis, (label, read) in zip(axes, shown.items(), strict=True):
        models = [n for n in NAMES if of(lines, model=n)]
        for place, model in enumerate(models):
            colour = f"C{NAMES.index(model)}"
            axis.plot([], [], "o", color=colour, label=model)
            for row, remedy in enumerate(names):
                found = [read(x) for x in of(lines, model=model, remedy=remedy)]
                mean = np.exp(np.mean(np.log(found))) if found else np.nan
                height = row + 0.5 * (place - (len(models) - 1) / 2) / len(models)
                if np.isinf(mean):
                    axis.plot(1.02, height, "x", color=colour, ms=5, clip_on=False,
                              transform=axis.get_yaxis_transform())  # fmt: skip
                else:
                    axis.plot(mean, height, "o", color=colour, ms=4)
        axis.plot([], [], "x", color="grey", label="not finite in some world")
        axis.axvline(1, color="grey", lw=0.8, ls=":")
        axis.set_yticks(range(len(names)), names, fontsize=8)
        axis.set(xscale="log", xlabel=label, ylim=(len(names) - 0.5, -0.5))
        axis.xaxis.set(major_locator=LogLocator(subs=(1, 1.1, 1.5, 2, 3, 5)),
                       major_formatter="{x:g}", minor_formatter=NullFormatter())  # fmt: skip
        axis.grid(axis="y", alpha=0.3)
    axes[0].axvline(LIMIT, color="grey", lw=0.8, ls="--")


def temperature(axis: Any, lines: Sequence[Line]) -> None:
    """F1, matching and sparsity: mean and standard error over worlds."""
    at = sorted(values(lines, "temperature"))
    for key, label in (("f1", "F1"), ("mcc", "MCC"), ("sparsity", "sparsity of shifts")):
        table = np.array([[x[key] for x in of(lines, temperature=t)] for t in at], float)
        error = table.std(axis=1, ddof=1) / table.shape[1] ** 0.5 if table.shape[1] > 1 else 0
        axis.errorbar(at, table.mean(axis=1), error, label=label, marker="o", ms=3, capsize=2)
    axis.set(xscale="log", xlabel="temperature", ylabel="mean +- se over worlds")


def overview(axes: Any, lines: Sequence[Line]) -> None:
    """Four panels, each with its legend below."""
    errors = [x for x in of(lines, name="two", model="vae") if "error" in x]
    for place, (case, direction) in enumerate((("independent", 0), ("dependent", 1))):
        own = of(errors, case=case, direction=direction)
        colour, label = f"C{6 + 3 * place}", f"{CASES[case][:3]}, direction {direction}"
        for preset, style in STYLES.items():
            some = of(own, preset=preset)
            if some:
                axes[0][0].plot(some[0]["offsets"], np.mean([x["error"] for x in some], axis=0),
                                style, color=colour, label=f"{label}: {preset}")  # fmt: skip
        for name, mark in ANCHORS.items() if own else ():
            exact = means(own, f"anchor_{name}")
            if not np.isnan(exact).all():
                axes[0][0].plot(own[0]["offsets"], exact, mark, color=colour, ms=3.5,
                                fillstyle="none", label=f"{label}: exact, {name}")  # fmt: skip
    axes[0][0].set(yscale="log", xlabel="offset T", ylabel="mean square error a feature")
    axes[0][0].set_title("A VAE far from where it was trained; marks: exact errors", fontsize=9)
    for axis, part in ((axes[0][1], "growing"), (axes[1][0], "l1000")):
        own = alike(of(lines, name=part))
        learning(axis, own)
        told = [f"{p}: {risen(of(own, preset=p))}" for p in STYLES if of(own, preset=p)]
        axis.set_title(f"Environments never trained in; {titled(own)}\n"
                       + "\n".join(told), fontsize=9)  # fmt: skip
        for preset, style in STYLES.items():
            axis.plot([], [], style, color="grey", label=preset)
    plain = [x for x in of(lines, name="sparse") if x["row"] != "temperature"]
    bars(axes[1][1], [x for x in plain if kind(x) == kind(plain[0])])
    for axis, columns in zip(axes.flat, (2, 4, 4, 2), strict=True):
        handles = dict(zip(*axis.get_legend_handles_labels()[::-1], strict=True))
        axis.legend(handles.values(), handles, loc="upper center", bbox_to_anchor=(0.5, -0.14),
                    ncols=columns, fontsize=7, frameon=False)  # fmt: skip
        axis.spines[["top", "right"]].set_visible(False)


def bars(axis: Any, lines: Sequence[Line]) -> None:
    """F1 and MCC of every row of `sparse`, mean and standard error over worlds."""
    rows = values(lines, "row")
    for place, (key, label) in enumerate(
        (("f1", "F1 of the targets named"), ("mcc", "MCC of latents"))
    ):
        found = [np.array([x[key] for x in of(lines, row=r)], float) for r in rows]
        error = [np.std(x, ddof=1) / len(x) ** 0.5 if len(x) > 1 else 0 for x in found]
        heights = np.arange(len(rows)) + 0.4 * place - 0.2
        axis.barh(heights, [x.mean() for x in found], 0.38, xerr=error, label=label,
                  color=("#3182bd", "#9ecae1")[place], error_kw={"lw": 0.8})  # fmt: skip
    axis.set_yticks(range(len(rows)), rows, fontsize=7)
    axis.set(ylim=(len(rows) - 0.5, -0.5), xlim=(0, 1))
    axis.set_title(f"Targets of environments never trained in\n{kind(lines[0])}", fontsize=9)
