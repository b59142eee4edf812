"""Which cells train, validate and are held out, and the genes by which groups are judged.

As published: the perturbations that are hardest of all cells are held out in one category of a
covariate, and DE genes are those of all cells. --leak-free chooses both without held-out cells.
"""

from dataclasses import dataclass

import numpy as np

from epistax.distributed.errors import BadInput
from epistax.distributed.formats.where import listed
from epistax.distributed.options.response import ResponseBenchmark
from epistax.distributed.response.reading import CellTable
from epistax.engine.response import differential
from epistax.engine.response.differential import CONTROL
from epistax.engine.response.records import Cells, Data, rows
from epistax.engine.response.splits import Split, distances, hardest, split
from epistax.engine.response.strata import Groups, grouped

SHARE, MOST = 3, 20  # of the perturbations a third is held out, at most so many


@dataclass(frozen=True)
class Division:
    """Cells by what they are for."""

    table: CellTable
    split: Split
    category: str  # COVARIATE=LEVEL; empty where nothing is held out
    hard: tuple[str, ...]  # the perturbations held out in it
    strongest: np.ndarray  # bool [c, a, g], by which groups are judged

    def cells(self, part: str) -> Cells:
        """Those of train, test or ood."""
        return rows(self.table.cells, getattr(self.split, part))

    @property
    def data(self) -> Data:
        """All that a model is given: nothing of held-out cells, their DE genes neither."""
        seen = self.strongest & ~self.split.held[:, :, None]
        return Data(self.table.design, self.cells("train"), self.cells("test"), seen)

    def groups(self, part: str) -> Groups:
        """Means of its strata and arms."""
        return group(self.table, self.cells(part))

    def count(self, part: str) -> np.ndarray:
        """Cells of its strata and arms, [c, a]."""
        found, at = np.zeros(self.split.held.shape, int), getattr(self.split, part)
        np.add.at(found, (self.table.cells.stratum[at], self.table.cells.arm[at]), 1)
        return found


def divide(options: ResponseBenchmark, table: CellTable) -> Division:
    """The cells divided as asked. BadInput for what cannot be held out."""
    every = group(table, table.cells)
    refuse_bare(table, every)
    category, inside = chosen(options, table)
    count, labels = every.count, len(table.arms.labels)
    hard, held = np.zeros(labels, bool), np.zeros(count.shape, bool)
    if category:
        far = distances(every, table.arms.label, labels, ~inside | (not options.leak_free))
        hard = hardest(far, eligible(table, count, inside), wanted(options, table, count, inside))
        held = (inside[:, None] & hard[table.arms.label][None, :]) & (count > 0)
    parts = split(table.cells, held)
    trained = group(table, rows(table.cells, parts.train))
    refuse_untrained(table, trained, held)
    t = differential.welch(trained if options.leak_free else every)
    t = differential.borrowed(t, held) if options.leak_free else t
    names = tuple(name for name, one in zip(table.arms.labels, hard, strict=True) if one)
    return Division(table, parts, category, names, differential.strongest(t))


def group(table: CellTable, cells: Cells) -> Groups:
    """Means of the strata and arms of a table."""
    return grouped(cells, strata=len(table.strata), arms=len(table.arms.names))


def refuse_bare(table: CellTable, every: Groups) -> None:
    """A change is one from the control of the stratum: each needs controls."""
    bare = np.flatnonzero(every.count[:, CONTROL] == 0)
    if len(bare):
        names = listed([table.strata[c] for c in bare])
        cells = int(every.count[bare].sum())
        raise BadInput(
            f"{table.census.source}: no control cell in {len(bare):,} of {len(table.strata):,} "
            f"strata ({names}; {cells:,} cells); name fewer covariates with --covariate, or leave "
            "such cells out"
        )


def chosen(options: ResponseBenchmark, table: CellTable) -> tuple[str, np.ndarray]:
    """The category and which strata are in it; none where no covariate has two levels."""
    strata, used = np.asarray(table.design.strata), table.covariates
    if options.held_out is None:
        several = [k for k in range(len(used)) if len(np.unique(strata[:, k])) > 1]
        if not several or options.hardest == 0:
            return "", np.zeros(len(strata), bool)
        k = several[0]
        cells = np.bincount(strata[table.cells.stratum, k], minlength=len(table.levels[k]))
        level = int(cells.argmax())
    else:
        k, level = named(options.held_out, table)
    inside = strata[:, k] == level
    if inside.all():
        raise BadInput(
            f"--held-out: all cells are of {used[k]}={table.levels[k][level]}; nothing is left to "
            "learn from"
        )
    return f"{used[k]}={table.levels[k][level]}", inside


def named(text: str, table: CellTable) -> tuple[int, int]:
    """Covariate and level of COVARIATE=LEVEL."""
    name, sign, level = (part.strip() for part in text.partition("="))
    if not sign or name not in table.covariates:
        has = ", ".join(table.covariates) or "none"
        raise BadInput(
            f"--held-out: {text!r} is not COVARIATE=LEVEL of a covariate that is used ({has}); "
            "name one of them"
        )
    k = table.covariates.index(name)
    there = [table.levels[k][one] for one in np.unique(np.asarray(table.design.strata)[:, k])]
    if level not in there:
        raise BadInput(f"--held-out: {name} has no level {level!r}; it has {listed(there)}")
    return k, table.levels[k].index(level)


def eligible(table: CellTable, count: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Perturbations with cells in the category, and elsewhere to learn from."""
    here, there = (
        np.bincount(table.arms.label, weights=count[which].sum(0), minlength=len(table.arms.labels))
        for which in (inside, ~inside)
    )
    found = (here > 0) & (there > 0)
    found[0] = False
    if not found.any():
        raise BadInput(
            "--held-out: no perturbation has cells both in the held-out category and outside of "
            "it, so a model could learn nothing of it; choose another --held-out"
        )
    return found


def wanted(
    options: ResponseBenchmark, table: CellTable, count: np.ndarray, inside: np.ndarray
) -> int:
    """How many perturbations are held out."""
    there = int(eligible(table, count, inside).sum())
    if options.hardest is not None and options.hardest > there:
        raise BadInput(
            f"--hardest: {options.hardest} of the {there} perturbations with cells in the held-out "
            "category and outside of it; give fewer"
        )
    usual = max(1, min(MOST, -(-there // SHARE)))
    return usual if options.hardest is None else options.hardest


def refuse_untrained(table: CellTable, trained: Groups, held: np.ndarray) -> None:
    """What is asked of a model must have been seen in parts: its stratum, and its arm."""
    bare = np.flatnonzero(trained.count[:, CONTROL] == 0)
    if len(bare):
        raise BadInput(
            f"{table.census.source}: no control cell of stratum {table.strata[bare[0]]} is among "
            "those that train; it has too few: name fewer covariates with --covariate"
        )
    unseen = np.argwhere(held & (trained.count.sum(0) == 0)[None, :])
    if len(unseen):
        c, a = unseen[0]
        raise BadInput(
            f"--held-out: {table.arms.names[a]} in {table.strata[c]} is held out and no other "
            "stratum has cells of that dose; choose another --held-out, or fewer with --hardest"
        )
