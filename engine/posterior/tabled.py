"""Draws that are made beforehand, piece by piece, in the place of the posterior they come from.

A policy asks for joint draws by their keys, and finds them by those keys. A draw is kept whole, or
as its best open pairs where a policy looks at no more; the others then count as -inf.
"""

from functools import lru_cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, UInt32
from numpy import ndarray

from epistax.engine.pairs import Pairs
from epistax.engine.posterior.pieces import Fan
from epistax.engine.protocols import Posterior
from epistax.engine.screen import Measured
from epistax.engine.types import Belief, Key, Values

TOGETHER = 16  # draws made side by side


class Table(NamedTuple):
    """Joint draws and the belief they come from; place None: a value of every pair, in order."""

    keys: UInt32[Array, "s w"]
    value: Float[Array, "s c"]
    place: Int[Array, "s c"] | None
    belief: Belief


def table(
    key: Key,
    posterior: Posterior,
    belief: Belief,
    pairs: Pairs,
    open: Bool[Array, "q"],
    *,
    count: int,
    best: int | None,
    fan: Fan,
) -> Table:
    """The draws of fold_in(key, n), n < count, whole or the `best` open pairs of each."""
    made = fan(drawn, key, belief, pairs, open, count=count, posterior=posterior, best=best)
    value, *place = (jnp.asarray(x) for x in made)
    keys = jax.vmap(lambda n: jax.random.key_data(jax.random.fold_in(key, n)))(jnp.arange(count))
    return Table(keys, value, place[0] if place else None, belief)


def drawn(
    numbers: Int[ndarray, "s"],
    key: Key,
    belief: Belief,
    pairs: Pairs,
    open: Bool[Array, "q"],
    *,
    posterior: Posterior,
    best: int | None,
) -> tuple[Array, ...]:
    """The piece: draws of these numbers; with `best` the values and places of each one's best."""
    return _drawn(numbers, key, belief, pairs, open, posterior=posterior, best=best)


@partial(jax.jit, static_argnames=("posterior", "best"))
def _drawn(
    numbers: Int[Array, "s"],
    key: Key,
    belief: Belief,
    pairs: Pairs,
    open: Bool[Array, "q"],
    *,
    posterior: Posterior,
    best: int | None,
) -> tuple[Array, ...]:
    def one(number: Int[Array, ""]) -> tuple[Array, ...]:
        draw = posterior.sample(jax.random.fold_in(key, number), belief, pairs)
        if best is None:
            return (draw,)
        return tuple(jax.lax.top_k(jnp.where(open, draw, -jnp.inf), best))

    return jax.lax.map(one, numbers, batch_size=min(len(numbers), TOGETHER))


@lru_cache(maxsize=64)  # a record of closures: one a posterior, or jit starts anew
def tabled(posterior: Posterior) -> Posterior:
    """The posterior whose belief is a `Table` of this one's draws; it cannot be fitted."""

    def sample(key: Key, held: Table, pairs: Pairs) -> Values:
        same = (held.keys == jax.random.key_data(key)[None, :]).all(1)
        row = same.argmax()
        value = held.value[row]
        if held.place is not None:
            value = jnp.full(len(pairs.i), -jnp.inf).at[held.place[row]].set(value)
        return jnp.where(same.any(), value, jnp.nan)  # a draw that was not made is none

    def moments(held: Table, pairs: Pairs) -> tuple[Values, Values]:
        return posterior.moments(held.belief, pairs)

    def expected(held: Table, measured: Measured, pairs: Pairs) -> tuple[Values, Values]:
        return posterior.expected(held.belief, measured, pairs)

    return Posterior(posterior.fit, moments, sample, expected)
