"""Tail probabilities of Gaussian quadratic forms, Q = sum_r lambda_r chi2_1.

The squared norm of an estimated mean is such a form under its null hypothesis, lambda being the
eigenvalues of the estimate's covariance. P(Q > x) is the integral of exp(K(t) - t x) / t along any
path that passes the real axis between 0 and the first pole of Q's cumulant generating function K;
ours passes it at the saddlepoint and bends away from the poles, where the integrand dies without
oscillating. The factor at the saddlepoint is taken out, so that the relative error is small far
out in the tail (Imhof 1961, "Computing the distribution of quadratic forms in normal variables",
integrates along the imaginary axis; Kuonen 1999, "Saddlepoint approximations for distributions
of quadratic forms in normal variables", stops at the first term).
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from epistax.engine.types import Scalar

NODES, REACH = 72, 12.0  # of the trapezoid rule in s, where the path's height is sinh(s)
HALVINGS = 40  # to the saddlepoint
BEND = 0.5  # of the path, per unit of height
MOST_DOF = 1e6  # beyond, a scale counts as known


def survival(
    x: Scalar, eigenvalues: Float[Array, "d"], mean: Scalar, variance: Scalar, dof: Scalar
) -> Float[Array, ""]:
    """P(Q + N(mean, variance) > s x), in [1e-30, 1]; x >= 0.

    The Gaussian part stands for very many small eigenvalues. s ~ chi2_dof / dof is the scale's
    own uncertainty: with one eigenvalue and no Gaussian part the answer is F's with (1, dof)
    degrees of freedom. Eigenvalues of 0 or below (rounding) count for nothing.
    """
    lam = jnp.maximum(eigenvalues, 0)
    unit = jnp.sqrt(2 * jnp.sum(lam**2) + variance)
    unit = jnp.where(unit > 0, unit, 1)
    lam, x, mean, variance = lam / unit, x / unit, mean / unit, variance / unit**2
    dof = jnp.minimum(dof, MOST_DOF)

    def slope(t: Scalar) -> Scalar:
        pull = x / (1 + 2 * t * x / dof)
        return jnp.sum(lam / (1 - 2 * lam * t)) + mean + variance * t - pull

    largest = jnp.max(lam, initial=0.0)
    pole = 0.5 / jnp.maximum(largest, 1e-6)
    right = jnp.where(largest > 1e-6, pole, (1 + x) / jnp.maximum(variance, 1e-6))
    root = bisect(slope, right)
    # below the mean the saddlepoint is negative: any path right of 0 will do
    start = jnp.maximum(root, jnp.minimum(0.3, 0.3 * right))
    a = 1 - 2 * lam * start
    curvature = (
        jnp.sum(2 * (lam / a) ** 2) + variance + 2 * (x / (1 + 2 * start * x / dof)) ** 2 / dof
    )
    curvature = jnp.maximum(curvature, 1e-12)  # 0 where nothing varies and nothing was seen
    s = jnp.linspace(0, REACH, NODES)
    y = jnp.sinh(s) / jnp.sqrt(curvature)
    # beyond this far to the right the Gaussian part's mean outgrows what the scale's doubt leaves
    reach = dof * (x - mean) / (4 * jnp.maximum(x * mean, 1e-12)) - start
    reach = jnp.clip(reach, 1e-6, 1e9)
    corner = 1 / jnp.sqrt(curvature)
    aside = BEND * (jnp.sqrt(y * y + corner**2) - corner)
    step = aside * reach / (aside + reach) + 1j * y  # t - start
    slant = BEND * y / jnp.sqrt(y * y + corner**2)
    along = slant * (reach / (aside + reach)) ** 2 + 1j  # dt / dy
    t = start + step
    grow = -0.5 * jnp.sum(jnp.log1p(-2 * lam[None, :] * step[:, None] / a[None, :]), axis=1)
    grow = grow + mean * step + variance * (start + step / 2) * step
    grow = grow - dof / 2 * jnp.log1p(2 * x * step / (dof + 2 * start * x))
    value = jnp.imag(jnp.exp(grow) / t * along) * jnp.cosh(s) / jnp.sqrt(curvature)
    weight = jnp.full(NODES, REACH / (NODES - 1)).at[0].multiply(0.5)
    level = -0.5 * jnp.sum(jnp.log(a)) + mean * start + variance * start**2 / 2
    level = level - dof / 2 * jnp.log1p(2 * start * x / dof)
    p = jnp.exp(level) * jnp.sum(value * weight) / jnp.pi
    return jnp.clip(p, 1e-30, 1.0)


def bisect(slope: object, right: Scalar) -> Scalar:
    """The root of an increasing function between 0 and right; 0 where it is positive already."""

    def halve(_: Array, ends: tuple[Scalar, Scalar]) -> tuple[Scalar, Scalar]:
        low, high = ends
        middle = (low + high) / 2
        below = slope(middle) < 0
        return jnp.where(below, middle, low), jnp.where(below, high, middle)

    return jax.lax.fori_loop(0, HALVINGS, halve, (jnp.zeros_like(right), right))[0]
