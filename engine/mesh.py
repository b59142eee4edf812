"""The only maker of device meshes and shardings; a mesh is an argument, never global.

`jax.jit` with the shardings of what goes in and what comes out is what pjit became; `shard_map`
runs a function on every device's part. A mesh may span processes that `jax.distributed` has
joined: each then makes the same calls with the same values, and every result is whole in each.
"""

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
    return tree if mesh is None else put(tree, whole(mesh))


def placed(tree: Any, mesh: Mesh | None) -> Any:
    """The arrays cut along their leading axes, which the devices must divide; scalars whole."""
    if mesh is None:
        return tree
    return jax.tree.map(lambda x: put(x, split(mesh) if np.ndim(x) else whole(mesh)), tree)


def put(tree: Any, sharding: NamedSharding) -> Any:
    """The arrays on these devices; each process brings the parts that are its own."""

    def own(x: Any) -> Any:
        if isinstance(x, jax.Array) and not x.is_fully_addressable:
            return jax.device_put(x, sharding)  # it is there already
        if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key):
            data = own(jax.random.key_data(x))
            return jax.random.wrap_key_data(data, impl=jax.random.key_impl(x))
        host = np.asarray(x)
        return jax.make_array_from_callback(host.shape, sharding, lambda at: host[at])

    # device_put would send every array to every process, to compare them
    if sharding.mesh.is_multi_process:
        return jax.tree.map(own, tree)
    return jax.device_put(tree, sharding)


def spread(tree: Any, mesh: Mesh | None) -> Any:
    """Inside compiled code: the arrays' leading axes split over the devices from here on."""
    return tree if mesh is None else jax.lax.with_sharding_constraint(tree, split(mesh))


def each(
    mesh: Mesh | None, function: Callable[..., Any], *, split: int, **static: Hashable
) -> Callable[..., Any]:
    """The function, compiled, with its first `split` arguments cut over the devices.

    They and all results are cut along their leading axes, whose length the devices must divide;
    the other arguments are whole on every device, and so are results where other processes hold
    parts of them. static are keyword arguments of the function. The same request gives the same
    compiled function. Without a mesh: one device.
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

    def on_parts(own: tuple[Any, ...], shared: tuple[Any, ...]) -> Any:
        return fixed(*own, *shared)

    cut, full = PartitionSpec("data"), PartitionSpec()
    # nothing is communicated, so there is nothing for the check of replication to check
    mapped = jax.shard_map(
        on_parts, mesh=mesh, in_specs=(cut, full), out_specs=cut, check_vma=False
    )
    go_in = own, shared = NamedSharding(mesh, cut), whole(mesh)
    comes_out = shared if mesh.is_multi_process else own
    run = jax.jit(mapped, in_shardings=go_in, out_shardings=comes_out)
    return lambda *args: run(put(args[:split], own), put(args[split:], shared))


def devices(mesh: Mesh | None) -> int:
    """How many devices share the work."""
    return 1 if mesh is None else mesh.size
