"""Genes' vectors mixed along the edges that end in them, with weights that are learned.

"Predicting Cellular Responses with Variational Causal Inference and Refined Relational
Information", eq. 6 and 11: Z_G = ReLU(P V Theta + b), where P_ij is the softmax, over the genes j
that regulate gene i and i itself, of a logit of each edge. As many logits, as many edges: they
begin alike, so that P begins as a mean.
"""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int
from numpy import ndarray

from epistax.engine.mesh import spread
from epistax.engine.nets.beginning import GRAPH
from epistax.engine.nets.layers import Linear
from epistax.engine.nets.regulation import Edges

DENSE = 100  # numbers of a dense matrix that cost as much as one edge


class Incoming(NamedTuple):
    """Edges sorted by the gene they end in; that of a gene to itself is not among them.

    regulators are the genes at which an edge begins, slot is the place of each edge's among them.
    """

    source: Int[Array | ndarray, "e"]
    target: Int[Array | ndarray, "e"]
    slot: Int[Array | ndarray, "e"]
    regulators: Int[Array | ndarray, "r"]


class Shares(NamedTuple):
    """What a gene takes from each of its regulators and from itself; they add up to 1."""

    edges: Float[Array, "e"]
    loops: Float[Array, "g"]


def incoming(edges: Edges | None, genes: int) -> Incoming:
    """The edges of a graph of so many genes, each once; none without a graph."""
    source, target = (np.zeros(0, np.int32),) * 2 if edges is None else map(np.asarray, edges)
    if (
        len(source)
        and not 0 <= min(source.min(), target.min()) <= max(source.max(), target.max()) < genes
    ):
        raise ValueError(
            f"the graph has edges between genes {min(source.min(), target.min())} and "
            f"{max(source.max(), target.max())}, of {genes}; number its genes as the data do"
        )
    pairs = np.unique(np.stack([target, source], 1)[source != target], axis=0).astype(np.int32)
    regulators, slot = np.unique(pairs[:, 1], return_inverse=True)
    return Incoming(pairs[:, 1], pairs[:, 0], slot.astype(np.int32), regulators)


def shares(logits: Float[Array, "e"], loops: Float[Array, "g"], graph: Incoming) -> Shares:
    """The softmax over the edges that end in a gene, that from itself among them."""
    count, ends = len(loops), {"num_segments": len(loops), "indices_are_sorted": True}
    top = jax.ops.segment_max(jax.lax.stop_gradient(logits), graph.target, **ends)
    top = jnp.maximum(jnp.broadcast_to(top, (count,)), jax.lax.stop_gradient(loops))
    along, own = jnp.exp(logits - top[graph.target]), jnp.exp(loops - top)
    total = own + jax.ops.segment_sum(along, graph.target, **ends)
    return Shares(along / total[graph.target], own / total)


def mixed(
    x: Float[Array, "g d"], part: Shares, graph: Incoming, *, dense: bool, mesh: Mesh | None = None
) -> Float[Array, "g d"]:
    """P x; dense: by a matrix of all genes and all regulators. Targets are split over the mesh."""
    own = spread(part.loops[:, None] * x, mesh)
    if not len(graph.source):
        return own
    if dense:
        matrix = jnp.zeros((len(x), len(graph.regulators)), x.dtype)
        matrix = spread(matrix.at[graph.target, graph.slot].set(part.edges), mesh)
        return own + matrix @ x[graph.regulators]
    along = part.edges[:, None] * x[graph.source]
    sums = jax.ops.segment_sum(along, graph.target, len(x), indices_are_sorted=True)
    return own + spread(sums, mesh)


def prefers_dense(graph: Incoming, genes: int) -> bool:
    """Whether the dense matrix is the cheaper one, which it is for all small graphs."""
    return genes * len(graph.regulators) <= max(DENSE * len(graph.source), 500**2)


class Around(NamedTuple):
    """The genes' own vectors V, P V, and P."""

    own: Float[Array, "g v"]
    mixed: Float[Array, "g v"]
    part: Shares


class Nodes(nn.Module):
    """The genes' own vectors and the logits of edges."""

    genes: int
    width: int
    dense: bool | None = None  # how to mix; None: as is cheaper
    mesh: Mesh | None = None

    @nn.compact
    def __call__(self, graph: Incoming) -> Around:
        """V and P V; without edges V is of another law, for it is all there is."""
        zeros, some = nn.initializers.zeros, len(graph.source) > 0
        own = self.param("features" if some else "free", zeros, (self.genes, self.width))
        logits = self.param("edges", zeros, graph.source.shape)
        part = shares(logits, self.param("loops", zeros, (self.genes,)), graph)
        dense = prefers_dense(graph, self.genes) if self.dense is None else self.dense
        own = spread(own, self.mesh)
        return Around(own, mixed(own, part, graph, dense=dense, mesh=self.mesh), part)


class Convolutions(nn.Module):
    """Z_G = ReLU(P V Theta + b); a deeper one has ReLU(LayerNorm(P x Theta + b + x)) before it."""

    widths: tuple[int, ...]
    dense: bool | None = None
    mesh: Mesh | None = None

    @nn.compact
    def __call__(self, around: Around, graph: Incoming) -> Float[Array, "g d"]:
        """The vectors of all genes; hidden layers are as wide as V."""
        x, part = around.own, around.part
        dense = prefers_dense(graph, len(x)) if self.dense is None else self.dense
        for layer, width in enumerate(self.widths):
            near = around.mixed
            if layer:
                near = mixed(x, part, graph, dense=dense, mesh=self.mesh)
            made = Linear(width, name=f"{GRAPH}_{layer}")(near)
            if layer + 1 < len(self.widths):
                x = nn.relu(nn.LayerNorm()(made + x))
        return spread(nn.relu(made), self.mesh)
