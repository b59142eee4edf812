"""Ray actors as workers, on a cluster of our own or on one that is joined.

Ray's own retries and restarts are off: it may run a task twice and say nothing, and hides why a
worker died. What is promised is promised by the driver.
"""

import contextlib
import math
import os
import shutil
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Mapping
from multiprocessing import connection
from pathlib import Path
from typing import Any

from epistax.distributed import worker
from epistax.distributed.crew import Answered, Died, Event, Kernel, Ready, Unfit
from epistax.distributed.errors import BadInput, Stopped
from epistax.distributed.joining import REACH, authorise, join
from epistax.distributed.plan import Chunk
from epistax.distributed.processes import SPAWN, environment, usable, variables
from epistax.distributed.store import Store
from epistax.distributed.worker import Actor

MEMORY = 1 << 30  # bytes that Ray sets aside for a worker, beside the node's one copy of the data
STORE = 1 << 28  # bytes of a local cluster's object store beyond the data
PATIENCE = 120.0  # seconds for a local cluster to start on a busy machine
LOOK = 5.0  # seconds between looks at the machines while a worker is awaited


class Cluster:
    """Ray actors, each a worker of its own process; the kernel lies once in each node's store."""

    name, depth = "ray", 2

    def __init__(self, address: str, workers: int | None, cores: int, gpus: float) -> None:
        """Address: local, or a cluster's, which is joined here: what it lacks is bad input."""
        self.address, self.cores, self.gpus = address, cores, gpus
        self.size = workers or max(1, usable() // cores)
        self.actors: dict[str, Any] = {}
        self.refs: dict[Any, str] = {}  # what is awaited, and of whom
        self.queues: dict[str, deque[Any]] = {}
        self.warm: set[str] = set()
        self.nodes: dict[str, str] = {}
        self.looked = 0.0
        self.host: connection.Connection | None = None  # of a cluster of our own
        self.task: Any = None
        self.ours = contextlib.ExitStack()  # what is undone in the end
        authorise(address)
        if address != "local":
            room = join(address) // cores
            self.size = workers or max(1, room)

    def open(self, kernel: Kernel, store: Store) -> Mapping[str, Any]:
        """Start the cluster, if it is to be ours, and give it the kernel."""
        # Ray tells standard output of every death, whatever its options say; the event log knows
        silence = self.ours.enter_context(open(os.devnull, "w"))
        self.ours.enter_context(contextlib.redirect_stdout(silence))
        if self.address == "local":
            cluster = started(self.size * self.cores, self.size * self.gpus, kernel)
            address, self.host = self.ours.enter_context(cluster)
            join(address)
        import ray

        self.ours.callback(ray.shutdown)
        self.parcel = ray.put((kernel, store))
        return {"address": ray.get_runtime_context().gcs_address, "nodes": len(alive())}

    def hire(self, name: str, *, spare: bool = False) -> None:
        """An actor that Ray neither restarts nor retries; a spare one asks for no core."""
        import ray

        hired = (
            ray.remote(Actor)
            .options(
                num_cpus=0 if spare else self.cores,
                num_gpus=self.gpus or None,
                memory=0 if spare else MEMORY,
                max_restarts=0,
                max_task_retries=0,
                runtime_env={"env_vars": environment(self.gpus)},
            )
            .remote([self.parcel], self.cores)
        )
        self.actors[name], self.queues[name] = hired, deque()
        self.await_(name, hired.ready.remote())
        if self.task is not None:
            hired.turn.remote([self.task])

    def turn(self, task: Any, store: Store) -> None:
        """Put the task into the store of objects, once a node; calls of an actor stay in order."""
        import ray

        self.task = ray.put((task, store))
        for actor in self.actors.values():
            actor.turn.remote([self.task])

    def await_(self, name: str, ref: Any) -> None:
        """One more result to come of a worker, after those it owes already."""
        self.refs[ref] = name
        self.queues[name].append(ref)

    def send(self, name: str, chunk: Chunk) -> None:
        """Call the actor; a death is found by `wait`."""
        self.await_(name, self.actors[name].run.remote(chunk))

    def wait(self, timeout: float) -> list[Event]:
        """Results that are there, each worker's oldest first, and deaths."""
        import ray

        self.look()
        heads = [queue[0] for queue in self.queues.values() if queue]
        if not heads:
            time.sleep(timeout)
            return []
        found, _ = ray.wait(heads, num_returns=1, timeout=timeout)
        if found:  # and what else is there by now
            found, _ = ray.wait(heads, num_returns=len(heads), timeout=0)
        return [event for ref in found for event in self.heard(self.refs[ref], ref)]

    def heard(self, name: str, ref: Any) -> list[Event]:
        """What a result, or the lack of one, means."""
        import ray
        from ray import exceptions

        try:
            value = ray.get(ref)
        except (exceptions.RayTaskError, exceptions.RuntimeEnvSetupError) as error:
            self.fire(name)
            return [Unfit(name, str(error), why_unfit(error))]
        except exceptions.RayError as error:
            if name not in self.warm and (cause := why_unfit(error)) is not None:
                self.fire(name)
                return [Unfit(name, str(error), cause)]
            innocent = self.node_is_gone(name)
            self.fire(name)
            return [Died(name, first_line(error), innocent)]
        del self.refs[ref]
        self.queues[name].popleft()
        if name in self.warm:
            return [Answered(name, value)]
        self.warm.add(name)
        self.nodes[name] = value["node"]
        return [Ready(name, value)]

    def look(self) -> None:
        """Stop where a worker is awaited that nothing is left to start: Ray waits for ever.

        Of a cluster of our own as soon as any part of it has died: Ray ends this process next.
        """
        if self.host is not None and self.host.poll():
            raise Stopped("the local Ray cluster has broken down")
        cold = self.actors.keys() - self.warm
        if cold and time.monotonic() > self.looked + LOOK:
            self.looked = time.monotonic()
            if not alive():
                raise Stopped("no machine of the Ray cluster is left")

    def node_is_gone(self, name: str) -> bool:
        """Whether a worker's machine went with it; Ray may need a moment to know."""
        node = self.nodes.get(name)
        return node is not None and node not in alive()

    def fire(self, name: str) -> None:
        """Kill the actor and forget what it owes."""
        import ray

        with contextlib.suppress(Exception):
            ray.kill(self.actors[name], no_restart=True)
        del self.actors[name]
        for ref in self.queues.pop(name):
            del self.refs[ref]
        self.warm.discard(name)

    def close(self) -> None:
        """Kill all actors and leave; a cluster of our own ends."""
        for name in list(self.actors):
            self.fire(name)
        self.parcel = self.task = self.host = None
        self.ours.close()


def alive() -> set[str]:
    """The cluster's machines that Ray holds to be there."""
    import ray

    return {entry["NodeID"] for entry in ray.nodes() if entry["Alive"]}


@contextlib.contextmanager
def started(cpus: int, gpus: float, kernel: Kernel) -> Iterator[tuple[str, connection.Connection]]:
    """A cluster of this process alone, never one that runs here already.

    Its address, and a pipe that has a word when it breaks down. Its files are in a private folder,
    and nobody else knows its token.
    """
    folder = Path(tempfile.mkdtemp(prefix="epistax-ray-"))  # 0700; what Ray makes is for all
    settings = {
        "num_cpus": cpus,
        "num_gpus": math.ceil(gpus) or None,
        "object_store_memory": STORE + 2 * size(kernel),
        "include_dashboard": False,
        "log_to_driver": False,
        "logging_level": "error",
        "_temp_dir": str(folder / "ray"),
    }
    ours, theirs = SPAWN.Pipe()
    host = SPAWN.Process(target=worker.host, args=(theirs, settings), name="epistax ray")
    try:
        with variables({"RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1", "RAY_worker_niceness": "0"}):
            host.start()
        theirs.close()
        word, text = ours.recv() if ours.poll(PATIENCE) else ("failed", "no answer")
        if word == "failed":
            raise BadInput(f"--ray: local: the cluster does not start: {text}")
        yield text, ours
    finally:
        ours.close()
        host.join(REACH)
        host.kill()
        host.join()
        worker.bury(folder)
        shutil.rmtree(folder, ignore_errors=True)


def size(kernel: Kernel) -> int:
    """Bytes of a kernel's arrays."""
    import pickle

    buffers: list[pickle.PickleBuffer] = []
    pickle.dumps(kernel, protocol=5, buffer_callback=buffers.append)
    return sum(buffer.raw().nbytes for buffer in buffers)


def why_unfit(error: Exception) -> Exception | None:
    """Bad input, where a worker cannot be made for a reason that the user can mend."""
    text = str(error)
    if "No module named 'epistax" in text:
        return BadInput(
            "--ray: the cluster's workers have no epistax; install it there, or send the run with "
            "epistax submit, which brings it along"
        )
    if "--cores:" in text:
        return BadInput(text[text.index("--cores:") :].splitlines()[0])
    return None


def first_line(error: Exception) -> str:
    """The start of a long story."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else 'no more is known'}"
