"""What has been measured, as arrays: the pair table a belief is fitted to."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int
from numpy import ndarray

from epistax.engine.pairs import Pairs


class Measured(NamedTuple):
    """Pairs measured so far, padded to a fixed length so that no round compiles again.

    score is as read, 0 where mask is False; se is its standard error where known, else 0.
    """

    pairs: Pairs
    score: Float[Array | ndarray, "q"]
    se: Float[Array | ndarray, "q"]
    mask: Bool[Array | ndarray, "q"]


class Candidates(NamedTuple):
    """The pool a policy chooses from: every pair of a run, which are open, how many remain to pick.

    remaining counts all selections still to be made in the run, this batch included
    (spec: q_t = b (T - t + 1)), and never exceeds the number of open pairs.
    """

    pairs: Pairs
    open: Bool[Array, "q"]
    remaining: Int[Array, ""]


def gather(
    pairs: Pairs,
    score: Float[ndarray, "q"],
    se: Float[ndarray, "q"],
    chosen: Int[ndarray, "m"],
    *,
    length: int,
) -> Measured:
    """The table of the chosen pairs, padded to length; nothing else of score is looked at."""
    if len(chosen) > length:
        raise ValueError(f"{len(chosen)} measured pairs do not fit a table of {length}; raise it")
    index = np.zeros(length, np.int64)
    index[: len(chosen)] = chosen
    mask = np.arange(length) < len(chosen)
    i, j = (jnp.asarray(np.asarray(x)[index].astype(np.int32)) for x in pairs)
    score, se = (
        jnp.asarray(np.where(mask, np.asarray(x)[index], 0).astype(np.float32)) for x in (score, se)
    )
    return Measured(Pairs(i, j), score, se, jnp.asarray(mask))
