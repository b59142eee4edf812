"""A refined graph: how many edges stay, go and come, and how well edges are ranked."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from epistax.distributed.report.sections.blocks import Block, Section, Table, Text, fixed, plural
from epistax.distributed.report.sections.response_rows import cells_of, lacking
from epistax.distributed.report.sections.runs import Run

SHOWN = 20
EDGES = {
    "source": pl.String,
    "target": pl.String,
    "score": pl.Float64,
    "weight": pl.Float64,
    "prior": pl.Boolean,
    "refined": pl.Boolean,
}
PARTS = {"all": "all edges", "prior": "of the graph", "new": "new edges"}
NOTE = (
    "Average precision: of all edges at once (micro), and its mean over regulators (macro); chance "
    "is the share of true edges. Of the graph: are its wrong edges behind its right ones? New: are "
    "true edges found that it lacks? All rows but `refined` need no training."
)


def section(run: Run) -> Section:
    """All of it."""
    summary = run.summary
    text = (
        f"{cells_of(summary['input'])}; {plural(summary['regulators'], 'regulator')}. Of the "
        f"{plural(summary['prior'], 'edge')} of the graph {summary['kept']:,} stay, "
        f"{plural(summary['new'], 'new edge')} come."
    )
    blocks: list[Block] = [Text(text), *lacking(summary["input"])]
    for name, judged in summary["judged"].items():
        blocks.append(ranked(name, judged, summary["known"][name]))
    edges = run.table("edges", EDGES)
    new = edges.filter(pl.col("refined") & ~pl.col("prior")).head(SHOWN).collect()
    gone = edges.filter(~pl.col("refined") & pl.col("prior")).tail(SHOWN).collect().reverse()
    for frame, caption in (
        (new, "The surest new edges"),
        (gone, "The least sure of those that go"),
    ):
        if frame.height:
            rows = tuple(
                (one["source"], one["target"], fixed(one["score"], 2), fixed(one["weight"]))
                for one in frame.iter_rows(named=True)
            )
            head = ("source", "target", "score", "weight")
            blocks.append(Table(caption, head, rows, names=2))
    return Section("Graph refined", tuple(blocks))


def ranked(name: str, judged: Mapping[str, Any], count: int) -> Table:
    """Average precision of every score, on every part."""
    head = ("score", *(f"{words}, {how}" for words in PARTS.values() for how in ("micro", "macro")))
    rows = [
        (score, *(fixed(of[part][how]) for part in PARTS for how in ("micro", "macro")))
        for score, of in judged.items()
    ]
    first = next(iter(judged.values()))
    chance = [text for part in PARTS for text in (fixed(first[part]["chance"]), "")]
    return Table(f"Edges ranked, by {name} ({count:,} true)", head,
                 (*rows, ("chance", *chance)), note=NOTE)  # fmt: skip
