"""The greatest open reward of every posterior draw, found among few perturbations, with a proof.

Of R_ij = b + a_i + a_j + sum_r s_r u_ir u_jr let v_g = sqrt|s| o u_g, M = max_g |v_g| and
h_g = a_g + M |v_g|. By Cauchy and Schwarz a pair with the member g is at most b + max a + h_g. So
a draw's maximum is looked for among the K perturbations of largest h, and where it reaches
b + max a + h_(K+1), no other pair can be greater. Draws without that proof are looked at again
among more, at last among all.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Float, Int
from numpy import ndarray

from epistax.engine.mesh import copied, devices, each
from epistax.engine.pairs import Pairs
from epistax.engine.posterior.moments import Factors
from epistax.engine.types import Key, Scalar

START, WIDER = 256, 4  # perturbations looked at first, and by how many times more when in doubt
MARGIN = 1e-5  # of the bound: what rounding may take from it
RESIDENT = 2**22  # rewards held at once


class Draw(NamedTuple):
    """One joint draw of the low-rank factors."""

    b: Scalar
    a: Float[Array, "p"]
    s: Float[Array, "r"]
    u: Float[Array, "p r"]


class Best(NamedTuple):
    """The greatest open reward found, its pair, and whether none is greater; -inf: none is open."""

    value: Float[Array | ndarray, "*s"]
    i: Int[Array | ndarray, "*s"]
    j: Int[Array | ndarray, "*s"]
    certified: Bool[Array | ndarray, "*s"]


class Maxima(NamedTuple):
    """Of every draw: the greatest open reward, its pair, and how many perturbations it took."""

    value: Float[ndarray, "s"]
    pairs: Pairs
    kept: Int[ndarray, "s"]


def maxima(
    key: Key,
    factors: Factors,
    measured: Pairs,
    *,
    draws: int,
    start: int = START,
    mesh: Mesh | None = None,
) -> Maxima:
    """Of independent Gaussian factors; draw n depends on (key, n) alone.

    measured lists the pairs that are not open, i < j. A mean over the values estimates E max R.
    """
    p = len(factors.a)
    value = np.full(draws, -np.inf, np.asarray(factors.b).dtype)
    i, j, kept = (np.full(draws, fill, np.int32) for fill in (-1, -1, 0))
    shared = copied((key, factors, Pairs(*(jnp.asarray(v, jnp.int32) for v in measured))), mesh)
    left, keep = np.arange(draws), min(start, p)
    while len(left):
        spare = -len(left) % devices(mesh)
        numbers = jnp.asarray(np.r_[left, np.repeat(left[:1], spare)], jnp.int32)
        found = each(mesh, of_draws, split=1, keep=keep)(numbers, *shared)
        found = Best(*(np.asarray(v)[: len(left)] for v in found))
        value[left], i[left], j[left], kept[left] = found.value, found.i, found.j, keep
        left, keep = left[~found.certified], min(keep * WIDER, p)
    return Maxima(value, Pairs(i, j), kept)


def of_draws(
    numbers: Int[Array, "s"], key: Key, factors: Factors, measured: Pairs, *, keep: int
) -> Best:
    """Draws of these numbers, each looked at among `keep` perturbations."""

    def one(number: Int[Array, ""]) -> Best:
        return among(sampled(jax.random.fold_in(key, number), factors), measured, keep=keep)

    return jax.lax.map(one, numbers, batch_size=max(1, RESIDENT // keep**2))


def sampled(key: Key, factors: Factors) -> Draw:
    """A joint draw. The key is used up."""
    means = (factors.b, factors.a, factors.s, factors.u)
    spreads = (factors.b_sd, factors.a_sd, factors.s_sd, factors.u_sd)
    keys = jax.random.split(key, len(means))
    return Draw(*(
        mean + sd * jax.random.normal(k, mean.shape, mean.dtype)
        for k, mean, sd in zip(keys, means, spreads, strict=True)
    ))  # fmt: skip


@partial(jax.jit, static_argnames=("keep",))
def among(draw: Draw, measured: Pairs, *, keep: int) -> Best:
    """The greatest open reward among the `keep` perturbations of largest bound."""
    p = draw.a.shape[0]
    length = jnp.sqrt(jnp.sum(jnp.abs(draw.s)[None, :] * draw.u**2, axis=1))
    bound = draw.a + jnp.max(length) * length
    top, kept = jax.lax.top_k(bound, min(keep + 1, p))
    kept = kept[:keep]
    u = draw.u[kept]
    reward = (u * draw.s[None, :]) @ u.T
    reward = reward + draw.a[kept][:, None] + draw.a[kept][None, :] + draw.b
    place = jnp.full(p, keep, jnp.int32).at[kept].set(jnp.arange(keep, dtype=jnp.int32))
    i, j = place[measured.i], place[measured.j]  # `keep`, outside, where not among them
    rank = jnp.arange(keep)
    open = rank[:, None] < rank[None, :]
    open = open.at[jnp.minimum(i, j), jnp.maximum(i, j)].set(False, mode="drop")
    reward = jnp.where(open, reward, -jnp.inf)
    at = jnp.argmax(reward)
    value = reward.reshape(-1)[at]
    one, two = kept[at // keep], kept[at % keep]
    rest = draw.b + jnp.max(draw.a) + top[-1]
    sure = value >= rest + MARGIN * jnp.abs(rest)
    whole = jnp.bool_(keep == p)
    return Best(value, jnp.minimum(one, two), jnp.maximum(one, two), sure | whole)
