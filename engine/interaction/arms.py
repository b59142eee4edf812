"""The four arms of a pair, padded: control, single i, single j, the pair itself.

Classes have any size; compiled code wants few. Arms are gathered at run time from the screen's
observations into arrays of a padded length, and pairs are worked on in batches of equal padding.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int
from numpy import ndarray

from epistax.engine.screen import Screen

STEP = 1.25  # from one padded length to the next
MOST = 256  # pairs in one call


class Data(NamedTuple):
    """A screen on the device."""

    x: Float[Array, "n d"]
    unit: Int[Array, "n"]
    owner: Int[Array, "n"]
    first: Int[Array, "c"]
    count: Int[Array, "c"]


class Arm(NamedTuple):
    """One class, padded: weight is 1 / n where mask holds, else 0."""

    x: Float[Array, "m d"]
    unit: Int[Array, "m"]
    owner: Int[Array, "m"]
    mask: Bool[Array, "m"]
    weight: Float[Array, "m"]


class Batch(NamedTuple):
    """What one call works on: positions padded by repetition to a compiled size, `real` of them."""

    index: Int[ndarray, "b"]
    real: int
    lengths: tuple[int, ...]  # padded lengths of the arms


def on_device(screen: Screen) -> Data:
    """The arrays, as the compiled code takes them."""
    numbers = (screen.unit, screen.owner, screen.first, screen.count)
    # asarray would copy what a processor can read in place
    return Data(jax.device_put(screen.x), *(jnp.asarray(v, jnp.int32) for v in numbers))


def arm(data: Data, which: Int[Array, ""] | int, length: int) -> Arm:
    """One class of at most `length` observations."""
    place = jnp.arange(length)
    mask = place < data.count[which]
    rows = jnp.where(mask, data.first[which] + place, 0)
    weight = jnp.where(mask, 1.0, 0.0) / jnp.maximum(data.count[which], 1)
    return Arm(data.x[rows], data.unit[rows], data.owner[rows], mask, weight.astype(data.x.dtype))


def without(arm: Arm, owner: Int[Array, ""]) -> Float[Array, "m"]:
    """Weights of an arm's mean that leaves out what was observed in another class."""
    kept = arm.mask & (arm.owner != owner)
    return kept.astype(arm.x.dtype) / jnp.maximum(jnp.sum(kept), 1)


def padded(n: int) -> int:
    """The next length that is compiled for: a multiple of 8, at most a quarter too long."""
    length = 8
    while length < n:
        length = -(-int(length * STEP) // 8) * 8
    return length


def tight(sizes: Int[ndarray, "k"]) -> dict[int, int]:
    """Of every padded length the longest that is met, in whole eights: as few shapes, shorter."""
    return {padded(n): max(8, -(-n // 8) * 8) for n in np.unique(sizes).tolist()}


def pair_batches(
    screen: Screen, pairs: Int[ndarray, "q"], *, budget: int, multiple: int = 1
) -> Iterator[Batch]:
    """Pairs (positions in screen.pairs) by the padded lengths of double and singles."""
    p, control = screen.singles, int(screen.count[0])
    i, j = screen.pairs.i[pairs], screen.pairs.j[pairs]
    double = screen.count[1 + p + pairs]
    single = np.maximum(screen.count[1 + i], screen.count[1 + j])

    def cost(m: int, s: int) -> int:
        return m * (m + control + 2 * s) + s * s

    for at, real, lengths in grouped(np.stack([double, single], axis=1), cost, budget, multiple):
        yield Batch(pairs[at], real, lengths)


def class_batches(
    screen: Screen, classes: Int[ndarray, "k"], *, budget: int, multiple: int = 1
) -> Iterator[Batch]:
    """Classes by their padded length."""
    control = int(screen.count[0])
    sizes = screen.count[classes][:, None]
    for at, real, lengths in grouped(sizes, lambda m: m * (m + control), budget, multiple):
        yield Batch(classes[at], real, lengths)


def grouped(
    sizes: Int[ndarray, "k a"], cost: Callable[..., int], budget: int, multiple: int
) -> Iterator[tuple[Int[ndarray, "b"], int, tuple[int, ...]]]:
    """Rows of equal padding, so many at a time that their Gram blocks hold `budget` values.

    The number of rows at a time is a multiple of `multiple`, the number of devices.
    """
    lengths = np.vectorize(padded, otypes=[int])(sizes) if len(sizes) else sizes
    for shape in sorted(set(map(tuple, lengths.tolist()))):
        here = np.flatnonzero((lengths == shape).all(axis=1))
        most = min(MOST, power_of_two(budget // max(cost(*shape), 1)))
        size = min(most, 2 * power_of_two(len(here) - 1) if len(here) > 1 else 1)
        size = -(-size // multiple) * multiple
        for start in range(0, len(here), size):
            at = here[start : start + size]
            yield np.r_[at, np.full(size - len(at), at[0])], len(at), shape


def power_of_two(n: int) -> int:
    """The largest that is at most n, and 1 below."""
    return 1 << max(int(n), 1).bit_length() - 1
