"""The compositional perturbation autoencoder (CPA).

Lotfollahi et al. 2023, "Predicting cellular responses to complex perturbations in high-throughput
screens". A basal state is made of the expression alone, and vectors of doses and of levels are
added to it. An adversary guesses doses and levels from the basal state, with a penalty on how
steeply; the autoencoder reconstructs and makes it guess wrong. One minibatch is for the
autoencoder, two are for the adversary.
"""

import functools
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from epistax.engine.fit import Train, gradient, trainable
from epistax.engine.nets import judging
from epistax.engine.nets.baselines import Compositional
from epistax.engine.nets.graphconv import Incoming
from epistax.engine.nets.inference import Params, Stats, applied, started
from epistax.engine.nets.stack import Shape, Widths, nothing
from epistax.engine.response.densities import deviation, expected, log_density
from epistax.engine.response.known import Batch
from epistax.engine.response.training import Family, Parts, Told, Training, adam
from epistax.engine.types import Info, Key, Scalar


@dataclass(frozen=True)
class Cpa:
    """What is trained; static."""

    widths: Widths = Widths()
    against: float = 60.0  # weight of the adversary's loss, in the autoencoder's
    steep: float = 60.0  # of the square of its slopes, in its own
    judged: int = 2  # minibatches that the adversary learns from for one of the autoencoder's
    dose_rate: float = 4e-3  # of the curves of doses
    dose_decay: float = 1e-7

    def __post_init__(self) -> None:
        if self.judged < 1:
            raise ValueError(f"`judged` is {self.judged}; it must be at least 1")


@functools.lru_cache(maxsize=64)
def cpa(config: Cpa, shape: Shape, training: Training) -> Family:
    """The model; the same record for the same settings."""
    net, judge = Compositional(shape), judging.origin(shape)
    plain = adam(training.rate, training.decay)
    curves = adam(config.dose_rate, config.dose_decay)
    tx = optax.multi_transform({"plain": plain, "curves": curves}, labels)

    def begin(key: Key, graph: Incoming) -> Parts:
        del graph
        k_net, k_judge = jax.random.split(key)
        params, stats = started(k_net, net, *nothing(shape), train=True, method="everything")
        own, moments = judge.init(k_judge)
        return {
            "model": trainable(params, tx, stats),
            "judge": trainable(own, plain, moments),
        }

    def guessed(
        params: Params, stats: Stats, z: Float[Array, "b z"], batch: Batch
    ) -> tuple[Scalar, Stats]:
        (doses, levels), stats = judge.apply(params, stats, z, train=True)
        value = jnp.mean(optax.sigmoid_binary_cross_entropy(doses, (batch.t > 0).astype(z.dtype)))
        for m, logits in enumerate(levels):
            each = optax.softmax_cross_entropy_with_integer_labels(logits, batch.x[:, m])
            value = value + jnp.mean(each)
        return value, stats

    def steepness(params: Params, stats: Stats, z: Float[Array, "b z"]) -> Scalar:
        def total(place: int, z: Float[Array, "b z"]) -> Scalar:
            (doses, levels), _ = judge.apply(params, stats, z, train=True)
            return jnp.sum([doses, *levels][place])

        slopes = [jax.grad(functools.partial(total, m))(z) for m in range(1 + len(shape.levels))]
        return sum(jnp.mean(slope**2) for slope in slopes)

    def loss(
        key: Key, params: Params, state: Parts, batch: Batch
    ) -> tuple[Scalar, tuple[Stats, Info]]:
        del key
        stats = state["model"].stats
        z, stats = applied(net, params, stats, batch.y, train=True, method="encode")
        told, stats = applied(net, params, stats, z, batch.t, batch.x, train=True, method="decode")
        missed = -jnp.mean(log_density("normal", told, batch.y))
        own: Train = state["judge"]
        guess, _ = guessed(own.params, own.stats, z, batch)
        return missed - config.against * guess, (stats, {"reconstruction": missed})

    def judged(
        key: Key, params: Params, state: Parts, batch: Batch
    ) -> tuple[Scalar, tuple[Stats, Info]]:
        del key
        own: Train = state["model"]
        z, _ = applied(net, own.params, own.stats, batch.y, train=True, method="encode")
        before = state["judge"].stats
        guess, stats = guessed(params, before, z, batch)
        value = guess + config.steep * steepness(params, before, z)
        return value, (stats, {"judge": guess})

    def predict(params: Params, stats: Stats, graph: Incoming, *cells: Array) -> Told:
        y, _, x, wanted = cells
        z, _ = applied(net, params, stats, y, train=False, method="encode")
        told, _ = applied(net, params, stats, z, wanted, x, train=False, method="decode")
        return expected("normal", told), deviation("normal", told)

    turns = (gradient(loss, tx, "model"), *[gradient(judged, plain, "judge")] * config.judged)
    return Family(begin, turns, predict)


def labels(params: Params) -> Any:
    """Which parameters are curves of doses."""

    def one(path: Any, leaf: Array) -> str:
        del leaf
        return "curves" if path[-1].key in ("slope", "shift") else "plain"

    return jax.tree_util.tree_map_with_path(one, params)
