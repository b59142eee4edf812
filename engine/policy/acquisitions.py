"""Which combinations to measure next by their predicted effects: a number each, highest first.

"NAIAD: Gene Interaction Prediction using Active Learning", section 3.3 and appendix C: maximum
predicted effect (mpe), sd between members (uncertainty), distance from the linear model (residual)
and both (ucb, with kappa 1); its program has |mean| + sd too (mean+sd). Ours beside them: mpe
with half an sd in favour of the unknown (optimistic), and the probability of being among the
strongest (probability).
"""

from functools import partial
from typing import Literal, TypeAlias

import jax
import jax.numpy as jnp
from jax.scipy.stats import norm
from jaxtyping import Array, Float

from epistax.engine.types import Scalar

Direction: TypeAlias = Literal["negative", "positive", "absolute"]
NAMES = (
    "uniform",
    "mpe",
    "uncertainty",
    "residual",
    "ucb",
    "mean+sd",
    "optimistic",
    "probability",
)
KAPPA = 0.5  # sds in favour of the unknown
HALVINGS = 40  # of the range of strengths


def acquisition(
    name: str,
    mean: Float[Array, "*q"],
    sd: Float[Array, "*q"],
    linear: Float[Array, "*q"],
    cut: Scalar | float,
    *,
    direction: Direction = "negative",
) -> Float[Array, "*q"]:
    """The value of each combination; 0 for all where the choice is uniform. KeyError if unknown.

    linear is what the linear model of single effects predicts; cut is the strength that the
    strongest reach (see `reached`). Strong means low, high, or far from 0, as direction says.
    """
    strength, residual = strong(mean, direction), jnp.abs(linear - mean)
    return {
        "uniform": lambda: jnp.zeros_like(mean),
        "mpe": lambda: strength,
        "uncertainty": lambda: sd,
        "residual": lambda: residual,
        "ucb": lambda: residual + sd,
        "mean+sd": lambda: jnp.abs(mean) + sd,
        "optimistic": lambda: strength + KAPPA * sd,
        "probability": lambda: beyond(mean, sd, cut, direction),
    }[name]()


def strong(effect: Float[Array, "*q"], direction: Direction) -> Float[Array, "*q"]:
    """How strong effects are, in their units."""
    signs = {"negative": lambda x: -x, "positive": lambda x: x, "absolute": jnp.abs}
    return signs[direction](effect)


def beyond(
    mean: Float[Array, "*q"], sd: Float[Array, "*q"], cut: Scalar | float, direction: Direction
) -> Float[Array, "*q"]:
    """Log-probability that a normal effect is stronger than cut: finite far from it too."""
    wide = jnp.maximum(sd, 1e-12)
    if direction == "absolute":
        both = jnp.stack([norm.logcdf((-cut - mean) / wide), norm.logcdf((mean - cut) / wide)])
        return jnp.logaddexp(both[0], both[1])
    return norm.logcdf((strong(mean, direction) - cut) / wide)


@partial(jax.jit, static_argnames=("direction",))
def reached(
    mean: Float[Array, "q"], sd: Float[Array, "q"], top: int | Array, *, direction: Direction
) -> Scalar:
    """The strength that `top` of normal effects are expected to reach; sd is 0 where measured.

    The `top` greatest means reach less: what is shrunk towards the rest is not beyond them.
    """
    strength = strong(mean, direction)
    far = 10 * sd.max()

    def halve(_: Array, ends: tuple[Scalar, Scalar]) -> tuple[Scalar, Scalar]:
        low, high = ends
        middle = (low + high) / 2
        many = jnp.exp(beyond(mean, sd, middle, direction)).sum() > top
        return jnp.where(many, middle, low), jnp.where(many, high, middle)

    ends = (strength.min() - far, strength.max() + far)
    return jax.lax.fori_loop(0, HALVINGS, halve, ends)[1]
