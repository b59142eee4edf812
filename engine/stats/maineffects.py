"""What two perturbations do beyond their main effects, where a screen has no controls.

Every observation w of a screen of doubles is written

    x_w = batch effect + effect of its first reagent + effect of its second reagent + r_w

and r, the residual of the fit over all observations at once, takes the place of a difference to
controls: its mean over the wells of a pair is that pair's interaction, in the units of x. This is
the two-way model of Horn et al. 2011, "Mapping of signaling networks through synthetic genetic
interaction analysis by RNAi", whose robust fit is a median polish (Tukey, "Exploratory Data
Analysis").

Least squares is alternating projection: remove the mean of every group of one factor, then of the
next, until none is left. The robust fit is Huber's, by the same sweeps over clipped residuals
(Huber, "Robust Statistics", the method of modified residuals): few strong interactions then do not
leak into the main effects of their members, as they do into means. Unlike the median polish it ends
at the minimum of a convex function, at the scale it ends with, whatever the order of the factors.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int
from numpy import ndarray

from epistax.engine.types import Info, Scalar

HUBER = 1.345  # residuals beyond this many sd are clipped: 95 % efficient under a normal error
MAD = 1.4826  # sd of a normal per median absolute deviation
RESCALES = 3  # times the scale is taken anew from the robust residuals


def residuals(
    x: Float[Array | ndarray, "n d"],
    sides: Int[Array | ndarray, "n 2"],
    batch: Int[Array | ndarray, "n"],
    *,
    p: int,
    batches: int,
    tied: bool = False,
    robust: bool = True,
    tolerance: float = 1e-6,
    sweeps: int = 1000,
) -> tuple[Float[Array, "n d"], Info]:
    """Residuals of the additive fit; they are determined although the effects are not.

    Any design will do: missing cells, repeats, batches nested in reagents. Wells of a disconnected
    part are compared within it alone. The residuals of least squares sum to 0 over every batch and
    every reagent; the robust ones do not, and centring them again undoes the robustness.

    Args:
        x: observations on a scale where single effects add, such as a logarithm.
        sides: the two reagents of each well; -1 where a side is empty, whose effect is 0.
        batch: what is measured together, such as a plate.
        p: number of reagents.
        batches: number of batches.
        tied: one effect per reagent, whichever side it stands on; else one per side.
        robust: Huber's fit instead of least squares.
        tolerance: stop when no effect moves by more than this many sd of its feature.
        sweeps: at most so many rounds over the factors, for each scale of the robust fit.

    Returns:
        Residuals, and `sweeps` done, the last `change` in sd, whether `converged`, the share
        `clipped` of all values, and how many wells stand `alone` in a batch or on a side, where
        the residual is about 0 whatever the interaction.
    """
    x, sides, batch = jnp.asarray(x), jnp.asarray(sides), jnp.asarray(batch)
    either = (sides,) if tied else (sides[:, :1], sides[:, 1:])
    factors = [factor(batch[:, None], batches), *(factor(codes, p) for codes in either)]
    r = x - x.mean(0)[None, :]
    unit = _or_infinity(r.std(0))

    def again(_: Int[Array, ""], carry: tuple) -> tuple:
        r, _, _, done = carry
        bound = HUBER * _or_infinity(MAD * jnp.median(jnp.abs(r), axis=0))
        r, change, more = go(r, factors, bound, unit)
        return r, bound, change, done + more

    go = functools.partial(settle, tolerance=tolerance, sweeps=sweeps)
    bound = jnp.full(x.shape[1], jnp.inf, x.dtype)
    r, change, done = go(r, factors, bound, unit)
    if robust:
        r, bound, change, done = jax.lax.fori_loop(0, RESCALES, again, (r, bound, change, done))
    return r, {
        "sweeps": done,
        "change": change,
        "converged": change <= tolerance,
        "clipped": (jnp.abs(r) > bound[None, :]).mean(),
        "alone": jnp.any(jnp.stack([alone(part) for part in factors]), axis=0).sum(),
    }


class Factor(NamedTuple):
    """One factor of the design; an empty place has the number of the group after the last."""

    codes: Int[Array, "n m"]
    count: Int[Array, "groups"]  # places taken, the group of empty places included


def factor(codes: Int[Array, "n m"], groups: int) -> Factor:
    """Count the wells of each group; codes below 0 are empty places."""
    codes = jnp.where(codes < 0, groups, codes)
    return Factor(codes, jnp.bincount(codes.ravel(), length=groups + 1))


def alone(part: Factor) -> Array:
    """Whether a well is the only one of a group of its own."""
    taken = part.codes < len(part.count) - 1
    return jnp.any((part.count[part.codes] == 1) & taken, axis=1)


def settle(
    r: Float[Array, "n d"],
    factors: list[Factor],
    bound: Float[Array, "d"],
    unit: Float[Array, "d"],
    *,
    tolerance: float,
    sweeps: int,
) -> tuple[Float[Array, "n d"], Scalar, Int[Array, ""]]:
    """Sweep until no step exceeds tolerance units: residuals, last change, sweeps done.

    The minimum of Huber's loss, r^2 / 2 up to the bound and linear beyond it.
    """

    def going(carry: tuple) -> Array:
        _, change, done = carry
        return (change > tolerance) & (done < sweeps)

    def once(carry: tuple) -> tuple:
        r, change = sweep(carry[0], factors, bound, unit)
        return r, change, carry[2] + 1

    return jax.lax.while_loop(going, once, (r, jnp.array(jnp.inf, r.dtype), jnp.array(0)))


def sweep(
    r: Float[Array, "n d"],
    factors: list[Factor],
    bound: Float[Array, "d"],
    unit: Float[Array, "d"],
) -> tuple[Float[Array, "n d"], Scalar]:
    """Move every effect of every factor once; no step increases Huber's loss.

    The step is the mean clipped residual over the group's wells, divided by the number of effects
    of this factor a well has: exact least squares where that is one and nothing is clipped.
    """
    change = jnp.zeros((), r.dtype)
    for part in factors:
        groups, places = len(part.count) - 1, part.codes.shape[1]
        clipped = jnp.clip(r, -bound[None, :], bound[None, :])
        total = sum(
            jax.ops.segment_sum(clipped, part.codes[:, k], groups + 1) for k in range(places)
        )
        step = total / (places * jnp.maximum(part.count, 1)).astype(r.dtype)[:, None]
        step = step.at[groups].set(0.0)  # an empty place has no effect
        r = r - sum(step[part.codes[:, k]] for k in range(places))
        change = jnp.maximum(change, (jnp.abs(step) / unit[None, :]).max())
    return r, change


def _or_infinity(scale: Float[Array, "d"]) -> Float[Array, "d"]:
    """Infinity where there is no scale to speak of: nothing is then clipped, and no step counts."""
    return jnp.where(scale > 0, scale, jnp.inf)
