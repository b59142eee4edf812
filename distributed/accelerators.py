"""The devices that a process computes on: chosen here, for every verb."""

import jax
from jax.sharding import Mesh

from epistax.engine import mesh as meshes


def mesh() -> Mesh | None:
    """All devices, where there are several accelerators; a CPU's share their cores anyway."""
    several = len(jax.devices()) > 1 and jax.default_backend() != "cpu"
    return meshes.mesh() if several else None
