"""A smooth function of the single effects of a combination, as a few features.

f(t, u) of the sum t and the spread u of its singles is a Gaussian process with a squared
exponential kernel, written as a sum of sines on a box with weights of known variance ("Hilbert
space methods for reduced-rank Gaussian process regression", Solin and Saerkkae 2020, eq. 20 and
56), beside a constant, t, u, the product of singles, and a step for combinations of a gene with
itself. All are symmetric in the genes. Weights of N(0, 1) give the process unit scale.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from epistax.engine.effects.records import Combos
from epistax.engine.types import Scalar

LINEAR = 5  # features before the sines
LONGEST = 1.25  # half the range of t and u that the sines see: beyond, f goes on as a line
BOX = 1.5  # half the width of the box of the sines


class Singles(NamedTuple):
    """Where single effects lie: middle and half of their range, which is what lengths are told in.

    mean and sd are those of the genes, for features of a gene.
    """

    middle: Scalar
    half: Scalar
    mean: Scalar
    sd: Scalar


def lie(singles: Float[Array, "p"]) -> Singles:
    """The measures of the single effects of p genes."""
    low, high = singles.min(), singles.max()
    half = jnp.maximum((high - low) / 2, 1e-6)
    return Singles((low + high) / 2, half, singles.mean(), jnp.maximum(singles.std(), 1e-6))


def features(
    combos: Combos, at: Singles, *, waves: tuple[int, int], length: float
) -> Float[Array, "q m"]:
    """LINEAR features, then waves[0] x waves[1] sines of the sum and the spread."""
    there = combos.there
    s = jnp.where(there, (combos.singles - at.middle) / at.half, 0.0)
    many = there.sum(1)
    t = s.sum(1) / 2
    centred = jnp.where(there, s - (s.sum(1) / many)[:, None], 0.0)
    u = jnp.sqrt(2 * (centred**2).sum(1)) - 1  # of two genes the difference, from -1
    product = (s.sum(1) ** 2 - (s**2).sum(1)) / 2
    alike = repeated(combos).astype(s.dtype)
    linear = jnp.stack([jnp.ones_like(t), t, u, product, alike], 1)
    first, second = (sines(x, m, length) for x, m in zip((t, u), waves, strict=True))
    both = first[:, :, None] * second[:, None, :]
    return jnp.concatenate([linear, both.reshape(len(t), -1)], 1)


def sines(x: Float[Array, "q"], count: int, length: float) -> Float[Array, "q m"]:
    """Eigenfunctions of the box, each by the root of the kernel's spectral density there."""
    omega = np.pi * np.arange(1, count + 1) / (2 * BOX)
    density = np.sqrt(2 * np.pi) * length * np.exp(-0.5 * (length * omega) ** 2)
    inside = jnp.clip(x, -LONGEST, LONGEST)
    wave = jnp.sin((inside[:, None] + BOX) * jnp.asarray(omega, x.dtype)[None, :])
    return wave * jnp.asarray(np.sqrt(density / BOX), x.dtype)[None, :]


def repeated(combos: Combos) -> Array:
    """Which combinations hold one gene twice."""
    genes = jnp.asarray(combos.genes)
    same = (genes[:, :, None] == genes[:, None, :]) & (genes >= 0)[:, :, None]
    return same.sum((1, 2)) > combos.there.sum(1)
