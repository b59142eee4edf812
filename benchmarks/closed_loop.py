"""The papers' central experiment on simulated screens: 500 of 1,225 pairs, 50 rounds of 10.

A screen a seed (morphology_wells.py), scored by the additive test and by MMD; every policy plays
it once from the same random first batch. Judged by the top 5 % of the observed scores and of the
true R, with the share that ordering by the observed score would find (ceiling).

    python -m epistax.benchmarks.closed_loop --work DIR --out closed-loop-50.json

Runs are kept in the working directory: started again, it goes on.
"""

import argparse
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from epistax.benchmarks import harness
from epistax.benchmarks.harness import Record
from epistax.distributed.options import Discover, Score, Simulate
from epistax.engine.stats import metrics

AT = (110, 210, 310, 500)  # pairs measured
BATCH, ROUNDS, TOP = 10, 49, 0.05
REWARDS = ("additive", "mmd")
IDS = ("ids-defl", "ids-self", "ids-argmax", "ids-clusters", "ids-var")
BASELINES = ("ucb", "us", "ts-par", "ts-one", "greedy")
POLICIES = (*IDS, *BASELINES, "random")
LITERAL = ("ids-defl", "ids-argmax", "ids-var", *BASELINES)
FIRST = "ids-defl"  # what plain `ids` means: all others are compared with it


def runs(
    work: Path, seeds: Sequence[int], belief: str, policies: Sequence[str], rewards: Sequence[str]
) -> Iterator[Record]:
    """Curves of every screen, reward and policy, at the numbers of AT."""
    import polars as pl  # here: the other suites run where it is not installed

    from epistax.distributed.verbs import discover, score, simulate

    for seed in seeds:
        screen, scores = work / f"screen-{seed}", work / f"scores-{seed}"
        common: dict[str, Any] = {"seed": seed, "quiet": True, "resume": True}
        made = simulate.run(Simulate(kind="morphology", out=str(screen), **common))
        scored = score.run(Score(data=made["data"], test=REWARDS, out=str(scores), **common))
        truth = pl.read_parquet(made["truth"])
        for reward in rewards:
            out = work / f"discover-{belief}-{reward}-{seed}"
            discover.run(
                Discover(
                    pairs=scored["scores"],
                    test=reward,
                    truth=made["truth"],
                    belief=belief,
                    policy=tuple(policies),
                    batch=BATCH,
                    rounds=ROUNDS,
                    out=str(out),
                    known=tuple(made["known"]),
                    **common,
                )
            )
            tables = {
                name: pl.read_parquet(out / f"{name}.parquet")
                for name in ("curve", "known", "chosen")
            }
            observed = pl.read_parquet(scored["scores"]).filter(test=reward)
            ranked = observed.sort("score", descending=True, maintain_order=True)
            ranked = ranked.join(truth, on=["a", "b"], how="left", maintain_order="left")
            base = {"belief": belief, "reward": reward, "seed": seed}
            yield base | {
                "seconds": json.loads((out / "run.json").read_text())["facts"]["seconds"],
                "auroc": scored["tests"][reward].get("auroc"),
                "ceiling": ceiling(ranked["r"].to_numpy()),
                "policies": {
                    p: figures(*(table.filter(policy=p) for table in tables.values()), ranked)
                    for p in policies
                },
            }


def ceiling(true: np.ndarray) -> list[float]:
    """Share of the truly best among the first by the observed score, at 5 % and at AT."""
    best = metrics.top(true, TOP)
    return [float(best[:n].sum() / best.sum()) for n in (int(best.sum()), *AT)]


def figures(curve: Any, known: Any, chosen: Any, ranked: Any) -> Record:
    """One run: shares found at each number of AT, area, regret, known pairs at the end.

    And the top pairs it never measured; those that are synthetic lethal follow from no other pair.
    """
    at = curve[[n // BATCH - 1 for n in AT]]
    missed = ranked.head(math.ceil(TOP * ranked.height)).join(chosen, on=["a", "b"], how="anti")
    last = known.filter(round=ROUNDS)
    return {
        "top": at["top_fraction"].to_list(),
        "true": at["true_top_fraction"].to_list(),
        "area": float(np.trapezoid(np.r_[0, curve["top_fraction"]]) / curve.height),
        "regret": curve["regret"].sum() / curve["n_measured"].max(),
        "missed": missed.height,
        "missed_lethal": int(missed["synthetic_lethal"].sum()),
        "known": dict(zip(last["relation"], last["found"], strict=True)),
        "chance": dict(zip(last["relation"], last["expected"], strict=True)),
    }


def table(found: Sequence[Record]) -> Iterator[Record]:
    """Means and standard errors over screens, and sign tests against `FIRST`."""
    for belief, reward in dict.fromkeys((r["belief"], r["reward"]) for r in found):
        mine = [r for r in found if (r["belief"], r["reward"]) == (belief, reward)]
        for policy in mine[0]["policies"]:
            played = [r["policies"][policy] for r in mine]
            first = [r["policies"].get(FIRST) for r in mine]
            row: Record = {"belief": belief, "reward": reward, "policy": policy}
            row |= {"screens": len(played), "at": AT}
            row["ceiling"], _ = summary([r["ceiling"] for r in mine])
            for name in ("top", "true", "area", "regret"):
                row[name], row[f"{name}_se"] = summary([p[name] for p in played])
            row |= {n: sum(p[n] for p in played) for n in ("missed", "missed_lethal")}
            for relation in played[0]["known"]:
                counts = [p["known"][relation] for p in played]
                row[f"known {relation}"], _ = summary(counts)
                row[f"chance {relation}"] = played[0]["chance"][relation]
            if policy != FIRST and first[0] is not None:
                row["sign"] = {
                    name: sign([f["top"][k] for f in first], [p["top"][k] for p in played])
                    for k, name in enumerate(map(str, AT))
                } | {"area": sign([f["area"] for f in first], [p["area"] for p in played])}
            yield row


def summary(values: Sequence[Any]) -> tuple[Any, Any]:
    """Mean and standard error of numbers or of lists of them."""
    x = np.array(values, float)
    return x.mean(0).tolist(), (x.std(0, ddof=1) / len(x) ** 0.5).tolist()


def sign(first: Sequence[float], other: Sequence[float]) -> Record:
    """On how many screens plain `ids` found more, less, as much; the sign test's p."""
    return metrics.sign_test(np.array(first, float), np.array(other, float))._asdict()


def main(arguments: list[str] | None = None) -> None:
    """Write the study to a file."""
    parser = argparse.ArgumentParser(description="the closed loop on simulated screens")
    parser.add_argument("--work", type=Path, required=True, help="directory of the runs")
    parser.add_argument("--out", type=Path, required=True, help="JSON to write")
    parser.add_argument("--first", type=int, default=200, help="seed of the first screen")
    parser.add_argument("--screens", type=int, default=10, help="how many screens")
    parser.add_argument("--literal", type=int, default=3, help="screens played with lowrank too")
    options = parser.parse_args(arguments)
    options.work.mkdir(parents=True, exist_ok=True)
    found: list[Record] = []
    every = range(options.first, options.first + options.screens)
    parts = [
        runs(options.work, every, "ame", POLICIES, REWARDS),
        runs(options.work, every[: options.literal], "lowrank", LITERAL, ("additive",)),
    ]
    for part in parts:
        for row in part:
            found.append(row)
            ids = row["policies"][FIRST]["top"]
            print(row["belief"], row["reward"], row["seed"], f"{row['seconds']} s", ids, flush=True)
    record = {"device": harness.device(), "versions": harness.versions()}
    record |= {"table": list(table(found)), "runs": found}
    options.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
