"""How precisely a linear combination of class means is known, and the p-value that follows.

The means m_c of an embedding over classes c are estimated from W_c independent units (cells, or
wells where the cells of one well are alike); s is a contrast with sum_c s_c m_c = 0 under the
null hypothesis. Then |sum_c s_c m^_c|^2 is a quadratic form in a Gaussian of covariance
C = sum_c s_c^2 S_c / W_c, S_c that of one unit, and the spectrum of C is its null distribution: no
resampling, at a cost that does not grow with the number of observations (Gretton et al. 2009,
"A fast, consistent kernel two-sample test", section 3.1, for two samples; here for any contrast).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from epistax.engine.stats.quadform import bisect, survival
from epistax.engine.types import Scalar

FLOOR = 0.25  # of what equal eigenvalues make of tr C^2: noise may ask for less
TINY = 1e-6  # eigenvalues below this share of the largest are rounding
ENOUGH = 30  # units beyond the first from which the size of a class's spread is its own


class Spread(NamedTuple):
    """Of one class, or of several along leading axes."""

    mean: Float[Array, "*c f"]
    cov: Float[Array, "*c f f"]  # of one unit, in features
    excess: Float[Array, "*c"]  # E|m^|^2 - |m|^2 of the whole embedding: tr S / W
    units: Float[Array, "*c"]


class Pooled(NamedTuple):
    """Over all classes of a screen, and what the features do not see of the embedding."""

    cov: Float[Array, "f f"]
    trace: Scalar  # tr S of the whole embedding
    dof: Scalar  # units less classes
    unseen: Scalar  # tr S^2 beyond the features, per tr S^2 within them


class Scores(NamedTuple):
    """Of a contrast, or of one a pair along a leading axis."""

    unbiased: Float[Array, "*b"]  # 0 in expectation under the null; may be negative
    biased: Float[Array, "*b"]  # the squared norm itself
    se: Float[Array, "*b"]  # of either
    p: Float[Array, "*b"]


class Lent(NamedTuple):
    """A class's spread, some of it the pool's: so much of the size, so much of the shape."""

    cov: Float[Array, "*c f f"]
    trace: Float[Array, "*c"]
    size: Float[Array, "*c"]
    shape: Float[Array, "*c"]


def spread(
    features: Float[Array, "m f"],
    unit: Int[Array, "m"],
    mask: Bool[Array, "m"],
    excess: Scalar,
) -> Spread:
    """Of one class: rows of features, the unit (0 .. m-1) of each, and which rows exist.

    Units of unequal size enter by their share of the rows, as they do in the mean of all rows.
    """
    weight = jnp.where(mask, 1.0, 0.0).astype(features.dtype) / jnp.maximum(jnp.sum(mask), 1)
    mean = weight @ features
    place = jnp.where(mask, unit, 0)
    centred = (features - mean[None, :]) * weight[:, None]
    sums = jax.ops.segment_sum(centred, place, num_segments=len(mask))
    seen = jax.ops.segment_max(mask.astype(jnp.int32), place, num_segments=len(mask))
    units = jnp.sum(seen > 0).astype(features.dtype)
    cov = sums.T @ sums * units**2 / jnp.maximum(units - 1, 1)
    return Spread(mean, cov, excess, units)


def assess(value: Scalar, contrast: Float[Array, "c"], arms: Spread, pooled: Pooled) -> Scores:
    """Of value = |sum_c s_c m^_c|^2: unbiased estimate, standard error and p-value.

    arms holds one Spread a class, stacked. Classes of few units borrow from the pool (`borrow`)
    for error and p-value; the unbiased estimate uses their own alone. What remains uncertain of
    tr C widens the null distribution as F does chi2 (Satterthwaite).
    """
    lent = jax.vmap(borrow, in_axes=(0, None))(arms, pooled)
    weight = contrast**2 / jnp.maximum(arms.units, 1)
    total = jnp.einsum("c,cij->ij", weight, lent.cov)
    expected = jnp.sum(weight * lent.trace)
    dof, pool_dof = jnp.maximum(arms.units - 1, 1), jnp.maximum(pooled.dof, 1)
    (of_trace, of_cov), (common, common_cov) = noise(arms.cov, dof), noise(pooled.cov, pool_dof)
    doubt = compound(weight, lent.size, of_trace, common, dof / pool_dof)
    blur = compound(weight, lent.shape, of_cov, common_cov, dof / pool_dof)
    eigenvalues = gather(jnp.maximum(jnp.linalg.eigvalsh(total), 0), blur, doubt)
    squares = jnp.sum(eigenvalues**2)
    variance = 2 * squares * pooled.unseen
    mean = jnp.maximum(expected - jnp.sum(eigenvalues), 0)
    scale_dof = 2 * expected**2 / jnp.maximum(doubt * (1 + pooled.unseen), 1e-30)
    p = survival(value, eigenvalues, mean, variance, scale_dof)
    # Var |m^|^2 = 4 m'Cm + 2 tr C^2, and m^'Cm^ overstates m'Cm by tr C^2
    difference = contrast @ arms.mean
    slope = jnp.maximum(difference @ total @ difference - squares, 0)
    se = jnp.sqrt(4 * slope + 2 * squares * (1 + pooled.unseen))
    return Scores(debiased(value, contrast, arms, pooled), value, se, p)


def debiased(
    value: Scalar, contrast: Float[Array, "c"], arms: Spread, pooled: Pooled
) -> Float[Array, ""]:
    """Value less what the noise of the means adds to it; 0 in expectation under the null."""
    # a class in one unit says nothing of its own excess: the pool's stands in
    excess = jnp.where(arms.units > 1, arms.excess, pooled.trace / jnp.maximum(arms.units, 1))
    return value - jnp.sum(contrast**2 * excess)


def borrow(own: Spread, pooled: Pooled) -> Lent:
    """A class's covariance and trace, drawn to the pool's where its units are few.

    The size of the spread is the pool's at one unit and its own from ENOUGH + 1 on; the shape
    moreover follows the pool as far as the difference may be noise: Ledoit and Wolf 2004, "A
    well-conditioned estimator for large-dimensional covariance matrices", with the pool for the
    target.
    """
    less = jnp.maximum(own.units - 1, 1)
    size = jnp.clip(1 - (own.units - 1) / ENOUGH, 0, 1)
    whole = own.excess * own.units
    trace = (1 - size) * whole + size * pooled.trace
    inside, common = (jnp.maximum(jnp.trace(c), 1e-30) for c in (own.cov, pooled.cov))
    mine, theirs = own.cov / inside, pooled.cov / common
    apart = jnp.maximum(jnp.sum((mine - theirs) ** 2), 1e-30)
    shape = jnp.maximum(size, jnp.minimum(1, (1 + jnp.sum(mine**2)) / less / apart))
    # the features' share of the trace goes with the shape
    seen = (1 - shape) * inside / jnp.maximum(whole, 1e-30) + shape * common / pooled.trace
    cov = trace * jnp.minimum(seen, 1) * ((1 - shape) * mine + shape * theirs)
    return Lent(cov, trace, size, shape)


def noise(cov: Float[Array, "*c f f"], dof: Float[Array, "*c"]) -> tuple[Array, Array]:
    """Of a Gaussian's covariance estimated from dof + 1 units: E (tr S^ - tr S)^2, E |S^ - S|^2."""
    squares = jnp.sum(cov**2, axis=(-2, -1))
    return 2 * squares / dof, (squares + jnp.trace(cov, axis1=-2, axis2=-1) ** 2) / dof


def compound(
    weight: Float[Array, "c"],
    lent: Float[Array, "c"],
    own: Float[Array, "c"],
    pool: Scalar,
    share: Float[Array, "c"],
) -> Scalar:
    """Noise of sum_c w_c ((1 - a_c) S_c + a_c S), the class being a share of the pool S itself."""
    mine, theirs = weight * (1 - lent), jnp.sum(weight * lent)
    return jnp.sum(mine**2 * own) + theirs**2 * pool + 2 * theirs * jnp.sum(mine * share * own)


def gather(lam: Float[Array, "f"], blur: Scalar, doubt: Scalar) -> Float[Array, "f"]:
    """Eigenvalues drawn together: estimated ones lie further apart than the true ones.

    E tr C^2 exceeds tr C^2 by blur, E (tr C)^2 by doubt: both are taken off before the two are
    compared. lam^g, g <= 1, has the ratio that is left; at g = 0 what is still too much goes to
    the form's constant part.
    """
    whole = jnp.maximum(jnp.sum(lam), 1e-30)
    lam = lam / whole
    blur, doubt = blur / whole**2, doubt / whole**2
    squares = jnp.sum(lam**2)
    wanted = (squares - blur) / jnp.maximum(1 - doubt, 0.1)
    real = lam > TINY * jnp.max(lam)
    flat = 1 / jnp.maximum(jnp.sum(real), 1)
    log = jnp.log(jnp.where(real, lam, 1))

    def power(g: Scalar) -> Float[Array, "f"]:
        raised = jnp.where(real, jnp.exp(g * log), 0)
        return raised / jnp.maximum(jnp.sum(raised), 1e-30)

    g = bisect(lambda g: jnp.sum(power(g) ** 2) - wanted, jnp.ones_like(squares))
    return whole * power(g) * jnp.sqrt(jnp.clip(wanted / flat, FLOOR, 1))
