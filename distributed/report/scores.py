"""The figures of a score run: summary.json, and the same as text for a terminal."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from epistax.distributed.formats.census import Census
from epistax.distributed.report import embedding
from epistax.distributed.status import DOUBTFUL, TESTED, UNTESTED

TOP, FDR, WIDTH = 10, 0.1, 80
ODD = 0.1  # how far from 1 a common scale of doubles is worth a line


def summary(
    frame: pl.DataFrame, tests: Sequence[str], seconds: Mapping[str, float]
) -> dict[str, Any]:
    """Per test: how many pairs were tested and found, the best of them, seconds taken."""
    first = frame.filter(pl.col("test") == tests[0])
    statuses = {name: of_test(frame.filter(pl.col("test") == name)) for name in tests}
    for name, taken in seconds.items():
        statuses[name]["seconds"] = round(taken, 3)
    failed = frame.filter(pl.col("status") == "failed").height
    return {"pairs": first.height, "n_failed": failed, "tests": statuses}


def of_test(rows: pl.DataFrame) -> dict[str, Any]:
    """One test's entry; `top` by p-value where there is one, else by score."""
    is_tested = pl.col("status").is_in(TESTED)
    tested = rows.filter(is_tested)
    counts = rows.filter(~is_tested)["status"].value_counts().sort("status")
    has_p = tested["p_value"].is_not_null().any()
    order = (["p_value", "score"], [False, True]) if has_p else (["score"], [True])
    best = tested.sort(order[0], descending=order[1], nulls_last=True, maintain_order=True)
    entry: dict[str, Any] = {
        "tested": tested.height,
        "untested": dict(counts.rows()),
        "doubtful": tested.filter(pl.col("status") == "doubtful").height,
        "top": best.select("a", "b", "statistic", "se", "p_value", "q_value").head(TOP).to_dicts(),
    }
    if has_p:
        entry["found"] = {"fdr": FDR, "pairs": tested.filter(pl.col("q_value") <= FDR).height}
    return entry


def left_out(census: Census) -> Iterator[str]:
    """What was read and is not used, a line each."""
    for entry in census.left_out:
        names = f" ({', '.join(entry.examples)})" if entry.examples else ""
        yield f"left out: {entry.count:,} {entry.reason}{names}"


def describe(summary: Mapping[str, Any]) -> str:
    """Tables of at most 80 columns: what each test found, and its best pairs."""
    lines = [*embedded(summary)]
    for name, entry in summary["tests"].items():
        lines += [headline(name, entry), *doubted(entry), *scaled(entry), *judged(entry)]
        lines += [*best(entry), ""]
    if "efaar" in summary:
        lines += [*efaar(summary["efaar"]), ""]
    lines.append(f"scores: {summary['scores']}")
    if "known" in summary:
        lines.append(f"known:  {summary['known']}")
    if "composed" in summary:
        lines.append(f"composed: {summary['composed']}")
    lines.append(f"report: {summary['report']}")
    tested = [name for name, entry in summary["tests"].items() if entry["tested"]]
    if tested:
        which = f" --test {tested[0]}" if len(summary["tests"]) > 1 else ""
        lines.append(f"next:   epistax discover {summary['scores']}{which} --out DIR")
    return "\n".join(lines)


def embedded(summary: Mapping[str, Any]) -> Iterator[str]:
    """What tests saw, where it was not the features, and what it gained; and a blank line."""
    for line in embedding.lines(summary["embedding"]) if "embedding" in summary else ():
        yield from textwrap.wrap(line, WIDTH, subsequent_indent="  ")
    if "embedding" in summary:
        yield ""


def brief(summary: Mapping[str, Any]) -> str:
    """A line or two a test: what it found, and how well it agrees with the truth."""
    lines = []
    for name, entry in summary["tests"].items():
        lines += [headline(name, entry), *scaled(entry)]
        lines += [line for line in judged(entry) if line.startswith(f"  against {entry['truth']}")]
    return "\n".join(lines)


def headline(name: str, entry: Mapping[str, Any]) -> str:
    """Counts of one test."""
    text = f"{name}: {entry['tested']:,} pairs tested"
    if "found" in entry:
        text += f", {entry['found']['pairs']:,} interact at an FDR of {FDR:.0%}"
    untested = [f"{count:,} {UNTESTED[why]}" for why, count in entry["untested"].items()]
    return text + (f"; not tested: {', '.join(untested)}" if untested else "")


def doubted(entry: Mapping[str, Any]) -> Iterator[str]:
    """Pairs whose figures a critic is not to be trusted on."""
    if entry.get("doubtful"):
        yield f"  {entry['doubtful']:,} of them {DOUBTFUL}"


def scaled(entry: Mapping[str, Any]) -> Iterator[str]:
    """How large doubles are for the sum of their singles, where it matters."""
    used, common = (entry.get("scale", {}).get(which, 1.0) for which in ("used", "common"))
    if used != 1:
        yield f"  doubles compared with {used:.3f} times the sum of their singles"
    elif abs(common - 1) > ODD:
        yield f"  doubles are {common:.2f} times the sum of their singles: see --scale auto"


def judged(entry: Mapping[str, Any]) -> Iterator[str]:
    """Truth and known relations."""
    found = {entry["truth"]: entry} if "truth" in entry else {}
    for name, figures in (found | entry.get("known", {})).items():
        if figures["auroc"] is not None:
            yield (
                f"  against {name} ({figures['positives']:,} of {figures['judged']:,} pairs): "
                f"AUROC {figures['auroc']:.3f}, AP {figures['average_precision']:.3f}"
            )
        if "recall" in figures:
            yield from recalled(name, figures, figures["in_screen"])


def recalled(name: str, figures: Mapping[str, Any], in_screen: int) -> list[str]:
    """Recall of one relation, what it is a share of, and what else would reach it."""
    text = f"none of {in_screen:,} known pairs was tested"
    if not in_screen:
        text = "no known pair has both members in the screen"
    elif figures["recall"] is not None:
        text = found_of(figures)
    elif figures["total"]:
        text = f"all {figures['total']:,} pairs are known, none is left to compare with"
    line = f"  known {name}: {text}"
    return textwrap.wrap(line, WIDTH, subsequent_indent="    ", break_long_words=False)


def found_of(figures: Mapping[str, Any]) -> str:
    """The figures in words: known pairs beyond a share of the null, and who else is there."""
    side = "top" if figures["side"] == "upper" else "top or bottom"
    null = f"all {figures['null_pairs']:,}"
    if figures["null"] == "rest":
        null = f"the {figures['null_pairs']:,} others"
    beside = {"95%": interval(figures), "genes as well known": two(figures["by_degree"])}
    beside["chance"] = two(figures["expected"])
    return (
        f"{figures['found']:,} of {figures['total']:,} in the {side} {100 * figures['tail']:g}% "
        f"of {null}: recall {figures['recall']:.3f} "
        f"({'; '.join(f'{what} {value}' for what, value in beside.items() if value)}), "
        f"per gene {two(figures['macro'])} of {figures['genes']:,}"
    )


def interval(figures: Mapping[str, Any]) -> str:
    """Low and high end, nothing where there are none or they tell nothing."""
    low, high = figures["low"], figures["high"]
    return "" if low is None or low == high else f"{two(low)}-{two(high)}"


def two(value: float | None) -> str:
    """Two decimals, nothing where there is nothing."""
    return "" if value is None else f"{value:.2f}"


def efaar(entry: Mapping[str, Any]) -> Iterator[str]:
    """The EFAAR benchmark, both sides."""
    yield f"efaar: signed cosines of {entry['perturbations']:,} single effects"
    words = {"no_single": "not measured alone", "no_effect": "without an effect"}
    left = [f"{entry[key]:,} {why}" for key, why in words.items() if entry[key]]
    if left:
        yield f"  left out: {', '.join(left)}"
    for name, figures in entry["known"].items():
        yield from recalled(name, figures["two_sided"], figures["in_screen"])


def best(entry: Mapping[str, Any]) -> list[str]:
    """The best pairs."""
    rows = [(f"{r['a']} + {r['b']}", *map(figure, list(r.values())[2:])) for r in entry["top"]]
    if not rows:
        return []
    table = [("pair", "statistic", "se", "p", "q"), *rows]
    wide = [max(len(row[k]) for row in table) for k in range(5)]
    shown = [k for k in range(5) if any(row[k] for row in rows)]
    return [
        "  " + "  ".join(r[k].ljust(wide[k]) if k == 0 else r[k].rjust(wide[k]) for k in shown)
        for r in table
    ]


def figure(value: float | None) -> str:
    """Three digits, nothing where there is nothing."""
    return "" if value is None else f"{value:.3g}"
