"""How far a fit of effects can be trusted: predictions of rows that it had not seen."""

import polars as pl

from epistax.distributed.report import effectcurves, pictures
from epistax.distributed.report.sections.blocks import (
    Block,
    Figure,
    Figures,
    Section,
    Table,
    Text,
    fixed,
    number,
    percent,
    plural,
)
from epistax.distributed.report.sections.effects_rows import lacking, rows_of
from epistax.distributed.report.sections.runs import Run

NAMES = ("effect", "predicted", "sd", "low", "high")


def drawn_of(rows: int) -> str:
    """How many of the rows are dots."""
    return f"; drawn are {pictures.POINTS:,} of the rows" if rows > pictures.POINTS else ""


def section(run: Run) -> Section:
    """All of it."""
    summary = run.summary
    text = (
        f"{summary['model']} was fitted to {rows_of(summary)}, "
        f"{plural(summary['members'], 'fit')} averaged. The "
        f"figures are of rows predicted by fits of the other {summary['folds'] - 1} of "
        f"{summary['folds']} parts of the rows."
    )
    blocks: list[Block] = [Text(text)]
    blocks += lacking(summary)
    rows = (
        ("root mean squared error", number(summary["rmse"])),
        ("correlation", fixed(summary["pearson"])),
        ("held by 90 % intervals as told", percent(summary["covered_90_told"])),
        ("held by 90 % intervals as calibrated", percent(summary["covered_90"])),
        ("sds to each side of an interval", fixed(summary["factor"], 2)),
    )
    blocks.append(Table("Rows not seen", ("figure", "value"), rows))
    heldout = run.table("heldout", dict.fromkeys(NAMES, pl.Float64)).collect()
    drawn = []
    for name, figure, caption in (
        (
            "predicted",
            effectcurves.scatter(heldout),
            f"Measured against predicted{drawn_of(heldout.height)}.",
        ),
        (
            "coverage",
            effectcurves.coverage(heldout, summary["factor"]),
            "Share of the rows in their intervals; above the line an interval is wider than it "
            "need be, below it too narrow.",
        ),
    ):
        svg, png = pictures.rendered(name, figure)
        drawn.append(Figure(name, caption, svg, png, run.path / "figures"))
    return Section("Effects learned", (*blocks, Figures(tuple(drawn))))
