"""Which environments train and which validate: as the file says, else a third by chance.

A perturbation is on one side with all of its covariates; controls always train. Where the file
has a split without validation nothing is held out, and the training samples are looked at.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from epistax.distributed.causal.reading import EnvironmentTable
from epistax.distributed.errors import BadInput
from epistax.engine.causal.records import Data, Samples

SHARE, SALT = 3, 17  # one of so many is held out; tells this draw from others of the seed
ALONE = "vae"  # learns nothing from how environments differ


@dataclass(frozen=True)
class Division:
    """Samples by what they are for."""

    table: EnvironmentTable
    held: np.ndarray  # bool [e]
    how: str  # in words

    @property
    def validating(self) -> np.ndarray:
        """Bool [n]."""
        return self.held[self.table.environment]

    def data(self, x: np.ndarray, told: np.ndarray) -> Data:
        """What a method is given: scaled samples, and of each the row of the vector it is told."""
        held = self.validating
        train = Samples(x[~held], told[~held])
        validation = Samples(x[held], told[held]) if held.any() else train
        return Data(self.table.every.vectors, train, validation)

    @property
    def split(self) -> np.ndarray:
        """Of each environment, in words."""
        return np.where(self.held, "validation", "train")

    @property
    def told(self) -> str:
        """How many of what train and validate."""
        validating, held = self.validating, int(self.held.sum())
        trained, own = int((~validating).sum()), len(self.held) - held
        line = f"{trained:,} samples of {own:,} environments train"
        if held:
            line += f", {int(validating.sum()):,} of {held:,} validate"
        return f"{line}: {self.how}"

    def shuffled(self, seed: int) -> np.ndarray:
        """Rows of vectors dealt anew, int32 [n], among samples that train and among the others."""
        rng, told = np.random.default_rng([seed, SALT]), self.table.environment.copy()
        for part in (~self.validating, self.validating):
            told[part] = rng.permutation(told[part])
        return told

    @property
    def base(self) -> np.ndarray:
        """Bool [e]: the reference, else the environment that trains and has the smallest vector."""
        every = self.table.every
        if every.reference.any():
            return every.reference
        size = np.where(self.held, np.inf, np.abs(every.vectors).sum(1))
        found: np.ndarray = np.arange(len(size)) == size.argmin()
        return found


def divide(table: EnvironmentTable, seed: int, models: Sequence[str]) -> Division:
    """Train and validation. BadInput for what no model can learn from."""
    held, how = table.held, "as the file says"
    several = len(table.coding.names) + bool((table.every.perturbation < 0).any()) > 1
    if held is None:
        if not several:
            only(table, table.every.names, "has one environment only")
        held, how = drawn(table, seed), "a third of the environments, by chance"
    elif not held.any():
        how = "nothing is held out: the file says that all environments train"
    trained = [name for name, one in zip(table.every.names, held, strict=True) if not one]
    if len(trained) < 2 and any(name != ALONE for name in models):
        only(table, trained, f"trains on {len(trained)} environment" + "s" * (len(trained) != 1))
    if not trained:
        only(table, trained, "trains on no environment")
    return Division(table, held, how)


def whole(table: EnvironmentTable, models: Sequence[str]) -> Division:
    """The split of the file, else everything is learned from."""
    if table.held is not None:
        return divide(table, 0, models)
    if len(table.every.names) < 2 and any(name != ALONE for name in models):
        only(table, table.every.names, "has one environment only")
    return Division(table, np.zeros(len(table.every.names), bool), "all environments train")


def drawn(table: EnvironmentTable, seed: int) -> np.ndarray:
    """A third of the perturbations, at least one and never the reference."""
    reference = np.unique(table.every.perturbation[table.every.reference])
    able = np.setdiff1d(np.arange(len(table.coding.names)), reference)
    count = max(1, len(able) // SHARE)
    chosen = np.random.default_rng([seed, SALT]).choice(able, count, replace=False)
    return np.isin(table.every.perturbation, chosen)


def only(table: EnvironmentTable, names: Sequence[str], problem: str) -> None:
    """Too few environments."""
    named = f" ({names[0]})" if len(names) == 1 else ""
    raise BadInput(
        f"{table.census.source}: {problem}{named}; an embedding is learned from how environments "
        f"differ: give two or more that train, or --model {ALONE}, which is told of none"
    )
