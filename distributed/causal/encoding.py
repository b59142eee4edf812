"""What fits make of samples: latents, and what a reconstruction misses, in blocks of samples."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from epistax.distributed.causal.dividing import Division
from epistax.engine.causal import scaling
from epistax.engine.causal.records import Latents, Method
from epistax.engine.causal.scaling import Scaling
from epistax.engine.types import Keys

BLOCK = 2048  # samples


class Missed(NamedTuple):
    """Mean square per feature of each sample by m fits, [m, n]: of posterior means, of draws."""

    mean: np.ndarray
    sampled: np.ndarray


def scale_of(division: Division, how: str) -> Scaling | None:
    """The scale of the features by what trains; none where they stay as they are."""
    if how == "none":
        return None
    train, table = ~division.validating, division.table
    reference = table.every.reference[table.environment[train]]
    return scaling.learned(table.x[train], reference)


def put(scale: Scaling | None, x: np.ndarray, *, clip: bool = True) -> np.ndarray:
    """Features on their scale; without clip those far out stay there."""
    if scale is None:
        return x
    if clip:
        return np.asarray(scaling.scaled(scale, x))
    return (x - scale.centre[None, :]) / scale.spread[None, :]


def blocks(n: int) -> Iterator[tuple[np.ndarray, int]]:
    """Rows of each block, all of a length, and how many of them are new."""
    size = min(BLOCK, n)
    for first in range(0, n, size):
        yield np.arange(first, first + size) % n, min(size, n - first)


def encoded(method: Method, fits: Any, x: np.ndarray, told: np.ndarray, v: np.ndarray) -> Latents:
    """The latents of samples, [m, n, d] twice; told: the row of v that each is told."""
    parts = []
    for rows, new in blocks(len(x)):
        found = method.encode(fits, x[rows], v[told[rows]])
        parts.append([np.asarray(part)[:, :new] for part in found])
    return Latents(*(np.concatenate(part, axis=1) for part in zip(*parts, strict=True)))


def missed(
    keys: Keys, method: Method, fits: Any, x: np.ndarray, told: np.ndarray, v: np.ndarray
) -> Missed:
    """What reconstructions of samples miss; one key a fit, for the draws."""
    found: list[list[np.ndarray]] = [[], []]
    for place, (rows, new) in enumerate(blocks(len(x))):
        own, vectors = x[rows], v[told[rows]]
        latents = method.encode(fits, own, vectors)
        noise = drawn(jax.vmap(jax.random.fold_in, (0, None))(keys, place), latents.mean.shape[1:])
        draws = latents.mean + jnp.exp(latents.log_sd) * noise
        for k, z in enumerate((latents.mean, draws)):
            square = jnp.mean((method.decode(fits, z, vectors) - own[None]) ** 2, axis=2)
            found[k].append(np.asarray(square, np.float64)[:, :new])
    return Missed(*(np.concatenate(parts, axis=1) for parts in found))


def drawn(keys: Keys, shape: tuple[int, ...]) -> jax.Array:
    """Standard normals of each fit."""
    return jax.vmap(lambda key: jax.random.normal(key, shape))(keys)


def by_environment(values: np.ndarray, environment: np.ndarray, count: int) -> np.ndarray:
    """Means of samples by environment: of [m, n] as [m, e]; NaN of one without samples."""
    size = np.bincount(environment, minlength=count)
    sums = [np.bincount(environment, weights=row, minlength=count) for row in values]
    with np.errstate(invalid="ignore"):
        return np.stack(sums) / size[None, :]
