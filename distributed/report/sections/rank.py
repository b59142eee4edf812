"""What a rank run found: the first pairs of every measure, and the audit of the approximation."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from epistax.distributed.report import pictures as drawing
from epistax.distributed.report.sections.blocks import (
    Block,
    Figure,
    Figures,
    Heading,
    Items,
    Section,
    Table,
    Text,
    fixed,
    left_out,
    padded,
    percent,
    plural,
)
from epistax.distributed.report.sections.runs import Run

ROWS = 200  # of the first pairs of a measure
COLUMNS = {"measure": pl.String, "rank": pl.Int64, "a": pl.String, "b": pl.String,
           "score": pl.Float64, "exact": pl.Float64}  # fmt: skip
AUDIT = {"measure": pl.String, "sample": pl.String, "score": pl.Float64, "exact": pl.Float64}
SAMPLES = {
    "all": "all pairs, computed exactly anyway",
    "random": "random pairs",
    "genes": "all pairs of some perturbations",
}
MEANS = {
    "mmd:near": "MMD² in units of what both do: 0 the same, 1 nothing in common, 2 opposite",
    "mmd:far": "MMD², unbiased",
    "cosine:near": "cosine of mean effects: 1 the same direction",
    "cosine:far": "cosine of mean effects: -1 opposite directions",
    "cosine:abs": "size of the cosine of mean effects",
    "additive": "norm of the sum of mean effects",
}


def section(run: Run) -> Section:
    """All of it."""
    summary = run.summary
    items = [*left_out((summary.get("input") or {}).get("left_out")), *inactive(summary)]
    blocks: list[Block] = [Text(read(summary))]
    blocks += [Items("Left out", tuple(items))] if items else []
    blocks += [*audit(summary), Heading("First pairs")]
    blocks += [first(run, name, entry) for name, entry in summary["measures"].items()]
    drawn = tuple(pictures(run))
    blocks += [Heading("Approximate and exact"), Figures(drawn)] if drawn else []
    return Section("All pairs by single effects", tuple(blocks))


def read(summary: Mapping[str, Any]) -> str:
    """What was read, in a paragraph."""
    names = plural(summary["perturbations"], "perturbation")
    return (
        f"Read {summary['input']['source']}: {names}, {plural(summary['pairs'], 'pair')}. Pairs "
        "are ranked by what their members do alone; doubles in the file are not looked at but to "
        "test the pairs kept."
    )


def inactive(summary: Mapping[str, Any]) -> Iterator[str]:
    """Perturbations that do nothing."""
    for name, entry in summary["measures"].items():
        if entry["inactive"]:
            yield f"{entry['inactive']:,} – do not differ from the control ({name})"


def audit(summary: Mapping[str, Any]) -> Iterator[Table]:
    """A row a measure and sample: how much of the exact top the approximation finds."""
    rows, share = [], 0.01
    for name, entry in summary["measures"].items():
        found = entry.get("audit") or {}
        share = found.get("share", share)
        for sample, words in SAMPLES.items():
            if sample in found:
                part = found[sample]
                whole = sample == "all" or part["low"] is None
                span = "" if whole else f"{fixed(part['low'])}–{fixed(part['high'])}"
                rows.append((name, words, f"{part['pairs']:,}", f"{part['total']:,}",
                             fixed(part["recall"]), span, fixed(part["correlation"], 4),
                             f"{2 * entry['frequencies']:,}"))  # fmt: skip
    if rows:
        head = ("measure", "sample", "pairs", "in the top", "recall", "95 %", "correlation",
                "features")  # fmt: skip
        note = (
            f"Recall: the share of the exact top {percent(share)} of the sample that is in the "
            "approximate top of the same size. Correlation: of both values over all its pairs."
        )
        caption = "Audit: what the random features miss"
        yield Table(caption, head, tuple(rows), names=2, note=note)


def first(run: Run, name: str, entry: Mapping[str, Any]) -> Table:
    """The first pairs of a measure, with the tests of their doubles where there are any."""
    figures = [f"{t}_{v}" for t in run.summary.get("tests") or {} for v in ("statistic", "q_value")]
    frame = run.table("ranked", COLUMNS | dict.fromkeys(figures, pl.Float64))
    rows = frame.filter(pl.col("measure") == name).head(ROWS).collect()
    out = [
        (f"{r['rank']}", f"{r['a']} + {r['b']}", padded(r["score"]), padded(r["exact"]),
         *("" if r[f] is None else padded(r[f]) for f in figures))
        for r in rows.iter_rows(named=True)
    ]  # fmt: skip
    head = ("", "pair", "score", "exact", *(f.replace("_value", "").replace("_", " ")
                                            for f in figures))  # fmt: skip
    kept = [k for k in range(len(head)) if k < 4 or any(row[k] for row in out)]
    which = name if entry["order"] not in ("near", "far") else f"{name}, {entry['order']} first"
    return Table(
        f"{which}: {len(out):,} of {plural(entry['pairs'], 'pair')}",
        tuple(head[k] for k in kept),
        tuple(tuple(row[k] for k in kept) for row in out),
        names=2,
        note=f"{MEANS.get(key(name, entry), '')}. Score ranked all pairs; exact orders these.",
    )


def key(name: str, entry: Mapping[str, Any]) -> str:
    """A measure with its order."""
    return f"{name}:{entry['order']}" if entry["order"] in ("near", "far") else name


def pictures(run: Run) -> Iterator[Figure]:
    """Approximate against exact values of the audit, a picture a measure."""
    names = [n for n, entry in run.summary["measures"].items() if entry.get("audit")]
    for name in names:
        chosen = (pl.col("measure") == name) & (pl.col("sample") != "genes")
        pairs = drawing.sampled(run.table("audit", AUDIT).filter(chosen).collect())
        if not pairs.height:
            continue
        figure, axes = drawing.canvas()
        axes.scatter(pairs["exact"], pairs["score"], s=6, color="0.6", lw=0)
        ends = [float(v) for v in np.quantile(pairs["exact"].to_numpy(), (0, 1))]
        axes.plot(ends, ends, color="black", lw=0.8, ls="--", label="equal")
        axes.set_xlabel("exact")
        axes.set_ylabel("by random features")
        svg, png = drawing.rendered("audit", drawing.finish(figure, axes))
        caption = f"{name}: {plural(pairs.height, 'pair')} of the audit"
        yield Figure("audit", caption, svg, png, folder(run))


def folder(run: Run) -> Path:
    """Where pictures go."""
    return run.path / "figures"
