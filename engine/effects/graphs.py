"""A graph of genes made from measured rows: genes whose interactions are alike are neighbours.

Of what a gene does with its partners beyond the sum of single effects; two genes are compared on
the partners that both were measured with. "GEARS" joins genes that are co-expressed likewise.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from epistax.engine.effects.records import Combos
from epistax.engine.nets.graph import Graph

SHRINK = 10.0  # shared partners that halve a correlation
FEWEST = 3  # shared partners without which there is no correlation
TINY = 1e-12


def correlated(
    combos: Combos,
    value: Float[Array, "q"],
    keep: Bool[Array, "q"],
    *,
    genes: int,
    k: int,
) -> Graph:
    """Edges from each gene to the k most alike, of weight r n / (n + SHRINK) > 0; 0 is no edge.

    r is the correlation over the n partners that two genes share. Memory grows with genes^2.
    """
    total, count = profiles(combos, value, keep, genes=genes)
    known = (count > 0).astype(jnp.float32)
    mean = total / jnp.maximum(count, 1)
    shared = known @ known.T
    sums, squares = mean @ known.T, (mean**2) @ known.T
    within = shared * squares - sums**2
    r = (shared * (mean @ mean.T) - sums * sums.T) / jnp.sqrt(jnp.maximum(within * within.T, TINY))
    r = jnp.clip(r, 0, 1) * shared / (shared + SHRINK)
    r = jnp.where((shared >= FEWEST) & ~jnp.eye(genes, dtype=bool), r, 0.0)
    weight, other = jax.lax.top_k(r, min(k, genes))
    one = jnp.broadcast_to(jnp.arange(genes)[:, None], other.shape)
    chosen = jnp.zeros((genes, genes), bool).at[one, other].set(weight > 0)
    again = chosen[other, one] & (one > other)  # an edge that both ends chose is given once
    edges = jnp.stack([one, other], axis=-1).reshape(-1, 2)
    return Graph(edges, jnp.where(again, 0.0, weight).reshape(-1))


def profiles(
    combos: Combos, value: Float[Array, "q"], keep: Bool[Array, "q"], *, genes: int
) -> tuple[Float[Array, "p p"], Float[Array, "p p"]]:
    """Sum and number of the values beyond the singles' sum, of each gene with each partner."""
    there = combos.there & keep[:, None]
    beyond = value - jnp.sum(jnp.where(there, combos.singles, 0.0), axis=1)
    code = jnp.where(there, combos.genes, genes)  # one behind the last, left out below
    total = jnp.zeros((genes + 1, genes + 1))
    count = total
    for i in range(code.shape[1]):
        for j in range(code.shape[1]):
            if i != j:
                total = total.at[code[:, i], code[:, j]].add(jnp.where(keep, beyond, 0.0))
                count = count.at[code[:, i], code[:, j]].add(1.0)
    return total[:genes, :genes], count[:genes, :genes]


def unconnected(graph: Graph, genes: int) -> Int[Array, ""]:
    """How many genes have no edge: these keep their own vector."""
    ends = jnp.where((graph.weights > 0)[:, None], graph.edges, genes)
    return genes - jnp.sum(jnp.zeros(genes + 1, bool).at[ends.reshape(-1)].set(True)[:genes])
