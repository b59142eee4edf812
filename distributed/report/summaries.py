"""The figures of a discovery run, for summary.json."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
import polars as pl

from epistax.distributed.study import Study
from epistax.engine.stats import metrics


def of_discovery(
    study: Study, frames: Mapping[str, pl.DataFrame], relations: Mapping[str, Any], *, census: Any
) -> dict[str, Any]:
    """Per policy: share of the top found, regret, area, known pairs; mean and sd over seeds."""
    data, options = study.pool, study.options
    q = len(data.score)
    done = int(frames["curve"]["round"].max())
    return {
        "input": census.as_dict(),
        "perturbations": len(data.names),
        "pairs": q,
        "left_out": [asdict(entry) for entry in data.left_out],
        "reward": options.reward,
        "belief": study.belief_name,
        "batch": study.batch,
        "rounds": done,
        "rounds_asked": options.rounds,
        "pairs_measured": study.total,
        "seeds": options.seeds,
        "top": options.top,
        "top_pairs": int(study.wanted.sum()),
        "policies": {
            name: of_policy(study, frames["curve"].filter(pl.col("policy") == name))
            for name in study.policies
        },
        **(ceiling(study) if study.truth is not None else {}),
        "paired": {"first": study.policies[0], "against": paired(study, frames["curve"])},
        "known": {
            relation: of_relation(study, frames["known"].filter(pl.col("relation") == relation))
            | {"total": int(inside.sum()), "census": found.census.as_dict()}
            for relation, (found, inside) in relations.items()
        },
    }


def of_policy(study: Study, curve: pl.DataFrame) -> dict[str, Any]:
    """One policy's row of the summary. Shares between two rounds are interpolated linearly."""
    q = len(study.pool.score)
    runs = by_seed(curve)
    kinds = ["top_fraction", *(["true_top_fraction"] if study.truth is not None else [])]
    found = {
        kind: {
            label: spread([at_share(run, kind, share, q) for run in runs])
            for label, share in shares(study)
        }
        for kind in kinds
    }
    regret = [run["regret"].sum() / run["n_measured"].max() for run in runs]
    return found | {
        "area_under_discovery_curve": spread([area(run, q) for run in runs]),
        "regret_per_pair": spread(regret),
    }


def by_seed(curve: pl.DataFrame) -> list[pl.DataFrame]:
    """The runs of one policy."""
    return [part.sort("round") for part in curve.partition_by("seed", maintain_order=True)]


def area(run: pl.DataFrame, q: int) -> float:
    """Under the discovery curve of one run."""
    return metrics.area(run["n_measured"].to_numpy(), run["top_fraction"].to_numpy(), q)


def ceiling(study: Study) -> dict[str, Any]:
    """Share of the truly best among as many pairs as were measured, by the observed reward."""
    q = len(study.pool.score)
    order = np.argsort(-study.pool.reward, kind="stable")
    gained = np.r_[0, np.cumsum(study.truly_wanted[order])] / study.truly_wanted.sum()
    at = {
        label: float(np.interp(share * q, range(q + 1), gained)) for label, share in shares(study)
    }
    return {"ceiling": at}


def paired(study: Study, curve: pl.DataFrame) -> dict[str, Any]:
    """The first policy against every other, seed by seed: sign tests at each share."""
    q = len(study.pool.score)
    figures = {label: partial(at_share, column="top_fraction", share=share, q=q)
               for label, share in shares(study)}  # fmt: skip
    figures["area"] = partial(area, q=q)
    runs = {name: by_seed(curve.filter(pl.col("policy") == name)) for name in study.policies}
    first, *others = study.policies

    def values(name: str, figure: Callable[..., float]) -> np.ndarray:
        return np.array([figure(run) for run in runs[name]])

    return {
        other: {
            label: metrics.sign_test(values(first, figure), values(other, figure))._asdict()
            for label, figure in figures.items()
        }
        for other in others
    }


def of_relation(study: Study, known: pl.DataFrame) -> dict[str, Any]:
    """Known pairs found by each policy at each share, with the number expected at random."""
    q = len(study.pool.score)
    table: dict[str, Any] = {}
    for label, share in shares(study):
        row: dict[str, Any] = {}
        for name in study.policies:
            part = known.filter(pl.col("policy") == name)
            runs = by_seed(part)
            row[name] = spread([at_share(run, "found", share, q) for run in runs])
            chance = ("expected", "low", "high")
            row["random_chance"] = {c: at_share(runs[0], c, share, q) for c in chance}
        table[label] = row
    return {"at": table}


def shares(study: Study) -> list[tuple[str, float]]:
    """The shares of pairs at which to report, as far as the run went, and its end.

    A share within half a batch of the end is the end: 17 batches of 2,500 of 100,128 pairs are
    what a user who asks for 42.5 % means.
    """
    q = len(study.pool.score)
    reached = (study.total + study.batch / 2) / q
    wanted = [(f"{share:g}", share) for share in study.options.at if share <= reached]
    return [*wanted, ("end", study.total / q)]


def at_share(run: pl.DataFrame, column: str, share: float, q: int) -> float:
    """A column of one run where this share of the pairs is measured; 0 before round 0."""
    x, y = np.r_[0, run["n_measured"].to_numpy()], np.r_[0.0, run[column].to_numpy()]
    return float(np.interp(share * q, x, y))


def spread(values: Sequence[float]) -> dict[str, float | None]:
    """Mean and sample sd over seeds; no sd from a single one."""
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
    se = None if sd is None else sd / len(values) ** 0.5
    return {"mean": float(np.mean(values)), "sd": sd, "se": se}
