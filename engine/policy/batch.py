"""From acquisition values to a batch: the plain best, and the diverse best.

A batch of the b highest values piles onto a few hub perturbations when neighbours' values are
alike; deflation conditions on each pick before the next.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from epistax.engine.policy.ids import ratio
from epistax.engine.screen import Candidates
from epistax.engine.types import Index, Picked, Scalar, Values

SHORTLIST = 1024  # pairs at once of which a group is picked
PROPOSED = 100  # pairs that a draw proposes
PICKS = 8  # draws for every pick of a group


def best(score: Values, candidates: Candidates, size: int) -> tuple[Index, Picked]:
    """Positions and scores of the size highest open pairs; ties go to the lower position."""
    top, index = jax.lax.top_k(jnp.where(candidates.open, score, -jnp.inf), size)
    return index, top


def proposed(
    s: Float[Array, "b q"], psi: Values, open: Bool[Array, "q"], size: int
) -> tuple[Index, Picked]:
    """Slot l takes the least Psi among the PROPOSED best pairs of draw l that are not taken.

    Where all of them are, it takes the best that is not.
    """
    best = jax.lax.top_k(jnp.where(open[None, :], s[:size], -jnp.inf), min(PROPOSED, s.shape[1]))[1]

    def slot(
        open: Bool[Array, "q"], own: tuple[Values, Index]
    ) -> tuple[Bool[Array, "q"], tuple[Array, Array]]:
        draw, some = own
        next_best = jnp.where(open, draw, -jnp.inf).argmax()
        x = some[jnp.where(open[some], psi[some], jnp.inf).argmin()]
        x = jnp.where(open[some].any(), x, next_best)
        return open.at[x].set(False), (x, psi[x])

    return jax.lax.scan(slot, open, (s[:size], best))[1]


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

    s draws can tell s things apart: after s / PICKS picks it starts afresh without those picked,
    each time among the SHORTLIST best by the undeflated Psi (deflation only raises it).
    """
    group = grouped(s.shape[0], size)
    best_of = min(s.shape[1], among(s.shape[0], size))
    centre, start = s.mean(0), s.var(0)
    psi = ratio(delta, start, start, lam)
    step = partial(_pick, noise=noise, lam=lam)

    def picks(open: Bool[Array, "q"], _: None) -> tuple[Bool[Array, "q"], tuple[Array, Array]]:
        best = jnp.sort(jax.lax.top_k(jnp.where(open, -psi, -jnp.inf), best_of)[1])
        carry = (s[:, best] - centre[best][None, :], open[best])
        fixed = (delta[best], start[best])
        at, value = jax.lax.scan(lambda c, _: step(c, fixed), carry, None, length=group)[1]
        return open.at[best[at]].set(False), (best[at], value)

    index, value = jax.lax.scan(picks, open, None, length=-(-size // group))[1]
    return index.reshape(-1)[:size], value.reshape(-1)[:size]


def grouped(draws: int, size: int) -> int:
    """How many of size picks these draws support before they start afresh."""
    return min(size, max(1, draws // PICKS))


def among(draws: int, size: int) -> int:
    """Among how many pairs, best by the undeflated Psi, each group is picked."""
    return max(SHORTLIST, 8 * grouped(draws, size))


def _pick(
    carry: tuple[Array, Array],
    fixed: tuple[Array, Array],
    *,
    noise: Scalar | float,
    lam: float,
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    (a, open), (delta, start) = carry, fixed
    psi = jnp.where(open, ratio(delta, (a**2).mean(0), start, lam), jnp.inf)
    x = psi.argmin()
    ax = a[:, x]
    gain = (ax @ a) / (ax @ ax + a.shape[0] * noise)
    return (a - ax[:, None] * gain[None, :], open.at[x].set(False)), (x, psi[x])
