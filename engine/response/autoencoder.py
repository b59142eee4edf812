"""What is known of a cell is encoded, and decoded with its treatment: the autoencoder.

A baseline of "Predicting Cellular Responses with Variational Causal Inference and Refined
Relational Information". Trained to reconstruct; another treatment is put in afterwards, which
nothing has prepared it for.
"""

import functools
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from epistax.engine.fit import gradient, trainable
from epistax.engine.nets.graphconv import Incoming
from epistax.engine.nets.inference import Inferring, Params, Stats, network
from epistax.engine.nets.stack import Shape, Widths
from epistax.engine.response.densities import NUMBERS, Head, deviation, expected, log_density
from epistax.engine.response.known import Batch
from epistax.engine.response.training import Family, Parts, Told, Training, adam
from epistax.engine.types import Info, Key, Scalar


@dataclass(frozen=True)
class Autoencoder:
    """What is trained; static."""

    widths: Widths = Widths()
    head: Head = "normal"


@functools.lru_cache(maxsize=64)
def autoencoder(config: Autoencoder, shape: Shape, training: Training) -> Family:
    """The model; the same record for the same settings."""
    net = network(Inferring(shape, NUMBERS[config.head]))
    tx = adam(training.rate, training.decay)

    def begin(key: Key, graph: Incoming) -> Parts:
        params, stats = net.init(key, graph)
        return {"model": trainable(params, tx, stats)}

    def loss(
        key: Key, params: Params, state: Parts, batch: Batch
    ) -> tuple[Scalar, tuple[Stats, Info]]:
        del key
        y, t, stats = batch.y, batch.t, state["model"].stats
        (z, _), stats = net.encode(params, stats, y, t, batch.x, None, train=True)
        told, stats = net.decode(params, stats, z, t, None, train=True)
        return -jnp.mean(log_density(config.head, told, y)), (stats, {})

    def predict(params: Params, stats: Stats, graph: Incoming, *cells: jax.Array) -> Told:
        y, t, x, wanted = cells
        (z, _), _ = net.encode(params, stats, y, t, x, None, train=False)
        told, _ = net.decode(params, stats, z, wanted, None, train=False)
        return expected(config.head, told), deviation(config.head, told)

    return Family(begin, (gradient(loss, tx, "model"),), predict)
