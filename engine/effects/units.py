"""The rows of a job as its network reads them, in units of the job's own training rows.

"NAIAD" trains on effects as they are measured. Less their mean, and in sds, they are what its
layers begin for, and its symmetric form errs less.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from epistax.engine.effects.records import Combos, Table, rows
from epistax.engine.effects.training import Sample


class Units(NamedTuple):
    """What is 0 to a network: `single` of a single effect, `value` of a combination's."""

    single: Float[Array, "*m"] | float
    value: Float[Array, "*m"] | float
    sd: Float[Array, "*m"] | float  # of what is measured: 1 to a network, of either


PLAIN = Units(0.0, 0.0, 1.0)


def sample(table: Table, index: Int[Array, "n"]) -> Sample:
    """These rows of the table, nothing where the index is -1."""
    keep = index >= 0
    combos = rows(table.combos, index)
    combos = present(combos._replace(genes=jnp.where(keep[:, None], combos.genes, -1)))
    return Sample(combos, jnp.where(keep, table.value[index], 0.0), keep)


def present(combos: Combos) -> Combos:
    """Single effects 0 in a place without a gene: there they may be NaN, and 0 times NaN is NaN."""
    singles = jnp.where(combos.there, jnp.asarray(combos.singles), 0.0)
    return Combos(jnp.asarray(combos.genes), singles)


def measured(own: Sample) -> Units:
    """Mean of the single effects, mean and sd of the measured ones; sd 1 where it is 0."""
    n = jnp.maximum(jnp.sum(own.keep), 1)
    single = jnp.sum(own.combos.singles) / jnp.maximum(jnp.sum(own.combos.there), 1)
    value = jnp.sum(own.value) / n
    sd = jnp.sqrt(jnp.sum(jnp.where(own.keep, own.value - value, 0.0) ** 2) / n)
    return Units(single, value, jnp.where(sd > 0, sd, 1.0))


def to_own(combos: Combos, units: Units) -> Combos:
    """In a network's own units; a place without a gene has the effect of none, not the mean."""
    return combos._replace(singles=(combos.singles - units.single) / units.sd)


def converted(own: Sample, units: Units) -> Sample:
    """The same rows in a network's own units."""
    value = jnp.where(own.keep, (own.value - units.value) / units.sd, 0.0)
    return Sample(to_own(own.combos, units), value, own.keep)
