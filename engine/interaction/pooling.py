"""What all classes of a screen say together about the spread of one unit.

The covariance within classes, in the features that the null distribution is built from, and how
much of the whole embedding those features see.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from epistax.engine.screen import Screen
from epistax.engine.stats.spread import Pooled, Spread

ROWS = 100_000  # observations that the pooled covariance is taken from
SQUARES = 1_000  # observations a class, and
CLASSES = 8  # classes, that the unseen share is taken from


def pool(
    screen: Screen,
    features: Callable[[jax.Array], jax.Array],
    gram: Callable[[jax.Array], jax.Array],
    alone: Spread,
    *,
    seed: int,
) -> Pooled:
    """Over control, singles and doubles; alone holds the spreads of control and singles.

    features maps rows to the null distribution's features, gram to the exact inner products.
    """
    order = np.random.default_rng(seed).permutation(len(screen.count))
    order = order[screen.units[order] > 1]
    if not len(order):
        raise ValueError("no class has two units: nothing says how units of a class differ")
    chosen = order[: 1 + int(np.searchsorted(np.cumsum(screen.count[order]), ROWS))]
    x = np.concatenate([rows(screen, which) for which in chosen])
    phi = np.asarray(features(jnp.asarray(x)), np.float64)  # all at once: one shape to compile
    parts = np.split(phi, np.cumsum(screen.count[chosen])[:-1])
    sums = [unit_sums(part, screen, which) for part, which in zip(parts, chosen, strict=True)]
    dof = sum(len(part) - 1 for part in sums)
    cov = sum(part.T @ part for part in sums) / dof
    units = np.asarray(alone.units, np.float64)
    less = np.maximum(units - 1, 0)
    exact = less @ (units * np.asarray(alone.excess, np.float64))
    seen = less @ np.trace(np.asarray(alone.cov, np.float64), axis1=1, axis2=2)
    ratio = max(exact / seen, 1.0) if seen > 0 else 1.0
    unseen = unseen_share(screen, features, gram, chosen)
    values = (cov, np.trace(cov) * ratio, dof, unseen)
    return Pooled(*(jnp.asarray(v, screen.x.dtype) for v in values))


def unseen_share(
    screen: Screen,
    features: Callable[[jax.Array], jax.Array],
    gram: Callable[[jax.Array], jax.Array],
    chosen: Int[ndarray, "k"],
) -> float:
    """How much tr S^2 the whole embedding has beyond the features, as a share of theirs."""
    largest = chosen[np.argsort(-screen.units[chosen], kind="stable")[:CLASSES]]
    seen = whole = 0.0
    for which in largest:
        step = -(-int(screen.count[which]) // SQUARES)  # some rows of every unit
        if len(unit_starts(screen, which, step)) < 4:
            continue
        x = rows(screen, which)[::step]
        full = jnp.asarray(np.resize(x, (SQUARES, x.shape[1])))  # repeated to one length
        phi, inner = (np.asarray(f(full), np.float64)[: len(x)] for f in (features, gram))
        seen += trace_square(centred(phi @ phi.T, screen, which, step))
        whole += trace_square(centred(inner[:, : len(x)], screen, which, step))
    return max(whole / seen - 1, 0.0) if seen > 0 else 0.0


def trace_square(gram: Float[ndarray, "w w"]) -> float:
    """Unbiased tr S^2 from the Gram matrix of w >= 4 centred units.

    Himeno and Yamada 2014, "Estimations for some functions of covariance matrix in high dimension
    under non-normality", eq 2.3.
    """
    n, own = len(gram), np.diag(gram)
    square, trace = (gram**2).sum() / (n - 1) ** 2, own.sum() / (n - 1)
    fourth = (own**2).sum() / (n - 1)
    scale = (n - 1) / (n * (n - 2) * (n - 3))
    return float(scale * ((n - 1) * (n - 2) * square + trace**2 - n * fourth))


def unit_sums(
    phi: Float[ndarray, "m f"], screen: Screen, which: int | np.integer
) -> Float[ndarray, "w f"]:
    """Units' departures from their class mean, of the scale of a unit where all are of one size."""
    starts = unit_starts(screen, which)
    return np.add.reduceat(phi - phi.mean(axis=0), starts) * len(starts) / len(phi)


def centred(
    gram: Float[ndarray, "m m"], screen: Screen, which: int | np.integer, step: int = 1
) -> Float[ndarray, "w w"]:
    """The same of the Gram matrix of every `step`-th row: inner products of those departures."""
    starts = unit_starts(screen, which, step)
    gram = gram - gram.mean(axis=0) - gram.mean(axis=1)[:, None] + gram.mean()
    sums = np.add.reduceat(np.add.reduceat(gram, starts, axis=0), starts, axis=1)
    return sums * (len(starts) / len(gram)) ** 2


def unit_starts(screen: Screen, which: int | np.integer, step: int = 1) -> Int[ndarray, "w"]:
    """Where each unit of a class begins among every `step`-th of its observations."""
    first, count = int(screen.first[which]), int(screen.count[which])
    unit = np.asarray(screen.unit[first : first + count : step])
    return np.flatnonzero(np.r_[True, unit[1:] != unit[:-1]])


def rows(screen: Screen, which: int | np.integer) -> Float[ndarray, "m d"]:
    """The observations of a class."""
    first, count = int(screen.first[which]), int(screen.count[which])
    return np.asarray(screen.x[first : first + count])
