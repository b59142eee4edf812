"""How the cost of every core operation grows, and the exponent of its growth.

Each operation runs at four sizes or more, alone; the last row of each holds the slopes of log time
and log memory in the log size. The growth of a round of information-directed sampling, of nearest
neighbours, of a fit of effects and of an epoch of responses is measured by their own suites.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from epistax.benchmarks import critic, harness, mmd, moments, rankparts, svi
from epistax.benchmarks.harness import Maker, Record
from epistax.engine.pairs import count


class Case(NamedTuple):
    """One operation: what makes it, what grows, and what stays."""

    maker: Maker
    axis: str
    sizes: tuple[int, ...]
    rest: Mapping[str, int]
    pairs: bool = False  # whether the size says how many pairs it is


SMALL = {"cells": 100, "features": 50}
WELLS = {"wells": 100, "features": 50}
BELIEF = {"rank": moments.RANK, "batch": moments.BATCH}
GENES, FEW = (2500, 5000, 10_000, 20_000), (10, 20, 40, 80)
CASES = {
    "moments.all_pairs": Case(moments.closed, "genes", GENES, BELIEF, True),
    "round.ucb": Case(moments.closed_best, "genes", GENES, BELIEF, True),
    "mmd.estimate": Case(mmd.estimate, "genes", FEW, WELLS, True),
    "mmd.pvalue": Case(mmd.spectral, "genes", FEW, WELLS, True),
    "mmd.wells": Case(
        mmd.estimate, "wells", (50, 100, 200, 400), {"genes": 20, "pairs": 190, "features": 50}
    ),
    "rank.features": Case(
        rankparts.features, "genes", (500, 1000, 2000, 4000), SMALL | {"frequencies": 128}
    ),
    "rank.cosine": Case(rankparts.cosines, "genes", (1250, 2500, 5000, 10_000), {"features": 64}),
    "critic.train": Case(critic.ours, "genes", FEW, {"cells": 50, "features": 15, "steps": 20}),
    "svi.steps": Case(svi.ours, "genes", GENES, {"measured": 20_000, "rank": 8, "steps": 50}),
}


def suite(*, size: int | None, repeats: int, seed: int) -> Iterator[Record]:
    """All operations; with a size, four sizes from an eighth of it up."""
    for name, case in CASES.items():
        grown = case.sizes if size is None else tuple(size * k // 8 for k in (1, 2, 4, 8))
        rows = []
        for n in grown:
            scale = {case.axis: n, **case.rest, "seed": seed}
            scale |= {"pairs": count(n)} if case.pairs else {}
            if "measured" in scale:
                scale["measured"] = min(scale["measured"], count(n))
            rows.append(harness.measure(f"growth.{name}", scale, case.maker, repeats=repeats))
            yield rows[-1]
        yield harness.exponents(rows, case.axis)


if __name__ == "__main__":
    harness.main(suite)
