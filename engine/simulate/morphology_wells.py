"""A morphology screen in wells: genes, guides, wells, plates, batches; and what is true of it.

    well = sum_g eta_g e_g + (prod_g eta_g) Gamma + batch + plate + row gradient + noise

eta ~ Beta(8, 2) is how well a guide works; a double is made with guide k of both genes, so that
its guides are as good as those of its singles. Noise of a well: sd .25 in every one of 128
features (its square is the same in all, whatever the number of features).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from numpy import ndarray

from epistax.engine.simulate.morphology import Biology
from epistax.engine.types import Key

GUIDES, PLATES, BATCHES, ROWS = 3, 8, 2, 16
CONTROLS, SINGLE, DOUBLE = 100, 24, 4  # wells: control a plate, a guide, a pair of guides
NOISE = 0.25**2 * 128  # squared length of a well's noise
OFFSET = 0.3  # length of the offset of a plate and of a batch
GRADIENT = 0.15  # the same, of the difference between the middle row and an outer one


class Wells(NamedTuple):
    """One observation a well."""

    x: Float[Array, "n d"]
    codes: Int[ndarray, "n 2"]  # (-1, -1), (-1, i) or (i, j)
    guide: Int[ndarray, "n"]  # 0 .. GUIDES - 1, of both genes; -1 for control
    plate: Int[Array, "n"]
    row: Int[Array, "n"]


def wells(key: Key, genes: Biology, *, double: int = DOUBLE, scale: float = 1.0) -> Wells:
    """Control, all singles and all pairs; `double` wells a pair of guides. The key is used up.

    scale is what the additive part of doubles is multiplied by: below 1 they are weaker than the
    sum of their singles throughout, as screens have been found to be.
    """
    p, d = genes.effect.shape
    codes, guide = layout(p, genes, double)
    k_guide, k_place, k_row, k_batch, k_plate, k_slope, k_noise = jax.random.split(key, 7)
    efficiency = jax.random.beta(k_guide, 8.0, 2.0, (p, GUIDES))
    n, controls = len(codes), CONTROLS * PLATES
    order = jax.random.permutation(k_place, n - controls)  # controls come first, alike on plates
    plate = jnp.concatenate([jnp.arange(controls), order]) % PLATES
    row = jax.random.randint(k_row, (n,), 0, ROWS)
    shift = OFFSET * jax.random.normal(k_batch, (BATCHES, d)) / d**0.5
    offset = OFFSET * jax.random.normal(k_plate, (PLATES, d)) / d**0.5
    offset += shift[jnp.arange(PLATES) * BATCHES // PLATES]
    slope = GRADIENT * jax.random.normal(k_slope, (PLATES, d)) / d**0.5
    height = (row - (ROWS - 1) / 2) / ((ROWS - 1) / 2)
    x = expected(genes, efficiency, codes, guide, scale=scale)
    x += offset[plate] + slope[plate] * height[:, None]
    x += (NOISE / d) ** 0.5 * jax.random.normal(k_noise, x.shape)
    return Wells(x, codes, guide, plate, row)


def layout(p: int, genes: Biology, double: int) -> tuple[Int[ndarray, "n 2"], Int[ndarray, "n"]]:
    """What every well holds, and which guide."""
    i, j = genes.pairs
    alone = np.stack([np.full(p, -1), np.arange(p)], axis=1)
    parts = [
        (np.full((1, 2), -1), CONTROLS * PLATES, 1),
        (alone, SINGLE, GUIDES),
        (np.stack([i, j], axis=1), double, GUIDES),
    ]
    codes = [np.repeat(what, n * guides, axis=0) for what, n, guides in parts]
    guide = [np.tile(np.repeat(np.arange(guides), n), len(what)) for what, n, guides in parts]
    guide[0][:] = -1
    return np.concatenate(codes).astype(np.int32), np.concatenate(guide)


def expected(
    genes: Biology,
    efficiency: Float[Array, "p guides"],
    codes: Int[ndarray, "n 2"],
    guide: Int[ndarray, "n"],
    *,
    scale: float = 1.0,
) -> Float[Array, "n d"]:
    """The wells without plates and noise."""
    p, d = genes.effect.shape
    low, high = codes[:, 0], codes[:, 1]
    effect = jnp.concatenate([genes.effect, jnp.zeros((1, d))])  # the last answers for -1
    eta = jnp.concatenate([efficiency, jnp.zeros((1, GUIDES))])
    first, second = eta[low, guide], eta[high, guide]
    x = first[:, None] * effect[low] + second[:, None] * effect[high]
    both = np.flatnonzero(low >= 0)
    x = x.at[both].multiply(scale)
    number = np.repeat(np.arange(len(genes.pairs.i)), len(both) // len(genes.pairs.i))
    return x.at[both].add((first * second)[both, None] * genes.gamma[number])
