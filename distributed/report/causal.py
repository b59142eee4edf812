"""The figures of the verbs `causal ...` as text for a terminal."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from epistax.distributed.formats.where import listed
from epistax.distributed.report.response import WIDTH, cell
from epistax.distributed.report.sections.blocks import plural

ROOM, WIDEST = 28, 4  # columns of a name, decimals of an error
FIGURES = {"mcc": "MCC", "f1": "F1"}


def describe(summary: Mapping[str, Any]) -> str:
    """Tables of at most 80 columns."""
    steps = {"fit": learned, "predict": predicted, "benchmark": compared}
    lines = steps[summary["step"]](summary)
    report = [f"report: {summary['report']}"] if "report" in summary else []
    return "\n".join([*lines, *report])


def read(found: Mapping[str, Any]) -> str:
    """What the samples are."""
    return (
        f"{found['samples']:,} samples of {found['features']:,} features, "
        f"{plural(found['environments'], 'environment')}"
    )


def learned(summary: Mapping[str, Any]) -> list[str]:
    """What was fitted."""
    text = (
        f"{summary['model']}, {plural(summary['latents'], 'latent')}, "
        f"{plural(summary['epochs'], 'epoch')}: "
        f"{read(summary['input'])}. {summary['told']}."
    )
    lines = textwrap.wrap(text, WIDTH, break_on_hyphens=False)
    kinds = {"reconstruction": "training samples", "validation": "environments held out"}
    for key, words in kinds.items():
        if summary[key] is not None:
            values = ", ".join(f"{value:.4g}" for value in summary[key])
            lines.append(f"mean square error per feature, {words}: {values}")
    return lines


def predicted(summary: Mapping[str, Any]) -> list[str]:
    """What was predicted."""
    return [
        f"{summary['model']}: environments {summary['environments']:,}, of which the fit has not "
        f"seen {summary['unseen']:,};",
        f"features {summary['features']:,}; from samples of {listed(summary['base'])}",
        f"predictions: {summary['predictions']}",
    ]


def compared(summary: Mapping[str, Any]) -> list[str]:
    """What each model reconstructs and predicts, beside what is trivial."""
    text = f"{read(summary['input'])}; {plural(summary['seeds'], 'seed')}. {summary['told']}."
    lines = textwrap.wrap(text, WIDTH, break_on_hyphens=False)
    there = held(summary)
    figures = [name for name in FIGURES if any(of.get(name) for of in summary["models"].values())]
    told = (
        f"Mean square error per feature ({there}) of reconstructed samples (error), beside the "
        "better of mean profile and principal components (ratio), and of predicted mean profiles "
        "(means); rise: the largest of the error over its least before."
    )
    lines += ["", *textwrap.wrap(told, WIDTH, break_on_hyphens=False), ""]
    lines.append(
        row("", ("error", "ratio", "rise", "means", *(FIGURES[name] for name in figures), "s"))
    )
    digits = min(places(summary), WIDEST)
    for name, of in summary["models"].items():
        cells = (
            cell(of["reconstruction"], digits),
            number(of.get("ratio")),
            rise(of),
            cell(of["profile_error"]),
            *(cell(of.get(figure)) for figure in figures),
            cell(of.get("seconds"), 1),
        )
        lines.append(row(name, cells))
    return lines


def row(name: str, cells: Sequence[str]) -> str:
    """Figures behind a name."""
    return (f"{name[:ROOM]:<{ROOM}}" + "".join(f"{text:>7}" for text in cells)).rstrip()


def held(summary: Mapping[str, Any]) -> str:
    """Of which environments the figures are."""
    return "environments held out" if summary["held_out"] else "training environments"


def places(summary: Mapping[str, Any]) -> int:
    """Decimals by which the least error of a model has three digits; 3 to 6."""
    errors = [of["reconstruction"]["mean"] for of in summary["models"].values()
              if "ratio" in of and of["reconstruction"]]  # fmt: skip
    least = min(errors, default=1.0)
    return min(max(2 - math.floor(math.log10(least)), 3), 6) if least > 0 else 6


def rise(of: Mapping[str, Any]) -> str:
    """The worst rise; an error that was once no number has no end."""
    if "worst_rise" not in of:
        return ""
    return "inf" if of["exploded"] else number(of["worst_rise"])


def number(value: float | None) -> str:
    """Three decimals, nothing where there is none."""
    return "" if value is None else f"{value:.3f}"
