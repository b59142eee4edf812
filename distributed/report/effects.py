"""The figures of the verbs `effects ...` as text for a terminal."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

WIDTH = 80
FIGURES = {"rmse": None, "pearson": 3, "tpr_200": 3, "covered_90": 3, "width_90": 2}
HEADS = ("rmse", "pearson", "tpr", "held", "width")


def describe(summary: Mapping[str, Any]) -> str:
    """Tables of at most 80 columns."""
    steps = {"fit": learned, "predict": predicted, "benchmark": compared, "discover": found}
    lines = steps[summary["step"]](summary)
    report = [f"report: {summary['report']}"] if "report" in summary else []
    return "\n".join([*lines, *report])


def learned(summary: Mapping[str, Any]) -> list[str]:
    """How far a fit can be trusted."""
    return [
        f"{summary['model']}, {summary['members']} fit(s) averaged: {summary['rows']:,} rows of "
        f"{summary['genes']:,} genes",
        f"rows not seen ({summary['folds']} parts): rmse {summary['rmse']:.4g}, correlation "
        f"{told(summary['pearson'])}; 90 % intervals",
        f"hold {summary['covered_90']:.1%} at {summary['factor']:.2f} sds, "
        f"{summary['covered_90_told']:.1%} as told",
    ]


def predicted(summary: Mapping[str, Any]) -> list[str]:
    """What was predicted, and what was not."""
    lines = [f"{summary['model']}: {summary['predicted']:,} of {summary['rows']:,} rows predicted"]
    for entry in summary["left_out"]:
        names = f" ({', '.join(entry['examples'])})" if entry["examples"] else ""
        lines.append(f"left out: {entry['count']:,} {entry['reason']}{names}")
    new = sum(count for genes, count in summary["unseen"].items() if genes != "0")
    lines += [f"{new:,} have a gene that no row of the fit had"] if new else []
    if "measured" in summary:
        lines.append(
            f"{summary['measured']:,} have a score: rmse {summary['rmse']:.4g}, correlation "
            f"{told(summary['pearson'])}; 90 % intervals hold {summary['covered_90']:.1%}"
        )
    return [*lines, f"predictions: {summary['predictions']}"]


def compared(summary: Mapping[str, Any]) -> list[str]:
    """Error and what goes with it, by model and size."""
    lines = [
        f"{summary['dataset']}: {summary['rows']:,} rows of {summary['genes']:,} genes",
        f"{summary['n_test']:,} tested, held out: {summary['hold_out']}; "
        f"{summary['seeds']} seed(s)",
        f"tpr: share of the {summary['n_lowest']} lowest found among the lowest predicted; held,",
        "width: of 90 % intervals, width against that of constant ones that hold as many",
        "",
        row(("model", "train", *HEADS, "s")),
    ]
    places = decimals(of["rmse"]["mean"] for sizes in summary["models"].values()
                      for of in sizes.values())  # fmt: skip
    for name, sizes in summary["models"].items():
        for n, of in sizes.items():
            cells = [cell(of[f], places if d is None else d) for f, d in FIGURES.items()]
            lines.append(row((name, f"{int(n):,}", *cells, f"{of['seconds']['mean']:.1f}")))
    return lines


def found(summary: Mapping[str, Any]) -> list[str]:
    """How many of the strongest are found after each round."""
    lines = [
        f"{summary['rows']:,} rows of {summary['genes']:,} genes, model {summary['model']}, "
        f"{len(summary['seeds'])} seed(s)",
        f"of the {summary['top']} strongest ({summary['direction']}), found when so many rows are "
        "measured; in brackets those measured",
        "",
        row(("acquisition", *(f"{n:,}" for n in summary["n_measured"]), "a round")),
    ]
    for name, of in summary["acquisitions"].items():
        both = zip(of["top_200"], of["measured_top"], strict=True)
        cells = [f"{one['mean']:.0f} ({two['mean']:.0f})" for one, two in both]
        gain = "" if of["marginal_gain"] is None else f"{of['marginal_gain']['mean']:.1f}"
        lines.append(row((name, *cells, gain)))
    return lines


def decimals(errors: Iterable[float]) -> int:
    """Places behind the point that tell the least of some errors apart: three digits of it."""
    least = min((error for error in errors if error > 0), default=1.0)
    return max(0, 2 - math.floor(math.log10(least)))


def told(value: float | None) -> str:
    """A correlation, which a constant has none of."""
    return "none" if value is None or value != value else f"{value:.3f}"


def row(cells: Sequence[str]) -> str:
    """Cells of equal width behind a name."""
    first, *rest = cells
    width = min(14, (WIDTH - 18) // max(len(rest), 1))
    return (f"{first:<18}" + "".join(f"{text:>{width}}" for text in rest)).rstrip()


def cell(value: Mapping[str, float | None] | None, digits: int) -> str:
    """The mean."""
    return "" if value is None else f"{value['mean']:.{digits}f}"
