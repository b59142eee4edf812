"""Of several methods the one whose validation loss is least, chosen for each job by itself."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Int

from epistax.engine.effects.records import Combos, Jobs, Method, Predicted, Table
from epistax.engine.types import Keys


class Chosen(NamedTuple):
    """The fits of every method, and which of them each job uses."""

    fits: tuple[Any, ...]
    which: Int[Array, "m"]


def choosing(methods: Sequence[Method]) -> Method:
    """The method that fits all of these and predicts with the best of each job.

    What they fit must tell its validation `loss`, [m]; where that is the same, or inf for want of
    validation rows, the first is used.
    """

    def fit(keys: Keys, table: Table, jobs: Jobs) -> Chosen:
        fits = tuple(method.fit(keys, table, jobs) for method in methods)
        return Chosen(fits, jnp.argmin(jnp.stack([fitted.loss for fitted in fits]), axis=0))

    def predict(fits: Chosen, combos: Combos) -> Predicted:
        each = [one.predict(own, combos) for one, own in zip(methods, fits.fits, strict=True)]
        job = jnp.arange(len(fits.which))
        return Predicted(*(jnp.stack(x)[fits.which, job] for x in zip(*each, strict=True)))

    return Method(fit, predict)
