"""Log-ratios of held-out observations, from critics that never saw their wells.

Each fold is read by its own member; of several seeds the log-ratios are averaged. As a class's
ratio is linear in the last hidden layer, a screen is read once: T_k(y) = w_k . h(y) + b_k with
w and b those of the class less the control's.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int
from numpy import ndarray

from epistax.engine.interaction import critic as critics
from epistax.engine.interaction.critic import Critic
from epistax.engine.interaction.crossfit import Outcome
from epistax.engine.interaction.folding import Folds
from epistax.engine.nets.encoders import network

BLOCK = 4096  # observations that are read at once


class Readout(NamedTuple):
    """A screen as its critics see it; rows by fold, class and unit."""

    hidden: Float[Array, "n h"]  # of all seeds side by side
    weight: Float[Array, "k c h"]  # less the control's
    bias: Float[Array, "k c"]
    unit: Int[Array, "n"]
    first: Int[Array, "k c"]
    count: Int[Array, "k c"]


class Seen(NamedTuple):
    """Rows of one class, by fold, padded."""

    hidden: Float[Array, "k m h"]
    unit: Int[Array, "k m"]
    mask: Bool[Array, "k m"]


def read(outcome: Outcome, critic: Critic, data: Folds) -> Readout:
    """Every observation through the members of its fold."""
    members = jnp.asarray(data.members, jnp.int32)
    folds, seeds = len(data.first), outcome.at.shape[0]
    ends = data.ends
    rows, weight, bias = [], [], []
    for k in range(folds):
        own = [jax.tree.map(lambda v, at=s * folds + k: v[at], outcome.best) for s in range(seeds)]
        hidden = [
            hidden_of(one.params["encoder"], one.stats, data.x[ends[k] : ends[k + 1]], critic)
            for one in own
        ]
        rows.append(np.concatenate(hidden, axis=1))
        heads = [critics.weights(one.params["head"], members) for one in own]
        # a mean over seeds of T is a sum over all their hidden units
        weight.append(jnp.concatenate([w - w[:1] for w, _ in heads], axis=1) / seeds)
        bias.append(sum(b - b[0] for _, b in heads) / seeds)
    numbers = (jnp.asarray(v, jnp.int32) for v in (data.unit, data.first, data.count))
    return Readout(jnp.asarray(np.concatenate(rows)), jnp.stack(weight), jnp.stack(bias), *numbers)


def hidden_of(
    params: critics.Params, stats: object, x: Float[ndarray, "n d"], critic: Critic
) -> Float[ndarray, "n h"]:
    """The last hidden layer, block by block."""
    parts = []
    for start in range(0, len(x), BLOCK):
        block = x[start : start + BLOCK]
        spare = np.zeros((BLOCK - len(block), x.shape[1]), x.dtype)
        full = jnp.asarray(np.concatenate([block, spare]))
        parts.append(np.asarray(forward(params, stats, full, critic=critic))[: len(block)])
    return np.concatenate(parts)


@functools.partial(jax.jit, static_argnames=("critic",))
def forward(
    params: critics.Params, stats: object, x: Float[Array, "b d"], *, critic: Critic
) -> Float[Array, "b h"]:
    """The last hidden layer, as it is after training."""
    return network(critic.encoder).apply(params, stats, x)


def seen(data: Readout, which: Int[Array, ""] | int, length: int) -> Seen:
    """One class, at most `length` rows a fold."""
    place = jnp.arange(length)[None, :]
    mask = place < data.count[:, which][:, None]
    rows = jnp.where(mask, data.first[:, which][:, None] + place, 0)
    return Seen(data.hidden[rows], jnp.where(mask, data.unit[rows], 0), mask)


def ratios(rows: Seen, data: Readout, which: Int[Array, ""] | int) -> Float[Array, "k m"]:
    """T of a class on rows, by the members of their folds."""
    weight, bias = data.weight[:, which], data.bias[:, which]
    return jnp.einsum("kmh,kh->km", rows.hidden, weight) + bias[:, None]
