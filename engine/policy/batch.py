"""From acquisition values to a batch: the plain best, and the diverse best.

A batch of the b highest values piles onto a few hub perturbations when neighbours' values are
alike; deflation conditions on each pick before the next.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from epistax.engine.policy.ids import ratio
from epistax.engine.screen import Candidates
from epistax.engine.types import Index, Picked, Scalar, Values


def best(score: Values, candidates: Candidates, size: int) -> tuple[Index, Picked]:
    """Positions and scores of the size highest open pairs; ties go to the lower position."""
    top, index = jax.lax.top_k(jnp.where(candidates.open, score, -jnp.inf), size)
    return index, top


def deflate(
    s: Float[Array, "s q"],
    delta: Values,
    open: Bool[Array, "q"],
    noise: Scalar | float,
    lam: float,
    size: int,
) -> tuple[Index, Picked]:
    """Pick size pairs in turn; after each, condition every draw's deviation on its measurement.

    A = S - mean, v = mean_s A^2; pick x = argmin Delta^lambda / v; then
    A <- A - a_x (a_x^T A) / (a_x^T a_x + s noise): Gaussian conditioning on the observation to
    come, so v falls for pairs that it would tell about. Psi is returned at the time of the pick.
    """
    a = s - s.mean(0)[None, :]
    start = (a**2).mean(0)

    def pick(
        carry: tuple[Array, Array], _: None
    ) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        a, open = carry
        psi = jnp.where(open, ratio(delta, (a**2).mean(0), start, lam), jnp.inf)
        x = psi.argmin()
        ax = a[:, x]
        gain = (ax @ a) / (ax @ ax + s.shape[0] * noise)
        return (a - ax[:, None] * gain[None, :], open.at[x].set(False)), (x, psi[x])

    return jax.lax.scan(pick, (a, open), None, length=size)[1]
