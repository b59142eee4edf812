"""The belief that knows nothing: every reward is N(0, 1) on its own, whatever was measured.

It stands where a policy asks nothing of a belief (random), and is the floor to compare with.
"""

import jax
import jax.numpy as jnp

from epistax.engine.pairs import Pairs
from epistax.engine.protocols import Posterior
from epistax.engine.screen import Measured
from epistax.engine.types import Belief, Info, Key, Values


def _fit(key: Key, belief: Belief | None, measured: Measured) -> tuple[Belief, Info]:
    return (), {}


def _moments(belief: Belief, pairs: Pairs) -> tuple[Values, Values]:
    return jnp.zeros(pairs.i.shape), jnp.ones(pairs.i.shape)


def _sample(key: Key, belief: Belief, pairs: Pairs) -> Values:
    return jax.random.normal(key, pairs.i.shape)


def _expected(belief: Belief, measured: Measured, pairs: Pairs) -> tuple[Values, Values]:
    nothing = jnp.full(pairs.i.shape, jnp.nan)
    return nothing, nothing


IGNORANT = Posterior(_fit, _moments, _sample, _expected)
