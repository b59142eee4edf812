"""Louizos et al. 2017, "Causal Effect Inference with Deep Latent-Variable Models" (CEVAE).

Maximised: E_q(z | x, t, y)[log p(x | z) + log p(t | z) + log p(y | t, z) + log p(z) - log q(z)]
+ log q(t | x) + log q(y | x, t) (their eq. 10). Here y is the expression of all genes and t a
treatment of many doses, entered rather than a head of its own for each; log-densities of y are
means over genes, and what z has beside y weighs accordingly less.
"""

import functools
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from epistax.engine.fit import gradient, trainable
from epistax.engine.nets.baselines import Auxiliary
from epistax.engine.nets.graphconv import Incoming
from epistax.engine.nets.inference import Inferring, Params, Stats, applied, network, started
from epistax.engine.nets.stack import Shape, Widths, nothing
from epistax.engine.response import divergence
from epistax.engine.response.densities import deviation, expected, log_density
from epistax.engine.response.known import Batch
from epistax.engine.response.training import Family, Parts, Told, Training, adam
from epistax.engine.response.variational import states
from epistax.engine.types import Info, Key, Scalar


@dataclass(frozen=True)
class Cevae:
    """What is trained; static."""

    widths: Widths = Widths()
    omega: float = 0.1  # weight of the divergence from p(z), of p(x | z) and of p(t | z)


@functools.lru_cache(maxsize=64)
def cevae(config: Cevae, shape: Shape, training: Training) -> Family:
    """The model; the same record for the same settings."""
    net = network(Inferring(shape, rectified=False))
    beside = Auxiliary(shape)
    tx = adam(training.rate, training.decay)

    def begin(key: Key, graph: Incoming) -> Parts:
        k_net, k_beside = jax.random.split(key)
        _, t, x = nothing(shape)
        z = jnp.zeros((2, shape.widths.latent))
        both = net.init(k_net, graph), started(k_beside, beside, z, t, x, train=True)
        params, stats = ({"net": one, "beside": other} for one, other in zip(*both, strict=True))
        return {"model": trainable(params, tx, stats)}

    def loss(
        key: Key, params: Params, state: Parts, batch: Batch
    ) -> tuple[Scalar, tuple[Stats, Info]]:
        y, t, x = batch.y, batch.t, batch.x
        own, others = params["net"], state["model"].stats
        belief, stats = net.encode(own, others["net"], y, t, x, None, train=True)
        z = states(key, belief, 1)
        made, stats = net.decode(own, stats, z, t, None, train=True)
        told, moved = applied(beside, params["beside"], others["beside"], z, t, x, train=True)
        missed = -jnp.mean(log_density("normal", made, y))
        guessed = -jnp.mean(log_density("normal", told.outcome, y))
        prior = jnp.zeros_like(belief[0]), jnp.ones_like(belief[1])
        apart = jnp.mean(divergence.kl(belief, prior, "true"))
        covariates = sum(
            jnp.mean(-jnp.take_along_axis(jax.nn.log_softmax(logits), x[:, [m]], axis=1))
            for m, logits in enumerate(told.levels)
        )
        known = apart + covariates + given(told.doses, t)
        value = missed + config.omega * known + given(told.before, t) + guessed
        info = {"reconstruction": missed, "divergence": apart}
        return value, ({"net": stats, "beside": moved}, info)

    def predict(params: Params, stats: Stats, graph: Incoming, *cells: Array) -> Told:
        y, t, x, wanted = cells
        own, moments = params["net"], stats["net"]
        (z, _), _ = net.encode(own, moments, y, t, x, None, train=False)
        told, _ = net.decode(own, moments, z, wanted, None, train=False)
        return expected("normal", told), deviation("normal", told)

    return Family(begin, (gradient(loss, tx, "model"),), predict)


def given(logits: Float[Array, "b r"], t: Float[Array, "b r"]) -> Scalar:
    """-log of the probability of what was given, by its share of the dose where it is several."""
    share = t / jnp.maximum(jnp.sum(t, axis=1, keepdims=True), 1e-6)
    return -jnp.mean(jnp.sum(share * jax.nn.log_softmax(logits), axis=1))
