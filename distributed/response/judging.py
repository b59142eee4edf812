"""Groups of cells that predictions are compared with: those of train, of test, and held out (ood).

A split's groups are predicted from cells of its reference split: train from train, test and ood
from test. A change is one from the mean of all controls of the stratum, which are never held out:
with the few of test alone their noise, which is in measured and predicted change alike, would pass
for a change that is predicted (R2 .17 of a model that predicts none).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from epistax.distributed.errors import BadInput
from epistax.distributed.options.response import ResponseBenchmark
from epistax.distributed.response.dividing import Division, group
from epistax.engine.response.averages import averaged, inputs
from epistax.engine.response.differential import CONTROL
from epistax.engine.response.evaluation import Targets
from epistax.engine.response.records import Method, rows

SPLITS = ("train", "test", "ood")
REFERENCE = {"train": "train", "test": "test", "ood": "test"}
FEWEST, FEWEST_TEST = 30, 5


@dataclass(frozen=True)
class Judged:
    """The groups of one split."""

    name: str
    targets: Targets
    variance: np.ndarray  # float64 [k, g], of their cells

    def of(self, table: np.ndarray) -> np.ndarray:
        """The groups' rows of a table [c, a, g], as one prediction [1, k, g]."""
        return table[self.targets.stratum, self.targets.arm][None]


def judge(division: Division, fewest: tuple[int, int, int]) -> tuple[Judged, ...]:
    """The groups of every split that have more than so many cells."""
    cells = division.table.cells
    bare = rows(cells, np.flatnonzero(cells.arm == CONTROL))
    control = group(division.table, bare).mean[:, CONTROL]
    found = []
    for name, least in zip(SPLITS, fewest, strict=True):
        groups = division.groups(name)
        there = groups.count > least
        there[:, CONTROL] = False
        c, a = np.nonzero(there)
        targets = Targets(c, a, groups.count[c, a], groups.mean[c, a], control[c],
                          division.strongest[c, a])  # fmt: skip
        found.append(Judged(name, targets, groups.variance[c, a]))
    return tuple(found)


def least(options: ResponseBenchmark, division: Division) -> tuple[int, int, int]:
    """Cells that a group has more than, by split. BadInput where no group can be judged."""
    if options.fewest and len(options.fewest) != 3:
        raise BadInput(
            f"--fewest: {len(options.fewest)} numbers; give three, of train, test and ood: 30,5,30"
        )
    counts = {name: division.count(name)[:, CONTROL + 1 :] for name in SPLITS}
    largest = [count.max(initial=0) for count in counts.values()]
    many, all_of = ((counts[name] > FEWEST).sum() for name in ("test", "train"))
    usual = (FEWEST, FEWEST if 2 * many >= all_of else FEWEST_TEST, FEWEST)
    train, test, ood = options.fewest or usual
    for name, number, most in zip(SPLITS, (train, test, ood), largest, strict=True):
        if most <= number and (name != "ood" or division.category):
            raise BadInput(
                f"--fewest: no group of {name} has more than {number} cells, the largest has "
                f"{most}; give smaller numbers, as --fewest 20,5,20, or fewer covariates"
            )
    return train, test, ood


def predicted(
    method: Method, fitted: Any, division: Division, judged: Judged, options: ResponseBenchmark
) -> np.ndarray:
    """The mean prediction of each group by each fit, [m, k, g]."""
    reference = division.cells(REFERENCE[judged.name])
    stratum, arm = judged.targets.stratum, judged.targets.arm
    protocol: Any = options.evaluation
    chosen = inputs(reference, stratum, protocol=protocol, most=options.inputs)
    return averaged(method, fitted, reference, chosen, stratum, arm)
