"""A fit of causal embeddings: how it learned, and which environments move which latent."""

import polars as pl

from epistax.distributed.formats.where import listed
from epistax.distributed.report import causalcurves
from epistax.distributed.report.causal import read
from epistax.distributed.report.sections.blocks import (
    Block,
    Figures,
    Section,
    Table,
    Text,
    fixed,
    number,
    plural,
)
from epistax.distributed.report.sections.drawn import figure
from epistax.distributed.report.sections.response_rows import lacking
from epistax.distributed.report.sections.runs import Run

EMBEDDING = {
    "environment": pl.String,
    "split": pl.String,
    "n": pl.Int64,
    "member": pl.Int64,
    "latent": pl.Int64,
    "shift": pl.Float64,
    "prior_mean": pl.Float64,
    "prior_sd": pl.Float64,
}
CURVE = {"model": pl.String, "seed": pl.Int64, "epoch": pl.Int64, "validation": pl.Float64}
NAMED = 5  # environments that are named of a latent


def section(run: Run) -> Section:
    """All of it."""
    summary = run.summary
    base = listed(summary["base"])
    beside = (
        f"the reference ({base})" if summary["reference"] else f"{base}, for want of a reference"
    )
    text = (
        f"{summary['model']} with {plural(summary['latents'], 'latent')} was fitted for "
        f"{plural(summary['epochs'], 'epoch')} to {read(summary['input'])}; "
        f"{plural(summary['members'], 'fit')}. {summary['told']}. Shifts are from {beside}, in its "
        "sds."
    )
    blocks: list[Block] = [Text(text), *lacking(summary["input"])]
    every = run.table("embedding", EMBEDDING).filter(pl.col("member") == 1).collect()
    moved = every.filter(~pl.col("environment").is_in(summary["base"]))
    moved = moved.filter(pl.col("shift").is_finite())
    if moved.height:
        blocks.append(table(moved))
    curve = run.table("curve", CURVE).filter(pl.col("validation").is_finite()).collect()
    drawn = []
    if curve.height:
        caption = "Error of held out samples, or of those that train where none are, by epoch."
        drawn.append(figure(run, "validation", caption, causalcurves.validation(curve, {})))
    if moved.height:
        caption = "How far environments move each latent; in the order of the one moved most."
        one = moved.with_columns(model=pl.lit(summary["model"]))
        drawn.append(
            figure(run, "shifts", caption, causalcurves.moved(one, [str(summary["model"])]))
        )
    return Section("Causal embedding", (*blocks, Figures(tuple(drawn))))


def table(moved: pl.DataFrame) -> Table:
    """Which environments move each latent more than any other."""
    size = moved.with_columns(size=pl.col("shift").abs())
    most = size.sort("size", descending=True).unique("environment", keep="first")
    most = most.sort("size", descending=True)
    rows = []
    for (latent,), part in most.sort("latent", maintain_order=True).group_by(
        "latent", maintain_order=True
    ):
        names = [
            f"{name} ({shift:+.1f})"
            for name, shift in zip(part["environment"], part["shift"], strict=True)
        ]
        more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
        rows.append((str(latent), ", ".join(names[:NAMED]) + more, f"{len(names):,}",
                     fixed(part["size"][0], 2), number(part["size"].median())))  # fmt: skip
    head = ("latent", "environments that move it most", "how many", "largest shift", "median")
    note = "Each environment stands with the latent that it shifts most; the farthest first."
    return Table("Latents and who moves them", head, tuple(rows), names=2, note=note)
