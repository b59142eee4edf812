"""Samples of latent causal models under noise interventions, with everything that is true of them.

An environment changes the law of the noise Z of one latent (its target) and of no other
("Towards Learning Cell Causal-Embeddings", hypotheses 1 to 3). `two` makes the worlds of sections
6.1 to 6.3, `growing` those of 6.4; `sparse` has many environments a latent, of which half are held
out, and vectors that say nothing of the target: what is found of it is found in the samples.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from epistax.engine.simulate import scm_world
from epistax.engine.simulate.scm_world import World
from epistax.engine.types import Key

CASES = ("independent", "dependent", "two-environments")  # sections 6.1, 6.2, 6.3
MIXINGS = ("linear", "relu")
SECOND = 0.5  # offset of the second latent in the second environment of 6.3
OFFSET = 5.0  # N(0, 5): as an sd
LEAST = 1.0  # offset of `sparse`, so that every environment can be told from the reference
CODE = 64  # bits
RANK, FINE = 1e3, 5.0  # condition numbers of a mixing: of full rank; such that it can be inverted


class Scm(NamedTuple):
    """n samples of e environments; target -1 and offset 0 are of the reference, its vector 0."""

    x: Float[Array, "n g"]
    environment: Int[Array, "n"]  # row of vectors
    vectors: Float[Array, "e v"]
    c: Float[Array, "n d"]  # latents
    z: Float[Array, "n d"]  # their noises, offsets included
    target: Int[Array, "e"]  # the latent whose noise has another law
    offset: Float[Array, "e"]  # what is added to it
    factor: Float[Array, "e"]  # what its sd is multiplied by
    held_out: Bool[Array, "e"]  # kept for validation
    world: World


@partial(jax.jit, static_argnames=("case", "n", "features", "noise"))
def two(key: Key, case: str, n: int = 1000, *, features: int = 10, noise: float = 0.0) -> Scm:
    """Two latents, M of rank 2; n samples of (T_0, T_1) = (0, 0) and, in 6.3, of (0, .5).

    independent: both are N(0, 1). Otherwise C_1 = C_0 + T_1: what is added to C_0 reaches both.
    The vector of an environment is (T_0, T_1). The key is used up.
    """
    if case not in CASES:
        raise ValueError(f"`case` is {case!r}; give one of {', '.join(CASES)}")
    k_world, k_draw = jax.random.split(key)
    apart = case == CASES[0]
    world = World(
        edges=jnp.zeros((2, 2)).at[1, 0].set(0.0 if apart else 1.0),
        sd=jnp.array([1.0, 1.0 if apart else 0.0]),
        mixing=scm_world.mixing(k_world, features, 2, worst=RANK),
        nets=None,
        noise=jnp.asarray(noise),
    )
    more = case == CASES[2]
    target = jnp.array([-1, 1] if more else [-1])
    offset = jnp.array([0.0, SECOND] if more else [0.0])
    return sampled(
        k_draw,
        world,
        jnp.repeat(jnp.arange(len(target)), n),
        target=target,
        offset=offset,
        vectors=shifts(target, offset, 2),
        held_out=jnp.zeros(len(target), bool),
    )


@partial(
    jax.jit,
    static_argnames=("n", "environments", "latents", "features", "offset_is_variance", "noise"),
)
def growing(
    key: Key,
    n: int = 1000,
    *,
    environments: int = 10,
    latents: int = 5,
    features: int = 20,
    offset_is_variance: bool = False,
    noise: float = 0.0,
) -> Scm:
    """Latents on a growing network, features by ReLU networks; n samples an environment.

    Targets by chance; offsets from N(0, 5), where 5 is the sd or, if it is said, the variance.
    The vector is the offset at the target's place; the second half of the environments is held
    out and there is no reference. The key is used up.
    """
    k_world, k_target, k_offset, k_draw = jax.random.split(key, 4)
    world = networked(k_world, latents, features, "relu", noise, network=True)
    target = jax.random.randint(k_target, (environments,), 0, latents)
    sd = OFFSET**0.5 if offset_is_variance else OFFSET
    offset = sd * jax.random.normal(k_offset, (environments,))
    at = jnp.arange(environments)
    return sampled(
        k_draw,
        world,
        jnp.repeat(at, n),
        target=target,
        offset=offset,
        vectors=shifts(target, offset, latents),
        held_out=at >= (environments + 1) // 2,
    )


@partial(
    jax.jit,
    static_argnames=(
        "n",
        "reference",
        "environments",
        "latents",
        "features",
        "mixing",
        "network",
        "noise",
        "spread",
    ),
)
def sparse(
    key: Key,
    n: int = 200,
    *,
    reference: int = 1000,
    environments: int = 40,
    latents: int = 5,
    features: int = 20,
    mixing: str = "linear",
    network: bool = False,
    noise: float = 0.1,
    spread: float = 0.0,
) -> Scm:
    """The reference, then environments of target 0, 1, ..., 0, 1, ...; every second one held out.

    Latents are independent, or on a growing network. Offsets are from N(0, 5), an sd, but at least
    1 in size; the target's sd is multiplied by exp N(0, spread). A vector is a code of random bits,
    and 0 of the reference. The key is used up.
    """
    if environments < 2 * latents:
        raise ValueError(
            f"`environments` is {environments} but {latents} latents need {2 * latents}: each one "
            "that is learnt from and one that is held out"
        )
    k_world, k_size, k_sign, k_spread, k_code, k_draw = jax.random.split(key, 6)
    world = networked(k_world, latents, features, mixing, noise, network=network)
    at = jnp.arange(environments)
    size = jax.random.truncated_normal(k_size, LEAST / OFFSET, jnp.inf, (environments,))
    offset = OFFSET * size * jax.random.rademacher(k_sign, (environments,), dtype=float)
    factor = jnp.exp(spread * jax.random.normal(k_spread, (environments,)))
    code = jax.random.bernoulli(k_code, 0.5, (environments, CODE)).astype(float)
    return sampled(
        k_draw,
        world,
        jnp.concatenate([jnp.zeros(reference, int), 1 + jnp.repeat(at, n)]),
        target=jnp.concatenate([jnp.full(1, -1), at % latents]),
        offset=jnp.concatenate([jnp.zeros(1), offset]),
        vectors=jnp.concatenate([jnp.zeros((1, CODE)), code]),
        held_out=jnp.concatenate([jnp.zeros(1, bool), (at // latents) % 2 == 1]),
        factor=jnp.concatenate([jnp.ones(1), factor]),
    )


def networked(
    key: Key, latents: int, features: int, mixing: str, noise: float, *, network: bool
) -> World:
    """Latents of noise sd 1, on a growing network or independent, and what is seen of them."""
    if mixing not in MIXINGS:
        raise ValueError(f"`mixing` is {mixing!r}; give one of {', '.join(MIXINGS)}")
    k_edges, k_seen = jax.random.split(key)
    linear, d = mixing == MIXINGS[0], latents
    return World(
        edges=scm_world.growing(k_edges, d) if network else jnp.zeros((d, d)),
        sd=jnp.ones(d),
        mixing=scm_world.mixing(k_seen, features, d, worst=FINE) if linear else None,
        nets=None if linear else scm_world.nets(k_seen, features, d),
        noise=jnp.asarray(noise),
    )


def sampled(
    key: Key,
    world: World,
    rows: Int[Array, "n"],
    *,
    target: Int[Array, "e"],
    offset: Float[Array, "e"],
    vectors: Float[Array, "e v"],
    held_out: Bool[Array, "e"],
    factor: Float[Array, "e"] | None = None,
) -> Scm:
    """Samples of the environments in `rows`. The key is used up."""
    factor = jnp.ones(len(target)) if factor is None else factor
    hit = jax.nn.one_hot(target, len(world.sd))
    widened = 1 + hit * (factor - 1)[:, None]
    x, c, z = drawn(key, world, shifts(target, offset, len(world.sd))[rows], widened[rows])
    return Scm(x, rows, vectors, c, z, target, offset, factor, held_out, world)


def shifts(target: Int[Array, "e"], offset: Float[Array, "e"], latents: int) -> Float[Array, "e d"]:
    """What each environment adds to the noise of each latent: nothing where its target is -1."""
    return jax.nn.one_hot(target, latents) * offset[:, None]


def drawn(
    key: Key,
    world: World,
    shift: Float[Array, "n d"],
    factor: Float[Array, "n d"] | None = None,
) -> tuple[Float[Array, "n g"], Float[Array, "n d"], Float[Array, "n d"]]:
    """x, C and Z of samples whose noises have these means, and sds multiplied by factor.

    For environments that the samples of a world lack, such as (T_0, 0). The key is used up.
    """
    k_z, k_x = jax.random.split(key)
    own = world.sd[None, :] * jax.random.normal(k_z, shift.shape)
    z = shift + (own if factor is None else factor * own)
    c = scm_world.latents(world, z)
    x = scm_world.observed(world, c)
    return x + world.noise * jax.random.normal(k_x, x.shape), c, z
