"""The only maker of device meshes and shardings; a mesh is an argument, never global."""

import functools
from collections.abc import Callable, Hashable
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec


def mesh(devices: int | None = None) -> Mesh:
    """A one-axis mesh, "data", over the first devices (all when None)."""
    available = jax.devices()
    wanted = len(available) if devices is None else devices
    if not 1 <= wanted <= len(available):
        raise ValueError(f"a mesh of {wanted} devices was asked for, {len(available)} exist here")
    # Auto: with explicit axis types every operation in a model would have to name its sharding
    return Mesh(np.array(available[:wanted]), ("data",), axis_types=(AxisType.Auto,))


def split(mesh: Mesh) -> NamedSharding:
    """Leading axis split over the devices."""
    return NamedSharding(mesh, PartitionSpec("data"))


def whole(mesh: Mesh) -> NamedSharding:
    """A full copy on every device."""
    return NamedSharding(mesh, PartitionSpec())


def copied(tree: Any, mesh: Mesh | None) -> Any:
    """The arrays of a pytree, whole on every device; as they are without a mesh."""
    return tree if mesh is None else jax.device_put(tree, whole(mesh))


def spread(tree: Any, mesh: Mesh | None) -> Any:
    """Inside compiled code: the arrays' leading axes split over the devices from here on."""
    return tree if mesh is None else jax.lax.with_sharding_constraint(tree, split(mesh))


def each(
    mesh: Mesh | None, function: Callable[..., Any], *, split: int, **static: Hashable
) -> Callable[..., Any]:
    """The function, compiled, with its first `split` arguments cut over the devices.

    They and all results are cut along their leading axes, whose length the devices must divide;
    the other arguments are whole on every device. static are keyword arguments of the function.
    The same request gives the same compiled function. Without a mesh: one device.
    """
    return compiled(mesh, function, split, tuple(sorted(static.items())))


@functools.lru_cache(maxsize=512)
def compiled(
    mesh: Mesh | None,
    function: Callable[..., Any],
    split: int,
    static: tuple[tuple[str, Hashable], ...],
) -> Callable[..., Any]:
    """What `each` gives, kept: a jitted closure made anew would compile anew."""
    fixed = functools.partial(function, **dict(static))
    if mesh is None:
        return jax.jit(fixed)
    cut, full = PartitionSpec("data"), PartitionSpec()

    def call(*args: Any) -> Any:
        specs = (cut,) * split + (full,) * (len(args) - split)
        # nothing is communicated, so there is nothing for the check of replication to check
        mapped = jax.shard_map(fixed, mesh=mesh, in_specs=specs, out_specs=cut, check_vma=False)
        return mapped(*args)

    return jax.jit(call)


def devices(mesh: Mesh | None) -> int:
    """How many devices share the work."""
    return 1 if mesh is None else mesh.size
