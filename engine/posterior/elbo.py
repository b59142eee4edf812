"""Mean-field fit of the low-rank reward with side information: ELBO, step and start.

    R_ij = b + a_i + a_j + sum_r s_r u_ir u_jr,    u_i = A' h_i + delta_i,    a_i = w' h_i + alpha_i

b, s ~ N(0,1), A ~ N(0, 1/d), delta ~ N(0, omega^2), w ~ N(0, .5^2/d), alpha ~ N(0, tau^2); without
h u ~ N(0,1), a ~ N(0, tau^2). The guide is mean-field Gaussian; the noise's sigma, tau and omega
are point estimates under HalfNormal(.5). Given a draw of A and w the expected likelihood is closed
form,

    E log N(y; R, v) = log N(y; E R, v) - Var R / (2 v),

with the moments of moments.py: the gradient's only noise is that draw's and the minibatch's, whose
likelihood is scaled to all pairs (Hoffman et al. 2013, J. Mach. Learn. Res. 14:1303).
"""

import math
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float

from epistax.engine.fit import Step, Train, gradient
from epistax.engine.pairs import Pairs
from epistax.engine.posterior import moments
from epistax.engine.posterior.lowrank import Observed
from epistax.engine.types import Info, Key, Scalar

EFFECT = 0.5  # prior sd of w' h
HYPER = 0.5  # scale of the priors of sigma, tau and omega
NARROW, START_NOISE, START_TAU, OWN = 0.1, 0.1, 0.3, 0.5  # what sds start at
SITES = 6  # of the guide; what follows them are point estimates
LAST = 0.05  # of the learning rate, at the last step


class Normal(NamedTuple):
    """Mean and log sd of independent Gaussians."""

    mean: Float[Array, "..."]
    log_sd: Float[Array, "..."]


class Params(NamedTuple):
    """The guide, and the logarithms of sigma, tau and omega (1 without side information)."""

    b: Normal  # []
    s: Normal  # [r]
    map: Normal  # A, [d r]
    own: Normal  # delta, [p r]
    effect_map: Normal  # w, [d]
    effect: Normal  # alpha, [p]
    log_sigma: Scalar
    log_tau: Scalar
    log_own: Scalar


class Known(NamedTuple):
    """What a fit reads: the measured pairs, first those that count, and the side information."""

    observed: Observed
    side: Float[Array, "p d"]


def prior(params: Params) -> tuple[Scalar, ...]:
    """Prior sds of b, s, A, delta, w and alpha."""
    d = params.map.mean.shape[0]
    one, width = jnp.ones(()), jnp.float32(1 / math.sqrt(max(d, 1)))
    own = jnp.exp(params.log_own) if d else one
    return one, one, width, own, EFFECT * width, jnp.exp(params.log_tau)


def start(key: Key, observed: Observed, *, p: int, rank: int, d: int) -> Params:
    """Means start at random where a pair is measured (0 is a saddle), elsewhere at the prior."""
    k_s, k_map, k_own = jax.random.split(key, 3)
    zero, narrow = jnp.zeros, lambda *shape: jnp.full(shape, math.log(NARROW))
    touched = jnp.zeros(p, bool)
    for index in observed.pairs or ():
        touched = touched.at[jnp.where(observed.mask, index, p)].set(True, mode="drop")
    own = (0.3 if d == 0 else 0.1) * jax.random.normal(k_own, (p, rank))
    wide = math.log(OWN if d else 1.0)
    return Params(
        Normal(zero(()), narrow()),
        Normal(0.5 * jax.random.normal(k_s, (rank,)), narrow(rank)),
        Normal(
            jax.random.normal(k_map, (d, rank)) * (0.5 / math.sqrt(max(d, 1))),
            narrow(d, rank) - 0.5 * math.log(max(d, 1)),
        ),
        Normal(
            jnp.where(touched[:, None], own, 0.0),
            jnp.where(touched[:, None], math.log(NARROW), wide) + zero((p, rank)),
        ),
        Normal(zero(d), narrow(d) - 0.5 * math.log(max(d, 1))),
        Normal(zero(p), jnp.where(touched, math.log(NARROW), math.log(START_TAU))),
        jnp.log(jnp.float32(START_NOISE)),
        jnp.log(jnp.float32(START_TAU)),
        jnp.log(jnp.float32(OWN)),
    )


def elbo_loss(
    key: Key, params: Params, keep: Bool[Array, "q"], known: Known, *, minibatch: int
) -> Scalar:
    """-ELBO / n of one draw of the maps and one minibatch of the pairs that `keep` holds."""
    observed, side = known
    k_rows, k_map, k_effect = jax.random.split(key, 3)
    rows, scale = drawn(k_rows, observed, minibatch)
    i, j = (x[rows] for x in observed.pairs or ())
    here = jnp.concatenate([i, j])
    maps = reparameterised(k_map, params.map), reparameterised(k_effect, params.effect_map)
    factors = moments.Factors(
        params.b.mean,
        jnp.exp(params.b.log_sd),
        side[here] @ maps[1] + params.effect.mean[here],
        jnp.exp(params.effect.log_sd)[here],
        params.s.mean,
        jnp.exp(params.s.log_sd),
        side[here] @ maps[0] + params.own.mean[here],
        jnp.exp(params.own.log_sd[here]),
    )
    order = jnp.arange(len(i))
    mean, var = moments.of_pairs(factors, Pairs(order, order + len(i)))
    sigma = jnp.exp(params.log_sigma)
    extra = observed.variance[rows] if observed.variance.ndim else observed.variance
    noise = sigma**2 + extra
    one = -0.5 * (jnp.log(2 * jnp.pi * noise) + ((observed.value[rows] - mean) ** 2 + var) / noise)
    counted = keep[rows] & observed.mask[rows]
    likelihood = scale * jnp.where(counted, one, 0.0).sum()
    tau = jnp.exp(params.log_tau)
    own = jnp.exp(params.log_own)
    hyper = -0.5 * (sigma**2 + tau**2 + own**2) / HYPER**2
    hyper += params.log_sigma + params.log_tau + params.log_own
    total = likelihood + hyper - divergence(params)
    return -total / jnp.maximum(observed.mask.sum(), 1)


def drawn(key: Key, observed: Observed, minibatch: int) -> tuple[Array, Scalar]:
    """Rows of a minibatch, and how many rows each stands for; all of them where they are few."""
    q = observed.mask.shape[0]
    if q <= minibatch:
        return jnp.arange(q), jnp.ones(())
    n = jnp.maximum(observed.mask.sum(), 1)
    return jax.random.randint(key, (minibatch,), 0, n), n / minibatch


def reparameterised(key: Key, site: Normal) -> Array:
    """A draw of a site."""
    return site.mean + jnp.exp(site.log_sd) * jax.random.normal(key, site.mean.shape)


def divergence(params: Params) -> Scalar:
    """KL of the guide from the prior."""
    total = jnp.zeros(())
    for site, sd in zip(params[:SITES], prior(params), strict=True):
        ratio = jnp.exp(site.log_sd) / sd
        total += 0.5 * (ratio**2 + (site.mean / sd) ** 2 - 1).sum() - jnp.log(ratio).sum()
    return total


class Recipe(NamedTuple):
    """One step, and the optimiser whose state it moves."""

    step: Step
    optimiser: optax.GradientTransformation


@lru_cache(maxsize=64)  # a step is a closure: one per configuration, or every fit compiles again
def recipe(learning_rate: float, steps: int, minibatch: int) -> Recipe:
    """Adam with a cosine decay; the state's `stats` masks the pairs that a fit may see."""
    schedule = optax.cosine_decay_schedule(learning_rate, max(steps, 1), LAST)
    optimiser = optax.adam(schedule)

    def loss(
        key: Key, params: Params, state: Train, known: Known
    ) -> tuple[Scalar, tuple[Any, Info]]:
        value = elbo_loss(key, params, state.stats, known, minibatch=minibatch)
        return value, (state.stats, {})

    return Recipe(gradient(loss, optimiser), optimiser)
