"""Yoon et al. 2018, "GANITE: Estimation of Individualized Treatment Effects using GANs".

Their counterfactual block, of two treatments and one number, for many treatments and all genes: G
makes from a cell as measured, and noise, its expression under one wanted treatment. Under its own
it is supervised; under another, D is shown both outcomes in random order and guesses which was
measured, and G makes the guess hard. Their second block predicts from covariates alone, strata
here, so what G makes of a cell is what is predicted of it.
"""

import functools
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from epistax.engine.fit import Train, gradient, trainable
from epistax.engine.nets import judging
from epistax.engine.nets.baselines import Generator
from epistax.engine.nets.graphconv import Incoming
from epistax.engine.nets.inference import Params, Stats, applied, started
from epistax.engine.nets.stack import Shape, Widths, nothing
from epistax.engine.response.densities import deviation, drawn, expected, log_density
from epistax.engine.response.known import Batch
from epistax.engine.response.training import Family, Parts, Told, Training, adam
from epistax.engine.types import Info, Key, Scalar

NOISE = 16  # numbers


@dataclass(frozen=True)
class Ganite:
    """What is trained; static."""

    widths: Widths = Widths()
    alpha: float = 1.0  # weight of how well D guesses, beside the supervised loss
    judged: int = 2  # minibatches that D learns from for one of G's

    def __post_init__(self) -> None:
        if self.judged < 1:
            raise ValueError(f"`judged` is {self.judged}; it must be at least 1")


@functools.lru_cache(maxsize=64)
def ganite(config: Ganite, shape: Shape, training: Training) -> Family:
    """The model; the same record for the same settings."""
    net, judge = Generator(shape), judging.pairs(shape)
    tx = adam(training.rate, training.decay)

    def begin(key: Key, graph: Incoming) -> Parts:
        del graph
        k_net, k_judge = jax.random.split(key)
        y, t, x = nothing(shape)
        params, stats = started(k_net, net, y, t, x, t, jnp.zeros((2, NOISE)), train=True)
        own, moments = judge.init(k_judge)
        return {
            "model": trainable(params, tx, stats),
            "judge": trainable(own, tx, moments),
        }

    def other(
        key: Key, params: Params, stats: Stats, batch: Batch
    ) -> tuple[Float[Array, "b g"], Stats]:
        k_noise, k_draw = jax.random.split(key)
        noise = jax.random.normal(k_noise, (len(batch.y), NOISE))
        args = batch.y, batch.t, batch.x, batch.wanted, noise
        told, stats = applied(net, params, stats, *args, train=True)
        return drawn(k_draw, told), stats

    def wrong(
        key: Key, params: Params, stats: Stats, made: Float[Array, "b g"], batch: Batch
    ) -> tuple[Scalar, Stats]:
        first = jax.random.bernoulli(key, 0.5, (len(made), 1))  # whether the measured one is
        y, y2 = jnp.where(first, batch.y, made), jnp.where(first, made, batch.y)
        t = jnp.where(first, batch.t, batch.wanted)
        t2 = jnp.where(first, batch.wanted, batch.t)
        logit, stats = judge.apply(params, stats, y, t, y2, t2, batch.x, train=True)
        return jnp.mean(jax.nn.softplus(jnp.where(first[:, 0], -logit, logit))), stats

    def loss(
        key: Key, params: Params, state: Parts, batch: Batch
    ) -> tuple[Scalar, tuple[Stats, Info]]:
        k_noise, k_made, k_order = jax.random.split(key, 3)
        noise = jax.random.normal(k_noise, (len(batch.y), NOISE))
        args = batch.y, batch.t, batch.x, batch.t, noise
        told, stats = applied(net, params, state["model"].stats, *args, train=True)
        missed = -jnp.mean(log_density("normal", told, batch.y))
        made, stats = other(k_made, params, stats, batch)
        own: Train = state["judge"]
        guess, _ = wrong(k_order, own.params, own.stats, made, batch)
        return missed - config.alpha * guess, (stats, {"reconstruction": missed})

    def judged(
        key: Key, params: Params, state: Parts, batch: Batch
    ) -> tuple[Scalar, tuple[Stats, Info]]:
        k_made, k_order = jax.random.split(key)
        own: Train = state["model"]
        made, _ = other(k_made, own.params, own.stats, batch)
        value, stats = wrong(k_order, params, state["judge"].stats, made, batch)
        return value, (stats, {"judge": value})

    def predict(params: Params, stats: Stats, graph: Incoming, *cells: Array) -> Told:
        y, *_ = cells
        told, _ = applied(net, params, stats, *cells, jnp.zeros((len(y), NOISE)), train=False)
        return expected("normal", told), deviation("normal", told)

    turns = (gradient(loss, tx, "model"), *[gradient(judged, tx, "judge")] * config.judged)
    return Family(begin, turns, predict)
