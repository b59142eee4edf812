"""Three balls on a background: images whose latents are where the balls are.

Appendix D.1.2 of "Automated Discovery of Pairwise Interactions from Unstructured Data"; its
picture is ours. Latent l moves the ball of colour l along an arc of its own, t = sigmoid(.8 z_l),

    x = S (.15 + .7 t),    y = S (base_l + .12 sin 2 pi t),

so that no ball ever covers another and the latents can be read from the picture. The background
has the same law in every class.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from epistax.engine.simulate.latents import Separability, draw, four
from epistax.engine.simulate.raster import grid, pictures, soft, waves
from epistax.engine.types import Key

BASE = (0.22, 0.5, 0.78)  # middle of each arc, from the top
COLOUR = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
RADIUS = 5 / 64  # of a ball, in images
EDGE = 0.5  # pixels
GREY, CONTRAST, WAVES, STEEPEST = 0.5, 0.15, 4, 2  # of the background
NOISE = 0.02


def balls(key: Key, n: int, *, hit: float = 2.0, size: int = 64) -> Separability:
    """N images a class of size x size x 3 in 0 .. 1; latents and truth as in `separability`.

    The third ball is never hit. The key is used up.
    """
    k_latents, k_pictures = jax.random.split(key)
    made = draw(k_latents, four(hit, len(BASE)), n)
    x = pictures(k_pictures, made.z, partial(scene, size=size), noise=NOISE)
    return made._replace(x=x)


def scene(key: Key, z: Float[Array, "z"], *, size: int) -> list[Float[Array, "h w"]]:
    """Red, green and blue of one image. The key is used up."""
    channels = [background(key, size)] * 3
    for centre, colour in zip(centres(z, size=size), COLOUR, strict=True):
        alpha = ball(centre, RADIUS * size, size)
        channels = [(1 - alpha) * c + alpha * own for c, own in zip(channels, colour, strict=True)]
    return channels


def centres(z: Float[Array, "z"], *, size: int) -> Float[Array, "z 2"]:
    """Where each ball is, x and y in pixels."""
    t = jax.nn.sigmoid(0.8 * z)
    y = jnp.asarray(BASE) + 0.12 * jnp.sin(2 * jnp.pi * t)
    return size * jnp.stack([0.15 + 0.7 * t, y], axis=1)


def ball(centre: Float[Array, "2"], radius: float, size: int) -> Float[Array, "h w"]:
    """How much a ball covers each pixel; all together pi (radius^2 + pi^2 EDGE^2 / 3)."""
    x, y = grid(size)
    return soft(radius - jnp.hypot(x - centre[0], y - centre[1]), EDGE)


def background(key: Key, size: int) -> Float[Array, "h w"]:
    """Grey with a few long waves."""
    k_height, k_wave, k_phase = jax.random.split(key, 3)
    wave = jax.random.randint(k_wave, (WAVES, 2), -STEEPEST, STEEPEST + 1)
    phase = jax.random.uniform(k_phase, (WAVES,), maxval=2 * jnp.pi)
    height = CONTRAST * jax.random.normal(k_height, (WAVES,)) / 2
    return GREY + waves(2 * jnp.pi * wave / size, phase, height, size)
