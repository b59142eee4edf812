"""P-values of any pairs of a prepared screen by draws: permutations, or the multiplier.

The null distributions are those of `resampling`; where every observation stands in the class that
it was made in, the multiplier's draws are shared by all pairs (`commondraws`).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int
from numpy import ndarray

from epistax.engine.interaction import commondraws, paired, resampling
from epistax.engine.interaction.arms import class_batches, on_device, padded, pair_batches, tight
from epistax.engine.mesh import copied, devices, each
from epistax.engine.screen import Screen


def resampled(
    screen: Screen,
    contrast: tuple[float, ...],
    *,
    kernel: str,
    length_scale: float,
    method: resampling.Method,
    draws: int,
    seed: int,
    mesh: Mesh | None = None,
) -> Callable[[Int[ndarray, "b"]], Float[ndarray, "b"]]:
    """P-values of a contrast's squared norm by one of resampling.METHODS."""
    stands = np.repeat(np.arange(len(screen.count)), screen.count)
    if method == "multiplier" and (np.asarray(screen.owner) == stands).all():
        # elsewhere a single's arm is another one in each of its pairs
        how = {"kernel": kernel, "length_scale": length_scale, "draws": draws, "seed": seed}
        return multiplied(screen, contrast, mesh=mesh, **how)
    data = copied(on_device(screen), mesh)
    key = copied(jax.random.key(seed), mesh)
    static = {"kernel": kernel, "method": method, "draws": draws}
    longest = tight(screen.count)
    static |= {"control": longest[padded(int(screen.count[0]))]}
    weights, scale = copied([jnp.asarray(v, data.x.dtype) for v in (contrast, length_scale)], mesh)

    def of_pairs(double: int, single: int) -> Callable[..., Float[Array, "b"]]:
        lengths = {"double": longest[double], "single": longest[single]}
        return each(mesh, resampling.p_values, split=2, **lengths, **static)

    def test(pairs: Int[ndarray, "b"]) -> Float[ndarray, "b"]:
        rest = (key, data, weights, scale)
        found = (
            (b, of_pairs(*b.lengths)(*paired.classes_of(screen, b.index), *rest))
            for b in pair_batches(screen, pairs, budget=paired.BUDGET, multiple=devices(mesh))
        )
        return np.asarray(paired.in_order(found, pairs))

    return test


def multiplied(
    screen: Screen,
    contrast: tuple[float, ...],
    *,
    kernel: str,
    length_scale: float,
    draws: int,
    seed: int,
    mesh: Mesh | None = None,
) -> Callable[[Int[ndarray, "b"]], Float[ndarray, "b"]]:
    """The same by the multiplier, where every observation stands in the class it was made in."""
    data, longest = copied(on_device(screen), mesh), tight(screen.count)
    weights, scale = (jnp.asarray(v, data.x.dtype) for v in (contrast, length_scale))
    key, units = jax.random.key(seed), max(int(screen.units.max()), 1)
    noise = commondraws.noise(key, units=units, draws=draws)
    how = copied(commondraws.Kernel(weights, scale, noise), mesh)
    static = {"name": kernel, "control": longest[padded(int(screen.count[0]))]}
    origin = copied(each(None, commondraws.of_control, split=0, **static)(data, how), mesh)
    cut = {"budget": paired.BUDGET, "multiple": devices(mesh)}

    def of_classes(length: int) -> Callable[..., Float[Array, "k 2 s"]]:
        return each(mesh, commondraws.alone, split=1, length=longest[length], **static)

    def of_pairs(double: int, single: int) -> Callable[..., Float[Array, "b"]]:
        lengths = {"double": longest[double], "single": longest[single]}
        return each(mesh, commondraws.p_values, split=2, **lengths, **static)

    alone = np.arange(1 + screen.singles)
    parts = (
        (b, of_classes(*b.lengths)(jnp.asarray(b.index, jnp.int32), data, how))
        for b in class_batches(screen, alone, **cut)
    )
    shared = copied(paired.in_order(parts, alone), mesh)

    def test(pairs: Int[ndarray, "b"]) -> Float[ndarray, "b"]:
        rest = (data, how, origin, shared)
        found = (
            (b, of_pairs(*b.lengths)(*paired.classes_of(screen, b.index), *rest))
            for b in pair_batches(screen, pairs, **cut)
        )
        return np.asarray(paired.in_order(found, pairs))

    return test
