"""Networks that predict the effect of a combination of genes, by their configuration.

The widths of "NAIAD", Table 5: embeddings of 2 to 128 by how often each gene is seen, 64 hidden
units for single effects on a screen of 112 genes and 256 on larger ones; 128 and no single effects
for the multi-layer perceptron, 128 for RECOVER.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from epistax.engine.nets.attention import Transformer, heads
from epistax.engine.nets.beginning import begun
from epistax.engine.nets.bilinear import Recover
from epistax.engine.nets.branches import Embed, Pheno
from epistax.engine.nets.graph import Gears, Graph
from epistax.engine.nets.layers import Genes
from epistax.engine.types import Key

Params: TypeAlias = dict[str, Any]
Embedded: TypeAlias = Literal["sum", "bilinear", "attention", "token", "graph"]


PARTS = ("mean", "log_sd")  # of a network that tells its noise


class Rows(NamedTuple):
    """Combinations, -1 and no effect for no gene, and what is known of all p genes, if any is."""

    genes: Int[Array, "q k"]
    singles: Float[Array, "q k"]
    side: Float[Array, "p c"] | None = None
    graph: Graph | None = None  # of the form `graph`; none: a gene is its own neighbour only


@dataclass(frozen=True)
class Combining:
    """Which network: hashable, static under jit. The prediction is the sum of its two branches.

    symmetric: neither branch minds the order of the genes. Otherwise both are as published, which
    is for two genes, and the form `bilinear` and the single effects depend on their order.
    """

    genes: int  # of the screen
    width: int = 16  # of a gene's vector; of one head of attention
    hidden: int = 64  # units of the branch of single effects; 0: no such branch
    embedded: Embedded | None = "sum"  # how genes' vectors are combined; None: no such branch
    symmetric: bool = True
    dropout: float = 0.1
    spread: bool = False  # a second network of the same form says the log of the noise's sd


class Net(NamedTuple):
    """A network's functions; init and apply make it a `Model`, whose batch is `Rows`.

    train is what a loss is made of, with dropout; apply what is used afterwards. Where the noise
    is told too, both give a mean and a log sd of each row, [q 2].
    """

    init: Callable[[Key, Rows], Params]
    train: Callable[[Key, Params, Rows], Float[Array, "q *two"]]
    apply: Callable[[Params, Rows], Float[Array, "q *two"]]


@functools.lru_cache(maxsize=64)
def network(config: Combining) -> Net:
    """The same record for the same configuration, so that nothing is compiled twice."""
    refuse(config)
    if config.spread:
        return doubled(network(replace(config, spread=False)))
    net = Both(config)

    def init(key: Key, rows: Rows) -> Params:
        shapes = jax.eval_shape(functools.partial(net.init, train=False), key, rows)
        return begun(key, shapes["params"])

    def train(key: Key, params: Params, rows: Rows) -> Float[Array, "q"]:
        return net.apply({"params": params}, rows, train=True, rngs={"dropout": key})

    def apply(params: Params, rows: Rows) -> Float[Array, "q"]:
        return net.apply({"params": params}, rows, train=False)

    return Net(init, train, apply)


def doubled(one: Net) -> Net:
    """Two such networks: one for the mean of a row, one for the log of its noise's sd."""

    def init(key: Key, rows: Rows) -> Params:
        keys = jax.random.split(key)
        return {name: one.init(k, rows) for name, k in zip(PARTS, keys, strict=True)}

    def train(key: Key, params: Params, rows: Rows) -> Float[Array, "q 2"]:
        keys = jax.random.split(key)
        parts = [one.train(k, params[n], rows) for n, k in zip(PARTS, keys, strict=True)]
        return jnp.stack(parts, axis=1)

    def apply(params: Params, rows: Rows) -> Float[Array, "q 2"]:
        return jnp.stack([one.apply(params[name], rows) for name in PARTS], axis=1)

    return Net(init, train, apply)


class Both(nn.Module):
    """The sum of the two branches; the module that is never seen outside."""

    config: Combining

    @nn.compact
    def __call__(self, rows: Rows, train: bool) -> Float[Array, "q"]:
        """One number a row."""
        config, drop = self.config, self.config.dropout
        total = jnp.zeros(len(rows.genes))
        if config.hidden:
            form = "sorted" if config.symmetric else "ordered"
            total = total + Pheno(config.hidden, drop, form)(rows.singles, train)
        if config.embedded is None:
            return total
        table = Genes(config.genes, size(config), name="table")(rows.side)
        if config.embedded == "sum":
            return total + Embed(drop)(table, rows.genes, train)
        if config.embedded == "bilinear":
            more = Recover(drop, config.symmetric)
            return total + more(table, rows.genes, rows.singles, train)
        if config.embedded == "graph":
            return total + Gears(drop)(table, rows.graph, rows.genes, train)
        token = config.embedded == "token"
        return total + Transformer(heads(config.width), drop, token)(table, rows.genes, train)


def size(config: Combining) -> int:
    """How many numbers a gene's vector has."""
    attends = config.embedded in ("attention", "token")
    return config.width * heads(config.width) if attends else config.width


def vectors(params: Params) -> Float[Array, "p d"] | None:
    """The learned vectors of genes, of one set of parameters; None without that branch."""
    return params["table"]["free"] if "table" in params else None


def with_vectors(params: Params, free: Float[Array, "p d"]) -> Params:
    """The same parameters with other vectors of genes."""
    return {**params, "table": {**params["table"], "free": free}}


def refuse(config: Combining) -> None:
    """ValueError for a network that cannot be built."""
    if config.genes < 1 or config.width < 1 or config.hidden < 0:
        raise ValueError(
            f"genes {config.genes} and width {config.width} must be at least 1, "
            f"hidden {config.hidden} at least 0"
        )
    if not 0 <= config.dropout < 1:
        raise ValueError(f"dropout is {config.dropout}; it must be at least 0 and below 1")
    if config.embedded is None and not config.hidden:
        raise ValueError("no branch is left: give hidden units, or how genes are combined")
    if config.embedded is not None and config.embedded not in get_args(Embedded):
        raise ValueError(f"embedded is {config.embedded!r}; give one of {get_args(Embedded)}")
