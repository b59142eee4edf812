"""Low-rank posterior of many perturbations from few pairs, told apart by side information.

The program and its mean-field fit are those of elbo.py. A perturbation that no measured pair holds
is predicted from what is known of it, h_i; its own part keeps the prior.

Mean-field variances are too small. kappa divides the information that the data added to each
factor's prior,

    1 / var' = 1 / prior + (1 / var - 1 / prior) / kappa.

A second fit, the shadow, never sees a tenth of the measured pairs (always the same ones). Noise and
uncertainty of R are told apart by its errors on both kinds of pairs: where a posterior is right,

    E (y - E R)^2 = sigma^2 - Var R  on pairs it has seen,  sigma^2 + Var R  on others

(exact for a linear Gaussian model), so that kappa is where the mean of Var R over the one kind and
over the other add up to the difference of the errors. The rank is that of the greatest held-out
likelihood.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float
from numpy import ndarray

from epistax.engine import reward as rewards
from epistax.engine.fit import run, trainable
from epistax.engine.pairs import Pairs
from epistax.engine.posterior import draws, elbo, moments
from epistax.engine.posterior.elbo import Known, Normal, Params
from epistax.engine.posterior.lowrank import observe
from epistax.engine.protocols import Posterior
from epistax.engine.screen import Measured
from epistax.engine.types import Belief, Info, Key, Scalar, Values

KAPPAS = 2.0 ** (np.arange(-4, 41, dtype=np.float32) / 4)
FEWEST, USUAL = 30, 4.0  # with fewer pairs held out kappa is what it usually is
LEAST = 0.01  # of the noise that the fit found
MAIN, SHADOW = 0, 1


@dataclass(frozen=True)
class Informed:
    """Settings. A cold fit tries the ranks; a warm one keeps the rank that it finds."""

    ranks: tuple[int, ...] = (4, 8, 16)
    steps: int = 1500
    warm_steps: int = 250
    learning_rate: float = 0.03
    minibatch: int = 4096
    held: float = 0.1


class Fitted(NamedTuple):
    """A belief: main and shadow fit [2, ...], kappa, the noise's sd, the scale of the rewards."""

    params: Params
    kappa: Scalar
    sigma: Scalar
    scale: rewards.Scale


def informed(
    config: Informed,
    *,
    p: int,
    reward: rewards.Kind,
    singles: Float[Array, "p"] | None = None,
    side: Float[ndarray, "p d"] | None = None,
) -> Posterior:
    """The posterior over p perturbations; side is put on a standard scale here."""
    h = known(side, p)

    def fit(key: Key, belief: Belief | None, measured: Measured) -> tuple[Fitted, Info]:
        observed, scale = observe(measured, reward, singles, p, grid=False)
        data, shown = Known(observed, h), kept(measured.pairs, config.held)
        begun = [belief.params] if belief is not None else starts(key, data, config)
        steps = config.steps if belief is None else config.warm_steps
        found = []
        for n, params in enumerate(begun):
            params = trained(jax.random.fold_in(key, n), params, data, shown, config, steps)
            found.append((params, *calibrated(params, data, shown)))
        best = found[0] if len(found) == 1 else max(found, key=held_out)
        params, kappa, sigma, held = best
        finite = jnp.isfinite(held) & jnp.isfinite(params.own.mean).all()
        info = {"held_out": held, "kappa": kappa, "sigma": sigma, "finite": finite}
        return Fitted(params, kappa, sigma, scale), info | {"rank": params.s.mean.shape[-1]}

    def sample(key: Key, belief: Fitted, pairs: Pairs) -> Values:
        return draws.rewards(draws.sampled(key, factors(belief, h)), pairs)

    def closed(belief: Fitted, pairs: Pairs) -> tuple[Values, Values]:
        return moments.of_pairs(factors(belief, h), pairs)

    return Posterior(fit, closed, sample)


def held_out(found: tuple[Params, Scalar, Scalar, Scalar]) -> float:
    """The last of what `calibrated` says; a fit that came to nothing is the worst."""
    value = float(found[3])
    return value if np.isfinite(value) else -np.inf


def known(side: Float[ndarray, "p d"] | None, p: int) -> Float[Array, "p d"]:
    """Columns of mean 0 and sd 1; constant ones are 0. None: no column at all."""
    if side is None:
        return jnp.zeros((p, 0))
    side = np.asarray(side, np.float32)
    sd = side.std(0)
    return jnp.asarray((side - side.mean(0)) / np.where(sd > 0, sd, 1.0))


def kept(pairs: Pairs, held: float) -> Bool[Array, "q"]:
    """Which pairs the shadow may see: by a hash of the pair, the same ones in every round."""
    i, j = (jnp.asarray(x).astype(jnp.uint32) for x in pairs)
    mixed = i * jnp.uint32(2654435761) ^ (j * jnp.uint32(2246822519) + jnp.uint32(374761393))
    for shift in (15, 13):
        mixed = (mixed ^ (mixed >> shift)) * jnp.uint32(3266489917)
    return (mixed >> 8) >= jnp.uint32(int(held * 2**24))


def starts(key: Key, known: Known, config: Informed) -> Iterator[Params]:
    """A cold start of every rank, the same for both fits."""
    p, d = known.side.shape
    for r in config.ranks:
        one = elbo.start(jax.random.fold_in(key, r), known.observed, p=p, rank=r, d=d)
        yield jax.tree.map(lambda x: jnp.stack([x, x]), one)


def trained(
    key: Key, params: Params, known: Known, shown: Array, config: Informed, steps: int
) -> Params:
    """Both fits moved by so many steps."""
    step, optimiser = elbo.recipe(config.learning_rate, steps, config.minibatch)
    mask = jnp.stack([jnp.ones_like(shown), shown])
    params = jax.tree.map(jnp.copy, params)  # the loop is given what it starts from
    states = jax.vmap(lambda p, m: trainable(p, optimiser, m))(params, mask)
    keys = jax.random.split(key, 2)
    return run(keys, states, known, jnp.int32(0), step=step, length=steps)[0].params


def factors(belief: Fitted, side: Float[Array, "p d"]) -> moments.Factors:
    """Independent factors of every perturbation: the main fit's, its information over kappa."""
    return spread(jax.tree.map(lambda x: x[MAIN], belief.params), side, belief.kappa)


def spread(params: Params, side: Float[Array, "p d"], kappa: Scalar) -> moments.Factors:
    """Means and sds of the factors; what two perturbations share through A and w is left out."""

    def var(site: Normal, sd: Scalar) -> Array:
        return 1 / (1 / sd**2 + (jnp.exp(-2 * site.log_sd) - 1 / sd**2) / kappa)

    b, s, map, own, effect_map, effect = (
        var(site, sd) for site, sd in zip(params[: elbo.SITES], elbo.prior(params), strict=True)
    )
    return moments.Factors(
        params.b.mean,
        jnp.sqrt(b),
        side @ params.effect_map.mean + params.effect.mean,
        jnp.sqrt(side**2 @ effect_map + effect),
        params.s.mean,
        jnp.sqrt(s),
        side @ params.map.mean + params.own.mean,
        jnp.sqrt(side**2 @ map + own),
    )


@jax.jit
def calibrated(params: Params, known: Known, shown: Array) -> tuple[Scalar, Scalar, Scalar]:
    """kappa, sigma, and the mean log-likelihood of the pairs that the shadow never saw."""
    observed, shadow = known.observed, jax.tree.map(lambda x: x[SHADOW], params)
    held, seen = observed.mask & ~shown, observed.mask & shown

    def over(where: Array, value: Array) -> Scalar:
        return jnp.where(where, value, 0.0).sum() / jnp.maximum(where.sum(), 1)

    def of_kappa(kappa: Scalar) -> tuple[Array, Array]:
        return moments.of_pairs(spread(shadow, known.side, kappa), observed.pairs)

    mean, _ = of_kappa(jnp.float32(1.0))
    error = (observed.value - mean) ** 2
    optimism = over(held, error) - over(seen, error)
    gaps = jax.lax.map(lambda k: jnp.stack([over(w, of_kappa(k)[1]) for w in (held, seen)]).sum(),
                       KAPPAS)  # fmt: skip
    kappa = jnp.interp(optimism, gaps, KAPPAS)  # the gaps grow with kappa
    kappa = jnp.where(held.sum() >= FEWEST, kappa, USUAL)
    _, var = of_kappa(kappa)
    noise = over(held, error - var - observed.variance)
    fitted = jnp.exp(2 * shadow.log_sigma)
    noise = jnp.where(held.sum() >= FEWEST, jnp.maximum(noise, LEAST * fitted), fitted)
    v = var + noise + observed.variance
    likelihood = over(held, -0.5 * (jnp.log(2 * jnp.pi * v) + error / v))
    return kappa, jnp.sqrt(noise), likelihood
