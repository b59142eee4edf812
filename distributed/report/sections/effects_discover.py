"""What rounds of measuring found: the strongest effects, measured or told by the model."""

import polars as pl

from epistax.distributed.report import effectcurves, pictures
from epistax.distributed.report.effects import decimals
from epistax.distributed.report.sections.blocks import (
    Block,
    Figure,
    Figures,
    Section,
    Table,
    Text,
    percent,
    plural,
    spread,
)
from epistax.distributed.report.sections.effects_rows import lacking, rows_of
from epistax.distributed.report.sections.runs import Run

COLUMNS = {
    "acquisition": pl.String,
    "seed": pl.Int64,
    "n_measured": pl.Int64,
    "top_200": pl.Float64,
    "measured_top": pl.Float64,
}
STRONG = {"negative": "lowest", "positive": "highest", "absolute": "largest in size"}


def section(run: Run) -> Section:
    """All of it."""
    summary = run.summary
    sizes, found = summary["n_measured"], summary["acquisitions"]
    text = (
        f"{', '.join(found)} choose among {rows_of(summary)}: "
        f"{sizes[0]:,} at random, then "
        f"{plural(len(sizes) - 1, 'round')} up to {sizes[-1]:,}; {percent(summary['test_share'])} "
        f"are never measured. Model: {summary['model']}; {plural(len(summary['seeds']), 'seed')}. "
        f"Sought are the {summary['top']:,} {STRONG[summary['direction']]} effects: found are "
        "those of them that are also among the strongest once measured values have taken the "
        "place of predictions."
    )
    blocks: list[Block] = [Text(text)]
    blocks += lacking(summary)
    places = decimals(v["mean"] for of in found.values() for v in of.get("rmse", ()))
    head = ("acquisition", *(f"{n:,}" for n in sizes))
    for name, caption, digits in (
        ("top_200", f"Found of the {summary['top']:,} strongest when so many rows are measured", 1),
        (
            "probable_200",
            "The same by probability: of as many rows most probably among the strongest",
            1,
        ),
        ("measured_top", "Of the strongest, measured", 1),
        ("rmse", "Error on the rows that are never measured", places),
    ):
        rows = [(arm, *(spread(v, digits) for v in of[name])) for arm, of in found.items()
                if name in of]  # fmt: skip
        note = "Mean ± sd over seeds." if len(summary["seeds"]) > 1 else ""
        blocks += [Table(caption, head, tuple(rows), note=note)] if rows else []
    curve = run.table("curve", COLUMNS).collect()
    svg, png = pictures.rendered("found", effectcurves.found(curve, summary["top"]))
    caption = (
        "Found as rows are measured: bands span the seeds, dashes are those that were measured; "
        "the rest is found by prediction."
    )
    blocks.append(Figures((Figure("found", caption, svg, png, run.path / "figures"),)))
    return Section("Which combinations next", tuple(blocks))
