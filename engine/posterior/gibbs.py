"""Gibbs sampler of the low-rank pair matrix: the exact reference for the variational belief.

R_ij = b + sum_r s_r u_ir u_jr (+ a_i + a_j) is linear in each perturbation's factors given the
rest, so every conditional is conjugate. With x_j = s * u_j and o(i) the
measured partners of i:

    u_i | rest ~ N(P^-1 h, P^-1),  P = I + sum_{j in o(i)} w_ij x_j x_j^T,  h = sum_j w_ij x_j y_ij'

w_ij = 1 / (sigma^2 + se_ij^2); (s, b) | rest is the same regression on (u_i * u_j, 1); sigma^2 is
inverse-gamma. k chains run side by side, warm-started from the round before; one draw a chain, so
many at a time that any number of processes can share them.
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int
from numpy import ndarray

from epistax.engine import reward as rewards
from epistax.engine.pairs import Pairs
from epistax.engine.posterior.lowrank import Observed, observe, scaled
from epistax.engine.posterior.pieces import Fan, here
from epistax.engine.protocols import Posterior
from epistax.engine.screen import Measured
from epistax.engine.types import Belief, Info, Key, Scalar, Values

GRID = 2048  # perturbations whose p x p tables still fit beside the chains
CHAINS = 50  # of a piece
SHAPE, RATE = 2.0, 0.25  # inverse-gamma prior of sigma^2: mean .25 = .5^2, as the fixed noise


@dataclass(frozen=True)
class Gibbs:
    """Settings. effect_sd 0 leaves the gene effects a_i out; noise None learns sigma."""

    rank: int = 3
    chains: int = 200
    sweeps: int = 60
    warm_sweeps: int = 12
    effect_sd: float = 0.0
    noise: float | None = None


class Chain(NamedTuple):
    """One draw of every unknown; the belief holds k of them on a leading axis."""

    u: Float[Array, "*k p r"]
    a: Float[Array, "*k p"]
    s: Float[Array, "*k r"]
    b: Float[Array, "*k"]
    variance: Float[Array, "*k"]


def gibbs(
    config: Gibbs,
    *,
    p: int,
    reward: rewards.Kind,
    singles: Float[Array, "p"] | None = None,
    fan: Fan = here,
) -> Posterior:
    """The sampled posterior; its moments are those of its k chains. ValueError for p > 2048.

    `fan` says who moves the chains.
    """
    if p > GRID:
        raise ValueError(f"the Gibbs reference holds a p x p grid: p = {p} is above {GRID}")

    def fit(key: Key, belief: Belief | None, measured: Measured) -> tuple[Chain, Info]:
        observed, _ = observe(measured, reward, singles, p, grid=True)
        k_init, k_run = jax.random.split(key)
        if belief is None:
            belief, sweeps = priors(k_init, config, p), config.sweeps
        else:
            sweeps = config.warm_sweeps
        how = {"count": config.chains, "size": CHAINS, "config": config, "sweeps": sweeps}
        chains = Chain(*map(jnp.asarray, fan(moved, k_run, belief, observed, **how)))
        return chains, {"sigma": jnp.sqrt(chains.variance).mean()}

    def draws(belief: Chain, pairs: Pairs) -> Float[Array, "k q"]:
        return jax.vmap(reward_of, (0, None))(belief, pairs)

    def moments(belief: Chain, pairs: Pairs) -> tuple[Values, Values]:
        r = draws(belief, pairs)
        return r.mean(0), r.var(0)

    def sample(key: Key, belief: Chain, pairs: Pairs) -> Values:
        pick = jax.random.randint(key, (), 0, config.chains)
        return reward_of(jax.tree.map(lambda x: x[pick], belief), pairs)

    def expected(belief: Chain, measured: Measured, pairs: Pairs) -> tuple[Values, Values]:
        _, scale = scaled(measured, reward, singles)
        r = rewards.unscaled(draws(belief, pairs), scale, positive=reward != "score")
        return r.mean(0), r.std(0)

    return Posterior(fit, moments, sample, expected)


def moved(
    numbers: Int[ndarray, "n"],
    key: Key,
    chains: Chain,
    observed: Observed,
    *,
    config: Gibbs,
    sweeps: int,
) -> tuple[Array, ...]:
    """The piece: the chains of these numbers, of all that there are."""
    mine = jax.tree.map(lambda x: x[numbers], chains)  # beyond the last one: the last once more
    return tuple(sample_chains(numbers, key, mine, observed, config=config, sweeps=sweeps))


@partial(jax.jit, static_argnames=("config", "sweeps"))
def sample_chains(
    numbers: Int[Array, "n"],
    key: Key,
    chains: Chain,
    observed: Observed,
    *,
    config: Gibbs,
    sweeps: int,
) -> Chain:
    """Move these chains by this many sweeps; chain c of sweep t has its own key."""
    y = observed.value + observed.value.T  # symmetric, so that row i holds all of i's partners
    noise = observed.variance + observed.variance.T + jnp.zeros_like(y)
    mask = observed.mask | observed.mask.T

    def body(chains: Chain, t: Array) -> tuple[Chain, None]:
        keys = jax.vmap(partial(jax.random.fold_in, jax.random.fold_in(key, t)))(numbers)
        return jax.vmap(sweep, (0, 0, None, None, None, None))(
            keys, chains, y, noise, mask, config
        ), None

    return jax.lax.scan(body, chains, jnp.arange(sweeps))[0]


def sweep(
    key: Key,
    chain: Chain,
    y: Float[Array, "p p"],
    noise: Float[Array, "p p"],
    mask: Array,
    config: Gibbs,
) -> Chain:
    """One pass over all unknowns of one chain. y, noise and mask are symmetric."""
    k_u, k_s, k_noise = jax.random.split(key, 3)
    weight = jnp.where(mask, 1.0 / (chain.variance + noise), 0.0)

    def one(i: Array, state: tuple[Array, Array]) -> tuple[Array, Array]:
        u, a = state
        x = u * chain.s[None, :]
        ui, ai = factors_of(
            jax.random.fold_in(k_u, i), x, y[i] - chain.b - a, weight[i], config.effect_sd
        )
        return u.at[i].set(ui), a.at[i].set(ai)

    u, a = jax.lax.fori_loop(0, y.shape[0], one, (chain.u, chain.a))
    s, b = scales(k_s, u, y - a[:, None] - a[None, :], jnp.triu(weight, 1))
    chain = Chain(u, a, s, b, chain.variance)
    return chain._replace(variance=noise_variance(k_noise, chain, y, mask, config))


def factors_of(
    key: Key,
    x: Float[Array, "p r"],
    y: Float[Array, "p"],
    weight: Float[Array, "p"],
    effect_sd: float,
) -> tuple[Float[Array, "r"], Scalar]:
    """Draw (u_i, a_i) given every x_j = s * u_j, y_ij without the other terms, and weights."""
    if effect_sd == 0.0:
        return regression(key, x, y, weight, jnp.ones(x.shape[1])), jnp.zeros(())
    x = jnp.concatenate([x, jnp.ones_like(x[:, :1])], axis=1)
    prior = jnp.append(jnp.ones(x.shape[1] - 1), effect_sd**-2)
    draw = regression(key, x, y, weight, prior)
    return draw[:-1], draw[-1]


def scales(
    key: Key, u: Float[Array, "p r"], y: Float[Array, "p p"], weight: Float[Array, "p p"]
) -> tuple[Float[Array, "r"], Scalar]:
    """Draw (s, b): regression of the measured pairs on (u_i * u_j, 1), prior precision 1.

    The sufficient statistics need no list of pairs: sum_ij w_ij (u_i*u_j)(u_i*u_j)^T is the
    product of the r^2 columns u_r u_s with W.
    """
    r = u.shape[1]
    f = jnp.concatenate([u, jnp.ones_like(u[:, :1])], axis=1)
    square = (f[:, :, None] * f[:, None, :]).reshape(u.shape[0], -1)
    gram = ((weight @ square) * square).sum(0).reshape(r + 1, r + 1)
    h = ((weight * y) @ f * f).sum(0)
    draw = gaussian(key, gram + jnp.eye(r + 1), h)
    return draw[:-1], draw[-1]


def noise_variance(
    key: Key, chain: Chain, y: Float[Array, "p p"], mask: Array, config: Gibbs
) -> Scalar:
    """sigma^2 from its inverse-gamma conditional. Exact where no pair has an se of its own."""
    if config.noise is not None:
        return jnp.float32(config.noise) ** 2
    fitted = (
        chain.b + chain.a[:, None] + chain.a[None, :] + (chain.u * chain.s[None, :]) @ chain.u.T
    )
    known = jnp.triu(mask, 1)
    rss = jnp.where(known, (y - fitted) ** 2, 0.0).sum()
    return (RATE + rss / 2) / jax.random.gamma(key, SHAPE + known.sum() / 2)


def regression(
    key: Key,
    x: Float[Array, "n d"],
    y: Float[Array, "n"],
    weight: Float[Array, "n"],
    prior: Float[Array, "d"],
) -> Float[Array, "d"]:
    """One draw of the coefficients of a Bayesian linear regression with a N(0, 1/prior) prior."""
    return gaussian(key, (x * weight[:, None]).T @ x + jnp.diag(prior), (x * weight[:, None]).T @ y)


def gaussian(key: Key, precision: Float[Array, "d d"], h: Float[Array, "d"]) -> Float[Array, "d"]:
    """One draw of N(P^-1 h, P^-1): mu + L^-T xi with P = L L^T."""
    chol = jnp.linalg.cholesky(precision)
    mean = jax.scipy.linalg.cho_solve((chol, True), h)
    xi = jax.random.normal(key, h.shape, h.dtype)
    return mean + jax.scipy.linalg.solve_triangular(chol.T, xi, lower=False)


def priors(key: Key, config: Gibbs, p: int) -> Chain:
    """The start of every chain."""
    one = partial(prior, config=config, p=p)
    return jax.vmap(lambda c: one(jax.random.fold_in(key, c)))(jnp.arange(config.chains))


def prior(key: Key, config: Gibbs, p: int) -> Chain:
    """A draw of every unknown before any observation."""
    k_u, k_a, k_s, k_b = jax.random.split(key, 4)
    variance = RATE if config.noise is None else config.noise**2
    return Chain(
        u=jax.random.normal(k_u, (p, config.rank)),
        a=config.effect_sd * jax.random.normal(k_a, (p,)),
        s=jax.random.normal(k_s, (config.rank,)),
        b=jax.random.normal(k_b, ()),
        variance=jnp.float32(variance),
    )


def reward_of(chain: Chain, pairs: Pairs) -> Values:
    """The rewards of the pairs under one chain, without noise."""
    i, j = pairs
    return chain.b + chain.a[i] + chain.a[j] + (chain.u[i] * chain.u[j]) @ chain.s
