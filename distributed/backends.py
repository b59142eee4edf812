"""The executors: inline, process and ray, by what options ask for."""

import dataclasses
import os
from typing import TypeAlias, TypeVar

from epistax.distributed.cluster import Cluster
from epistax.distributed.crew import Crew, Inline
from epistax.distributed.errors import BadInput
from epistax.distributed.options.campaign import DrawOptions
from epistax.distributed.options.shared import ScaleOptions
from epistax.distributed.processes import Processes, environment, usable

Scale: TypeAlias = ScaleOptions | DrawOptions
T = TypeVar("T", bound=Scale)


def backend(
    executor: str,
    workers: int | None = 1,
    *,
    ray: str = "local",
    cores: int | None = None,
    gpus: float = 0.0,
) -> Crew:
    """The executor of --executor. Inline with fewer cores than this process has is one process."""
    if executor == "inline" and cores in (None, usable()):
        return Inline()
    if executor == "inline":
        return Processes(1, cores or 1, environment())
    cores = cores or 1
    if executor == "ray":
        return Cluster(ray, workers, cores, gpus)
    return Processes(workers or max(1, usable() // cores), cores, environment())


def settled(options: T) -> T:
    """The options with the executor and its cores as they will be: both decide the last bits."""
    executor = "inline" if options.ray is None else "ray"
    if options.ray is not None and options.executor == "process":
        raise BadInput("--ray: is of --executor ray, not process; drop one")
    if options.executor != "inline":
        executor = options.executor
    cores = options.cores or (usable() if executor == "inline" else 1)
    if options.ray in (None, "local") and cores > usable():
        raise BadInput(f"--cores: {cores} is more than the {usable()} of this machine")
    if options.gpus and executor != "ray":
        raise BadInput(f"--gpus: {executor} does not hand them out; choose --executor ray")
    if options.gpus:  # this process takes of a GPU what it needs, and leaves the workers theirs
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    return dataclasses.replace(options, executor=executor, cores=cores)


def of(options: Scale) -> Crew:
    """The executor that settled options ask for."""
    how = {"cores": options.cores, "gpus": options.gpus, "ray": options.ray or "local"}
    return backend(options.executor, options.workers, **how)
