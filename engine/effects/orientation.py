"""In which order a network that minds the order of the genes reads those of a row.

"NAIAD" reads their single effects in an order drawn at random, once for each row. Here the rows of
a job are trained on in an order drawn by the job's key, and a row that is predicted is read in one
that its genes alone decide: a combination gets the same prediction wherever it stands.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, UInt32

from epistax.engine.effects.records import Combos
from epistax.engine.nets.hashing import mixed
from epistax.engine.types import Key

LAST = jnp.uint32(2**32 - 1)  # of a place without a gene


def drawn(key: Key, combos: Combos) -> Combos:
    """Each row in an order drawn by the key; the first rows' stays with more rows behind them."""
    return arranged(combos, jax.random.bits(key, combos.genes.shape))


def by_genes(combos: Combos) -> Combos:
    """Rows in the order that the set of genes decides."""
    genes = jnp.asarray(combos.genes)
    each = jnp.where(combos.there, mixed(genes.astype(jnp.uint32)), jnp.uint32(0))
    return arranged(combos, mixed(each ^ mixed(jnp.sum(each, axis=1, dtype=jnp.uint32))[:, None]))


def arranged(combos: Combos, by: UInt32[Array, "q k"]) -> Combos:
    """Genes and their effects from the least of `by` to the largest, places without a gene last."""
    order = jnp.argsort(jnp.where(combos.there, by, LAST), axis=1)
    return Combos(*(jnp.take_along_axis(jnp.asarray(x), order, axis=1) for x in combos))
