"""Ensembles: fits of the same rows that differ by their keys, as one prediction."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from epistax.engine.effects.records import Predicted


def ensemble(predicted: Predicted, *, members: int) -> Predicted:
    """Mean and sd of every `members` jobs in a row: [m q] -> [m / members, q].

    The variance is that between members (over members - 1: "NAIAD", appendix C, divides by
    members, its program does not) and the mean of their own.
    """
    mean, own = (grouped(x, members) for x in predicted)
    between = jnp.var(mean, axis=1, ddof=1) if members > 1 else jnp.zeros_like(mean[:, 0])
    return Predicted(jnp.mean(mean, axis=1), jnp.sqrt(between + jnp.mean(own**2, axis=1)))


def grouped(x: Float[Array, "m q"], members: int) -> Float[Array, "g k q"]:
    """The jobs of one ensemble along an axis of their own."""
    if len(x) % members:
        raise ValueError(f"{len(x)} jobs do not make ensembles of {members}; give a multiple")
    return x.reshape(-1, members, x.shape[1])
