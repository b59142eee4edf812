"""The only maker of device meshes and shardings; a mesh is an argument, never global."""

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
