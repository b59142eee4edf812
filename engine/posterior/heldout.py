"""How much wider than mean field says: a factor learned on pairs held out of shadow fits.

Every shadow never sees one tenth of the measured pairs, by a hash of the pair: the same ones in
every round. kappa multiplies the variances of all factors, up to the prior's.

Where every pair has a standard error, what they leave of a held-out error is R's, and kappa is
where nine tenths of the held-out pairs are within 1.645 sd of their prediction. Where not all have,
noise and uncertainty are told apart by the errors on both kinds of pairs: with v = Var R of a pair
unseen and noise variance n,

    E (y - E R)^2 = n + v  on pairs unseen,   n^2 / (n + v)  on pairs that the fit has seen

(exact for a linear Gaussian model, where v / (n + v) is the leverage of a pair).
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from epistax.engine.pairs import Pairs
from epistax.engine.posterior import blocks, moments
from epistax.engine.posterior.blocks import Data, State
from epistax.engine.types import Scalar

KAPPAS = 2.0 ** np.linspace(-2, 6, 17, dtype=np.float32)
USUAL = 6  # kappa 2, where too few pairs are held out to tell
FEWEST = 30
TENTHS, WANTED, QUICK = 10, 2000, 20_000  # pairs held out in all; perturbations of all shadows
LEVEL, WIDE = 0.9, 1.645  # of the interval that kappa is to make right, and its sds
LEAST = 0.01  # of the noise that the fits found


def folds(q: int, p: int) -> int:
    """How many shadows there are: as many as calibration needs and time allows."""
    return max(1, min(TENTHS, WANTED * TENTHS // max(q, 1), QUICK // p))


def shown(data: Data, folds: int) -> Bool[Array, "f q"]:
    """Which pairs the fit (all of them) and each shadow may see."""
    each = fold(data.pairs)[None, :] != jnp.arange(-1, folds)[:, None]
    return data.keep[None, :] & each


def fold(pairs: Pairs) -> Int[Array, "q"]:
    """0..9, by a hash of the pair."""
    i, j = (jnp.asarray(x).astype(jnp.uint32) for x in pairs)
    mixed = i * jnp.uint32(2654435761) ^ (j * jnp.uint32(2246822519) + jnp.uint32(374761393))
    for shift in (15, 13):
        mixed = (mixed ^ (mixed >> shift)) * jnp.uint32(3266489917)
    return ((mixed >> 8) % TENTHS).astype(jnp.int32)


def spread(state: State, side: Float[Array, "p d"], kappa: Scalar) -> moments.Factors:
    """Independent factors of a fit whose variances kappa has widened.

    What two perturbations share through B, and what two factors of one share, is left out.
    """
    return widened(state, *variances(state, side), kappa)


def variances(state: State, side: Array) -> tuple[Float[Array, "p k"], Float[Array, "p k"]]:
    """Variances of the factors, and of their priors: 1 / alpha and what is unknown of B."""
    told = blocks.gained(state, blocks.covariance(state)).sum(0)
    size = 1 + (side[:, 1:] ** 2).sum(1)
    prior = (1 / state.alpha)[None, :] + size[:, None] / (told + state.beta)[None, :]
    one = jnp.eye(len(state.alpha))
    cov = blocks.inverse(state.information + (1 / prior)[:, :, None] * one[None])
    return jnp.diagonal(cov, axis1=1, axis2=2), prior


def widened(state: State, var: Array, prior: Array, kappa: Scalar) -> moments.Factors:
    """Factors of kappa times these variances, at most the prior's where kappa is above 1."""
    most = jnp.where(kappa > 1, jnp.maximum(prior, var), jnp.inf)
    sd, none = jnp.sqrt(jnp.minimum(kappa * var, most)), jnp.zeros(())
    level, signs = (state.mean[:, 0], sd[:, 0]), (state.sign, 0 * state.sign)
    return moments.Factors(none, none, *level, *signs, state.mean[:, 1:], sd[:, 1:])


@jax.jit
def calibrated(states: State, data: Data, keeps: Array) -> tuple[Scalar, Scalar, Scalar]:
    """kappa, sigma, and the mean log-likelihood of the pairs that their shadow never saw."""
    shadows = jax.tree.map(lambda x: x[1:], states)
    seen, held = keeps[1:], data.keep[None, :] & ~keeps[1:]
    error, spreads, known = jax.lax.map(lambda shadow: predicted(shadow, data), shadows)
    spreads = jnp.moveaxis(spreads, 1, 0)  # [kappa f q]
    told, found = ((data.se > 0) | ~data.keep).all(), shadows.variance.mean()

    def noise(spread: Array) -> Scalar:
        left = jnp.maximum(over(held, error - spread - known), LEAST * found)
        return jnp.where(told, LEAST * found, left)

    def gap(spread: Array) -> Scalar:
        """What rises through 0 at the right kappa."""
        n = noise(spread) + known
        inside = over(held, error < WIDE**2 * (spread + n)) - LEVEL
        return jnp.where(told, inside, over(seen, error) - over(seen, n * n / (n + spread)))

    place = jnp.arange(len(KAPPAS), dtype=jnp.float32)
    at = jnp.interp(0.0, jax.lax.map(gap, spreads), place)
    few = held.sum() < FEWEST
    at = jnp.where(few, float(USUAL), at)
    low = jnp.minimum(at.astype(int), len(KAPPAS) - 2)
    spread = (1 - (at - low)) * spreads[low] + (at - low) * spreads[low + 1]
    left = jnp.where(few, found, noise(spread))
    v = spread + left + known
    likelihood = over(held, -0.5 * (jnp.log(2 * jnp.pi * v) + error / v))
    return jnp.exp2(jnp.interp(at, place, jnp.log2(KAPPAS))), jnp.sqrt(left), likelihood


def over(where: Array, value: Array) -> Scalar:
    """The mean over some pairs; 0 where there are none."""
    return jnp.where(where, value, 0).sum() / jnp.maximum(where.sum(), 1)


def predicted(shadow: State, data: Data) -> tuple[Array, Array, Array]:
    """Squared error [q], Var R of every kappa [kappa q] and se^2 [q] of the measured pairs."""
    var, prior = variances(shadow, data.features)

    def of_kappa(kappa: Scalar) -> tuple[Array, Array]:
        return moments.of_pairs(widened(shadow, var, prior, kappa), data.pairs)

    mean, _ = of_kappa(jnp.float32(1.0))
    spread = jax.lax.map(lambda k: of_kappa(k)[1], jnp.asarray(KAPPAS))
    return (data.value - mean) ** 2, spread, blocks.errors(shadow, data)
