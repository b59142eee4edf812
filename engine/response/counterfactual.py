"""What each cell would have expressed under another arm.

    Y_i(a) = base_s + shift_sa + d_ia - mean of d_a over the stratum's controls,
    d_ia = (shift_sa - q_ia way_sa) f'(y_i) / f'(base_s) - shift_sa

with q_ia the share of the arm's way that the cell is expected to have gone already, and f' the
slope of log1p of a rate on its log, where the cell's own denoised expression y_i puts it. How a
cell departs from its kind is told from the stratum it looks like: one that is said to be of another
stratum, as the published evaluation says of controls, is taken for one of its own kind there.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from epistax.engine.response import expected
from epistax.engine.response.records import Cells, Predicted, rows

DOUBT = 10.0  # log likelihood by which another stratum must be likelier than what is said
STEEPEST = 2.0  # ratio of slopes
MOST = 200  # controls of a stratum, of which the usual departure is the mean


class Fitted(NamedTuple):
    """What is predicted with."""

    base: Float[Array, "*m c g"]  # mean of the controls
    shift: Float[Array, "*m c a g"]  # what the arm adds to it
    shift_sd: Float[Array, "*m c a g"]
    way: Float[Array, "*m c a g"]  # the shift, less what moves all genes alike
    noise: Float[Array, "*m c g"]  # sd of cells of one stratum and arm
    moved: Float[Array, "*m c a"]  # share of the way, for a score of 1
    axes: Float[Array, "*m g h"]  # along which cells differ, in units of noise
    usual: Float[Array, "*m c a g"]  # mean of d over the stratum's controls


@jax.jit
def told(fits: Fitted, cells: Cells, arm: Int[Array, "n"]) -> Predicted:
    """Means and sds of each cell under another arm, by each fit."""

    def one(fit: Fitted) -> tuple[Array, Array]:
        s = cells.stratum
        moved = departure(fit, cells, arm) - fit.usual[s, arm]
        mean = jnp.maximum(fit.base[s] + fit.shift[s, arm] + moved, 0.0)
        return mean, jnp.sqrt(fit.noise[s] ** 2 + fit.shift_sd[s, arm] ** 2)

    mean, sd = jax.lax.map(one, fits)
    return Predicted(mean, sd)


def departure(fit: Fitted, cells: Cells, arm: Int[Array, "n"]) -> Float[Array, "n g"]:
    """d_ia of each cell, by one fit."""
    s, kind = cells.stratum, looks_like(fit, cells)
    apart = (cells.y - fit.base[kind] - fit.shift[kind, cells.arm]) / fit.noise[kind]
    shift, way, noise = fit.shift[s, arm], fit.way[s, arm], fit.noise[s]
    share = jnp.clip(fit.moved[s, arm] * jnp.sum(apart * way / noise, axis=1), -1.0, 1.0)
    half = fit.base[s] + 0.5 * shift
    own = half + noise * ((apart @ fit.axes) @ fit.axes.T)
    steep = jnp.clip(expected.slope(own) / expected.slope(half), 1 / STEEPEST, STEEPEST)
    return steep * (shift - share[:, None] * way) - shift


def looks_like(fit: Fitted, cells: Cells) -> Int[Array, "n"]:
    """The stratum each cell is said to be of, or another that is likelier by far."""

    def fits_in(stratum: tuple[Array, ...]) -> Float[Array, "n"]:
        base, shift, noise = stratum
        apart = (cells.y - base[None] - shift[cells.arm]) / noise[None]
        return -0.5 * jnp.sum(apart**2, axis=1) - jnp.sum(jnp.log(noise))

    likely = jax.lax.map(fits_in, (fit.base, fit.shift, fit.noise)).T
    said = jnp.take_along_axis(likely, cells.stratum[:, None], axis=1)[:, 0]
    other = jnp.argmax(likely, axis=1)
    return jnp.where(jnp.max(likely, axis=1) > said + DOUBT, other, cells.stratum)


def extended(fits: Fitted, weights: Float[Array, "b a"]) -> Fitted:
    """The fits with b arms more, each made of those they have by its weights (`composed`).

    How far a cell has come is relative to the way: to half of it, it is twice as far.
    """
    of = jnp.abs(weights) / jnp.maximum(jnp.sum(jnp.abs(weights), axis=1, keepdims=True), 1e-12)
    noise = fits.noise[:, :, None]
    whole = fits.moved * jnp.sum((fits.way / noise) ** 2, axis=3)
    way = jnp.einsum("ba,mcag->mcbg", weights, fits.way)
    length = jnp.sum((way / noise) ** 2, axis=3)
    made = fits._replace(
        shift=jnp.einsum("ba,mcag->mcbg", weights, fits.shift),
        shift_sd=jnp.sqrt(jnp.einsum("ba,mcag->mcbg", weights**2, fits.shift_sd**2)),
        way=way,
        moved=jnp.einsum("ba,mca->mcb", of, whole) / jnp.maximum(length, 1e-12),
        usual=jnp.einsum("ba,mcag->mcbg", weights, fits.usual),
    )
    by_arm = ("shift", "shift_sd", "way", "moved", "usual")
    both = {name: jnp.concatenate([getattr(fits, name), getattr(made, name)], axis=2)
            for name in by_arm}  # fmt: skip
    return fits._replace(**both)


def usual(fit: Fitted, train: Cells) -> Float[Array, "c a g"]:
    """The mean departure of each stratum's controls under every arm; 0 of one without controls."""
    stratum, control = np.asarray(train.stratum), np.asarray(train.arm) == 0
    arms = jnp.arange(fit.shift.shape[1])
    found = []
    for c in range(len(fit.base)):
        own = np.flatnonzero(control & (stratum == c))
        if not len(own):
            found.append(jnp.zeros_like(fit.usual[c]))
            continue
        # one program serves all strata: of few controls some count twice or more, in part
        at = np.arange(MOST) % len(own) if len(own) < MOST else np.arange(MOST) * len(own) // MOST
        weight = 1 / np.bincount(at, minlength=len(own))[at]
        weight = jnp.asarray(weight / weight.sum(), jnp.float32)
        some = Cells(*(jnp.asarray(x) for x in rows(train, own[at])))
        found.append(averaged(fit, some, weight, arms))
    return jnp.stack(found)


@jax.jit
def averaged(
    fit: Fitted, cells: Cells, weight: Float[Array, "n"], arms: Int[Array, "a"]
) -> Float[Array, "a g"]:
    """The weighted mean departure of these cells under each arm."""

    def under(arm: Int[Array, ""]) -> Float[Array, "g"]:
        return weight @ departure(fit, cells, jnp.full(len(weight), arm))

    return jax.lax.map(under, arms)
