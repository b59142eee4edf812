"""The figures of the verbs `response ...` as text for a terminal."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from epistax.distributed.formats.where import listed

WIDTH = 80
SPLITS = {
    "ood": "held out",
    "test": "seen combinations, other cells",
    "train": "training cells",
}
FIGURES = {
    "r2_all": "R2",
    "r2_de": "R2 DE",
    "r2_change_all": "change",
    "r2_change_de": "ch. DE",
    "pearson_change_de": "corr",
    "within_stratum_corr": "cells",
    "sd_ratio": "spread",
}


def describe(summary: Mapping[str, Any]) -> str:
    """Tables of at most 80 columns."""
    steps = {"fit": learned, "predict": predicted, "benchmark": compared, "refine": refined}
    lines = steps[summary["step"]](summary)
    report = [f"report: {summary['report']}"] if "report" in summary else []
    return "\n".join([*lines, *report])


def learned(summary: Mapping[str, Any]) -> list[str]:
    """How far a fit can be trusted."""
    found = summary["input"]
    lines = [
        f"{summary['model']}, {summary['members']} fit(s) averaged: {found['cells']:,} cells of "
        f"{found['genes']:,} genes,",
        f"{found['perturbations']} perturbations, {found['strata']} strata",
    ]
    for key, words in (("seen", "seen, other cells"), ("unseen", "not seen")):
        one = summary[key]
        if one is None:
            lines.append(f"combinations {words}: none could be left out")
            continue
        lines += [
            f"combinations {words} ({one['groups']}): R2 {one['r2']:.3f}, of the change of the "
            "strongest",
            f"  genes {one['r2_change_strongest']:.3f}; 90 % intervals hold "
            f"{one['covered_90']:.1%} at {one['factor']:.2f} sds",
        ]
    return lines


def predicted(summary: Mapping[str, Any]) -> list[str]:
    """What was predicted."""
    lines = [
        f"{summary['model']}: arms {summary['arms']:,}, strata {summary['strata']:,}, genes "
        f"{summary['genes']:,}; combinations that the fit had not seen {summary['unseen']:,}",
        f"{summary['changed']:.1%} of the changes are larger than their interval reaches",
    ]
    if not summary["trusted"]:
        lines.append("no interval: nothing could be left out of the fit to learn its errors from")
    lines.append(f"predictions: {summary['predictions']}")
    return [*lines, f"cells: {summary['cells']}"] if "cells" in summary else lines


def compared(summary: Mapping[str, Any]) -> list[str]:
    """What each model explains of each split, beside what is trivial."""
    found, groups = summary["input"], summary["groups"]
    text = (
        f"{found['cells']:,} cells of {found['genes']:,} genes, {found['perturbations']} "
        f"perturbations, {found['strata']} strata; {summary['seeds']} seed(s). {held(summary)}"
    )
    lines = textwrap.wrap(text, WIDTH, break_on_hyphens=False)
    single = summary["individuals"] > 0
    names = [name for name in FIGURES if single or name not in ("within_stratum_corr", "sd_ratio")]
    lines += textwrap.wrap(
        f"R2 across genes of group means ({summary['evaluation']} evaluation), all genes and DE "
        "genes; change, corr: of the change from the control"
        + ("; cells, spread: effects on single cells, their correlation with the truth and their "
           "sd beside it, stratum means taken out" if single else "")
        + f". Ceiling: {summary['ceiling']}.", WIDTH, break_on_hyphens=False)  # fmt: skip
    for split, words in SPLITS.items():
        if not groups[split]:
            continue
        lines += ["", row((f"{split}: {words}, {groups[split]:,} groups",)),
                  row(("", *(FIGURES[name] for name in names), "s"))]  # fmt: skip
        for name, of in summary["models"].items():
            if split in of:
                cells = [cell(of[split][figure]) for figure in names]
                lines.append(row((name, *cells, cell(of[split]["seconds"], 0))))
    return lines


def refined(summary: Mapping[str, Any]) -> list[str]:
    """What became of a graph."""
    lines = [
        f"{summary['regulators']} regulators; of {summary['prior']:,} edges {summary['kept']:,} "
        f"stay, {summary['new']:,} new ones come",
    ]
    for name, judged in summary["judged"].items():
        lines += ["", f"average precision by {name} ({summary['known'][name]:,} true edges)",
                  row(("", "all", "", "graph", "", "new"), 22),
                  row(("", *["micro", "macro"] * 3), 22)]  # fmt: skip
        for score, of in judged.items():
            cells = [
                of[part][how] for part in ("all", "prior", "new") for how in ("micro", "macro")
            ]
            shown = ["" if x is None or x != x else f"{x:.3f}" for x in cells]
            lines.append(row((score[:22], *shown), 22))
    return [*lines, f"graph: {summary['graph']}"]


def held(summary: Mapping[str, Any]) -> str:
    """What is held out."""
    if not summary["category"]:
        return "Nothing is held out."
    names = listed(summary["held_out"])
    how = ", chosen without them" if summary["leak_free"] else ""
    return f"Held out in {summary['category']}: {names} ({len(summary['held_out'])} in all{how})."


def row(cells: Sequence[str], room: int = 15) -> str:
    """Cells of equal width behind a name."""
    first, *rest = cells
    return (f"{first:<{room}}" + "".join(f"{text:>8}" for text in rest)).rstrip()


def cell(value: Mapping[str, float | None] | None, digits: int = 3) -> str:
    """The mean."""
    return "" if value is None else f"{value['mean']:.{digits}f}"
