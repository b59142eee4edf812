"""Index policies: a number per pair from the belief's moments or draws; the highest are chosen.

UCB mu + beta sd; US (uncertainty sampling) sd; greedy mu, which is also what a "Thompson sampling"
that minimises the mean instant regret comes to; Thompson sampling proper, one draw a batch
(`ts-one`) or one draw a slot (`ts-par`, Kandasamy et al. 2018); random.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from epistax.engine.policy import batch
from epistax.engine.protocols import Posterior
from epistax.engine.screen import Candidates
from epistax.engine.types import Belief, Index, Key, Picked, Scalar


def upper_confidence(
    mean: Float[Array, "*q"], var: Float[Array, "*q"], beta: Scalar | float
) -> Float[Array, "*q"]:
    """Mu + beta sd, in the belief's units."""
    return mean + beta * jnp.sqrt(var)


def thompson_one(
    key: Key, posterior: Posterior, belief: Belief, candidates: Candidates, size: int
) -> tuple[Index, Picked]:
    """The best pairs of a single joint draw."""
    return batch.best(posterior.sample(key, belief, candidates.pairs), candidates, size)


def thompson_parallel(
    key: Key, posterior: Posterior, belief: Belief, candidates: Candidates, size: int
) -> tuple[Index, Picked]:
    """Each slot takes the best pair of its own draw that no earlier slot took; keys by slot."""

    def slot(open: jax.Array, n: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        draw = posterior.sample(jax.random.fold_in(key, n), belief, candidates.pairs)
        draw = jnp.where(open, draw, -jnp.inf)
        x = draw.argmax()
        return open.at[x].set(False), (x, draw[x])

    return jax.lax.scan(slot, candidates.open, jnp.arange(size))[1]
