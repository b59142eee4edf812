"""The published refinement of a graph: a masked graph autoencoder with free weights of edges.

"Predicting Cellular Responses with Variational Causal Inference and Refined Relational
Information", section 3.3. Layers of a graph convolution (11),

    H' = relu(P o M H Theta + b),    P_ij = M_ij exp W_ij / sum_k M_ik exp W_ik,

with one weight W for all of them and a mask M drawn anew at every step, which keeps edges of the
prior graph, and of a gene to itself, at .982 and others at .018; the last layer gives mean and sd
of every gene. It maximises (13), log p(Y | GCN(O)) - omega sum sigmoid(W), O the expression, random
features of the gene and the covariates. Refined are edges whose sigmoid(W) exceeds a threshold
(12). W is target by source; sources are the regulators and the gene itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.scipy.stats import norm
from jaxtyping import Array, Bool, Float, Int
from numpy import ndarray
from scipy.optimize import brentq

from epistax.engine.fit import Hook, Train, fit, gradient, minibatch, trainable
from epistax.engine.nets.regulation import Edges
from epistax.engine.protocols import Step
from epistax.engine.response.records import Cells, Design
from epistax.engine.response.refine import adjacency
from epistax.engine.types import Info, Key, Keys, Scalar

WIDTHS = (16, 16, 64, 64, 64, 64, 2)  # an encoder of two layers, a decoder of five
TEMPERATURE, KEPT = 0.1, 4.0  # of the relaxed mask; its log odds, + in the prior graph, - outside
PENALTY, DECAY = 20.0, 4e-7
GENES = 2013  # where the published penalty and threshold, .2, belong together


@dataclass(frozen=True, kw_only=True)
class Masked:
    """Settings as published, but for the penalty, which published is 20 / genes^2 of an edge."""

    features: int = 8
    batch: int = 64
    penalty: float = PENALTY / GENES**2  # of sigmoid(W) of one edge
    rate: float = 3e-4
    edge_rate: float = 5e-3


class Graph(NamedTuple):
    """What is the same in all steps; the last column of keep is the gene itself."""

    keep: Float[Array, "g k"]  # log odds of the mask
    allowed: Bool[Array, "g k"]
    regulators: Int[Array, "r"]
    features: Float[Array, "g f"]


def background(penalty: float, decay: float = DECAY) -> float:
    """sigmoid(W) of an edge that no data hold: where penalty and decay of weights balance.

    penalty s (1 - s) + decay W = 0 with s = sigmoid(W).
    """

    def balance(w: float) -> float:
        s = 1 / (1 + np.exp(-w))
        return float(penalty * s * (1 - s) + decay * w)

    return float(1 / (1 + np.exp(-brentq(balance, -60.0, 0.0, xtol=1e-12))))


def masked(
    keys: Key | Keys,
    cells: Cells,
    design: Design,
    prior: Edges,
    regulators: Int[ndarray, "r"],
    *,
    config: Masked | None = None,
    steps: int = 3000,
    start: Float[ndarray, "g r"] | None = None,
    hooks: Sequence[Hook] = (),
) -> tuple[Float[Array, "*s g r"], Info]:
    """sigmoid(W) of every edge from a regulator, nan to itself; one table a key.

    start adds to the logits that W begins with, 1. Refined edges are those above 1.25 times the
    `background` (.2 of .16, as published); info holds the objective of every step.
    """
    config = config or Masked()
    y = jnp.asarray(cells.y)
    graph_key = keys if keys.ndim == 0 else keys[0]
    k_features = jax.random.fold_in(graph_key, steps + 1)
    graph = graph_of(k_features, prior, np.asarray(regulators), y.shape[1], config.features)
    levels = np.asarray(design.strata)
    onehot = np.concatenate([np.eye(c.max() + 1)[c] for c in levels.T], axis=1)[cells.stratum]
    data = y, jnp.asarray(onehot, jnp.float32)
    inputs = 1 + config.features + onehot.shape[1]
    extra = jnp.zeros((y.shape[1], len(regulators))) if start is None else jnp.asarray(start)

    def begin(key: Key) -> Train:
        params = beginning(jax.random.fold_in(key, steps), inputs, extra)
        return trainable(params, optimiser(config), stats=graph)

    state = begin(keys) if keys.ndim == 0 else jax.vmap(begin)(keys)
    state, info = fit(keys, training(config), state, data, steps=steps, hooks=hooks)
    weight = jax.nn.sigmoid(state.params["edges"][..., :-1])
    own = np.asarray(regulators)[None, :] == np.arange(y.shape[1])[:, None]
    return jnp.where(own, jnp.nan, weight), info


def graph_of(key: Key, prior: Edges, regulators: Int[ndarray, "r"], g: int, features: int) -> Graph:
    """The prior graph as log odds of the mask."""
    own = regulators[None, :] == np.arange(g)[:, None]
    before = adjacency(prior, g)[:, regulators]
    itself = np.ones((g, 1), bool)
    size = 0.5 / features
    return Graph(
        keep=jnp.where(np.hstack([before, itself]), KEPT, -KEPT),
        allowed=jnp.asarray(np.hstack([~own, itself])),
        regulators=jnp.asarray(regulators),
        features=jax.random.uniform(key, (g, features), minval=-size, maxval=size),
    )


def beginning(key: Key, inputs: int, extra: Float[Array, "g r"]) -> dict[str, Any]:
    """Glorot's uniform law for Theta, 0 for b, 1 for every edge."""
    sizes = (inputs, *WIDTHS)
    layers = []
    for k, (m, n) in enumerate(zip(sizes[:-1], WIDTHS, strict=True)):
        limit = (6 / (m + n)) ** 0.5
        theta = jax.random.uniform(jax.random.fold_in(key, k), (m, n), minval=-limit, maxval=limit)
        layers.append({"theta": theta, "b": jnp.zeros(n)})
    return {"layers": layers, "edges": 1.0 + jnp.pad(extra, ((0, 0), (0, 1)))}


def optimiser(config: Masked) -> optax.GradientTransformation:
    """Adam on the gradient with decay added, faster for edges."""

    def scaled(updates: Any, _: Any = None) -> Any:
        slow = jax.tree.map(lambda u: -config.rate * u, updates)
        return {**slow, "edges": -config.edge_rate * updates["edges"]}

    return optax.chain(
        optax.add_decayed_weights(DECAY), optax.scale_by_adam(), optax.stateless(scaled)
    )


@lru_cache(maxsize=16)
def training(config: Masked) -> Step:
    """A step on a batch of cells."""

    def loss(key: Key, params: Any, state: Train, batch: Any) -> tuple[Scalar, tuple[Any, Info]]:
        y, covariates = batch
        graph = state.stats
        mean, sd = reconstructed(params, graph, drawn(key, graph), y, covariates)
        error = -norm.logpdf(y, mean, sd).mean()
        size = jnp.sum(jax.nn.sigmoid(params["edges"]) * graph.allowed)
        return error + config.penalty * size, (graph, {"error": error})

    return minibatch(gradient(loss, optimiser(config)), config.batch)


def drawn(key: Key, graph: Graph) -> Float[Array, "g k"]:
    """A relaxed Bernoulli mask, 0 where there can be no edge."""
    noise = jax.random.logistic(key, graph.keep.shape)
    return jax.nn.sigmoid((graph.keep + noise) / TEMPERATURE) * graph.allowed


def reconstructed(
    params: Any,
    graph: Graph,
    mask: Float[Array, "g k"],
    y: Float[Array, "b g"],
    covariates: Float[Array, "b c"],
) -> tuple[Float[Array, "b g"], Float[Array, "b g"]]:
    """Mean and sd of every gene; the mask acts within the softmax and once more after it."""
    odds = jnp.exp(params["edges"] - params["edges"].max(axis=1, keepdims=True)) * mask
    passed = odds / (odds.sum(axis=1, keepdims=True) + 1e-12) * mask
    b, g = y.shape
    h = jnp.concatenate(
        [
            y[:, :, None],
            jnp.broadcast_to(graph.features[None], (b, *graph.features.shape)),
            jnp.broadcast_to(covariates[:, None, :], (b, g, covariates.shape[1])),
        ],
        axis=2,
    )
    for k, layer in enumerate(params["layers"]):
        h = jnp.einsum("bgi,io->bgo", h, layer["theta"])
        seen = jnp.einsum("gr,bro->bgo", passed[:, :-1], h[:, graph.regulators])
        h = seen + passed[:, -1][None, :, None] * h + layer["b"][None, None, :]
        h = jax.nn.relu(h) if k < len(params["layers"]) - 1 else h
    return h[:, :, 0], jax.nn.softplus(h[:, :, 1]) + 1e-3
