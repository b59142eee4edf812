"""What a benchmark of causal embeddings found, for summary.json."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from epistax.distributed.causal import trivial
from epistax.distributed.causal.benchmark import Benchmark
from epistax.distributed.report.summaries import spread

EXACT = 1e-9  # share of the error of a profile below which there is none
FIGURES = ("mcc", "f1", "target_accuracy", "disentanglement")


def summed(study: Benchmark, frames: Mapping[str, pl.DataFrame]) -> dict[str, Any]:
    """By model: means and sds over seeds; the worst rise is that of the worst seed."""
    models, profiles = frames["models"], over_environments(study, frames["results"])
    bare = {row["model"]: row["reconstruction"] for row in models.iter_rows(named=True)}
    widths = trivial.names(set(study.widths().values()))
    found = {}
    for (name,), part in models.group_by("model", maintain_order=True):
        latents, rises = part["latents"][0], part["worst_rise"].to_list()
        one = {
            "reconstruction": over(part["reconstruction"]),
            "profile_error": over(profiles.filter(pl.col("model") == name)["profile_error"]),
        }
        if latents is not None:
            beaten = [bare[trivial.MEAN], bare[widths[latents]]]
            one |= {
                "worst_rise": None if None in rises or not np.isfinite(rises).all() else max(rises),
                "exploded": None not in rises and not np.isfinite(rises).all(),
                "ratio": ratio(one["reconstruction"], beaten),
                **{figure: over(part[figure]) for figure in FIGURES},
                "latents": latents,
                "seconds": over(part["seconds"]),
            }
        found[str(name)] = one
    return {
        "step": "benchmark",
        "input": study.table.census.as_dict(),
        "told": study.division.told,
        "seeds": len(study.seeds),
        "held_out": int(study.division.held.sum()),
        "scale": study.options.scale,
        "truth": study.truth is not None,
        "models": found,
    }


def over_environments(study: Benchmark, results: pl.DataFrame) -> pl.DataFrame:
    """Mean error of the mean profiles of environments that validate, or train where none does."""
    split = "validation" if study.division.held.any() else "train"
    rows = results.filter(pl.col("split") == split)
    return rows.group_by("model", "seed", maintain_order=True).agg(pl.col("profile_error").mean())


def over(values: pl.Series) -> dict[str, float | None] | None:
    """Mean, sd and se of the seeds; none where one has no number."""
    there = values.to_list()
    return None if None in there or not np.isfinite(there).all() else spread(there)


def ratio(error: Mapping[str, Any] | None, bare: list[float]) -> float | None:
    """To the better of what is trivial: below 1 something is gained; none where that is exact."""
    exact = min(bare) <= EXACT * max(bare)
    return None if error is None or exact else float(error["mean"] / min(bare))
