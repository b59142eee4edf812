"""What an arm does on average in a stratum: robust marginal effects with their errors.

"Predicting Cellular Responses with Variational Causal Inference and Refined Relational
Information", equation (4). With I_c the cells of a stratum, I_ac those of arm a among them, and
Yhat_i(a) what a model expects of cell i under arm a,

    naive  = mean over I_c of Yhat_i(a)
    sample = mean over I_ac of Y_i
    robust = mean over I_c of [ 1{T_i = a} / e_i (Y_i - Yhat_i(a)) + Yhat_i(a) ]        (32), (33)

where e_i is the chance that cell i gets arm a: n_ac / n_c where assignment is by chance, and then
robust = sample + (mean over I_c - mean over I_ac) of Yhat(a). What is averaged, less its mean, is
the efficient influence function (20), whose sd gives the standard error. robust is right where the
model is, or where e is. The model should not have learned from these cells (`crossfitted`): the
error of one that has is underestimated.

A model that is off by little is worth more than a few cells that are not off at all: `combined`
draws robust towards naive, by how far the two are apart beyond the error of robust (empirical
Bayes over genes, as in Efron and Morris 1973).

For one arm and one stratum: vmap over more. Cells out of the stratum may be there, masked.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax.scipy.special import ndtri
from jaxtyping import Array, Bool, Float, Int


class Estimate(NamedTuple):
    """A mean of every gene and its standard error."""

    mean: Float[Array, "g"]
    se: Float[Array, "g"]

    def interval(self, level: float = 0.95) -> tuple[Float[Array, "g"], Float[Array, "g"]]:
        """Central, by the normal law."""
        half = ndtri(0.5 + level / 2) * self.se
        return self.mean - half, self.mean + half


class Marginal(NamedTuple):
    """Estimates of E[Y(a) | stratum]; nan where there are no cells to make them of.

    The error of naive holds only for a model that is right; that of combined is too large.
    """

    naive: Estimate
    sample: Estimate
    robust: Estimate
    combined: Estimate


def marginal(
    predicted: Float[Array, "n g"],
    y: Float[Array, "n g"],
    treated: Bool[Array, "n"],
    within: Bool[Array, "n"],
    *,
    propensity: Float[Array, "n"] | None = None,
) -> Marginal:
    """Of the cells within; treated are those that got the arm, propensity is e, else n_ac / n_c."""
    naive = averaged(predicted, within)
    influence = outcomes(predicted, y, treated, within, propensity=propensity)
    robust = averaged(influence, within)
    return Marginal(naive, averaged(y, treated & within), robust, combined(naive, robust))


def combined(naive: Estimate, robust: Estimate) -> Estimate:
    """Naive, and the share of robust's departure from it that is not robust's error.

    With the error of robust: it is smaller, but by how much is not known where the model has
    learned from the same cells.
    """
    apart, error = robust.mean - naive.mean, robust.se**2
    off = jnp.maximum(jnp.mean(apart**2 - error), 0.0)  # variance of the model's own errors
    share = off / jnp.maximum(off + error, jnp.finfo(error.dtype).tiny)
    return Estimate(naive.mean + share * apart, robust.se)


def contrast(
    first: Float[Array, "n g"], second: Float[Array, "n g"], within: Bool[Array, "n"]
) -> Estimate:
    """Robust difference of two arms from the `outcomes` of each, whose errors go together."""
    return averaged(first - second, within)


def outcomes(
    predicted: Float[Array, "n g"],
    y: Float[Array, "n g"],
    treated: Bool[Array, "n"],
    within: Bool[Array, "n"],
    *,
    propensity: Float[Array, "n"] | None = None,
) -> Float[Array, "n g"]:
    """What the robust estimate is the mean of: the influence of every cell, plus the estimate."""
    if propensity is None:
        propensity = jnp.full(len(y), (treated & within).sum() / within.sum())
    weight = jnp.where(treated, 1 / propensity, 0.0)
    # no cell of the arm: nothing to correct by, and not the naive estimate under another name
    none = jnp.where((treated & within).any(), 0.0, jnp.nan)
    return none + predicted + weight[:, None] * jnp.where(treated[:, None], y - predicted, 0.0)


def averaged(values: Float[Array, "n g"], of: Bool[Array, "n"]) -> Estimate:
    """Mean and standard error, se nan of fewer than two cells."""
    n = of.sum()
    kept = jnp.where(of[:, None], values, 0.0)
    mean = kept.sum(axis=0) / n
    squares = jnp.where(of[:, None], (values - mean[None, :]) ** 2, 0.0).sum(axis=0)
    return Estimate(mean, jnp.sqrt(squares / (n - 1) / n))


def crossfitted(
    y: Float[Array, "n g"],
    treated: Bool[Array, "n"],
    within: Bool[Array, "n"],
    fold: Int[Array, "n"],
    *,
    folds: int,
) -> Float[Array, "n g"]:
    """The simplest model: the mean of treated cells of the stratum in the other folds."""
    member = (fold[None, :] == jnp.arange(folds)[:, None]) & (treated & within)[None, :]
    total = member.astype(y.dtype) @ jnp.where(treated[:, None], y, 0.0)
    count = member.sum(axis=1)
    mean = (total.sum(axis=0)[None, :] - total) / jnp.maximum(count.sum() - count, 1)[:, None]
    return mean[fold]
