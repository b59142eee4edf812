"""The linear baseline: what a combination does, from the sum of what its genes do alone.

"NAIAD", appendix B, has a coefficient for each of the two single effects as they happen to stand;
here they are equal, so that the order of the genes does not matter and any number of them will do.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from epistax.engine.effects.records import Combos, Jobs, Method, Predicted, Table, rows
from epistax.engine.types import Keys

TINY = 1e-12


class Line(NamedTuple):
    """Of each job: intercept, slope, and standard deviation of the residuals."""

    intercept: Float[Array, "*m"]
    slope: Float[Array, "*m"]
    sd: Float[Array, "*m"]


@dataclass(frozen=True)
class Linear:
    """There is nothing to set."""


@lru_cache
def linear(config: Linear) -> Method:
    """Least squares of the measured effect on the sum of the single effects, with intercept."""
    lines = jax.jit(jax.vmap(line, (None, 0)))

    def fit(keys: Keys, table: Table, jobs: Jobs) -> Line:  # keys are not used
        return lines(table, jobs.train)

    return Method(fit, predict)


def line(table: Table, index: Int[Array, "n"]) -> Line:
    """Closed form, on deviations from the mean; flat where all rows have the same sum."""
    keep = index >= 0
    x = jnp.where(keep, total(rows(table.combos, index)), 0.0)
    y = jnp.where(keep, table.value[index], 0.0)
    n = jnp.maximum(jnp.sum(keep), 1)
    means = jnp.sum(x) / n, jnp.sum(y) / n
    dx, dy = (jnp.where(keep, v - mean, 0.0) for v, mean in zip((x, y), means, strict=True))
    within = jnp.sum(dx**2)
    slope = jnp.where(within > TINY, jnp.sum(dx * dy) / jnp.maximum(within, TINY), 0.0)
    left = jnp.sum((dy - slope * dx) ** 2)
    return Line(means[1] - slope * means[0], slope, jnp.sqrt(left / jnp.maximum(n - 2, 1)))


def predict(fits: Line, combos: Combos) -> Predicted:
    """The line of each job, with the sd of its residuals."""
    x = total(combos)
    mean = fits.intercept[:, None] + fits.slope[:, None] * x[None, :]
    return Predicted(mean, jnp.broadcast_to(fits.sd[:, None], mean.shape))


def total(combos: Combos) -> Float[Array, "q"]:
    """The sum of the single effects of the genes of a row."""
    return jnp.sum(jnp.where(combos.there, jnp.asarray(combos.singles), 0.0), axis=1)
