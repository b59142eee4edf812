"""Encoder, decoder and what tells of an environment: the networks of causal embeddings.

"Towards Learning Cell Causal-Embeddings", sections 4.5 to 4.10: Q_psi(C | X, e), P_theta(X | C),
A_phi(e) and D_gamma. Paths are linear maps beside the hidden layers, whose last layers begin at 0:
a network with paths begins as a linear one.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from epistax.engine.nets import autoregressive
from epistax.engine.nets.beginning import STILL, begun
from epistax.engine.nets.film import Film
from epistax.engine.nets.layers import Drop, Linear
from epistax.engine.types import Key

Params: TypeAlias = dict[str, Any]
Normal: TypeAlias = tuple[Float[Array, "b d"], Float[Array, "b d"]]  # mean and log of the sd
LOW, HIGH = -5.0, 2.0  # between which the log of an encoded sd is held
NARROW = 1.0  # how far from 0 the log of a prior's sd may be, held


@dataclass(frozen=True)
class Embedding:
    """Which networks: hashable, static under jit."""

    features: int
    vector: int  # numbers that an environment is known by
    latents: int
    hidden: tuple[int, ...]  # of the encoder; of the decoder in turn
    encoder: Literal["mlp", "residual"] = "mlp"  # residual: hidden layers beside a path
    decoder: Literal["linear", "mlp", "residual"] = "linear"
    sees: Literal["x", "concat", "film"] = "x"  # how the encoder is told of e
    decoder_sees: bool = False  # e beside the latents
    auxiliary: tuple[int, ...] | None = None  # hidden layers of A; None: there is none
    anchored: bool = False  # A has no biases: of the zero vector it tells 0
    bottleneck: int | None = None  # numbers that a vector is reduced to before it is read
    dropout: float = 0.0  # of hidden units
    clamp: bool = False  # hold the log of an encoded sd, softly
    prior_clamp: bool = False
    layers: tuple[int, ...] | None = None  # of causal variables; None: the latents themselves


class Net(NamedTuple):
    """The networks' functions. A key makes dropout: without one, nothing is dropped."""

    init: Callable[[Key], Params]
    encode: Callable[..., Normal]  # (params, x, e, key=None)
    decode: Callable[..., Float[Array, "b g"]]  # (params, variables, e, key=None)
    auxiliary: Callable[..., Normal]  # (params, e, key=None)
    variables: Callable[..., Float[Array, "b d"]]  # (params, z)


class Tower(nn.Module):
    """Linear, ReLU and dropout of each width."""

    widths: tuple[int, ...]
    dropout: float
    bias: bool = True

    @nn.compact
    def __call__(self, x: Float[Array, "b d"], train: bool) -> Float[Array, "b h"]:
        """Hidden units; x itself without any width."""
        for width in self.widths:
            x = Drop(self.dropout)(nn.relu(Linear(width, use_bias=self.bias)(x)), train)
        return x


class Reduced(nn.Module):
    """A vector, reduced: a linear map, normalised. Without a size it stays as it is."""

    size: int | None
    bias: bool = True

    @nn.compact
    def __call__(self, e: Float[Array, "b v"]) -> Float[Array, "b u"]:
        """One row an environment."""
        if self.size is None:
            return e
        return nn.LayerNorm(use_bias=self.bias)(Linear(self.size, use_bias=self.bias)(e))


class Encoder(nn.Module):
    """Q(C | X, e)."""

    config: Embedding

    @nn.compact
    def __call__(self, x: Float[Array, "b g"], e: Float[Array, "b v"], train: bool) -> Normal:
        """Mean and log of the sd of each latent."""
        config, h = self.config, x
        if config.sees == "concat":
            h = jnp.concatenate([x, Reduced(config.bottleneck)(e)], axis=1)
        told = Reduced(config.bottleneck)(e) if config.sees == "film" else None
        for width in config.hidden:
            h = Linear(width)(h)
            h = h if told is None else Film(width)(h, told)
            h = Drop(config.dropout)(nn.relu(h), train)
        log_sd = Linear(config.latents, name="log_sd")(h)
        log_sd = between(log_sd, LOW, HIGH) if config.clamp else log_sd
        if config.encoder == "mlp":
            return Linear(config.latents, name="mean")(h), log_sd
        more = Linear(config.latents, name=STILL)(h)
        return Linear(config.latents, name="path")(x) + more, log_sd


class Decoder(nn.Module):
    """P(X | C); of a conditional model P(X | C, e)."""

    config: Embedding

    @nn.compact
    def __call__(
        self, c: Float[Array, "b d"], e: Float[Array, "b v"], train: bool
    ) -> Float[Array, "b g"]:
        """The mean of each feature."""
        config, h = self.config, c
        if config.decoder_sees:
            h = jnp.concatenate([c, Reduced(config.bottleneck)(e)], axis=1)
        if config.decoder == "linear":
            return Linear(config.features, name="path")(h)
        path = functools.partial(Linear(config.features, name="path"), c)
        h = Tower(config.hidden[::-1], config.dropout)(h, train)
        if config.decoder == "mlp":
            return Linear(config.features, name="mean")(h)
        return path() + Linear(config.features, name=STILL)(h)


class Auxiliary(nn.Module):
    """A(e): what an environment does to the laws of the latents, before any gate."""

    config: Embedding

    @nn.compact
    def __call__(self, e: Float[Array, "b v"], train: bool) -> Normal:
        """Mean and log of the sd of each latent."""
        config, bias = self.config, not self.config.anchored
        h = Reduced(config.bottleneck, bias)(e)
        h = Tower(config.auxiliary, config.dropout, bias)(h, train)
        mean = Linear(config.latents, use_bias=bias, name="mean")(h)
        log_sd = Linear(config.latents, use_bias=bias, name="log_sd")(h)
        return mean, NARROW * jnp.tanh(log_sd / NARROW) if config.prior_clamp else log_sd


class Parts(nn.Module):
    """All networks of one model."""

    config: Embedding

    def setup(self) -> None:
        """The parts, by the names that the parameters have."""
        self.encoder = Encoder(self.config)
        self.decoder = Decoder(self.config)
        if self.config.auxiliary is not None:
            self.auxiliary = Auxiliary(self.config)
        if self.config.layers is not None:
            self.causes = autoregressive.Autoregressive(self.config.layers)

    def encode(self, x: Array, e: Array, train: bool) -> Normal:
        """Q."""
        return self.encoder(x, e, train)

    def decode(self, c: Array, e: Array, train: bool) -> Float[Array, "b g"]:
        """The mean of P."""
        return self.decoder(c, e, train)

    def told(self, e: Array, train: bool) -> Normal:
        """A."""
        return self.auxiliary(e, train)

    def variables(self, z: Array) -> Float[Array, "b d"]:
        """C of the noises Z; C itself without causes."""
        return z if self.config.layers is None else self.causes(z)

    def everything(self) -> Float[Array, "b g"]:
        """All parts once, on a row, for their parameters."""
        x, e = jnp.zeros((1, self.config.features)), jnp.zeros((1, self.config.vector))
        if self.config.auxiliary is not None:
            self.told(e, False)
        mean, _ = self.encode(x, e, False)
        return self.decode(self.variables(mean), e, False)


@functools.lru_cache(maxsize=64)
def network(config: Embedding) -> Net:
    """The same record for the same configuration, so that nothing is compiled twice."""
    net = Parts(config)

    def part(method: str) -> Callable[..., Any]:
        def run(params: Params, *args: Array, key: Key | None = None) -> Any:
            rngs = None if key is None else {"dropout": key}
            return net.apply({"params": params}, *args, key is not None, method=method, rngs=rngs)

        return run

    def variables(params: Params, z: Array) -> Float[Array, "b d"]:
        return net.apply({"params": params}, z, method="variables")

    init = functools.partial(of_zeros, functools.partial(net.init, method="everything"))
    return Net(init, part("encode"), part("decode"), part("told"), variables)


def of_zeros(init: Callable[..., Any], key: Key, *args: Any) -> Params:
    """Parameters by PyTorch's laws, of a network that flax begins at 0. The key is used."""
    return begun(key, jax.eval_shape(init, key, *args)["params"])


class Discriminator(nn.Module):
    """D: which environment a representation is of."""

    widths: tuple[int, ...]
    environments: int

    @nn.compact
    def __call__(self, z: Float[Array, "b d"]) -> Float[Array, "b e"]:
        """A logit each."""
        return Linear(self.environments)(Tower(self.widths, 0.0)(z, True))


class Judge(NamedTuple):
    """The discriminator's functions."""

    init: Callable[[Key], Params]
    apply: Callable[[Params, Float[Array, "b d"]], Float[Array, "b e"]]


@functools.lru_cache(maxsize=64)
def judge(latents: int, widths: tuple[int, ...], environments: int) -> Judge:
    """Of so many latents; the same record for the same sizes."""
    net = Discriminator(widths, environments)

    def apply(params: Params, z: Float[Array, "b d"]) -> Float[Array, "b e"]:
        return net.apply({"params": params}, z)

    return Judge(lambda key: of_zeros(net.init, key, jnp.zeros((1, latents))), apply)


def between(x: Float[Array, "*b"], low: float, high: float) -> Float[Array, "*b"]:
    """X, held softly between two numbers: by a softplus on either side."""
    x = high - jax.nn.softplus(high - x)
    return low + jax.nn.softplus(x - low)
