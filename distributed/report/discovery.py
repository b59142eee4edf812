"""The figures of a discovery run as text for a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

WIDTH = 80


def describe(summary: Mapping[str, Any]) -> str:
    """Tables of at most 80 columns: what was found, and by whom."""
    lines = [*found(summary), *truly(summary), *known(summary), ""]
    lines += [f"figure: {path}" for path in summary["figures"] if path.endswith("png")]
    return "\n".join([*lines, f"report: {summary['report']}"])


def found(summary: Mapping[str, Any]) -> list[str]:
    """Share of the top found by each policy."""
    lines = [
        f"{summary['pairs']:,} pairs of {summary['perturbations']:,} perturbations, "
        f"reward {summary['reward']}, belief {summary['belief']}, {summary['seeds']} seed(s)",
        f"share of the top {summary['top']:.1%} ({summary['top_pairs']:,} pairs) found when this "
        "share is measured",
        "",
    ]
    labels, heads = columns(summary)
    lines.append(row("policy", [*heads, "regret/pair"]))
    for name, of in summary["policies"].items():
        cells = [cell(of["top_fraction"][label], 3) for label in labels]
        lines.append(row(name, [*cells, f"{of['regret_per_pair']['mean']:.4g}"]))
    return lines


def truly(summary: Mapping[str, Any]) -> list[str]:
    """The same of the rewards without noise, where they are known."""
    if "ceiling" not in summary:
        return []
    labels, heads = columns(summary)
    lines = ["", f"share of the top {summary['top']:.1%} by the true reward found"]
    lines.append(row("", [*heads, ""]))
    for name, of in summary["policies"].items():
        lines.append(row(name, [*(cell(of["true_top_fraction"][at], 3) for at in labels), ""]))
    return [*lines, row("ceiling", [*(f"{summary['ceiling'][at]:.3f}" for at in labels), ""])]


def known(summary: Mapping[str, Any]) -> list[str]:
    """Known relations found by each policy."""
    labels, heads = columns(summary)
    lines = []
    for relation, of in summary["known"].items():
        lines += ["", f"known pairs found, {relation} ({of['total']:,} among the pairs)"]
        lines.append(row("", heads))
        for name in summary["policies"]:
            lines.append(row(name, [cell(of["at"][label][name], 0) for label in labels]))
        chance = [of["at"][label]["random_chance"] for label in labels]
        span = [f"{c['expected']:.0f} ({c['low']:.0f}-{c['high']:.0f})" for c in chance]
        lines.append(row("by chance", span))
    return lines


def columns(summary: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """The shares at which to report, and how they are headed; the end only once."""
    labels = list(next(iter(summary["policies"].values()))["top_fraction"])
    end = summary["pairs_measured"] / summary["pairs"]
    if len(labels) > 1 and f"{float(labels[-2]):.1%}" == f"{end:.1%}":
        labels.pop()
    return labels, [f"{end if label == 'end' else float(label):.1%}" for label in labels]


def row(name: str, cells: Sequence[str]) -> str:
    """Cells of equal width behind a name."""
    width = max(9, (WIDTH - 14) // max(len(cells), 1))
    return (f"{name:<13}" + "".join(f" {text:>{min(width, 15) - 1}}" for text in cells)).rstrip()


def cell(value: Mapping[str, float | None], digits: int) -> str:
    """Mean and, where there is one, sd."""
    text = f"{value['mean']:,.{digits}f}"
    if value["sd"] is None:
        return text
    sd = f"{value['sd']:.{digits}f}"
    return f"{text} ±{sd.lstrip('0') if digits else sd}"
