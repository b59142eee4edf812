"""Single cells in six stains under guides: do two guides target the same gene?

Stands in for the guide-guide experiment of "Automated Discovery of Pairwise Interactions from
Unstructured Data" (appendix D.2.2), whose images are not public. Two genes of three
guides each; a gene moves two of six latents, another gene two others. A guide works by its
efficiency, Beta(8, 2). Two guides of one gene hit its latents once, so that they are not
separable; guides of different genes are. What a latent does is monotone and smooth:

    nucleus    radius 5.5 exp(.1 z), axes in the ratio exp(.45 exp(.18 z))
    texture    of chromatin, endoplasmic reticulum and mitochondria: .12 exp(.16 z) cycles a pixel
    stains     of actin, Golgi and mitochondria: brightness .3 exp(.18 z)
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from epistax.engine.simulate.latents import Separability, draw
from epistax.engine.simulate.raster import grid, pictures, soft, waves
from epistax.engine.types import Key, Scalar

GUIDES = ("A1", "A2", "A3", "B1", "B2", "B3")  # gene and number
LATENTS = ("nucleus size", "elongation", "texture frequency", "actin", "Golgi", "mitochondria")
STAINS = ("DNA", "RNA", "ER", "actin", "Golgi", "mitochondria")
GENES, TARGETS = 2, 2  # genes, latents of a gene
HIT = 2.0  # of a guide that works fully
SIZE, CELL = 32, 12.5  # pixels: side of an image, radius of a cell
GRAINS = 8  # waves of a texture
DARK, NOISE = 0.04, 0.02


def guides(key: Key, n: int) -> Separability:
    """N cells a class of 32 x 32 x 6 in 0 .. 1: control, 6 guides, their 15 pairs.

    strength tells which latents the guides of each gene hit: other pairs of the six for every
    key. The key is used up.
    """
    k_target, k_efficiency, k_latents, k_pictures = jax.random.split(key, 4)
    made = draw(k_latents, strengths(k_target, k_efficiency), n)
    return made._replace(x=pictures(k_pictures, made.z, cell, noise=NOISE))


def strengths(k_target: Key, k_efficiency: Key) -> Float[Array, "p z"]:
    """How far each guide moves each latent."""
    order = jax.random.permutation(k_target, len(LATENTS))[: GENES * TARGETS]
    of_gene = jax.nn.one_hot(order.reshape(GENES, TARGETS), len(LATENTS)).sum(axis=1)
    efficiency = jax.random.beta(k_efficiency, 8.0, 2.0, (len(GUIDES), 1))
    return HIT * efficiency * jnp.repeat(of_gene, len(GUIDES) // GENES, axis=0)


def cell(key: Key, z: Float[Array, "z"]) -> list[Float[Array, "h w"]]:
    """The stains of one cell at any angle, its nucleus in the middle; the key is used up."""
    k_turn, k_border, k_grain, k_rna, k_golgi = jax.random.split(key, 5)
    swelling, stretch, frequency, actin, golgi, mitochondria = z
    u, v = turned(jax.random.uniform(k_turn, maxval=jnp.pi))
    radius = 5.5 * jnp.exp(0.1 * swelling)
    long = jnp.exp(0.225 * jnp.exp(0.18 * stretch))  # axes radius long and radius / long
    away = jnp.hypot(u / long, v * long)  # the nucleus is where this is below its radius
    nucleus = soft(radius - away, 0.7)
    outside = border(k_border, u, v)
    inside = soft(-outside, 0.8)
    cytoplasm = inside * (1 - nucleus)
    membrane = jnp.exp(-((outside / 1.3) ** 2) / 2)
    grain = [texture(k, frequency) for k in jax.random.split(k_grain, 3)]

    def spot(angle: Scalar, distance: Scalar, width: float) -> Float[Array, "h w"]:
        """Of light, at a place that is given along and across the nucleus."""
        du, dv = u - distance * jnp.cos(angle), v - distance * jnp.sin(angle)
        return jnp.exp(-(du**2 + dv**2) / (2 * width**2))

    def rim(angle: Scalar) -> Scalar:
        """From the middle to the edge of the nucleus."""
        return radius / jnp.hypot(jnp.cos(angle) / long, jnp.sin(angle) * long)

    first = jax.random.uniform(k_rna, maxval=jnp.pi)
    nucleoli = sum(spot(at, 0.5 * rim(at), 1.2) for at in (first, first + 0.8 * jnp.pi))
    at = jax.random.uniform(k_golgi, maxval=2 * jnp.pi)
    apparatus = spot(at, (rim(at) + CELL) / 2, 1.8)  # half way to the border
    stains = [
        nucleus * (0.55 + 0.25 * grain[0]),
        0.5 * nucleoli + 0.15 * inside,
        0.7 * cytoplasm * grain[1],
        brightness(actin) * membrane,
        brightness(golgi) * apparatus,
        brightness(mitochondria) * cytoplasm * grain[2],
    ]
    return [DARK + stain for stain in stains]


def turned(angle: Scalar) -> tuple[Float[Array, "h w"], Float[Array, "h w"]]:
    """Coordinates about the middle of the picture, in pixels, along and across a direction."""
    x, y = (at - (SIZE - 1) / 2 for at in grid(SIZE))
    return x * jnp.cos(angle) + y * jnp.sin(angle), y * jnp.cos(angle) - x * jnp.sin(angle)


def border(key: Key, u: Float[Array, "h w"], v: Float[Array, "h w"]) -> Float[Array, "h w"]:
    """How far a pixel lies outside of the cell, which is round but for a few lobes."""
    k_height, k_phase = jax.random.split(key)
    height = 0.05 * jax.random.normal(k_height, (3,))
    phase = jax.random.uniform(k_phase, (3,), maxval=2 * jnp.pi)
    angle = jnp.arctan2(v, u)
    lobes = sum(height[m] * jnp.cos((m + 2) * angle + phase[m]) for m in range(3))
    return jnp.hypot(u, v) - CELL * (1 + lobes)


def texture(key: Key, frequency: Scalar) -> Float[Array, "h w"]:
    """Grains between 0 and 1, without direction, of one frequency."""
    k_angle, k_phase = jax.random.split(key)
    angle, phase = (jax.random.uniform(k, (GRAINS,), maxval=2 * jnp.pi) for k in (k_angle, k_phase))
    k = 2 * jnp.pi * 0.12 * jnp.exp(0.16 * frequency)
    direction = jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=1)
    return jax.nn.sigmoid(2 * waves(k * direction, phase, jnp.full(GRAINS, 0.5), SIZE))


def brightness(z: Scalar) -> Scalar:
    """Of a stain."""
    return 0.3 * jnp.exp(0.18 * z)
