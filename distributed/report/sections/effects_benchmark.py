"""What an effects benchmark found: error by model and number of training rows."""

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
    fixed,
    plural,
    spread,
)
from epistax.distributed.report.sections.effects_rows import lacking, rows_of
from epistax.distributed.report.sections.runs import Run

LEVELS = {
    "pair": "A tested row is a new combination of genes that other rows show.",
    "gene": "A tested row has exactly one gene that no training row has.",
    "both_genes": "A tested row has no gene that a training row has.",
}
COLUMNS = {"model": pl.String, "n_train": pl.Int64, "rmse": pl.Float64}


def section(run: Run) -> Section:
    """All of it."""
    summary = run.summary
    measured = (
        f"{rows_of(summary)}; {summary['n_test']:,} are tested, "
        f"{plural(summary['seeds'], 'seed')}. "
        f"{LEVELS[summary['hold_out']]}"
    )
    blocks: list[Block] = [Text(measured)]
    blocks += lacking(summary)
    places = decimals(of["rmse"]["mean"] for sizes in summary["models"].values()
                      for of in sizes.values())  # fmt: skip
    rows = [
        (
            name,
            f"{int(n):,}",
            fixed(of["gene_frequency"], 1),
            spread(of["rmse"], places),
            spread(of["pearson"]),
            spread(of["tpr_200"]),
            fixed((of["covered_90"] or {}).get("mean")),
            fixed((of["width_90"] or {}).get("mean"), 2),
            fixed((of["seconds"] or {}).get("mean"), 1),
        )
        for name, sizes in summary["models"].items()
        for n, of in sizes.items()
    ]
    note = "Mean ± sd over seeds. " if summary["seeds"] > 1 else ""
    note += (
        f"Lowest found: share of the {summary['n_lowest']} lowest tested rows among as many lowest "
        "predicted. Held: share of the rows in their 90 % interval; width: mean width over that of "
        "a constant interval that holds as many, below 1 where a model knows which rows it "
        "predicts well; models without an sd of their own have that of their validation errors. "
        "Seconds are those of fitting, without compiling, over the seeds fitted side by side."
    )
    head = ("model", "training rows", "rows a gene", "RMSE", "Pearson", "lowest found", "held",
            "width", "seconds")  # fmt: skip
    blocks.append(Table("Error on the tested rows", head, tuple(rows), note=note))
    svg, png = pictures.rendered(
        "learning", effectcurves.learning(run.table("results", COLUMNS).collect())
    )
    caption = "Error on the tested rows as more rows train; bars are standard errors over seeds."
    blocks.append(Figures((Figure("learning", caption, svg, png, run.path / "figures"),)))
    return Section(f"Effects predicted: {summary['dataset']}", tuple(blocks))
