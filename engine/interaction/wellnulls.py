"""Null draws of kl and of the log form: the wells of each class under random weights or signs.

That i and j are separable makes no two classes exchangeable, so that labels cannot be permuted;
wells within a class can. A draw gives every well's departure from its class (its influence on the
estimate) a normal weight (multiplier) or a sign (permutation). The control's wells have the same
in every class, so that a pair's draw is D*_ij - D*_i - D*_j and pairs are drawn jointly.
"""

from typing import Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from numpy import ndarray
from scipy import special

from epistax.engine.interaction.readout import Readout, ratios, seen
from epistax.engine.interaction.separability import TOGETHER, by_fold, on_mean
from epistax.engine.stats.influence import of_units
from epistax.engine.types import Key, Scalar

Method: TypeAlias = Literal["multiplier", "permutation"]
CHUNK = 64  # draws of one call of the generator


class Draws(NamedTuple):
    """Of each class, around 0: kl in nats; and the log form, of doubles alone."""

    kl: Float[Array, "*c b"]
    logform: Float[Array, "*c b"]


def of_classes(
    classes: Int[Array, "c"],
    members: Int[Array, "c 2"],
    key: Key,
    data: Readout,
    tau: Scalar,
    *,
    estimator: str,
    method: Method,
    draws: int,
    length: int,
    control: int,
) -> Draws:
    """At least the asked draws of each class, in whole chunks; members of a single do not matter.

    A class's draws depend on the key and its number alone, not on padding or on company.
    """
    reference = seen(data, 0, control)

    def departures(which: Int[Array, ""], singles: Int[Array, "2"]) -> tuple[Array, Array, Array]:
        rows = seen(data, which, length)
        _, effect, _ = by_fold(which, rows, reference, data, tau, estimator)
        form = ratios(rows, data, which)
        form = form - ratios(rows, data, singles[0]) - ratios(rows, data, singles[1])
        units = jax.vmap(of_units)
        own = units(effect.p, rows.unit, rows.mask) / len(form)
        shared = units(effect.q, reference.unit, reference.mask) / len(form)
        return own, shared, on_mean(form, rows).reshape(form.shape)

    own, shared, form = jax.lax.map(
        lambda args: departures(*args), (classes, members), batch_size=TOGETHER
    )

    def chunk(number: Int[Array, ""]) -> Draws:
        mine = jax.random.fold_in(key, number)
        kinds = jax.vmap(lambda which: weights(jax.random.fold_in(mine, which), own[0], method))
        of_own = kinds(classes)
        of_control = weights(jax.random.fold_in(mine, 0), shared[0], method)
        kl = jnp.einsum("cmkb,ckm->cb", of_own, own)
        kl = kl + jnp.einsum("mkb,ckm->cb", of_control, shared)
        return Draws(kl, jnp.einsum("cmkb,ckm->cb", of_own, form))

    found = jax.lax.map(chunk, jnp.arange(-(-draws // CHUNK)))
    return jax.tree.map(lambda v: jnp.moveaxis(v, 0, 1).reshape(len(classes), -1), found)


def weights(key: Key, like: Float[Array, "k m"], method: Method) -> Float[Array, "m k b"]:
    """Of units by fold, CHUNK draws; units lead, so that padding changes none of the others'."""
    shape = (*like.shape[::-1], CHUNK)
    if method == "multiplier":
        return jax.random.normal(key, shape, like.dtype)
    return jax.random.rademacher(key, shape, like.dtype)


def p_values(
    value: Float[ndarray, "q"], draws: Float[ndarray, "q b"], sd: float
) -> Float[ndarray, "q"]:
    """Two-sided p-values of signed scores; sd of the critic's own error, which is normal.

    (1 + the draws beyond |value|) / (1 + B), a draw counted by how likely the critic's error
    takes it there.
    """
    if not sd:
        beyond = (np.abs(draws) >= np.abs(value)[:, None]).sum(axis=1)
    else:
        above, below = ((side * draws - np.abs(value)[:, None]) / sd for side in (1, -1))
        beyond = (special.ndtr(above) + special.ndtr(below)).sum(axis=1)
    known = np.isfinite(value) & np.isfinite(draws).all(axis=1)
    return np.where(known, (1 + beyond) / (1 + draws.shape[1]), np.nan)
