"""What a response benchmark found: models beside trivial predictions and a ceiling."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from epistax.distributed.report import responsecurves, responsegenes
from epistax.distributed.report.response import SPLITS, held
from epistax.distributed.report.sections.blocks import (
    Block,
    Figures,
    Heading,
    Section,
    Table,
    Text,
    fixed,
    percent,
    spread,
)
from epistax.distributed.report.sections.drawn import figure
from epistax.distributed.report.sections.response_rows import cells_of, lacking
from epistax.distributed.report.sections.runs import Run

TRIVIAL = ("control-mean", "control-shift", "stratum-mean", "ceiling")
SCATTERED = 3  # models drawn side by side
MEANS = {
    "model": pl.String,
    "split": pl.String,
    "stratum": pl.String,
    "arm": pl.String,
    "gene": pl.String,
    "control": pl.Float64,
    "measured": pl.Float64,
    "measured_sd": pl.Float64,
    "predicted": pl.Float64,
}
CURVE = {"model": pl.String, "seed": pl.Int64, "epoch": pl.Int64, "validation": pl.Float64}
HEAD = ("model", "R²", "R² DE", "R² change", "R² change DE", "Pearson change DE")
ALONE = ("within stratum", "sd ratio", "RMSE of a cell")
NOTE = (
    "R² across genes between measured and predicted group means, averaged over groups; DE: the 50 "
    "genes by which the group differs most from its control; change: less the mean control. "
    "control-mean predicts no change; control-shift adds what the perturbation changes in the "
    "other strata; stratum-mean is the group's own mean of training cells. "
)
SINGLE = (
    "Within stratum: correlation of predicted effects on single cells with the true ones, means "
    "of the stratum taken out; sd ratio: how large these departures are beside the true ones. "
)


def section(run: Run) -> Section:
    """All of it."""
    summary = run.summary
    models, groups = summary["models"], summary["groups"]
    inputs = {
        "classic": "the control cells of all strata, their covariates overwritten",
        "native": "all cells of its stratum",
    }[summary["evaluation"]]
    text = (
        f"{cells_of(summary['input'])}. {held(summary)} A group (stratum and perturbation) is "
        f"predicted from {inputs}. Ceiling: {summary['ceiling']}."
    )
    blocks: list[Block] = [Text(text), *lacking(summary["input"])]
    for k, split in enumerate(name for name in SPLITS if groups[name]):
        caption = f"{SPLITS[split]} ({split}): {groups[split]:,} groups"
        blocks.append(table(summary, split, caption, noted=not k))
    if summary["marginal"]:
        blocks.append(marginal(summary["marginal"]))
    first = "ood" if groups["ood"] else "test"
    caption = f"Explained of the groups of {first}; grey needs no model."
    drawn = [figure(run, "models", caption, responsecurves.by_model(models, first, TRIVIAL))]
    means = run.table("means", MEANS).filter(pl.col("split") == first).collect()
    own = [name for name in models if name not in TRIVIAL][: SCATTERED - 1]
    names = [name for name in (*own, "control-shift") if name in set(means["model"])]
    if names:
        drawn.append(figure(run, "changes", f"Change of the DE genes of the groups of {first}, "
                            "mean over seeds.", responsecurves.changes(means, names)))  # fmt: skip
        caption = (
            f"The DE genes that change most in up to four groups of {first}: those that {names[0]} "
            "predicts best and worst and two between, R² of the change of all their DE genes; "
            "bars: sd of the measured cells."
        )
        drawn.append(figure(run, "genes", caption, responsegenes.genes(means, names)))
    curve = run.table("curve", CURVE).drop_nulls().filter(pl.col("validation").is_finite())
    found = curve.collect()
    if found.height:
        caption = "Score on the validation cells while training; bands hold all seeds."
        drawn.append(figure(run, "learning", caption, responsecurves.learning(found)))
    blocks += [Heading("Pictures"), Figures(tuple(drawn))]
    return Section("Responses predicted", tuple(blocks))


def marginal(found: Sequence[Mapping[str, Any]]) -> Table:
    """Means of arms in strata that have seen them, by every estimator."""
    rows = tuple(
        (one["model"], one["estimator"], fixed(one["r2_all"]), fixed(one["r2_de"]),
         fixed(one["rmse_true"]), share(one["covered_95"]))
        for one in found
    )  # fmt: skip
    note = (
        "R² of the estimated means of training cells against the means of the test cells of the "
        "group: by the model alone (naive), by the cells of the arm (sample), by both (robust), by "
        "robust drawn towards naive as far as the two agree (combined). "
        "RMSE and the share held by 95 % intervals are against the true means, where known."
    )
    head = ("model", "estimator", "R²", "R² DE", "RMSE, truth", "held by 95 %")
    caption = "Average effects in strata that have seen the arm"
    return Table(caption, head, rows, names=2, note=note)


def share(value: float | None) -> str:
    """In percent; nothing where there is none."""
    return "" if value is None else percent(value)


def table(summary: Mapping[str, Any], split: str, caption: str, *, noted: bool) -> Table:
    """All models on one split; one table tells what the columns of all of them mean."""
    names = ("r2_all", "r2_de", "r2_change_all", "r2_change_de", "pearson_change_de")
    alone = ("within_stratum_corr", "sd_ratio", "rmse_individual") if summary["individuals"] else ()
    rows = tuple(
        (
            name,
            *(spread(of[split][figure]) for figure in (*names, *alone)),
            fixed((of[split]["seconds"] or {}).get("mean"), 1),
        )
        for name, of in summary["models"].items()
        if split in of
    )
    note = ("Mean ± sd over seeds. " if summary["seeds"] > 1 else "") + NOTE
    note += (SINGLE if alone else "") + "Seconds: of a seed, many fitted side by side."
    head = (*HEAD, *(ALONE if alone else ()), "seconds")
    return Table(caption[0].upper() + caption[1:], head, rows, note=note if noted else "")
