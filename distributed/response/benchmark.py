"""Models of responses on combinations left out: one chunk of work is a model, all seeds at once.

Trivial predictions and the ceiling are the first chunk. Nothing but the cells that train and
validate can reach a model.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl

from epistax.distributed.effects.stopwatch import Stopwatch
from epistax.distributed.options.response import ResponseBenchmark
from epistax.distributed.plan import Chunk
from epistax.distributed.report.summaries import spread
from epistax.distributed.response import individuals, judging, methods
from epistax.distributed.response.dividing import Division, divide
from epistax.distributed.response.graphs import GeneGraph
from epistax.distributed.response.judging import Judged
from epistax.distributed.response.marginals import ESTIMATES, MARGINAL, marginals
from epistax.distributed.response.reading import CellTable
from epistax.distributed.response.truth import Truth
from epistax.engine.response import evaluation, trivial
from epistax.engine.response.evaluation import Scores
from epistax.engine.response.individual import Individual

TABLES = ("results", "curve", "means", "marginal", "estimates")
MODELS = ("default",)
TRIVIAL = "trivial"  # the chunk of what needs no model
ROWS = ("control-mean", "control-shift", "stratum-mean", "ceiling")
FIGURES = (*Scores._fields, *Individual._fields)
RESULTS = {
    "model": pl.String,
    "seed": pl.Int64,
    "split": pl.String,
    "evaluation": pl.String,
    "groups": pl.Int64,
    "cells": pl.Int64,
    **dict.fromkeys(FIGURES, pl.Float64),
    "seconds": pl.Float64,
    "compile_seconds": pl.Float64,
}
CURVE = {"model": pl.String, "seed": pl.Int64, "epoch": pl.Int64, "validation": pl.Float64}
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


@dataclass(frozen=True)
class Benchmark:
    """What is compared on which cells; the kernel of its chunks."""

    options: ResponseBenchmark
    division: Division
    judged: tuple[Judged, ...]
    graph: GeneGraph | None
    truth: Truth | None
    models: tuple[str, ...]
    seeds: tuple[int, ...]
    fewest: tuple[int, int, int]

    @property
    def table(self) -> CellTable:
        """The cells."""
        return self.division.table

    def work(self) -> list[dict[str, Any]]:
        """What needs no model, then model by model."""
        return [{"model": name} for name in (TRIVIAL, *self.models)]

    def __call__(self, chunk: Chunk) -> dict[str, pl.DataFrame]:
        """The tables of a model, or of what needs none."""
        name = chunk.work["model"]
        return self.without() if name == TRIVIAL else self.fitted(name)

    def without(self) -> dict[str, pl.DataFrame]:
        """Means of training cells as predictions, and what the true means would reach."""
        train = self.division.groups("train")
        tables = {
            "control-mean": trivial.control_mean(train),
            "control-shift": trivial.control_shift(train),
            "stratum-mean": trivial.stratum_mean(train),
        }
        true = None if self.truth is None else self.truth.mean
        tables |= {"ceiling": true} if true is not None else {}
        rows, means = [], []
        for name in ROWS:
            for part in self.judged:
                single = individuals.NONE
                if name in tables:
                    told = part.of(tables[name])
                    scores = evaluation.scored(part.targets, told)
                    means.append(self.means(name, part, told))
                    if self.followed and name != "ceiling":
                        each = individuals.shared(tables[name], self.truth, self.division)
                        single = self.single(each, part)
                else:
                    scores = evaluation.reachable(part.targets, part.variance)
                if np.isfinite(scores.r2_all[0]):
                    rows.append(self.row(name, self.seeds[0], part, scores, 0, single))
        return frames(rows, [], means)

    def fitted(self, name: str) -> dict[str, pl.DataFrame]:
        """One model, its seeds side by side."""
        config = methods.settings(
            name, self.table, epochs=self.options.epochs, given=self.options.setting
        )
        method = methods.of(config, self.table, self.graph)
        keys = jnp.stack([jax.random.key(seed) for seed in self.seeds])
        data = self.division.data
        with Stopwatch() as watch:
            fits, info = jax.block_until_ready(method.fit(keys, data, ()))
        spent = {
            "seconds": watch.seconds / len(self.seeds),
            "compile_seconds": watch.compiling,
        }
        rows, means = [], []
        alone = [None] * len(self.seeds)
        if self.followed:
            alone = [*individuals.effects(method, fits, self.truth, self.division)]
        for part in self.judged:
            if not len(part.targets.arm):
                continue
            told = judging.predicted(method, fits, self.division, part, self.options)
            scores = evaluation.scored(part.targets, told)
            means.append(self.means(name, part, told))
            rows += [self.row(name, seed, part, scores, at, self.single(alone[at], part)) | spent
                     for at, seed in enumerate(self.seeds)]  # fmt: skip
        looks = [(name, self.seeds[fit], epoch, score)
                 for fit, epoch, score in methods.curve(config, info)]  # fmt: skip
        test = next(part for part in self.judged if part.name == "test")
        by = marginals(name, method, fits, self.division, test, self.truth, self.options.inputs)
        return frames(rows, looks, means) | dict(zip(("marginal", "estimates"), by, strict=True))

    @property
    def followed(self) -> bool:
        """Whether the truth of single cells is known."""
        return self.truth is not None and bool(len(self.truth.rows))

    def single(self, effects: np.ndarray | None, part: Judged) -> Individual:
        """The figures of effects on single cells."""
        if effects is None:
            return individuals.NONE
        return individuals.figures(effects, self.truth, self.division, part.name)

    def row(
        self, name: str, seed: int, part: Judged, scores: Scores, at: int, single: Individual
    ) -> dict[str, Any]:
        """A row of results; a figure that there is none of is null."""
        figures = {f: float(getattr(scores, f)[at]) for f in Scores._fields} | single._asdict()
        return {
            "model": name,
            "seed": seed,
            "split": part.name,
            "evaluation": self.options.evaluation,
            "groups": len(part.targets.arm),
            "cells": int(part.targets.count.sum()),
        } | {f: v if np.isfinite(v) else None for f, v in figures.items()}

    def means(self, name: str, part: Judged, told: np.ndarray) -> pl.DataFrame:
        """Measured and predicted means of the DE genes of each group, the mean over the fits."""
        k, g = np.nonzero(part.targets.strongest)
        targets, mean = part.targets, told.mean(0)
        strata, arms, genes = (np.array(x, object) for x in (
            self.table.strata, self.table.arms.names, self.table.genes))  # fmt: skip
        columns = {
            "model": [name] * len(k),
            "split": [part.name] * len(k),
            "stratum": strata[targets.stratum[k]].tolist(),
            "arm": arms[targets.arm[k]].tolist(),
            "gene": genes[g].tolist(),
            "control": targets.control[k, g],
            "measured": targets.mean[k, g],
            "measured_sd": np.sqrt(part.variance[k, g]),
            "predicted": mean[k, g],
        }
        return pl.DataFrame(columns, schema=MEANS).filter(pl.col("predicted").is_not_nan())

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a reader should know before the run."""
        sizes = [f"{len(getattr(self.division.split, n)):,} {n}" for n in judging.SPLITS]
        held = (
            f"held out in {self.division.category}: {', '.join(self.division.hard)}"
            if self.division.category
            else "nothing is held out: no covariate has two levels"
        )
        groups = ", ".join(f"{len(part.targets.arm):,} of {part.name}" for part in self.judged)
        lines = [f"{', '.join(sizes)} cells", held, f"groups that are judged: {groups}"]
        lines += methods.remarks(self.models, self.graph)
        if self.truth is not None:
            lines.append("the truth is beside the data: single cells are judged too")
        return tuple(lines)


def frames(
    rows: list[dict[str, Any]], looks: list[tuple[str, int, int, float]], means: list[pl.DataFrame]
) -> dict[str, pl.DataFrame]:
    """The tables of a chunk."""
    return {
        "results": pl.DataFrame(rows, schema=RESULTS),
        "curve": pl.DataFrame(looks, schema=CURVE, orient="row"),
        "means": pl.concat([pl.DataFrame(schema=MEANS), *means]),
        "marginal": pl.DataFrame(schema=MARGINAL),
        "estimates": pl.DataFrame(schema=ESTIMATES),
    }


def design(
    options: ResponseBenchmark, table: CellTable, graph: GeneGraph | None, truth: Truth | None
) -> Benchmark:
    """Fill in what the user left open. BadInput for what the cells do not allow."""
    models = tuple(dict.fromkeys(options.model or MODELS))
    methods.refuse(models, table, epochs=options.epochs, given=options.setting)
    division = divide(options, table)
    fewest = judging.least(options, division)
    seeds = tuple(range(options.seed, options.seed + options.seeds))
    judged = judging.judge(division, fewest)
    return Benchmark(options, division, judged, graph, truth, models, seeds, fewest)


def summary(study: Benchmark, results: pl.DataFrame, estimates: pl.DataFrame) -> dict[str, Any]:
    """Mean, sd and se over the seeds, by model and split."""
    models: dict[str, dict[str, Any]] = {}
    for (name, split), part in results.group_by("model", "split", maintain_order=True):
        figures = {f: over(part[f]) for f in (*FIGURES, "seconds")}
        models.setdefault(str(name), {})[str(split)] = figures
    true = study.truth is not None and study.truth.mean is not None
    return {
        "step": "benchmark",
        "input": study.table.census.as_dict(),
        "category": study.division.category,
        "held_out": list(study.division.hard),
        "leak_free": study.options.leak_free,
        "evaluation": study.options.evaluation,
        "seeds": len(study.seeds),
        "fewest": dict(zip(judging.SPLITS, study.fewest, strict=True)),
        "groups": {part.name: len(part.targets.arm) for part in study.judged},
        "ceiling": "the true means" if true else "expected of the true means, by sampling noise",
        "individuals": 0 if study.truth is None else len(study.truth.rows),
        "models": models,
        "marginal": estimates.to_dicts(),
    }


def over(values: pl.Series) -> dict[str, float | None] | None:
    """Mean, sd and se of the seeds that have the figure."""
    there = values.drop_nulls().to_list()
    return spread(there) if there else None
