"""Variational causal inference of a cell's response, with a graph of genes or without.

"Predicting Cellular Responses with Variational Causal Inference and Refined Relational
Information", eq. 3: what was measured is reconstructed; what is predicted under another treatment
looks like the cells that had it; and is believed of the same state. Options name what the paper
has and what its authors' program has in its place.
"""

import functools
from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array, Float

from epistax.engine.fit import Train, gradient, trainable
from epistax.engine.nets import judging
from epistax.engine.nets.graphconv import Incoming
from epistax.engine.nets.inference import (
    INFERS,
    Gaussian,
    Inferring,
    Params,
    Relations,
    Stats,
    network,
)
from epistax.engine.nets.stack import Shape, Widths
from epistax.engine.response import divergence
from epistax.engine.response.densities import (
    NUMBERS,
    Head,
    deviation,
    drawn,
    expected,
    log_density,
)
from epistax.engine.response.known import Batch
from epistax.engine.response.training import Family, Parts, Told, Training, adam
from epistax.engine.types import Info, Key, Scalar


@dataclass(frozen=True)
class Variational:
    """What is trained; static. Without relations it is VCI, with them graphVCI."""

    relations: Relations | None = None
    widths: Widths = Widths()
    head: Head = "normal"
    mc: int = 3  # draws of the state, of which each reconstructs
    omega0: float = 1.0  # weight of the reconstruction,
    omega1: float = 50.0  # of how unlike measured cells counterfactuals are,
    omega2: float = 0.1  # of how unlike their states are
    like: Literal["samples", "kernel", "discriminator"] = "samples"  # how alike is measured
    draws: int | None = None  # cells of the wanted group; None: their mean, which is exact
    bandwidth: float | None = None  # of kernels, in sds of a gene; None: Silverman's
    kl: divergence.Divergence = "code"
    freeze_encoder: Literal["none", "epoch"] = "epoch"  # what counterfactuals are read by
    cf_outcome: Literal["mean", "sample"] = "mean"

    def __post_init__(self) -> None:
        if self.cf_outcome == "sample" and self.head != "normal":
            raise ValueError(f"`cf_outcome` sample: a draw of {self.head} has no slopes; take mean")
        if self.mc < 1 or (self.draws is not None and self.draws < 1):
            raise ValueError(f"`mc` {self.mc} and `draws` {self.draws} must be at least 1")


FLOOR = 0.1  # sd of a gene below which kernels are no narrower
KERNELS = 20  # cells around which they lie, unless `draws` says how many


@functools.lru_cache(maxsize=64)
def variational(
    config: Variational, shape: Shape, training: Training, mesh: Mesh | None = None
) -> Family:
    """The model; the same record for the same settings, so that nothing is compiled twice."""
    net = network(Inferring(shape, NUMBERS[config.head], config.relations), mesh)
    judge = judging.likeness(shape)
    tx = adam(training.rate, training.decay)

    def begin(key: Key, graph: Incoming) -> Parts:
        k_model, k_judge = jax.random.split(key)
        params, stats = net.init(k_model, graph)
        parts = {"model": trainable(params, tx, stats), "frozen": frozen(params)}
        if config.like == "discriminator":
            own, moments = judge.init(k_judge)
            parts["judge"] = trainable(own, tx, moments)
        return parts

    def loss(
        key: Key, params: Params, state: Parts, batch: Batch
    ) -> tuple[Scalar, tuple[Stats, Info]]:
        k_rec, k_other, k_outcome = jax.random.split(key, 3)
        y, t, x, graph = batch.y, batch.t, batch.x, batch.graph
        around = net.nodes(params, graph)
        z_g = net.graph(params, around, graph)
        belief, stats = net.encode(params, state["model"].stats, y, t, x, z_g, train=True)
        z = states(k_rec, belief, config.mc)
        told, stats = net.decode(params, stats, z, jnp.tile(t, (config.mc, 1)), z_g, train=True)
        missed = -jnp.mean(log_density(config.head, told, jnp.tile(y, (config.mc, 1))))

        z = states(k_other, belief, 1)
        told, stats = net.decode(params, stats, z, batch.wanted, z_g, train=True)
        other = expected(config.head, told)
        if config.cf_outcome == "sample":
            other = drawn(k_outcome, told)
        if config.freeze_encoder == "epoch":
            reader = {**params, **state["frozen"]}
            seen = net.graph(reader, around, graph)
            second, _ = net.encode(reader, stats, other, batch.wanted, x, seen, train=True)
        else:
            second, stats = net.encode(params, stats, other, batch.wanted, x, z_g, train=True)
        apart = jnp.mean(divergence.kl(belief, second, config.kl))
        unlike = unlikeness(other, state, batch)
        value = config.omega0 * missed + config.omega1 * unlike + config.omega2 * apart
        info = {"reconstruction": missed, "distribution": unlike, "divergence": apart}
        return value, (stats, info)

    def unlikeness(other: Float[Array, "b g"], state: Parts, batch: Batch) -> Scalar:
        if config.like == "discriminator":
            own: Train = state["judge"]
            logit, _ = judge.apply(own.params, own.stats, other, batch.wanted, batch.x, train=True)
            return jnp.mean(jax.nn.softplus(-logit))
        if config.like == "kernel":
            width = bandwidths(config, batch.sd)
            return divergence.to_density(other, batch.samples, width, batch.known)
        mean, variance = batch.mean, batch.variance
        if batch.samples is not None:
            mean = jnp.mean(batch.samples, axis=1)
            variance = jnp.mean(jnp.var(batch.samples, axis=1), axis=1)
        return divergence.to_mean(other, mean, variance, batch.known)

    def told_apart(
        key: Key, params: Params, state: Parts, batch: Batch
    ) -> tuple[Scalar, tuple[Stats, Info]]:
        own: Train = state["model"]
        z_g = net.graph(own.params, net.nodes(own.params, batch.graph), batch.graph)
        belief, stats = net.encode(
            own.params, own.stats, batch.y, batch.t, batch.x, z_g, train=True
        )
        z = states(key, belief, 1)
        made, _ = net.decode(own.params, stats, z, batch.wanted, z_g, train=True)
        other = jax.lax.stop_gradient(expected(config.head, made))
        real, stats = judge.apply(
            params, state["judge"].stats, batch.y, batch.t, batch.x, train=True
        )
        false, stats = judge.apply(params, stats, other, batch.wanted, batch.x, train=True)
        value = jnp.mean(jax.nn.softplus(-real)) / 2 + jnp.mean(jax.nn.softplus(false)) / 2
        return value, (stats, {"judge": value})

    def predict(params: Params, stats: Stats, graph: Incoming, *cells: Array) -> Told:
        y, t, x, wanted = cells
        z_g = net.graph(params, net.nodes(params, graph), graph)
        (mean, _), _ = net.encode(params, stats, y, t, x, z_g, train=False)
        told, _ = net.decode(params, stats, mean, wanted, z_g, train=False)
        return expected(config.head, told), deviation(config.head, told)

    def epoch(parts: Parts) -> Parts:
        return {**parts, "frozen": frozen(parts["model"].params)}

    turns = [gradient(loss, tx, "model")]
    if config.like == "discriminator":
        turns += [gradient(told_apart, tx, "judge")] * 2
    draws = config.draws or (KERNELS if config.like == "kernel" else 0)
    return Family(begin, tuple(turns), predict, epoch, draws)


def frozen(params: Params) -> Params:
    """What the encoder alone has; not what reads the cells for it, nor the genes' own vectors."""
    return {name: part for name, part in params.items() if name in INFERS}


def states(key: Key, belief: Gaussian, draws: int) -> Float[Array, "m z"]:
    """Draws of the states of all rows, one after the other; the key is used."""
    mean, sd = belief
    noise = jax.random.normal(key, (draws, *mean.shape))
    return (mean[None] + sd[None] * noise).reshape(-1, mean.shape[1])


def bandwidths(config: Variational, sd: Float[Array, "g"]) -> Float[Array, "g"]:
    """Of the kernels, in units of y."""
    if config.bandwidth is not None:
        return config.bandwidth * jnp.maximum(sd, FLOOR)
    return divergence.silverman(sd, config.draws or KERNELS, FLOOR)
