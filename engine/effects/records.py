"""Combinations of perturbations and their effects, and what a method of predicting them is.

A combination is a set of k >= 2 genes, each with the effect it has alone; rows of fewer genes than
the widest are padded by gene -1. A method fits many jobs at once (seeds, members of an ensemble,
folds, sizes of a learning curve): each names its own rows of one shared table.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int
from numpy import ndarray

from epistax.engine.types import Keys


class Combos(NamedTuple):
    """q combinations: codes of genes, -1 for none, and the single effect of each (0 there)."""

    genes: Int[Array | ndarray, "q k"]
    singles: Float[Array | ndarray, "q k"]

    @property
    def there(self) -> Bool[Array, "q k"]:
        """Which places hold a gene."""
        return jnp.asarray(self.genes) >= 0


class Table(NamedTuple):
    """Combinations with their measured effects; a row that no job names may hold NaN."""

    combos: Combos
    value: Float[Array | ndarray, "q"]


class Jobs(NamedTuple):
    """m fits: the rows each is trained on and those its best epoch is chosen by, -1 for none."""

    train: Int[Array | ndarray, "m n"]
    validation: Int[Array | ndarray, "m v"]


class Predicted(NamedTuple):
    """Mean and standard deviation of a measured effect, of each job; sd is 0 where unknown."""

    mean: Float[Array | ndarray, "m q"]
    sd: Float[Array | ndarray, "m q"]


class Method(NamedTuple):
    """How effects are predicted: fit uses one key a job and sees the rows of its job only.

    Fitted is a pytree of arrays, with the jobs along the leading axis of every leaf.
    """

    fit: Callable[[Keys, Table, Jobs], Any]
    predict: Callable[[Any, Combos], Predicted]


def rows(combos: Combos, index: Int[Array | ndarray, "n"]) -> Combos:
    """The combinations of these rows."""
    return Combos(jnp.asarray(combos.genes)[index], jnp.asarray(combos.singles)[index])
