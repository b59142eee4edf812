"""From raw pair scores to what is sought: a reward per pair, higher = sooner.

`score` is the score itself, `abs` its size, `interaction` the size of its departure from the
additive expectation of the single effects, E(s_i, s_j) = c_0 + c_1 (s_i + s_j) + c_2 s_i s_j,
fitted by least squares (Horlbeck et al. 2018 fit such a curve per query gene; this is the
global quadratic form). `scale` and `standardise`, or `tail` and `drawn_in`, put rewards on the
scale a belief is fitted on; `unscaled` and `unlevelled` take them back.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float
from numpy import ndarray

from epistax.engine.types import Scalar

# nodes and weights of E g(x), x ~ N(0, 1)
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(5)
WEIGHTS = (WEIGHTS / WEIGHTS.sum()).astype(np.float32)
FAR = 30.0  # logarithms beyond which nothing is told apart
Kind: TypeAlias = Literal["score", "abs", "interaction"]
Vector: TypeAlias = Float[Array | ndarray, "q"]


def reward(
    kind: Kind,
    score: Vector,
    mask: Bool[Array | ndarray, "q"],
    si: Vector | None = None,
    sj: Vector | None = None,
) -> Vector:
    """Rewards of all rows; the expectation is fitted on the rows of mask only.

    si and sj are the single effects of the two members, in the units of score; they are needed
    for `interaction` only.
    """
    return jnp.asarray(score) if kind == "score" else jnp.abs(signed(kind, score, mask, si, sj))


def signed(
    kind: Kind,
    score: Vector,
    mask: Bool[Array | ndarray, "q"],
    si: Vector | None = None,
    sj: Vector | None = None,
) -> Vector:
    """The reward before its absolute value: the residual for `interaction`, else the score."""
    if kind != "interaction":
        return jnp.asarray(score)
    if si is None or sj is None:
        raise ValueError("reward 'interaction' needs the single effects of both members of a pair")
    return score - features(si, sj) @ expectation(score, mask, si, sj)


def features(si: Vector, sj: Vector) -> Float[Array, "q 3"]:
    """[1, s_i + s_j, s_i s_j]: symmetric in the two members."""
    return jnp.stack([jnp.ones_like(jnp.asarray(si)), si + sj, si * sj], axis=1)


def expectation(
    score: Vector, mask: Bool[Array | ndarray, "q"], si: Vector, sj: Vector
) -> Float[Array, "3"]:
    """Least-squares coefficients of `features` on the rows of mask."""
    x = features(si, sj) * jnp.asarray(mask)[:, None]
    return jnp.linalg.lstsq(x, jnp.where(jnp.asarray(mask), score, 0.0))[0]


class Scale(NamedTuple):
    """A monotone map of rewards to about N(0, 1): unit, then mean and sd of the mapped values."""

    unit: Scalar
    mean: Scalar
    sd: Scalar


def scale(value: Vector, mask: Bool[Array | ndarray, "q"], *, positive: bool) -> Scale:
    """Fit on the rows of mask: log1p(R / unit) if positive, asinh(R / unit) if not (`typical`).

    With no row at all the map is the identity up to `squash` with unit 1.
    """
    unit = typical(value, mask)
    mapped = jnp.where(mask, squash(value, unit, positive=positive), jnp.nan)
    return Scale(unit, _or(jnp.nanmean(mapped), 0.0, zero=True), _or(jnp.nanstd(mapped), 1.0))


def typical(value: Vector, mask: Bool[Array | ndarray, "q"]) -> Scalar:
    """The median size of the values of mask that are not 0 (a score may be cut off there)."""
    size = jnp.where(mask & (jnp.asarray(value) != 0), jnp.abs(jnp.asarray(value)), jnp.nan)
    return _or(jnp.nanmedian(size), 1.0)


class Tail(NamedTuple):
    """How a long upper tail is drawn in: where `long`, to sign(R) log1p(|R| / unit)."""

    unit: Scalar
    long: Bool[Array, ""]


def tail(value: Vector, mask: Bool[Array | ndarray, "q"]) -> Tail:
    """Long where the values of mask are positive but for noise around 0: squared lengths are.

    Factors of such a matrix are seen on the logarithm; scores of both signs are left as they are.
    """
    known = jnp.where(mask, jnp.asarray(value), jnp.nan)
    low, high = jnp.nanquantile(known, jnp.array([0.05, 0.95]))
    return Tail(typical(value, mask), low > -0.1 * high)


def drawn_in(value: Float[Array | ndarray, "..."], tail: Tail) -> Float[Array, "..."]:
    """Values on the scale of the tail; order is kept."""
    value = jnp.asarray(value)
    return jnp.where(tail.long, jnp.sign(value) * jnp.log1p(jnp.abs(value) / tail.unit), value)


def let_out(value: Float[Array | ndarray, "..."], tail: Tail) -> Float[Array, "..."]:
    """The values that `drawn_in` took there."""
    value = jnp.asarray(value)
    bent = jnp.sign(value) * tail.unit * jnp.expm1(jnp.minimum(jnp.abs(value), FAR))
    return jnp.where(tail.long, bent, value)


def _or(x: Scalar, otherwise: float, *, zero: bool = False) -> Scalar:
    """x, or otherwise where there was nothing to compute it from (or it is 0 and may not be)."""
    return jnp.where(jnp.isfinite(x) & (zero | (x > 0)), x, otherwise)


def standardise(value: Vector, scale: Scale, *, positive: bool) -> Float[Array, "q"]:
    """Rewards on the scale a belief is fitted on; order is kept."""
    return (squash(value, scale.unit, positive=positive) - scale.mean) / scale.sd


def squash(value: Vector, unit: Scalar, *, positive: bool) -> Float[Array, "q"]:
    """The transform before z-scoring."""
    ratio = jnp.asarray(value) / unit
    return jnp.log1p(jnp.maximum(ratio, 0.0)) if positive else jnp.arcsinh(ratio)


def standard_error(value: Vector, se: Vector, scale: Scale, *, positive: bool) -> Float[Array, "q"]:
    """Standard errors of rewards carried to the belief's scale by the slope of the map there."""
    value = jnp.asarray(value)
    if positive:
        slope = 1.0 / (scale.unit + jnp.maximum(value, 0.0))
    else:
        slope = jax.lax.rsqrt(scale.unit**2 + value**2)
    return se * slope / scale.sd


def unscaled(
    place: Float[Array | ndarray, "..."], scale: Scale, *, positive: bool
) -> Float[Array, "..."]:
    """The rewards that `standardise` took there."""
    x = jnp.clip(jnp.asarray(place) * scale.sd + scale.mean, 0.0 if positive else -FAR, FAR)
    return scale.unit * (jnp.expm1(x) if positive else jnp.sinh(x))


class Level(NamedTuple):
    """A monotone map of rewards to mean 0 and sd 1: linear, or `drawn_in` if the tail is long."""

    tail: Tail
    mean: Scalar
    sd: Scalar


def level(value: Vector, mask: Bool[Array | ndarray, "q"], *, positive: bool) -> Level:
    """Fit on the rows of mask; the tail of a positive reward (a size) is always drawn in."""
    shape = tail(value, mask)
    shape = shape._replace(long=shape.long | positive)
    mapped = jnp.where(mask, drawn_in(value, shape), jnp.nan)
    return Level(shape, _or(jnp.nanmean(mapped), 0.0, zero=True), _or(jnp.nanstd(mapped), 1.0))


def levelled(value: Float[Array | ndarray, "..."], to: Level) -> Float[Array, "..."]:
    """Rewards on that scale; order is kept."""
    return (drawn_in(value, to.tail) - to.mean) / to.sd


def unlevelled(
    place: Float[Array | ndarray, "..."], to: Level, *, positive: bool
) -> Float[Array, "..."]:
    """The rewards that `levelled` took there; a positive one is not below 0."""
    value = let_out(jnp.asarray(place) * to.sd + to.mean, to.tail)
    return jnp.maximum(value, 0.0) if positive else value


def carried(
    mean: Vector, var: Vector, back: Callable[[Array], Array]
) -> tuple[Float[Array, "q"], Float[Array, "q"]]:
    """Mean and sd of back(x), x ~ N(mean, var), by Gauss-Hermite quadrature."""
    sd = jnp.sqrt(var)
    value = jnp.stack([back(mean + float(node) * sd) for node in NODES])
    middle = jnp.tensordot(WEIGHTS, value, 1)
    return middle, jnp.sqrt(jnp.tensordot(WEIGHTS, (value - middle[None]) ** 2, 1))


def error_at(place: Vector, se: Vector, to: Level) -> Float[Array, "q"]:
    """The sd on that scale of measurements of rewards that are `place` there.

    By Gauss-Hermite quadrature: near 0 the logarithm bends within a standard error.
    """
    value = let_out(jnp.asarray(place) * to.sd + to.mean, to.tail)
    seen = jnp.stack([drawn_in(value + float(node) * se, to.tail) for node in NODES])
    mean = jnp.tensordot(WEIGHTS, seen, 1)
    return jnp.sqrt(jnp.tensordot(WEIGHTS, (seen - mean[None]) ** 2, 1)) / to.sd
