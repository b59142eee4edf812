"""The figures of a score run: summary.json, and the same as text for a terminal."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from epistax.distributed.formats.census import Census

TOP, FDR = 10, 0.1


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
    tested = rows.filter(pl.col("status") == "ok")
    counts = dict(rows.filter(pl.col("status") != "ok")["status"].value_counts().rows())
    has_p = tested["p_value"].is_not_null().any()
    order = (["p_value", "score"], [False, True]) if has_p else (["score"], [True])
    best = tested.sort(order[0], descending=order[1], nulls_last=True, maintain_order=True)
    entry: dict[str, Any] = {
        "tested": tested.height,
        "untested": counts,
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
    lines = []
    for name, entry in summary["tests"].items():
        lines += [headline(name, entry), *judged(entry), *best(entry), ""]
    lines.append(f"scores: {summary['scores']}")
    if "composed" in summary:
        lines.append(f"composed: {summary['composed']}")
    which = f" --test {next(iter(summary['tests']))}" if len(summary["tests"]) > 1 else ""
    lines.append(f"next:   epistax discover {summary['scores']}{which} --out DIR")
    return "\n".join(lines)


def headline(name: str, entry: Mapping[str, Any]) -> str:
    """Counts of one test."""
    text = f"{name}: {entry['tested']:,} pairs tested"
    if "found" in entry:
        text += f", {entry['found']['pairs']:,} interact at an FDR of {FDR:.0%}"
    words = {
        "no_single": "without one of their singles",
        "few": "with fewer than 2 observations",
        "undefined": "without an effect",
        "failed": "failed",
    }
    untested = [f"{count:,} {words[why]}" for why, count in entry["untested"].items()]
    return text + (f"; not tested: {', '.join(untested)}" if untested else "")


def judged(entry: Mapping[str, Any]) -> Iterator[str]:
    """Truth and known relations."""
    found = {entry["truth"]: entry} if "truth" in entry else {}
    for name, figures in (found | entry.get("known", {})).items():
        if figures["auroc"] is not None:
            yield (
                f"  against {name} ({figures['positives']:,} of {figures['judged']:,} pairs): "
                f"AUROC {figures['auroc']:.3f}, AP {figures['average_precision']:.3f}"
            )


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
