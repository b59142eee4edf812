"""The figures of a discovery run as text for a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

WIDTH = 80


def describe(summary: Mapping[str, Any]) -> str:
    """A table of at most 80 columns: what was found, and by whom."""
    q, p = summary["pairs"], summary["perturbations"]
    lines = [
        f"{q:,} pairs of {p:,} perturbations, reward {summary['reward']}, "
        f"belief {summary['belief']}, {summary['seeds']} seed(s)",
        f"share of the top {summary['top']:.1%} ({summary['top_pairs']:,} pairs) found when this "
        "share is measured",
        "",
    ]
    policies = summary["policies"]
    labels = list(next(iter(policies.values()))["top_fraction"])
    end = summary["pairs_measured"] / q
    if len(labels) > 1 and f"{float(labels[-2]):.1%}" == f"{end:.1%}":
        labels.pop()  # the last share asked for is the end
    heads = [f"{end:.1%}" if label == "end" else f"{float(label):.1%}" for label in labels]
    lines.append(row("policy", [*heads, "regret/pair"]))
    for name, found in policies.items():
        cells = [cell(found["top_fraction"][label], 3) for label in labels]
        lines.append(row(name, [*cells, f"{found['regret_per_pair']['mean']:.4g}"]))
    if "ceiling" in summary:
        lines += ["", f"share of the top {summary['top']:.1%} by the true reward found"]
        lines.append(row("", [*heads, ""]))
        for name, found in policies.items():
            cells = [cell(found["true_top_fraction"][label], 3) for label in labels]
            lines.append(row(name, [*cells, ""]))
        best = [f"{summary['ceiling'][label]:.3f}" for label in labels]
        lines.append(row("ceiling", [*best, ""]))
    for relation, found in summary["known"].items():
        total = found["total"]
        lines += ["", f"known pairs found, {relation} ({total:,} among the pairs)"]
        lines.append(row("", heads))
        for name in policies:
            lines.append(row(name, [cell(found["at"][label][name], 0) for label in labels]))
        chance = [found["at"][label]["random_chance"] for label in labels]
        lines.append(
            row(
                "by chance",
                [f"{c['expected']:.0f} ({c['low']:.0f}-{c['high']:.0f})" for c in chance],
            )
        )
    lines += ["", *(f"figure: {path}" for path in summary.get("figures", []))]
    return "\n".join(lines)


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
