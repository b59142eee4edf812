"""`epistax response fit | predict | benchmark | refine`: responses of cells to perturbations.

fit.npz, heldout.parquet   of fit: what is learned; means of groups that fits of its kind had not
                        seen (`known`: other cells of theirs they had)
predictions.parquet     of predict: a row a stratum, arm and gene, with a 90 % interval of the true
                        mean; `control` is the measured mean, `change` what the model makes of
                        the arm; `cells` counts those of the arm and stratum that the fit had
cells.h5ad              of predict --cells: what control cells would have expressed, log scale
results.parquet         of benchmark: a row a model, seed and split (train, test, ood: held out);
                        r2 and pearson are means over groups, of all genes and of DE genes, of
                        expression and of its change from the control; within_stratum_corr, sd_ratio
                        and rmse_individual are of effects on single cells, where their truth is
                        known; `seconds` are those of fitting a seed, many side by side, without
                        `compile_seconds`
curve.parquet           of benchmark: the validation score of each seed as training goes on
means.parquet           of benchmark: measured and predicted means of the DE genes of each group;
                        measured_sd is that of its cells
marginal.parquet        of benchmark: mean of each arm in strata that have seen it, by the model
                        alone, by the arm's cells, and by both, with 95 % intervals (DE genes);
                        estimates.parquet says how good each estimator is
graph.csv, edges.parquet   of refine: the edges that are kept and found; all with their scores
"""

import time
from pathlib import Path
from typing import Any

from epistax.distributed import backends
from epistax.distributed.chunked import left_out, shared
from epistax.distributed.errors import BadInput
from epistax.distributed.options.response import (
    CellOptions,
    ResponseBenchmark,
    ResponseFit,
    ResponsePredict,
    ResponseRefine,
)
from epistax.distributed.progress import Progress
from epistax.distributed.report import page
from epistax.distributed.report.response import describe
from epistax.distributed.response import benchmark as comparing
from epistax.distributed.response import fitting, methods, predicting, refining, stored
from epistax.distributed.response.graphs import GeneGraph, read_graph
from epistax.distributed.response.reading import CellTable, read_cells
from epistax.distributed.response.truth import beside, read_truth
from epistax.distributed.rundir import RunDir

__all__ = ["benchmark", "describe", "fit", "predict", "refine"]


def fit(options: ResponseFit) -> dict[str, Any]:
    """Learn from all cells, and from all but a part of the combinations."""
    table, graph = read(options, options.data)
    fitting.refuse(options, table)
    with RunDir.open(options, inputs=inputs(options, options.data)) as directory:
        if directory.finished:
            return directory.summary
        with Progress(options.verb, quiet=options.quiet) as progress:
            tell(progress, table, methods.remarks([options.model], graph))
            begun = time.monotonic()
            learned, heldout, summary = fitting.learn(options, table, graph)
        directory.write(stored.NAME, stored.encode(learned))
        directory.write_table("heldout", heldout)
        directory.note(seconds=round(time.monotonic() - begun, 1))
        return page.finish(directory, summary)


def predict(options: ResponsePredict) -> dict[str, Any]:
    """Ask a fit."""
    learned = stored.read(Path(options.directory))
    wanted = predicting.read_wanted(options, learned)
    with RunDir.open(options, inputs=[Path(options.directory) / stored.NAME]) as directory:
        if directory.finished:
            return directory.summary
        frame, summary = predicting.predict(learned, wanted)
        path = directory.write_table("predictions", frame)
        summary |= {"predictions": str(path)}
        if options.cells:
            found = predicting.cells_of(learned, wanted)
            summary |= {"cells": str(directory.write("cells.h5ad", found))}
        return directory.finish(summary)


def benchmark(options: ResponseBenchmark) -> dict[str, Any]:
    """Models, trivial predictions and a ceiling, on combinations seen and held out."""
    options = backends.settled(options)
    table, graph = read(options, options.data)
    study = comparing.design(options, table, graph, read_truth(options.data, table))
    files = [*inputs(options, options.data), *beside(options.data)]
    with (
        Progress(options.verb, quiet=options.quiet) as progress,
        RunDir.open(options, inputs=files) as directory,
    ):
        if directory.finished:
            return directory.summary
        begun = time.monotonic()
        tell(progress, table, study.remarks)
        frames = shared(directory, study.work(), study, comparing.TABLES, progress, options)
        for name, frame in frames.items():
            directory.write_table(name, frame)
        directory.note(seconds=round(time.monotonic() - begun, 1))
        return page.finish(
            directory, comparing.summary(study, frames["results"], frames["estimates"])
        )


def refine(options: ResponseRefine) -> dict[str, Any]:
    """Weigh the edges of a graph, and those that it lacks."""
    table, graph = read(options, options.data)
    if graph is None:
        raise BadInput("--graph is missing: the graph that is refined, a table source,target")
    sources = refining.regulators(table, graph)
    refining.read_known(options, table, sources)
    more = [options.targets] if options.targets else []
    with RunDir.open(options, inputs=[*inputs(options, options.data), *more]) as directory:
        if directory.finished:
            return directory.summary
        with Progress(options.verb, quiet=options.quiet) as progress:
            tell(progress, table, graph.remarks)
            frame, summary = refining.weigh(options, table, graph)
        directory.write_table("edges", frame)
        path = directory.write("graph.csv", refining.graph_of(frame))
        return page.finish(directory, summary | {"graph": str(path)})


def read(options: CellOptions, path: str) -> tuple[CellTable, GeneGraph | None]:
    """The cells, and the graph where there is one."""
    table = read_cells(path, options)
    return table, None if options.graph is None else read_graph(options.graph, table.genes)


def inputs(options: CellOptions, path: str) -> list[str]:
    """The files that are read."""
    return [path, *([options.graph] if options.graph else [])]


def tell(progress: Progress, table: CellTable, remarks: tuple[str, ...]) -> None:
    """What was left out, and what is going to happen."""
    for entry in table.census.left_out:
        progress.say(left_out(entry))
    for line in remarks:
        progress.say(line)
