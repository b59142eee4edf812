"""KL(p || q) from a critic's log-ratios, how far to trust it, and the scores of a pair.

With T ~ log p/q on samples of p and of q, held out from the critic's training: mean_p T less what
is known of T's error. "Automated Discovery of Pairwise Interactions from Unstructured Data",
eq. 8 (the score) and eq. 32-35 (naive, MILE and SMILE). All figures are in nats.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from epistax.engine.stats.quadform import bisect
from epistax.engine.types import Scalar

Clip: TypeAlias = float | Scalar
TAU = 5.0  # the clip of SMILE where nothing chooses one
GRID = (0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0)  # clips that the rules choose from
SHIFT, ESS = 0.5, 30.0  # a larger |shift| or a smaller effective sample size is suspect
AGREE = 2.0  # standard errors within which two clips agree


class Ratios(NamedTuple):
    """Of one class, or of several along a leading axis: finite log-ratios and which rows exist."""

    p: Float[Array, "*k n"]
    q: Float[Array, "*k m"]
    p_mask: Bool[Array, "*k n"]
    q_mask: Bool[Array, "*k m"]


class Diagnostics(NamedTuple):
    """Of one class, or of several along a leading axis; NaN for a class without samples."""

    log_z: Float[Array, "*k"]  # log mean_q of the clipped e^T; 0 for a true T left unclipped
    ess: Float[Array, "*k"]  # effective sample size (sum w)^2 / sum w^2 of the clipped weights
    ess_unclipped: Float[Array, "*k"]
    shift: Float[Array, "*k"]  # the bridge's c: by how much T is too large


def naive(ratios: Ratios) -> Scalar:
    """Mean of T over p (eq. 32): unbiased for a true T, off by any constant added to it."""
    return mean(ratios.p, ratios.p_mask)


def mile(ratios: Ratios) -> Scalar:
    """mean_p T - log mean_q e^T (eq. 34), the Donsker-Varadhan value; constants in T cancel.

    The largest few e^T decide it: its variance grows exponentially with KL.
    """
    return smile(ratios, jnp.inf)


def smile(ratios: Ratios, tau: Clip) -> Scalar:
    """mean_p T - log mean_q clip(e^T, e^-tau, e^tau) (eq. 35).

    Song and Ermon 2020, "Understanding the Limitations of Variational Mutual Information
    Estimators". No lower bound: with a true T it overestimates, the more the larger KL is. A
    constant added to T cancels only where nothing is clipped.
    """
    return naive(ratios) - log_partition(ratios, tau)


def truncated(ratios: Ratios, tau: Clip) -> Scalar:
    """SMILE made consistent: its partition over the value that it has if T is true, not over 1.

    mean_p T - log (A + C) / (B + C), where A = mean_q e^T and B = mean_p 1, both over |T| <= tau,
    and C is what the clipped samples of q weigh. Without bias for a true T at every tau, but for
    O(1/n); -inf where q is all within tau and p all beyond.
    """
    clipped = jnp.clip(ratios.q, -tau, tau)
    inside = jnp.log(mean(jnp.where(jnp.abs(ratios.p) <= tau, 1.0, 0.0), ratios.p_mask))
    outside = jnp.where(jnp.abs(ratios.q) > tau, clipped, -jnp.inf)
    return smile(ratios, tau) + jnp.logaddexp(inside, log_mean_exp(outside, ratios.q_mask))


def bridge(ratios: Ratios) -> Scalar:
    """mean_p T - c: no clip, no weight above 1, and a constant added to T changes nothing.

    Bennett 1976, "Efficient estimation of free energy differences from Monte Carlo data"; Meng
    and Wong 1996, "Simulating ratios of normalizing constants via a simple identity".
    """
    return naive(ratios) - bridge_shift(ratios)


def bridge_shift(ratios: Ratios) -> Scalar:
    """The c with mean_q sigma(T - c) = mean_p sigma(c - T); 0 +- O(n^-1/2) for a true T.

    That is E_q[e^T a] = E_p[a] with a = 1 / (1 + e^T), which holds for a true T whatever the
    bounded a. Neither side vanishes in the logarithms that are compared, however far p and q
    lie apart. The root is always between the smallest T and the largest.
    """
    ends = [
        (jnp.min(jnp.where(mask, t, jnp.inf)), jnp.max(jnp.where(mask, t, -jnp.inf)))
        for t, mask in ((ratios.p, ratios.p_mask), (ratios.q, ratios.q_mask))
    ]
    low, high = jnp.minimum(ends[0][0], ends[1][0]), jnp.maximum(ends[0][1], ends[1][1])

    def slope(above: Scalar) -> Scalar:
        c = low + above
        of_p = log_mean_exp(jax.nn.log_sigmoid(c - ratios.p), ratios.p_mask)
        return of_p - log_mean_exp(jax.nn.log_sigmoid(ratios.q - c), ratios.q_mask)

    both = jnp.any(ratios.p_mask) & jnp.any(ratios.q_mask)
    return jnp.where(both, low + bisect(slope, high - low), jnp.nan)


def log_partition(ratios: Ratios, tau: Clip) -> Scalar:
    """Logarithm of mean_q clip(e^T, e^-tau, e^tau)."""
    return log_mean_exp(jnp.clip(ratios.q, -tau, tau), ratios.q_mask)


ESTIMATORS: dict[str, Callable[[Ratios, Clip], Scalar]] = {
    "bridge": lambda ratios, tau: bridge(ratios),
    "smile": smile,
    "mile": lambda ratios, tau: mile(ratios),
    "mc": lambda ratios, tau: naive(ratios),
    "ts": truncated,
}


def diagnose(ratios: Ratios, tau: Clip) -> Diagnostics:
    """What tells a class whose estimate is not to be trusted from the others."""
    return Diagnostics(
        log_partition(ratios, tau),
        effective_size(jnp.clip(ratios.q, -tau, tau), ratios.q_mask),
        effective_size(ratios.q, ratios.q_mask),
        bridge_shift(ratios),
    )


def doubtful(seen: Diagnostics) -> Bool[Array, "*k"]:
    """Where |shift| > SHIFT, or where fewer than ESS samples of q carry the unclipped weights."""
    return ~((jnp.abs(seen.shift) <= SHIFT) & (seen.ess_unclipped >= ESS))


def curve(
    ratios: Ratios,
    grid: Float[Array, "t"],
    *,
    estimator: Callable[[Ratios, Clip], Scalar] = smile,
) -> Float[Array, "t"]:
    """One class's estimate at every clip of the grid."""
    return jax.vmap(lambda tau: estimator(ratios, tau))(grid)


def match(
    curves: Float[Array, "k t"],
    target: Float[Array, "k"],
    known: Bool[Array, "k"],
    grid: Float[Array, "t"],
) -> Scalar:
    """The one clip whose estimates are nearest to the target's (the bridge's) over known classes.

    One clip for all: biases that differ between classes do not cancel in a score.
    """
    miss = jnp.where(known[:, None], curves - target[:, None], 0)
    return grid[jnp.argmin(jnp.sum(miss**2, axis=0))]


def calibrate(
    curves: Float[Array, "k t"], triples: Int[Array, "s 3"], grid: Float[Array, "t"]
) -> Scalar:
    """The clip with the least squared signed scores over pairs known to be separable.

    Each row of triples holds the classes of the double and of its two singles; two pairs or more.
    """
    score = signed(*(curves[triples[:, i]] for i in range(3)))
    return grid[jnp.argmin(jnp.sum(score**2, axis=0))]


def lepski(ratios: Ratios, grid: Float[Array, "t"]) -> Scalar:
    """The smallest clip at which SMILE agrees with itself at every larger one of the grid.

    Of one class; take the largest over classes. Its standard errors are from the influence
    w / mean(w) of each sample of q, and fail where a few samples carry the weight.
    """
    logs = jnp.clip(ratios.q[None, :], -grid[:, None], grid[:, None])
    level = jax.vmap(log_mean_exp, in_axes=(0, None))(logs, ratios.q_mask)
    weight = jnp.exp(logs - level[:, None])

    def variance(one: Float[Array, "m"], other: Float[Array, "m"]) -> Scalar:
        return mean((one - other) ** 2, ratios.q_mask) / jnp.sum(ratios.q_mask)

    error = jax.vmap(jax.vmap(variance, in_axes=(None, 0)), in_axes=(0, None))(weight, weight)
    agree = jnp.abs(level[:, None] - level[None, :]) <= AGREE * jnp.sqrt(error)
    smaller_or_same = jnp.tril(jnp.ones_like(agree))
    return grid[jnp.argmax(jnp.all(agree | smaller_or_same, axis=1))]


def signed(double: Array, first: Array, second: Array) -> Array:
    """KL(p_ij || p_0) - KL(p_i || p_0) - KL(p_j || p_0) (eq. 8 asks 0), of arrays of one shape.

    Below 0 where both perturbations hit the same, above where they help each other. Separability
    makes it 0 only if neither acts upstream of the other, and its size is how much the effects
    overlap rather than how far they are from adding up.
    """
    return double - first - second


def score(double: Array, first: Array, second: Array) -> Array:
    """|KL(p_ij || p_0) - KL(p_i || p_0) - KL(p_j || p_0)|: what ranks pairs."""
    return jnp.abs(signed(double, first, second))


def log_form(
    double: Float[Array, "n"],
    first: Float[Array, "n"],
    second: Float[Array, "n"],
    mask: Bool[Array, "n"],
) -> Scalar:
    """Mean over samples of p_ij of T_ij - T_i - T_j (eq. 7): 0 for a separable pair; signed.

    Constants added to the three T add up in it.
    """
    return mean(double - first - second, mask)


def log_rms(
    double: Float[Array, "n"],
    first: Float[Array, "n"],
    second: Float[Array, "n"],
    mask: Bool[Array, "n"],
) -> Scalar:
    """Root mean square over samples of p_ij of T_ij - T_i - T_j (eq. 7); never negative.

    0 only where eq. 7 holds throughout; the critic's own error is its floor, so compare with pairs
    known to be separable.
    """
    return jnp.sqrt(mean((double - first - second) ** 2, mask))


def effective_size(logs: Float[Array, "m"], mask: Bool[Array, "m"]) -> Scalar:
    """(sum w)^2 / sum w^2 of w = e^logs, in [1, m]."""
    logs = jnp.where(mask, logs, -jnp.inf)
    weight = jnp.exp(logs - jnp.max(logs))
    return jnp.sum(weight) ** 2 / jnp.sum(weight**2)


def log_mean_exp(logs: Float[Array, "m"], mask: Bool[Array, "m"]) -> Scalar:
    """Logarithm of the mean of e^logs over the rows that exist."""
    count = jnp.sum(mask).astype(logs.dtype)
    return jax.nn.logsumexp(jnp.where(mask, logs, -jnp.inf)) - jnp.log(count)


def mean(values: Float[Array, "n"], mask: Bool[Array, "n"]) -> Scalar:
    """Over the rows that exist; NaN where none does."""
    return jnp.sum(jnp.where(mask, values, 0)) / jnp.sum(mask)
