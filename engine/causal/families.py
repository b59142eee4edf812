"""What tells one kind of model from another, and what all have: reconstruction and optimiser."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from epistax.engine.causal import irm
from epistax.engine.causal.objective import missed
from epistax.engine.causal.settings import Settings
from epistax.engine.nets.autoregressive import widths
from epistax.engine.nets.embedding import Embedding, Net, Normal, Params, between, network
from epistax.engine.protocols import Step
from epistax.engine.types import Info, Key, Keys, Scalar

Parts: TypeAlias = dict[str, Any]  # `Train`s; that of "model" is what embeds
SPARSE = ("environment", "translation", "adversarial", "structured")  # that have A
QUIET = 9.0  # how far from 0 the log of a learned variance may be, held


class Pace(NamedTuple):
    """What changes from step to step."""

    temperature: Scalar
    beta: Scalar  # weight of the divergence
    irm: Scalar  # of the penalty


class Batch(NamedTuple):
    """A minibatch; environment counts the environments that are trained on.

    keys are the step's own, all that its losses use: made within a compiled loop, they take as long
    as a small network.
    """

    x: Float[Array, "b g"]
    e: Float[Array, "b v"]
    environment: Int[Array, "b"]
    keys: Keys
    pace: Pace


class Family(NamedTuple):
    """The functions of one model; params are of the part "model"."""

    begin: Callable[[Key], Parts]
    keys: int  # that a step uses
    turn: Step  # one minibatch: (key, parts, batch)
    encode: Callable[..., Normal]  # (params, temperature, x, e)
    decode: Callable[..., Float[Array, "b g"]]  # (params, z, e)
    prior: Callable[..., Normal]  # (params, temperature, e)
    variables: Callable[..., Float[Array, "b d"]]  # (params, z)


def networks(name: str, settings: Settings) -> Net:
    """Those of a model."""
    return network(
        Embedding(
            features=settings.features,
            vector=settings.vector,
            latents=settings.latents,
            hidden=settings.hidden,
            encoder=settings.encoder,
            decoder=settings.decoder,
            sees="x" if name == "vae" else settings.sees,
            decoder_sees=name == "conditional",
            auxiliary=settings.hidden if name in SPARSE else None,
            anchored=settings.anchored,
            bottleneck=settings.bottleneck,
            dropout=settings.dropout,
            clamp=settings.clamp,
            prior_clamp=settings.prior_clamp,
            layers=widths(settings.latents, settings.depth) if name == "structured" else None,
        )
    )


def begun(key: Key, net: Net, settings: Settings) -> Params:
    """Parameters before any step; the key is used."""
    params = net.init(key)
    if settings.likelihood == "learned":
        params = {**params, "log_variance": jnp.float32(0)}
    return params


def optimiser(settings: Settings, updates: int, b1: float = 0.9) -> optax.GradientTransformation:
    """Adam of so many updates; by the settings with a clipped gradient and weights that decay.

    The rate falls along a cosine, to the share `fall` of itself at the end.
    """
    steps = [] if settings.clip is None else [optax.clip_by_global_norm(settings.clip)]
    steps.append(optax.scale_by_adam(b1))
    if settings.decay:
        steps.append(optax.add_decayed_weights(settings.decay, matrices))
    rate = optax.cosine_decay_schedule(settings.rate, updates, alpha=settings.fall)
    return optax.chain(*steps, optax.scale_by_learning_rate(rate))


def matrices(params: Params) -> Params:
    """Which parameters decay: hidden layers' weights.

    Not biases, nor paths, which begin as components, nor A: what these tell may be large.
    """

    def one(path: Any, leaf: Array) -> bool:
        names = {getattr(part, "key", None) for part in path}
        return leaf.ndim > 1 and not names & {"path", "auxiliary"}

    return jax.tree_util.tree_map_with_path(one, params)


def seen(key: Key, e: Float[Array, "b v"], share: float) -> Float[Array, "b v"]:
    """Vectors, a share of which is replaced by that of the reference; the key is used."""
    if not share:
        return e
    return jnp.where(jax.random.bernoulli(key, share, (len(e), 1)), 0.0, e)


def reconstruction(
    told: Float[Array, "b g"],
    params: Params,
    batch: Batch,
    settings: Settings,
    environments: int,
    more: Scalar,
) -> tuple[Scalar, Info]:
    """The loss: what is missed, and `more`; with the penalty that keeps the decoder invariant."""
    variance = between(params.get("log_variance", jnp.float32(0)), -QUIET, QUIET)
    lost = jnp.mean(missed(told, batch.x, variance, form=settings.likelihood))
    if not settings.irm:
        return lost + more, {"missed": lost}
    extra = irm.penalty(
        told,
        batch.x,
        batch.environment,
        environments=environments,
        halves=settings.irm_halves,
    )
    value = irm.weighed(lost + more, extra, batch.pace.irm)
    return value, {"missed": lost, "penalty": extra}
