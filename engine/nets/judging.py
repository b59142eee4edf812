"""Networks that others are trained against: was this measured, which was, what was done to it.

As wide as in the authors' program of "Predicting Cellular Responses with Variational Causal
Inference and Refined Relational Information", and of CPA (Lotfollahi et al. 2023).
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from epistax.engine.nets.inference import Params, Stats, applied, started
from epistax.engine.nets.layers import Linear
from epistax.engine.nets.stack import Covariates, Described, Shape, Stack, nothing
from epistax.engine.types import Key

WIDTH = 64


class Judge(NamedTuple):
    """A network's functions; train: the rows' own moments normalise, and the statistics move."""

    init: Callable[[Key], tuple[Params, Stats]]
    apply: Callable[..., tuple[Any, Stats]]  # (params, stats, ..., train=)


class Likeness(nn.Module):
    """D(Y, T, X)."""

    shape: Shape

    @nn.compact
    def __call__(
        self, y: Float[Array, "b g"], t: Float[Array, "b r"], x: Int[Array, "b m"], train: bool
    ) -> Float[Array, "b"]:
        """The logit that a cell so treated was measured."""
        return Stack((WIDTH,), 1)(Described(self.shape)(y, t, x), train)[:, 0]


class Pairs(nn.Module):
    """D(X, (T, Y), (T', Y')): two outcomes of one cell, of which one was measured.

    Yoon et al. 2018, "GANITE", section 4.1, for many treatments and outcomes of many genes.
    """

    shape: Shape

    @nn.compact
    def __call__(
        self,
        y: Float[Array, "b g"],
        t: Float[Array, "b r"],
        y2: Float[Array, "b g"],
        t2: Float[Array, "b r"],
        x: Int[Array, "b m"],
        train: bool,
    ) -> Float[Array, "b"]:
        """The logit that the first was measured."""
        widths = self.shape.widths
        read = Linear(widths.outcome)
        known = Covariates(self.shape.levels, widths.covariate)(x)
        told = [nn.relu(read(y)), t, nn.relu(read(y2)), t2, known]
        return Stack((WIDTH,), 1)(jnp.concatenate(told, axis=1), train)[:, 0]


class Origin(nn.Module):
    """From a state, which doses it was given and of which levels it is: the adversary of CPA."""

    shape: Shape

    @nn.compact
    def __call__(
        self, z: Float[Array, "b z"], train: bool
    ) -> tuple[Float[Array, "b r"], list[Float[Array, "b c"]]]:
        """Logits of each dose, and of the levels of each covariate."""
        doses = Stack((WIDTH, WIDTH), self.shape.doses)(z, train)
        return doses, [Stack((WIDTH, WIDTH), count)(z, train) for count in self.shape.levels]


@functools.lru_cache(maxsize=64)
def likeness(shape: Shape) -> Judge:
    """Whether such a cell, so treated, was measured."""
    return judge(Likeness(shape), *nothing(shape))


@functools.lru_cache(maxsize=64)
def pairs(shape: Shape) -> Judge:
    """Which of two outcomes was measured."""
    y, t, x = nothing(shape)
    return judge(Pairs(shape), y, t, y, t, x)


@functools.lru_cache(maxsize=64)
def origin(shape: Shape) -> Judge:
    """What a cell was given and what it is."""
    return judge(Origin(shape), jnp.zeros((2, shape.widths.latent)))


def judge(net: nn.Module, *args: jax.Array) -> Judge:
    """The functions of a module that takes such arguments."""

    def init(key: Key) -> tuple[Params, Stats]:
        return started(key, net, *args, train=True)

    def apply(params: Params, stats: Stats, *args: Any, train: bool) -> tuple[Any, Stats]:
        return applied(net, params, stats, *args, train=train)

    return Judge(init, apply)
