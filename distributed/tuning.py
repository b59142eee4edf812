"""`discover --tune`: settings of each policy by the papers' grids, on seeds that are not reported.

The grids of appendix D.3 of "Automated Discovery of Pairwise Interactions from Unstructured Data":
rank m, posterior draws k, lambda of IDS, beta of UCB. Every combination that a policy uses, and
the defaults, play the seeds that follow the reported ones; the largest mean area under the
discovery curve wins.
"""

import itertools
from collections.abc import Iterator
from typing import Any

import polars as pl

from epistax.distributed.options import Discover
from epistax.distributed.study import Study
from epistax.engine.stats import metrics

GRIDS = {
    "rank": (3, 5, 7, 10, 12),
    "draws": (500, 750, 1000, 1500),
    "lam": (2.0, 3.0, 4.0, 5.0),
    "beta": (0.01, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0),
}
SEEDS = 2  # runs of every combination
KEPT = {"rank": "auto"}  # values of the options that leave a setting open; None for the others


def used(policy: str) -> tuple[str, ...]:
    """The settings that can change what a policy chooses."""
    if policy == "random":
        return ()
    own = {"ucb": ("beta",)}.get(policy, ())
    return ("rank", *(("draws", "lam") if policy.startswith("ids") else own))


def combinations(policy: str, options: Discover, p: int) -> list[dict[str, Any]]:
    """The defaults, then every combination of what the user left open; no rank beyond p."""
    free = [n for n in used(policy) if getattr(options, n) == KEPT.get(n)]
    grids = [[v for v in GRIDS[n] if n != "rank" or v <= p] for n in free]
    if not free:
        return [{}]
    return [{}, *(dict(zip(free, values, strict=True)) for values in itertools.product(*grids))]


def work(study: Study) -> Iterator[dict[str, Any]]:
    """All runs of the search: no seed of theirs is reported."""
    first = study.options.seed + study.options.seeds
    for policy in study.policies:
        found = combinations(policy, study.options, len(study.pool.names))
        for setting in found if len(found) > 1 else ():
            for seed in range(first, first + SEEDS):
                yield {"policy": policy, "seed": seed, "setting": setting}


def table(study: Study, runs: list[tuple[dict[str, Any], pl.DataFrame]]) -> pl.DataFrame:
    """A row a run: its setting and the area under its discovery curve."""
    q = len(study.pool.score)
    rows = []
    for done, curve in runs:
        measured, found = (curve[c].to_numpy() for c in ("n_measured", "top_fraction"))
        setting = {name: done["setting"].get(name) for name in GRIDS}
        area = metrics.area(measured, found, q)
        rows.append({"policy": done["policy"], **setting, "seed": done["seed"], "area": area})
    kinds = {"rank": pl.Int64, "draws": pl.Int64, "lam": pl.Float64, "beta": pl.Float64}
    ends = {"seed": pl.Int64, "area": pl.Float64}
    return pl.DataFrame(rows, schema={"policy": pl.String, **kinds, **ends}, orient="row")


def best(frame: pl.DataFrame) -> dict[str, dict[str, Any]]:
    """Each policy's setting of the largest mean area, {} the defaults; of equals the first."""
    means = frame.group_by("policy", *GRIDS, maintain_order=True).agg(pl.col("area").mean())
    found = {}
    for rows in means.partition_by("policy", maintain_order=True):
        top = rows.row(int(rows["area"].arg_max() or 0), named=True)
        found[top["policy"]] = {n: top[n] for n in GRIDS if top[n] is not None}
    return found
