"""How far a fit of responses can be trusted: combinations that fits of its kind had not seen."""

import polars as pl

from epistax.distributed.report import responsecurves, responsegenes
from epistax.distributed.report.sections.blocks import (
    Block,
    Figures,
    Section,
    Table,
    Text,
    fixed,
    number,
    percent,
    plural,
)
from epistax.distributed.report.sections.drawn import figure
from epistax.distributed.report.sections.response_rows import cells_of, lacking
from epistax.distributed.report.sections.runs import Run

COLUMNS = {
    "known": pl.Boolean,
    "stratum": pl.String,
    "arm": pl.String,
    "gene": pl.String,
    "control": pl.Float64,
    "measured": pl.Float64,
    "predicted": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
}
WORDS = {"seen": "seen, other cells", "unseen": "not seen"}


def section(run: Run) -> Section:
    """All of it."""
    summary = run.summary
    text = (
        f"{summary['model']} was fitted to {cells_of(summary['input'])}, "
        f"{plural(summary['members'], 'fit')} averaged. The figures are of means of combinations "
        f"(stratum and arm) by {plural(summary['parts'], 'further fit')}, each without a fifth of "
        "the combinations and without a fifth of the other cells."
    )
    blocks: list[Block] = [Text(text), *lacking(summary["input"])]
    found = {words: summary[key] for key, words in WORDS.items() if summary[key] is not None}
    rows = tuple(
        (words, f"{one['groups']:,}", fixed(one["r2"]), fixed(one["r2_change_strongest"]),
         number(one["rmse"]), percent(one["covered_90"]), fixed(one["factor"], 2))
        for words, one in found.items()
    )  # fmt: skip
    head = ("combinations", "groups", "R²", "R² of the change", "RMSE", "held by 90 %", "sds")
    note = (
        "R² across genes of group means; of the change: of the 50 genes that change most. Held: by "
        "90 % intervals together with the sampling noise of the measured mean; sds: their half "
        "width."
    )
    blocks.append(Table("What was left out", head, rows, note=note))
    table = run.table("heldout", COLUMNS).collect()
    named = table.with_columns(
        model=pl.when("known").then(pl.lit(WORDS["seen"])).otherwise(pl.lit(WORDS["unseen"]))
    )
    if found:
        caption = "Measured against predicted change from the control, a dot a gene of a group."
        drawn = [figure(run, "changes", caption, responsecurves.changes(named, list(found)))]
        kind = list(found)[-1]  # not seen, where there are such
        part = named.filter(pl.col("model") == kind).with_columns(model=pl.lit(summary["model"]))
        caption = (
            f"The genes that change most in up to four combinations {kind}: those predicted best "
            "and worst and two between, R² of the change of all genes; bars: 90 % intervals of "
            "the true mean."
        )
        drawn.append(figure(run, "genes", caption, responsegenes.genes(part, [summary["model"]])))
        blocks.append(Figures(tuple(drawn)))
    return Section("Responses learned", tuple(blocks))
