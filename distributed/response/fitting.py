"""A model of responses fitted to all cells, and what its predictions are worth."""

from typing import Any

import jax
import numpy as np
import polars as pl

from epistax.distributed.options.response import ResponseFit
from epistax.distributed.response import calibration, methods
from epistax.distributed.response.calibration import Told
from epistax.distributed.response.dividing import group, refuse_bare
from epistax.distributed.response.graphs import GeneGraph
from epistax.distributed.response.reading import CellTable
from epistax.distributed.response.stored import Learned
from epistax.engine.response.averages import thinned
from epistax.engine.response.differential import CONTROL
from epistax.engine.response.evaluation import Targets, scored
from epistax.engine.response.records import rows
from epistax.engine.stats import prediction

KEPT = 300  # control cells of each stratum that the file holds
HELD = {
    "known": pl.Boolean,
    "stratum": pl.String,
    "arm": pl.String,
    "gene": pl.String,
    "cells": pl.Int64,
    "control": pl.Float64,
    "measured": pl.Float64,
    "predicted": pl.Float64,
    "sd": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
}


def learn(
    options: ResponseFit, table: CellTable, graph: GeneGraph | None
) -> tuple[Learned, pl.DataFrame, dict[str, Any]]:
    """The fit, predictions of combinations by fits that had not seen them, the summary."""
    config = methods.settings(options.model, table, epochs=options.epochs, given=options.setting)
    method = methods.of(config, table, graph)
    members = calibration.keys(options.seed, options.members)
    fits, _ = jax.block_until_ready(method.fit(members, calibration.whole(config, table), ()))
    parts = options.parts or (1 if methods.validated(config) else calibration.PARTS)
    trust, seen, unseen = calibration.trusted(config, table, graph, options.seed, parts)
    controls = np.flatnonzero(table.cells.arm == CONTROL)
    stratum = table.cells.stratum[controls]
    kept = np.sort(np.concatenate([
        controls[thinned(np.flatnonzero(stratum == c), KEPT)] for c in range(len(table.strata))
    ]))  # fmt: skip
    learned = Learned(
        model=options.model,
        config=config,
        genes=table.genes,
        perturbations=table.arms.perturbations,
        arms=table.arms.names,
        strata=table.strata,
        design=table.design,
        graph=None if graph is None or options.model not in methods.GRAPHIC else graph.edges,
        members=options.members,
        fits=fits,
        controls=rows(table.cells, kept),
        rows=table.rows[kept],
        count=calibration.group_count(table),
        control=group(table, rows(table.cells, controls)).mean[:, CONTROL],
        trust=trust,
        sep=options.sep,
    )
    frame = pl.concat([heldout(learned, one, known) for one, known in ((seen, True),
                                                                     (unseen, False))])  # fmt: skip
    figures = {
        "step": "fit",
        "input": table.census.as_dict(),
        "model": options.model,
        "members": options.members,
        "parts": parts,
        "seen": judged(learned, seen, known=True),
        "unseen": judged(learned, unseen, known=False),
    }
    return learned, frame, figures


def refuse(options: ResponseFit, table: CellTable) -> None:
    """What cannot be fitted. BadInput."""
    methods.refuse((options.model,), table, epochs=options.epochs, given=options.setting)
    refuse_bare(table, group(table, table.cells))


def heldout(learned: Learned, one: Told, known: bool) -> pl.DataFrame:
    """Measured and predicted means of groups, every gene a row."""
    k, g = len(one.arm), len(learned.genes)
    spread = learned.trust.spread(known)
    sd = spread.sd(one.change)
    half = spread.factor * sd
    columns = {
        "known": [known] * (k * g),
        "stratum": np.repeat(np.array(learned.strata, object)[one.stratum], g).tolist(),
        "arm": np.repeat(np.array(learned.arms, object)[one.arm], g).tolist(),
        "gene": list(learned.genes) * k,
        "cells": np.repeat(one.count, g),
    } | {
        name: values.ravel()
        for name, values in (
            ("control", one.predicted - one.change),
            ("measured", one.measured),
            ("predicted", one.predicted),
            ("sd", sd),
            ("low", one.predicted - half),
            ("high", one.predicted + half),
        )
    }
    return pl.DataFrame(columns, schema=HELD)


def judged(learned: Learned, one: Told, *, known: bool) -> dict[str, Any] | None:
    """How well the groups are predicted; nothing where there are none."""
    if not len(one.arm):
        return None
    spread = learned.trust.spread(known)
    control = one.predicted - one.change
    largest = np.argsort(-np.abs(one.measured - control), axis=1)[:, :50]
    strongest = np.zeros(one.measured.shape, bool)
    np.put_along_axis(strongest, largest, True, axis=1)
    targets = Targets(one.stratum, one.arm, one.count, one.measured, control, strongest)
    scores = scored(targets, one.predicted[None])
    error = one.measured - one.predicted
    half = spread.half(one.change, one.noise)
    return {
        "groups": len(one.arm),
        "r2": float(scores.r2_all[0]),
        "r2_change_strongest": float(scores.r2_change_de[0]),
        "rmse": prediction.rmse(one.measured.ravel(), one.predicted.ravel()),
        "covered_90": prediction.covered(error.ravel(), half.ravel()),
        "factor": spread.factor,
    }
