"""KL(p || q) from distances to nearest neighbours, without a critic.

Wang, Kulkarni and Verdu 2009, "Divergence Estimation for Multidimensional Densities Via
k-Nearest-Neighbor Distances". In nats; too small, the more so the larger KL and the more the
dimensions (about 15 % at 2 nats in 3 dimensions, 30 % in 10), and so are differences: it ranks,
it does not measure.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import digamma
from jaxtyping import Array, Bool, Float, Int
from numpy import ndarray
from scipy import sparse, special
from scipy.spatial import cKDTree

from epistax.engine.stats.neighbours import BUDGET, nearest, tree_nearest, tree_within, within
from epistax.engine.types import Key, Scalar

NEIGHBOURS = 5
TREE = 8  # dimensions up to which the tree is the faster
FLOOR = 1e-12  # of a distance, in standard deviations
JITTER = 1e-8  # in standard deviations, of columns without a quantisation step
UNEVEN = 1e-2  # of a step, by which values of a quantised column may miss whole steps
HELD = 2**24  # values in float64 at a time
ROUNDING = 1e-12  # of a column's largest value: a spread below this is none


def fixed(
    x: Float[Array, "n d"],
    y: Float[Array, "m d"],
    x_mask: Bool[Array, "n"],
    y_mask: Bool[Array, "m"],
    *,
    k: int = NEIGHBOURS,
    budget: int = BUDGET,
) -> Scalar:
    """KL from rho and nu, the distances of x ~ p to the k-th neighbour among x and among y ~ q.

    (d / n) sum_i log(nu_i / rho_i) + log(m / (n - 1)) (their eq. 5): the larger k, the more bias
    and the less variance. x and y as `prepare` gives them; NaN for a class without k neighbours.
    """
    own = nearest(x, x, k=k, mask=x_mask, same=True, budget=budget)[:, -1]
    other = nearest(x, y, k=k, mask=y_mask, budget=budget)[:, -1]
    rank = jnp.full(x.shape[0], k)
    return combine(own, other, rank, rank, x_mask, y_mask, x.shape[1])


def adaptive(
    x: Float[Array, "n d"],
    y: Float[Array, "m d"],
    x_mask: Bool[Array, "n"],
    y_mask: Bool[Array, "m"],
    *,
    budget: int = BUDGET,
) -> Scalar:
    """KL with less bias: both sets are counted within one radius of each x.

    The radius is the larger of the two nearest distances. The furthest neighbours inside it, rho
    and nu, and their ranks k_i and l_i give the mean of d log(nu / rho) + psi(k_i) - psi(l_i),
    plus log(m / (n - 1)).
    """
    radius = jnp.maximum(
        nearest(x, x, k=1, mask=x_mask, same=True, budget=budget)[:, 0],
        nearest(x, y, k=1, mask=y_mask, budget=budget)[:, 0],
    )
    rank, own = within(x, x, radius, mask=x_mask, same=True, budget=budget)
    rank_other, other = within(x, y, radius, mask=y_mask, budget=budget)
    return combine(own, other, rank, rank_other, x_mask, y_mask, x.shape[1])


def combine(
    own: Float[Array, "n"],
    other: Float[Array, "n"],
    rank: Int[Array, "n"],
    rank_other: Int[Array, "n"],
    x_mask: Bool[Array, "n"],
    y_mask: Bool[Array, "m"],
    dimensions: int,
) -> Scalar:
    """Mean over x of d log(nu / rho) + psi(k_i) - psi(l_i), plus log(m / (n - 1))."""
    n, m = jnp.sum(x_mask), jnp.sum(y_mask)
    ratio = jnp.log(jnp.maximum(other, FLOOR)) - jnp.log(jnp.maximum(own, FLOOR))
    kind = own.dtype
    each = dimensions * ratio + digamma(rank.astype(kind)) - digamma(rank_other.astype(kind))
    value = jnp.sum(jnp.where(x_mask, each, 0)) / n + jnp.log(m / (n - 1)).astype(kind)
    # a neighbour that does not exist is at distance inf, on either side
    found = jnp.all(jnp.isfinite(own) & jnp.isfinite(other) | ~x_mask)
    return jnp.where(found & (n > 0), value, jnp.nan)


BRUTE = {
    "fixed": jax.jit(fixed, static_argnames=("k", "budget")),
    "adaptive": jax.jit(adaptive, static_argnames=("budget",)),
}


def estimate(
    key: Key,
    x: Float[ndarray, "n d"],
    y: Float[ndarray, "m d"],
    *,
    method: Literal["fixed", "adaptive"] = "fixed",
    k: int = NEIGHBOURS,
) -> float:
    """KL of the data as they come: prepared, then by the tree in few dimensions, else by brute.

    `adaptive` has no k. The key is used up.
    """
    n, m = len(x), len(y)
    ready = prepare(key, np.concatenate([x, y]), np.repeat([0, 1], [n, m]))
    x, y = ready[:n], ready[n:]
    if not ready.shape[1]:
        return float("nan")
    if ready.shape[1] <= TREE:
        return by_tree(x, cKDTree(y), method=method, k=k)
    options = {"k": k} if method == "fixed" else {}
    masks = jnp.ones(n, bool), jnp.ones(m, bool)
    return float(BRUTE[method](jnp.asarray(x), jnp.asarray(y), *masks, **options))


def by_tree(
    x: Float[ndarray, "n d"],
    y: cKDTree,
    *,
    method: Literal["fixed", "adaptive"] = "fixed",
    k: int = NEIGHBOURS,
) -> float:
    """What `fixed` and `adaptive` give, in float64, from the tree of y."""
    (n, d), m = x.shape, y.n
    if min(n - 1, m) < (k if method == "fixed" else 1):
        return float("nan")
    tree = cKDTree(x)
    if method == "fixed":
        own = tree_nearest(x, tree, k=k, same=True)[:, -1]
        other, psi = tree_nearest(x, y, k=k)[:, -1], 0.0
    else:
        near = tree_nearest(x, tree, k=1, same=True), tree_nearest(x, y, k=1)
        radius = np.maximum(*near)[:, 0]
        rank, own = tree_within(x, tree, radius, same=True)
        rank_other, other = tree_within(x, y, radius)
        psi = np.mean(special.digamma(rank) - special.digamma(rank_other))
    ratio = np.log(np.maximum(other, FLOOR) / np.maximum(own, FLOOR))
    return float(d * ratio.mean() + psi + np.log(m / (n - 1)))


def prepare(key: Key, x: Float[ndarray, "n d"], group: Int[ndarray, "n"]) -> Float[ndarray, "n e"]:
    """All sets at once, numbered by group: `standardised`, ties broken by jitter.

    Uniform jitter spreads each value over its column's quantisation step; where there is none it
    is JITTER standard deviations, or what the precision can tell apart. In float64 where the tree
    is to be used, else in what jax computes in. The key is used up.
    """
    scaled = standardised(x, group)
    kind = np.float64 if scaled.shape[1] <= TREE else jnp.result_type(float)
    with ThreadPoolExecutor() as pool:  # numpy sorts without holding others up
        steps = np.array(list(pool.map(quantum, scaled.T)))
    amplitude = np.maximum(steps / 2, max(JITTER, 4 * float(np.finfo(kind).eps)))
    noise = np.asarray(jax.random.uniform(key, scaled.shape, minval=-1.0, maxval=1.0), np.float64)
    return (scaled + amplitude * noise).astype(kind)


def standardised(x: Float[ndarray, "n d"], group: Int[ndarray, "n"]) -> Float[ndarray, "n e"]:
    """In float64, centred, of unit spread within groups; constant columns left out."""
    mean, sd = scales(x, group)
    return (x[:, sd > 0].astype(np.float64) - mean[sd > 0]) / sd[sd > 0]


def scales(
    x: Float[ndarray, "n d"], group: Int[ndarray, "n"]
) -> tuple[Float[ndarray, "d"], Float[ndarray, "d"]]:
    """Mean of each column and its spread within groups; between them where within there is none.

    0 for a constant column. In float64, some columns at a time.
    """
    every = np.bincount(group)
    place, count = (np.cumsum(every > 0) - 1)[group], every[every > 0]
    within = sparse.csr_array((np.ones(len(x)), place, np.arange(len(x) + 1)))  # rows by group
    mean, sd = np.zeros(x.shape[1]), np.zeros(x.shape[1])
    wide = max(1, HELD // max(1, len(x)))
    for first in range(0, x.shape[1], wide):
        at = slice(first, first + wide)
        part = x[:, at].astype(np.float64)
        floor = ROUNDING * np.abs(part).max(axis=0, initial=0)
        mean[at], overall = part.mean(axis=0), part.std(axis=0)
        middle = (within.T @ part) / count[:, None]
        inside = np.sqrt(np.mean((part - middle[place]) ** 2, axis=0))
        sd[at] = np.where(inside > floor, inside, np.where(overall > floor, overall, 0))
    return mean, sd


def quantum(values: Float[ndarray, "n"]) -> float:
    """The step of which all values, one of them taken off, are whole multiples; 0 if none is."""
    levels = np.unique(values)
    if len(levels) < 2 or len(levels) == len(values):
        return 0.0
    above = levels - levels[0]
    step = np.diff(levels).min()
    step = above[-1] / np.round(above[-1] / step)
    count = above / step
    even = np.abs(count - np.round(count)).max() <= UNEVEN
    return float(step) if even else 0.0
