"""The step of `refine`: activities of regulators given the edges, then the edges given those.

Every cell of stratum k: x_g = sum_r o_kgr w_gr z_r + noise of variance psi_g, where z_r, what
regulator r does to its targets, is Gaussian with a mean of its arm; a weight is of size slab where
there is an edge and of size spike where there is none (never exactly 0: the model is not exact), in
units of `scale`, the sensitivity of the gene; o says whether an edge is open in a stratum. The mRNA
of a regulator follows its own z alone. Variational, one sweep over the regulators a step.

Letters: k strata, a arms, r regulators, g genes.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from epistax.engine.types import Info, Scalar

LEAST, MOST = 1e-3, 0.95  # bounds of learned chances of an edge
NOISE = 0.02  # least share of a gene's variance that is noise
TINY = 1e-6  # least variance of the spike; what keeps a logarithm finite
SHUT_FROM = 5  # steps after which edges may be found closed in a stratum


class Blocks(NamedTuple):
    """Cells in blocks of one stratum each, padded with cells of weight 0."""

    x: Float[Array, "m b g"]  # expression of unit variance, stratum means removed
    arm: Int[Array, "m b"]
    weight: Float[Array, "m b"]
    stratum: Int[Array, "m"]


class Fixed(NamedTuple):
    """What is known of the genes before."""

    prior: Bool[Array, "r g"]
    own: Bool[Array, "r g"]  # a regulator's own mRNA
    free: Bool[Array, "r g"]  # edges looked for: not into regulators
    dense: Bool[Array, "r"]  # what moves all genes at once, and is no regulator
    hits: Bool[Array, "a g"]  # genes that an arm acts on directly
    scale: Float[Array, "g"]
    cells: Float[Array, "k"]
    treated: Float[Array, "a"]  # cells of each arm
    shown: Float[Array, "a g"]  # mean expression of each arm


class Moments(NamedTuple):
    """Sums over cells, of stratum or arm, of the activities z and their products."""

    zz: Float[Array, "k r r"]
    xz: Float[Array, "k r g"]
    xx: Float[Array, "g"]
    z: Float[Array, "a r"]


class Sparse(NamedTuple):
    """What is believed; chance is that of an edge, log_odds the same before it is squashed."""

    chance: Float[Array, "r g"]
    log_odds: Float[Array, "r g"]
    slab: Float[Array, "2 r g"]  # mean and variance of a weight where there is an edge
    spike: Float[Array, "2 r g"]  # and where there is none
    open: Float[Array, "k r g"]
    own: Float[Array, "r"]  # weight of a regulator's activity on its own mRNA
    psi: Float[Array, "g"]
    known: Float[Array, ""]  # chance that an edge of the prior graph is right
    unknown: Float[Array, ""]  # that any other exists
    openness: Float[Array, ""]
    typical: Float[Array, ""]  # |weight| of an edge
    size: Float[Array, "2"]  # variances of slab and spike, around that and around 0
    spread: Float[Array, "r r"]  # covariance of activities within an arm
    arm: Float[Array, "a r"]  # their mean
    offset: Float[Array, "a g"]  # of what an arm acts on: a push on mRNA need not act as much
    moments: Moments


def step(state: Sparse, blocks: Blocks, fixed: Fixed, time: Int[Array, ""]) -> tuple[Sparse, Info]:
    """Edges, then activities. Info: the sum of changed chances, the share of noise."""
    before = state.chance
    state, mean = edges(state, fixed, shut=time >= SHUT_FROM)
    state = learned(state, fixed, mean)
    state = activities(state, blocks, fixed, mean)
    return state, {"change": jnp.abs(state.chance - before).sum(), "noise": state.psi.mean()}


def weights(state: Sparse, fixed: Fixed) -> Float[Array, "k r g"]:
    """Expected weight of every edge in every stratum, and of regulators on their own mRNA."""
    slab = state.chance * state.slab[0]
    expected = state.open * slab[None] + ((1 - state.chance) * state.spike[0])[None]
    own = fixed.own * state.own[:, None]
    return own[None] + (fixed.free & ~fixed.own)[None] * expected


def edges(
    state: Sparse, fixed: Fixed, *, shut: Bool[Array, ""]
) -> tuple[Sparse, Float[Array, "k r g"]]:
    """One regulator after the other, given the rest: has it an edge, how strong, where open?"""
    zz, xz = state.moments.zz, state.moments.xz
    prior = jnp.where(fixed.prior, state.known, state.unknown)
    slab, spike = (size * fixed.scale**2 for size in state.size)
    at = state.typical * fixed.scale

    def one(carry: tuple, r: Int[Array, ""]) -> tuple:
        state, mean = carry
        own = zz[:, r, r][:, None]
        rest = jnp.einsum("ksg,ks->kg", mean, zz[:, r]) - mean[:, r] * own
        num, den = (xz[:, r] - rest) / state.psi[None, :], own / state.psi[None, :]
        w, v, _ = normal(state.open[:, r], num, den, slab, at)
        odds = logit(state.openness) + w[None, :] * num - 0.5 * (w**2 + v)[None, :] * den
        open = jnp.where(shut & ~fixed.dense[r], jax.nn.sigmoid(odds), 1.0)
        w, v, some = normal(open, num, den, slab, at)
        none, none_v, zero = normal(jnp.ones_like(open), num, den, spike, jnp.zeros_like(at))
        evidence = some - zero
        evidence -= jnp.where(shut, divergence(open, state.openness).sum(axis=0), 0.0)
        log_odds = logit(prior[r]) + evidence
        chance = fixed.free[r] * jnp.where(fixed.dense[r], 1.0, jax.nn.sigmoid(log_odds))
        on_own = (num * fixed.own[r][None]).sum() / jnp.maximum(
            (den * fixed.own[r][None]).sum(), TINY
        )
        state = state._replace(
            chance=state.chance.at[r].set(chance),
            log_odds=state.log_odds.at[r].set(log_odds),
            slab=state.slab.at[:, r].set(jnp.stack([w, v])),
            spike=state.spike.at[:, r].set(jnp.stack([none, none_v])),
            open=state.open.at[:, r].set(open),
            own=state.own.at[r].set(on_own),
        )
        expected = chance[None, :] * open * w[None, :] + ((1 - chance) * none)[None, :]
        expected = jnp.where(fixed.own[r][None], on_own, fixed.free[r][None] * expected)
        return (state, mean.at[:, r].set(expected)), None

    start = state, weights(state, fixed)
    return jax.lax.scan(one, start, jnp.arange(zz.shape[1]))[0]


def normal(
    open: Float[Array, "k g"],
    num: Float[Array, "k g"],
    den: Float[Array, "k g"],
    size: Float[Array, "g"],
    at: Float[Array, "g"],
) -> tuple[Float[Array, "g"], Float[Array, "g"], Float[Array, "g"]]:
    """Mean, variance and log evidence of a weight seen where it is open.

    Before, it is normal of variance size around at or -at, whichever the data are nearer to.
    """
    seen = (open * num).sum(axis=0)
    around = jnp.where(seen > 0, at, -at)
    v = 1 / ((open * den).sum(axis=0) + 1 / size)
    mean = v * (seen + around / size)
    evidence = 0.5 * (jnp.log(v / size) + mean**2 / v - around**2 / size)
    return mean, v, evidence - jnp.where(at > 0, jnp.log(2.0), 0.0)


def logit(p: Array) -> Array:
    """Log odds."""
    return jnp.log(p) - jnp.log1p(-p)


def divergence(q: Float[Array, "k g"], p: Scalar) -> Float[Array, "k g"]:
    """KL of Bernoulli(q) to Bernoulli(p)."""
    return q * jnp.log(q / p + TINY) + (1 - q) * jnp.log((1 - q) / (1 - p) + TINY)


def uncertainty(state: Sparse, fixed: Fixed, mean: Float[Array, "k r g"]) -> Float[Array, "k r g"]:
    """Variance of every weight in every stratum."""
    square = state.open * (state.chance * (state.slab[0] ** 2 + state.slab[1]))[None]
    square += ((1 - state.chance) * (state.spike[0] ** 2 + state.spike[1]))[None]
    return fixed.free[None] * (square - mean**2)


def learned(state: Sparse, fixed: Fixed, mean: Float[Array, "k r g"]) -> Sparse:
    """Noise, sizes of weights, and how far the prior graph is to be trusted."""
    zz, xz, xx, _ = state.moments
    fitted = jnp.einsum("krg,krs,ksg->g", mean, zz, mean) - 2 * (mean * xz).sum(axis=(0, 1))
    fitted += jnp.einsum("krg,krr->g", uncertainty(state, fixed, mean), zz)
    free = fixed.free & ~fixed.dense[:, None]
    yes, no = free * state.chance, free * (1 - state.chance)
    unit = fixed.scale[None, :] ** 2
    typical = (yes * jnp.abs(state.slab[0]) / fixed.scale[None, :]).sum() / yes.sum()
    away = (jnp.abs(state.slab[0]) - typical * fixed.scale[None, :]) ** 2
    slab = (yes * (away + state.slab[1]) / unit).sum() / yes.sum()
    spike = (no * (state.spike[0] ** 2 + state.spike[1]) / unit).sum() / no.sum()

    def share(of: Bool[Array, "r g"]) -> Scalar:
        return jnp.clip((yes * of).sum() / jnp.maximum((free & of).sum(), 1), LEAST, MOST)

    openness = (yes[None] * state.open).sum() / (len(state.open) * yes.sum())
    return state._replace(
        psi=jnp.maximum((xx + fitted) / fixed.cells.sum(), NOISE),
        typical=typical,
        size=jnp.stack([slab, jnp.maximum(spike, TINY)]),
        known=share(fixed.prior),
        unknown=share(~fixed.prior),
        openness=jnp.clip(openness, 0.5, 0.98),
    )


def activities(state: Sparse, blocks: Blocks, fixed: Fixed, mean: Float[Array, "k r g"]) -> Sparse:
    """Means and covariances of the activities of all cells, rescaled to unit mean square."""
    tight = jnp.linalg.inv(state.spread)
    gain = mean / state.psi[None, None, :]
    doubt = (uncertainty(state, fixed, mean) / state.psi[None, None, :]).sum(axis=2)
    precision = jnp.einsum("krg,ksg->krs", gain, mean) + jax.vmap(jnp.diag)(doubt) + tight[None]
    cov = jnp.linalg.inv(precision)

    def add(total: Moments, block: Blocks) -> tuple[Moments, None]:
        k, arm, w = block.stratum, block.arm, block.weight[:, None]
        x = block.x - state.offset[arm]
        z = w * ((x @ gain[k].T + (state.arm @ tight)[arm]) @ cov[k])
        return Moments(
            zz=total.zz.at[k].add(z.T @ z),
            xz=total.xz.at[k].add(z.T @ x),
            xx=total.xx + (w * x**2).sum(axis=0),
            z=total.z.at[arm].add(z),
        ), None

    sums, _ = jax.lax.scan(add, jax.tree.map(jnp.zeros_like, state.moments), blocks)
    n, spare = fixed.cells.sum(), fixed.cells[:, None, None] * cov
    zz = sums.zz + spare
    arm = sums.z / jnp.maximum(fixed.treated, 1)[:, None]
    between = jnp.einsum("ar,as,a->rs", arm, arm, fixed.treated)
    unit = jnp.sqrt(jnp.einsum("krr->r", zz) / n)
    pair = unit[:, None] * unit[None, :]
    level = jnp.einsum("ar,krg,k->ag", arm, mean, fixed.cells) / n
    return state._replace(
        slab=state.slab * jnp.stack([unit, unit**2])[:, :, None],
        spike=state.spike * jnp.stack([unit, unit**2])[:, :, None],
        own=state.own * unit,
        spread=(zz.sum(axis=0) - between) / n / pair,
        arm=arm / unit[None, :],
        offset=fixed.hits * (fixed.shown - level),
        moments=Moments(
            zz / pair[None], sums.xz / unit[None, :, None], sums.xx, sums.z / unit[None, :]
        ),
    )
