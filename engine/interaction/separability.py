"""Separability of pairs from critics' log-ratios: do i and j act through apart mechanisms.

"Automated Discovery of Pairwise Interactions from Unstructured Data", section 3.1: if they do,
p_ij / p_0 = p_i / p_0 . p_j / p_0 (eq. 6), so that with T = log p / p_0 (eq. 7-8)

    kl       KL(p_ij || p_0) - KL(p_i || p_0) - KL(p_j || p_0) is 0; signed, |.| is the score
    logform  the mean over p_ij of T_ij - T_i - T_j is 0; signed
    logrms   its root mean square over p_ij is 0; never negative, the critic's error is its floor

`kl` also asks that neither acts upstream of the other; the log form does not. Standard errors are
those of the wells, given the critic; the critic's own error comes on top (`excess`).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from numpy import ndarray
from scipy import special, stats

from epistax.engine.interaction.readout import Readout, Seen, ratios, seen
from epistax.engine.stats import divergence
from epistax.engine.stats.divergence import ESTIMATORS, Diagnostics, Ratios
from epistax.engine.stats.influence import INFLUENCES, Influence, centred, of_units, variance
from epistax.engine.types import Scalar

TOGETHER = 8  # classes that are worked on at once


class Classes(NamedTuple):
    """Of each class: KL to the control in nats, and what its standard error is made of."""

    kl: Float[Array, "*c"]
    variance: Float[Array, "*c"]  # from the class's own units
    on_control: Float[Array, "*c k m"]  # influence of each control row on kl
    seen: Diagnostics


class Statistic(NamedTuple):
    """Of each pair: the value and its standard error."""

    value: Float[Array, "*b"]
    se: Float[Array, "*b"]


class Statistics(NamedTuple):
    """Of each pair; the last two are of the class of its doubles."""

    kl: Statistic
    logform: Statistic
    logrms: Statistic
    double: Float[Array, "*b"]  # KL to the control
    seen: Diagnostics


def of_classes(
    classes: Int[Array, "b"],
    data: Readout,
    tau: Scalar,
    *,
    estimator: str,
    length: int,
    control: int,
) -> Classes:
    """Each class by itself, at most `length` rows a fold; `control` rows of the control."""
    reference = seen(data, 0, control)

    def one(which: Int[Array, ""]) -> Classes:
        return of_class(which, seen(data, which, length), reference, data, tau, estimator)

    return jax.lax.map(one, classes, batch_size=TOGETHER)


def of_class(
    which: Int[Array, ""],
    rows: Seen,
    reference: Seen,
    data: Readout,
    tau: Scalar,
    estimator: str,
) -> Classes:
    """Estimates are made fold by fold, each with one member, and averaged."""
    value, effect, seen_of = by_fold(which, rows, reference, data, tau, estimator)
    folds = len(value)
    own = jnp.sum(jax.vmap(variance)(effect.p, rows.unit, rows.mask)) / folds**2
    worst = jnp.argmax(jnp.abs(seen_of.shift))
    whole = Diagnostics(
        jnp.mean(seen_of.log_z), jnp.sum(seen_of.ess), jnp.sum(seen_of.ess_unclipped),
        seen_of.shift[worst],
    )  # fmt: skip
    return Classes(jnp.mean(value), own, effect.q / folds, whole)


def by_fold(
    which: Int[Array, ""],
    rows: Seen,
    reference: Seen,
    data: Readout,
    tau: Scalar,
    estimator: str,
) -> tuple[Float[Array, "k"], Influence, Diagnostics]:
    """One class's KL to the control by each fold's member, and what every row adds to it."""
    of_p, of_q = ratios(rows, data, which), ratios(reference, data, which)

    def look(fold: Ratios) -> tuple[Scalar, Influence, Diagnostics]:
        found = ESTIMATORS[estimator](fold, tau), INFLUENCES[estimator](fold, tau)
        return *found, divergence.diagnose(fold, tau)

    return jax.vmap(look)(Ratios(of_p, of_q, rows.mask, reference.mask))


def of_pairs(
    pair: Int[Array, "b"],
    members: Int[Array, "b 2"],
    data: Readout,
    alone: Classes,
    tau: Scalar,
    *,
    estimator: str,
    length: int,
    control: int,
) -> Statistics:
    """Of the given pairs: their classes, those of their singles; alone has control and singles."""
    reference = seen(data, 0, control)

    def one(which: Int[Array, ""], singles: Int[Array, "2"]) -> Statistics:
        rows = seen(data, which, length)
        double = of_class(which, rows, reference, data, tau, estimator)
        i, j = (jax.tree.map(lambda v, k=k: v[singles[k]], alone) for k in range(2))
        signed = divergence.signed(double.kl, i.kl, j.kl)
        shared = double.on_control - i.on_control - j.on_control
        own = double.variance + i.variance + j.variance
        own = own + jnp.sum(jax.vmap(variance)(shared, reference.unit, reference.mask))
        form = ratios(rows, data, which)
        form = form - ratios(rows, data, singles[0]) - ratios(rows, data, singles[1])
        mean, rms = logs(form, rows)
        return Statistics(Statistic(signed, jnp.sqrt(own)), mean, rms, double.kl, double.seen)

    return jax.lax.map(lambda args: one(*args), (pair, members), batch_size=TOGETHER)


def logs(form: Float[Array, "k m"], rows: Seen) -> tuple[Statistic, Statistic]:
    """Mean and root mean square of T_ij - T_i - T_j over all folds' rows."""
    flat, mask = form.reshape(-1), rows.mask.reshape(-1)
    zero = jnp.zeros_like(flat)
    mean, rms = (f(flat, zero, zero, mask) for f in (divergence.log_form, divergence.log_rms))
    of_mean, of_square = (jnp.sqrt(jnp.sum(on_mean(v, rows) ** 2)) for v in (form, form**2))
    return Statistic(mean, of_mean), Statistic(rms, of_square / (2 * rms))


def on_mean(values: Float[Array, "k m"], rows: Seen) -> Float[Array, "km"]:
    """Departures of the units from the mean over all folds' rows, as wide as `of_units` says."""
    folds, length = values.shape
    unit = rows.unit + length * jnp.arange(folds)[:, None]
    flat, unit, mask = (v.reshape(-1) for v in (values, unit, rows.mask))
    return of_units(centred(flat, mask), unit, mask)


def excess(value: Float[ndarray, "q"], se: Float[ndarray, "q"]) -> float:
    """The sd of the critic's own error in a signed score, from the bulk of a screen's pairs.

    The one with which the median of |value| / sqrt(se^2 + sd^2) is a normal's; 0 where the wells
    explain it. Half of the pairs or more must be separable, or it is too large and p-values with
    it: an empirical null (Efron 2004, "Large-Scale Simultaneous Hypothesis Testing").
    """
    known = np.isfinite(value) & np.isfinite(se)
    value, se = np.abs(value[known]), se[known]
    if not len(value):
        return float("nan")
    wanted = stats.norm.ppf(0.75)
    low, high = 0.0, float(value.max() / wanted)
    for _ in range(60):
        middle = (low + high) / 2
        wide = np.hypot(se, middle)
        above = np.median(value / np.where(wide > 0, wide, np.inf)) > wanted
        low, high = (middle, high) if above else (low, middle)
    return 0.0 if high < 1e-9 else high


def p_values(value: Float[ndarray, "q"], se: Float[ndarray, "q"], sd: float) -> Float[ndarray, "q"]:
    """Two-sided normal p-values of signed scores, the critic's error included."""
    return special.erfc(np.abs(value) / np.hypot(se, sd) / np.sqrt(2))
