"""The 50-gene screen in single cells: every test of every pair against its truth.

Cells whose axes saturate (truth: separable) and cells in states (truth: disjoint), after the
genes experiment of "Automated Discovery of Pairwise Interactions from Unstructured Data": one
critic of all 1,276 classes, both kernels of MMD, nearest neighbours and the additive score, on
all 1,225 pairs; beside them the same screen with its labels shuffled.

    python -m epistax.benchmarks.fifty --work DIR --out fifty.json

Runs are kept in the working directory: started again, it goes on. --pictures writes a matrix a mode
of the first screen: a test's scores above the diagonal, the truth below, genes by pathway.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from epistax.benchmarks import harness
from epistax.benchmarks.harness import Record
from epistax.distributed.options import Score, Simulate

TESTS = ("kl", "kl:smile", "logform", "logrms", "knn", "mmd", "mmd:matern", "additive")
TRUTH = {"cells": "separable", "mixture": "disjoint"}
NARROWER = (0.5, 0.25)  # of the median distance, for the kernels of mmd
DRAWN = {"cells": "kl", "mixture": "mmd"}


def runs(work: Path, modes: Sequence[str], seeds: Sequence[int], cells: int) -> Iterator[Record]:
    """A row a mode, seed and test, and one of how the tests agree."""
    # here: the other suites run where polars is not installed
    from epistax.distributed.verbs import simulate

    for mode in modes:
        for seed in seeds:
            folder = work / f"{mode}-{cells}-{seed}"
            made = simulate.run(
                Simulate(kind="morphology", mode=mode, cells=cells, seed=seed, quiet=True,
                         resume=True, out=str(folder))
            )  # fmt: skip
            for shuffled in (False, True) if seed == seeds[0] else (False,):
                data = shuffle(folder, seed) if shuffled else Path(made["data"])
                out = work / f"scores-{data.parent.name}"
                found, facts = scored(data, TESTS, mode, seed, out)
                name = {"mode": mode, "seed": seed, "cells": cells, "shuffled": shuffled}
                yield from ({**name, **row} for row in by_test(found))
                yield {**name, "critic": facts["critic"], **found["agreement"]}
                for share in NARROWER if mode == "mixture" and not shuffled else ():
                    width = share * facts["bandwidth"]
                    beside = out.with_name(f"{out.name}-{share:g}")
                    tests = ("mmd", "mmd:matern")
                    found, _ = scored(data, tests, mode, seed, beside, bandwidth=width)
                    yield from ({**name, "of_median": share, **row} for row in by_test(found))


def scored(
    data: Path, tests: tuple[str, ...], mode: str, seed: int, out: Path, **how: float
) -> tuple[Record, Record]:
    """Summary and facts of a score run, judged by the truth of the mode."""
    from epistax.distributed.verbs import score

    truth = tuple(f"{name}={TRUTH[mode]}" for name in tests)
    found = score.run(
        Score(data=str(data), test=tests, truth=truth, seed=seed, quiet=True, null="none",
              resume=True, out=str(out), **how)
    )  # fmt: skip
    return found, json.loads((out / "run.json").read_text())["facts"]


def by_test(found: Record) -> Iterator[Record]:
    """A row a test."""
    for test, entry in found["tests"].items():
        keys = ("truth", "auroc", "average_precision", "positives", "judged", "seconds")
        yield {"test": test, **{key: entry[key] for key in keys}}


def picture(work: Path, mode: str, seed: int, cells: int, out: Path) -> None:
    """Scores of the mode's own test against the truth, pathways side by side."""
    import polars as pl

    from epistax.distributed.report import matrices, pictures

    test, column = DRAWN[mode], TRUTH[mode]
    folder = work / f"{mode}-{cells}-{seed}"
    pathway = dict(pl.read_parquet(folder / "genes.parquet").select("gene", "pathway").iter_rows())
    scores = pl.read_parquet(work / f"scores-{folder.name}" / "scores.parquet").filter(test=test)
    groups = sorted(set(pathway.values()))
    names = matrices.order(sorted(pathway), scores, pathway, groups)
    place = {name: k for k, name in enumerate(names)}
    grid = np.full((len(names), len(names)), np.nan)
    full = float(np.quantile(scores["score"].to_numpy(), matrices.FULL))
    both = scores.join(pl.read_parquet(folder / "truth.parquet"), on=["a", "b"])
    for a, b, score, apart in both.select("a", "b", "score", column).iter_rows():
        low, high = sorted((place[a], place[b]))
        grid[low, high] = min(score / full, 1) ** 0.5
        grid[high, low] = 0.0 if apart else 1.0
    figure, axes = pictures.canvas(height=5.6)
    axes.imshow(np.ma.masked_invalid(grid), cmap="Blues", vmin=0, vmax=1)
    runs_of = matrices.runs([pathway[name] for name in names])
    middle = [first + (n - 1) / 2 for _, first, n in runs_of]
    axes.set_yticks(middle, [group for group, _, _ in runs_of], fontsize=6)
    axes.set_xticks([])
    for _, first, _ in runs_of[1:]:
        for line in (axes.axhline, axes.axvline):
            line(first - 0.5, color="0.6", lw=0.4)
    axes.set_title(f"above: {test}; below: pairs that are not {column}", fontsize=9)
    _, png = pictures.rendered(mode, figure)
    out.mkdir(parents=True, exist_ok=True)
    (out / f"fifty-{mode}.png").write_bytes(png)


def shuffle(folder: Path, seed: int) -> Path:
    """The screen with its labels drawn at random, beside its truth."""
    target = folder.with_name(f"{folder.name}-shuffled")
    target.mkdir(exist_ok=True)
    with np.load(folder / "data.npz") as held:
        order = np.random.default_rng([seed, 1]).permutation(len(held["x"]))
        np.savez(target / "data.npz", x=held["x"], perturbation=held["perturbation"][order])
    (target / "truth.parquet").write_bytes((folder / "truth.parquet").read_bytes())
    return target / "data.npz"


def main() -> None:
    """From the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="directory of the runs")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--screens", type=int, default=3, help="seeds 0, 1, ...")
    parser.add_argument("--cells", type=int, default=300, help="of a pair")
    parser.add_argument("--modes", nargs="+", default=list(TRUTH), choices=list(TRUTH))
    parser.add_argument("--pictures", type=Path, help="folder of the matrices")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    rows = []
    for row in runs(options.work, options.modes, range(options.screens), options.cells):
        rows.append(row)
        print(json.dumps(row), flush=True)
        result = {"device": harness.device(), "versions": harness.versions(), "rows": rows}
        options.out.write_text(json.dumps(result, indent=1) + "\n")
    for mode in options.modes if options.pictures else ():
        picture(options.work, mode, 0, options.cells, options.pictures)


if __name__ == "__main__":
    main()
