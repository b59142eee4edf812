"""What is believed of a cell's state, and what is expressed in that state under a treatment.

"Predicting Cellular Responses with Variational Causal Inference and Refined Relational
Information", eq. 5-10: q(Z | Y, G, X, T) and p(Y | Z, T), with a graph of genes or without. As the
authors' program has it, both heads of q end in a ReLU: the mean is at least 0 and the sd at least
log 2.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int

from epistax.engine.nets.beginning import begun
from epistax.engine.nets.graphconv import Around, Convolutions, Incoming, Nodes
from epistax.engine.nets.layers import Linear
from epistax.engine.nets.readout import ByGraph, Outputs, PerGene, Reading
from epistax.engine.nets.stack import Described, Shape, Stack, nothing
from epistax.engine.types import Key

Params: TypeAlias = dict[str, Any]
Stats: TypeAlias = dict[str, Any]
Gaussian: TypeAlias = tuple[Float[Array, "b z"], Float[Array, "b z"]]  # mean and sd
LEAST = 1e-3  # that a sd is above what softplus gives
INFERS = ("encoder", "convolutions", "aggregation")  # what the encoder alone has


@dataclass(frozen=True)
class Relations:
    """How the graph of genes is read; static."""

    features: int = 128  # numbers of a gene's own vector
    width: int = 128  # of its vector in Z_G
    depth: int = 1
    reading: Reading = "dot"
    softmax: bool = False  # of the reading att
    aggregation: Literal["sum", "mlp"] = "sum"  # of cell and graph, in the encoder
    dense: bool | None = None  # how vectors are mixed; None: as is cheaper

    def __post_init__(self) -> None:
        if self.depth < 1 or (self.depth > 1 and self.features != self.width):
            raise ValueError(
                f"`depth` {self.depth} must be at least 1, and `features` {self.features} be "
                f"`width` {self.width} where there are several layers"
            )


@dataclass(frozen=True)
class Inferring:
    """Which network: hashable, static under jit."""

    shape: Shape
    k: int = 2  # numbers that are told of each gene
    relations: Relations | None = None
    rectified: bool = True  # a ReLU ends both heads of q


class Net(NamedTuple):
    """A network's functions; variables are (params, stats), stats those of BatchNorm.

    graph is made once for all rows: P V of `nodes` (from the genes' own vectors), Z_G of `graph`.
    With train the rows' own moments normalise, and the statistics moved by them come back.
    """

    init: Callable[[Key, Incoming], tuple[Params, Stats]]
    nodes: Callable[..., Around | None]  # (params, incoming)
    graph: Callable[..., Float[Array, "g v"] | None]  # (params, around, incoming)
    encode: Callable[..., tuple[Gaussian, Stats]]  # (params, stats, y, t, x, z_g, train=)
    decode: Callable[..., tuple[Outputs, Stats]]  # (params, stats, z, t, z_g, train=)


class Inference(nn.Module):
    """Encoder and decoder, that share the graph."""

    config: Inferring
    mesh: Mesh | None = None

    def setup(self) -> None:
        """The parts, by the names that the parameters have."""
        shape, by = self.config.shape, self.config.relations
        widths = shape.widths
        self.described = Described(shape)
        if by is None:
            self.encoder = Stack(widths.hidden, 2 * widths.latent)
            self.decoder = Stack(widths.hidden)
            self.readout = PerGene(shape.genes, self.config.k)
            return
        self.encoder = Stack(widths.hidden, widths.latent)
        self.own = Nodes(shape.genes, by.features, by.dense, self.mesh)
        self.convolutions = Convolutions((by.width,) * by.depth, by.dense, self.mesh)
        self.aggregation = Linear(2 * widths.latent)
        self.decoder = Stack(widths.hidden[1:], widths.width)
        self.readout = ByGraph(by.reading, self.config.k, by.softmax, self.mesh)

    def nodes(self, graph: Incoming) -> Around:
        """P V, V and P."""
        return self.own(graph)

    def graph(self, around: Around, graph: Incoming) -> Float[Array, "g v"]:
        """Z_G, eq. 6."""
        return self.convolutions(around, graph)

    def encode(
        self,
        y: Float[Array, "b g"],
        t: Float[Array, "b r"],
        x: Int[Array, "b m"],
        z_g: Float[Array, "g v"] | None,
        train: bool,
    ) -> Gaussian:
        """Mean and sd of Z, eq. 5-8; Z_G enters by the mean over genes."""
        told = self.encoder(self.described(y, t, x), train)
        if z_g is not None:
            whole = jnp.mean(z_g, axis=0, keepdims=True)
            if self.config.relations.aggregation == "sum":
                told = jnp.tile(told, (1, 2)) + nn.relu(self.aggregation(whole))
            else:
                whole = jnp.broadcast_to(whole, (len(told), whole.shape[1]))
                told = self.aggregation(jnp.concatenate([told, whole], axis=1))
        told = nn.relu(told) if self.config.rectified else told
        mean, raw = jnp.split(told, 2, axis=1)
        return mean, jax.nn.softplus(raw) + LEAST

    def decode(
        self,
        z: Float[Array, "b z"],
        t: Float[Array, "b r"],
        z_g: Float[Array, "g v"] | None,
        train: bool,
    ) -> Outputs:
        """The k numbers of each gene, eq. 9 and 10."""
        h = self.decoder(jnp.concatenate([z, t], axis=1), train)
        return self.readout(h) if z_g is None else self.readout(h, z_g)

    def everything(self, graph: Incoming) -> Outputs:
        """All parts once, on two rows, for their parameters."""
        z_g = None
        if self.config.relations is not None:
            z_g = self.graph(self.nodes(graph), graph)
        y, t, x = nothing(self.config.shape)
        z, _ = self.encode(y, t, x, z_g, True)
        return self.decode(z, t, z_g, True)


@functools.lru_cache(maxsize=64)
def network(config: Inferring, mesh: Mesh | None = None) -> Net:
    """The same record for the same configuration, so that nothing is compiled twice."""
    net = Inference(config, mesh)
    related = config.relations is not None

    def init(key: Key, graph: Incoming) -> tuple[Params, Stats]:
        return started(key, net, graph, method="everything")

    def nodes(params: Params, graph: Incoming) -> Around | None:
        return net.apply({"params": params}, graph, method="nodes") if related else None

    def made(params: Params, around: Around | None, graph: Incoming) -> Float[Array, "g v"] | None:
        if around is None:
            return None
        return net.apply({"params": params}, around, graph, method="graph")

    def encode(params: Params, stats: Stats, *args: Any, train: bool) -> tuple[Gaussian, Stats]:
        return applied(net, params, stats, *args, train=train, method="encode")

    def decode(params: Params, stats: Stats, *args: Any, train: bool) -> tuple[Outputs, Stats]:
        return applied(net, params, stats, *args, train=train, method="decode")

    return Net(init, nodes, made, encode, decode)


def started(key: Key, net: nn.Module, *args: Any, **how: Any) -> tuple[Params, Stats]:
    """Parameters by PyTorch's laws, and the statistics before any batch. The key is used."""
    shapes = jax.eval_shape(functools.partial(net.init, **how), key, *args)
    stats = shapes.get("batch_stats", {})

    def before(path: Any, leaf: Any) -> Float[Array, "..."]:
        return (jnp.ones if path[-1].key == "var" else jnp.zeros)(leaf.shape)

    return begun(key, shapes["params"]), jax.tree_util.tree_map_with_path(before, stats)


def applied(
    net: nn.Module, params: Params, stats: Stats, *args: Any, train: bool, **how: Any
) -> tuple[Any, Stats]:
    """What a module makes of its arguments, and the statistics after it."""
    held = {"params": params, "batch_stats": stats}
    if not train:
        return net.apply(held, *args, train=False, **how), stats
    out, moved = net.apply(held, *args, train=True, mutable=["batch_stats"], **how)
    return out, {**stats, **moved["batch_stats"]}
