"""Genes' vectors refined along a graph of genes; the effect of a row is read off their sum.

Roohani, Huang and Leskovec 2023, "GEARS": simplified graph convolution, x <- S x with
S = D^-1/2 (A + I) D^-1/2, and a linear layer; the vectors of a row's genes are added up and a
network makes of the sum, there, the change of each measured gene, here one number.
"""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from epistax.engine.nets.layers import Drop, Linear, picked


class Graph(NamedTuple):
    """Undirected edges between genes, each given once; one of weight 0 is none."""

    edges: Int[Array, "e 2"]
    weights: Float[Array, "e"]


class Gears(nn.Module):
    """The effect of a row from its genes' vectors and the graph that refines them."""

    dropout: float

    @nn.compact
    def __call__(
        self,
        table: Float[Array, "p d"],
        graph: Graph | None,
        genes: Int[Array, "q k"],
        train: bool,
    ) -> Float[Array, "q"]:
        """One number a row."""
        width = table.shape[1]
        refined = Linear(width)(table if graph is None else spread(table, graph))
        z = jnp.sum(picked(refined, genes), axis=1)
        for _ in range(2):
            z = nn.relu(Drop(self.dropout)(Linear(width)(z), train))
        return Linear(1)(z)[:, 0]


def spread(x: Float[Array, "p d"], graph: Graph) -> Float[Array, "p d"]:
    """S x: each gene's vector mixed with its neighbours'; its own where it has none.

    Weights are at least 0; each gene is its own neighbour too, of weight 1.
    """
    one, other = graph.edges[:, 0], graph.edges[:, 1]
    degree = 1 + sum(jax.ops.segment_sum(graph.weights, end, len(x)) for end in (one, other))
    scale = jax.lax.rsqrt(degree)
    through = (graph.weights * scale[one] * scale[other])[:, None]
    there = jax.ops.segment_sum(through * x[other], one, len(x))
    back = jax.ops.segment_sum(through * x[one], other, len(x))
    return x * (scale**2)[:, None] + there + back
