"""Encoders by their configuration: observations in, hidden units out.

The widths the papers use: mlp 128-64 on few features and 2048-256 on embeddings; strided
32-54-128-256-512 on images of balls; pooled 32-64-128, then 256-128 with dropout .3, on cells;
densenet 32-16-16-16, then 128.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

import flax.linen as nn
from jaxtyping import Array, Float

from epistax.engine.nets.conv import Pooled, Strided
from epistax.engine.nets.densenet import DenseNet
from epistax.engine.nets.mlp import Dense
from epistax.engine.types import Key

Params: TypeAlias = dict[str, Any]
Stats: TypeAlias = dict[str, Any]
IMAGES = {"strided": Strided, "pooled": Pooled, "densenet": DenseNet}


@dataclass(frozen=True)
class Encoder:
    """Which network: hashable, static under jit.

    widths are those of the hidden layers (mlp) or the channels of the convolutions; of densenet,
    the channels of the stem and the growth of each block. Images come flattened, height x width x
    channels = d. Dropout acts on dense layers, the last one too.
    """

    kind: Literal["mlp", "strided", "pooled", "densenet"]
    widths: tuple[int, ...]
    shape: tuple[int, int, int] | None = None  # height, width, channels of images
    hidden: tuple[int, ...] = ()  # dense layers after the convolutions
    dropout: float = 0.0


class Network(NamedTuple):
    """An encoder's functions; statistics are {} where there is no BatchNorm.

    train is what a loss is made of: with dropout, normalised by the statistics of this very batch
    (over all devices that share it), which the running ones are moved towards. apply is what is
    used afterwards: a row's hidden units depend on no other row and on no key.
    """

    init: Callable[[Key, Float[Array, "b d"]], tuple[Params, Stats]]
    train: Callable[[Key, Params, Stats, Float[Array, "b d"]], tuple[Float[Array, "b h"], Stats]]
    apply: Callable[[Params, Stats, Float[Array, "b d"]], Float[Array, "b h"]]


@functools.lru_cache
def network(encoder: Encoder) -> Network:
    """The same record for the same encoder, so that nothing is compiled twice."""
    refuse(encoder)
    net = module(encoder)

    def init(key: Key, x: Float[Array, "b d"]) -> tuple[Params, Stats]:
        made = net.init(key, x, train=False)
        return made["params"], made.get("batch_stats", {})

    def train(
        key: Key, params: Params, stats: Stats, x: Float[Array, "b d"]
    ) -> tuple[Float[Array, "b h"], Stats]:
        held = {"params": params, "batch_stats": stats}
        out, moved = net.apply(held, x, train=True, rngs={"dropout": key}, mutable=["batch_stats"])
        return out, moved.get("batch_stats", {})

    def apply(params: Params, stats: Stats, x: Float[Array, "b d"]) -> Float[Array, "b h"]:
        return net.apply({"params": params, "batch_stats": stats}, x, train=False)

    return Network(init, train, apply)


def module(encoder: Encoder) -> nn.Module:
    """The module that is never seen outside."""
    if encoder.kind == "mlp":
        return Dense(encoder.widths, encoder.dropout)
    kind = IMAGES[encoder.kind]
    return kind(encoder.shape, encoder.widths, encoder.hidden, encoder.dropout)


def refuse(encoder: Encoder) -> None:
    """ValueError for an encoder that cannot be built."""
    kind, widths, shape = encoder.kind, encoder.widths, encoder.shape
    least = 2 if kind == "densenet" else 1
    if len(widths) < least or min(*widths, *encoder.hidden, 1) < 1:
        raise ValueError(
            f"{kind}: widths {widths} and hidden {encoder.hidden} must be positive, "
            f"and widths at least {least} of them"
        )
    if not 0 <= encoder.dropout < 1:
        raise ValueError(f"dropout is {encoder.dropout}; it must be at least 0 and below 1")
    if kind == "mlp":
        if encoder.hidden:
            raise ValueError(f"mlp: hidden is {encoder.hidden}; its layers are all in widths")
        return
    if shape is None:
        raise ValueError(f"{kind}: shape is missing; give the images' (height, width, channels)")
    halvings = len(widths) - (2 if kind == "densenet" else 0)
    if min(shape[:2]) < 2**halvings or shape[2] < 1:
        raise ValueError(
            f"{kind}: images of {shape} are too small to be halved {halvings} times; "
            f"sides must be at least {2**halvings}, or give fewer widths"
        )
    if encoder.dropout and not encoder.hidden:
        raise ValueError(f"{kind}: dropout acts on dense layers, and hidden has none")
