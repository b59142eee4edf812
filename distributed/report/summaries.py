"""The figures of a discovery run: summary.json, and the same as text for a terminal."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import polars as pl

from epistax.distributed.study import Study
from epistax.engine.stats import metrics

WIDTH = 80


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
        "known": {
            relation: of_relation(study, frames["known"].filter(pl.col("relation") == relation))
            | {"total": int(inside.sum()), "census": found.census.as_dict()}
            for relation, (found, inside) in relations.items()
        },
    }


def of_policy(study: Study, curve: pl.DataFrame) -> dict[str, Any]:
    """One policy's row of the summary. Shares between two rounds are interpolated linearly."""
    q = len(study.pool.score)
    runs = [part.sort("round") for part in curve.partition_by("seed", maintain_order=True)]
    found = {
        label: spread([at_share(run, "top_fraction", share, q) for run in runs])
        for label, share in shares(study)
    }
    area = [metrics.area(r["n_measured"].to_numpy(), r["top_fraction"].to_numpy(), q) for r in runs]
    regret = [run["regret"].sum() / run["n_measured"].max() for run in runs]
    return {
        "top_fraction": found,
        "area_under_discovery_curve": spread(area),
        "regret_per_pair": spread(regret),
    }


def of_relation(study: Study, known: pl.DataFrame) -> dict[str, Any]:
    """Known pairs found by each policy at each share, with the number expected at random."""
    q = len(study.pool.score)
    table: dict[str, Any] = {}
    for label, share in shares(study):
        row: dict[str, Any] = {}
        for name in study.policies:
            part = known.filter(pl.col("policy") == name)
            runs = [r.sort("round") for r in part.partition_by("seed", maintain_order=True)]
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
    return {"mean": float(np.mean(values)), "sd": sd}


def describe(summary: Mapping[str, Any]) -> str:
    """A table of at most 80 columns: what was found, and by whom."""
    q, p = summary["pairs"], summary["perturbations"]
    lines = [
        f"{q:,} pairs of {p:,} perturbations, reward {summary['reward']}, "
        f"belief {summary['belief']}, {summary['seeds']} seed(s)",
        f"share of the top {summary['top']:.1%} ({summary['top_pairs']:,} pairs) found when this "
        "share is measured",
        "",
    ]
    policies = summary["policies"]
    labels = list(next(iter(policies.values()))["top_fraction"])
    end = summary["pairs_measured"] / q
    heads = [f"{end:.1%}" if label == "end" else f"{float(label):.1%}" for label in labels]
    lines.append(row("policy", [*heads, "regret/pair"]))
    for name, found in policies.items():
        cells = [cell(found["top_fraction"][label], 3) for label in labels]
        lines.append(row(name, [*cells, f"{found['regret_per_pair']['mean']:.4g}"]))
    for relation, found in summary["known"].items():
        total = found["total"]
        lines += ["", f"known pairs found, {relation} ({total:,} among the pairs)"]
        lines.append(row("", heads))
        for name in policies:
            lines.append(row(name, [cell(found["at"][label][name], 0) for label in labels]))
        chance = [found["at"][label]["random_chance"] for label in labels]
        lines.append(
            row(
                "by chance",
                [f"{c['expected']:.0f} ({c['low']:.0f}-{c['high']:.0f})" for c in chance],
            )
        )
    lines += ["", *(f"figure: {path}" for path in summary.get("figures", []))]
    return "\n".join(lines)


def row(name: str, cells: Sequence[str]) -> str:
    """Cells of equal width behind a name."""
    width = max(9, (WIDTH - 14) // max(len(cells), 1))
    return (f"{name:<13}" + "".join(f"{text:>{min(width, 15)}}" for text in cells)).rstrip()


def cell(value: Mapping[str, float | None], digits: int) -> str:
    """Mean and, where there is one, sd."""
    text = f"{value['mean']:,.{digits}f}"
    return text if value["sd"] is None else f"{text} ±{value['sd']:.{digits}f}"
