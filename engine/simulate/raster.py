"""Pictures from formulas: the grid of pixels, soft discs, sums of plane waves.

Pixels are points with whole coordinates, 0 .. size - 1: x to the right, y downwards.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from epistax.engine.types import Key

Draw: TypeAlias = Callable[[Key, Float[Array, "z"]], Sequence[Float[Array, "h w"]]]  # channels
AT_ONCE = 256  # pictures in memory before they are joined


def pictures(
    key: Key, z: Float[Array, "n z"], draw: Draw, *, noise: float
) -> Float[Array, "n h w c"]:
    """The picture of every row with noise in every pixel, within 0 .. 1, a few at a time.

    Each has a key of its own; the key is used up.
    """

    def one(row: tuple[Key, Float[Array, "z"]]) -> list[Float[Array, "h w"]]:
        """Channels apart: joined in here, XLA would compute all of them for each."""
        k_draw, k_noise = jax.random.split(row[0])
        channels = draw(k_draw, row[1])
        grain = noise * jax.random.normal(k_noise, (len(channels), *channels[0].shape))
        return [jnp.clip(c + g, 0.0, 1.0) for c, g in zip(channels, grain, strict=True)]

    n = len(z)
    z = jnp.pad(z, ((0, -n % AT_ONCE), (0, 0)))  # a shorter last step would be compiled apart
    channels = jax.lax.map(one, (jax.random.split(key, len(z)), z), batch_size=AT_ONCE)
    return jnp.stack([c[:n] for c in channels], axis=-1)


def grid(size: int) -> tuple[Float[Array, "1 w"], Float[Array, "h 1"]]:
    """Coordinates of the pixels, to be broadcast."""
    at = jnp.arange(size, dtype=float)
    return at[None, :], at[:, None]


def soft(inside: Float[Array, "h w"], edge: float) -> Float[Array, "h w"]:
    """1 inside, 0 outside, of pixels that lie so far inside; half way over about 4 edges."""
    return jax.nn.sigmoid(inside / edge)


def waves(
    k: Float[Array, "m 2"], phase: Float[Array, "m"], height: Float[Array, "m"], size: int
) -> Float[Array, "h w"]:
    """sum_m height_m cos(k_m . (x, y) + phase_m); k in radians a pixel."""
    x, y = grid(size)
    across = k[:, 0][:, None] * x + phase[:, None]
    down = k[:, 1][None, :] * y
    # cos(a + b) apart, so that m (h + w) angles are looked up, not m h w
    parts = ((jnp.cos, 1.0), (jnp.sin, -1.0))
    return sum(
        jnp.matmul(f(down), sign * height[:, None] * f(across), precision="highest")
        for f, sign in parts
    )  # fmt: skip
