"""Pairs that shift one latent, told from singles alone, against the test of their doubles.

On the 50-gene screen of single cells whose axes saturate (`fifty`): `latent` looks at controls and
singles, `kl` at the doubles. Then rounds of 25 pairs chosen by greedy, whose scores are those of
`kl`, with and without the shifts as what is known of each gene beforehand.

    python -m epistax.benchmarks.latent --work DIR > latent.jsonl
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from epistax.benchmarks import fifty, harness
from epistax.benchmarks.harness import Record
from epistax.distributed.options import Discover, Simulate

CELLS, BATCH, ROUNDS = 300, 25, 12
TESTS = ("latent", "kl")


def runs(work: Path, seed: int, tests: tuple[str, ...]) -> Iterator[Record]:
    """A row a test, also with shuffled labels, and a row a belief."""
    from epistax.distributed.verbs import discover, simulate

    folder = work / f"cells-{CELLS}-{seed}"
    made = simulate.run(
        Simulate(kind="morphology", mode="cells", cells=CELLS, seed=seed, quiet=True, resume=True,
                 out=str(folder))
    )  # fmt: skip
    name = {"mode": "cells", "seed": seed, "cells": CELLS}
    mixed = fifty.shuffle(folder, seed)
    for shuffled, data in ((True, mixed), (False, Path(made["data"]))):
        asked = TESTS[:1] if shuffled else tests
        out = work / f"{'-'.join(asked)}-{data.parent.name}"
        found, _ = fifty.scored(data, asked, "cells", seed, out)
        yield from ({**name, "shuffled": shuffled, **row} for row in fifty.by_test(found))
    for side in (None, str(out / "shifts.parquet")) if "kl" in tests else ():
        to = work / f"discover-{seed}-{'side' if side else 'plain'}"
        summary = discover.run(
            Discover(pairs=str(out / "scores.parquet"), test="kl", policy=("greedy", "random"),
                     batch=BATCH, rounds=ROUNDS, seeds=3, side=side, quiet=True, resume=True,
                     out=str(to))
        )  # fmt: skip
        yield {**name, "side": side is not None, "policies": summary["policies"]}


def main() -> None:
    """Print the lines."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="directory of the runs")
    parser.add_argument("--screens", type=int, default=3, help="seeds 0, 1, ...")
    parser.add_argument("--test", choices=TESTS, action="append")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    about = {"device": harness.device(), "versions": harness.versions()}
    for seed in range(options.screens):
        for row in runs(options.work, seed, tuple(options.test or TESTS)):
            sys.stdout.write(json.dumps({**row, **about}) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
