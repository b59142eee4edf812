"""Workers that are processes of this machine, started afresh and pinned to cores of their own."""

import multiprocessing
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import connection
from typing import Any

from epistax.distributed import worker
from epistax.distributed.crew import Answered, Died, Event, Kernel, Ready, Unfit
from epistax.distributed.errors import BadInput
from epistax.distributed.parcel import Parcel, pack
from epistax.distributed.plan import Chunk
from epistax.distributed.store import Store

# a forked child inherits locks that the array library's threads held: only fresh starts are safe
SPAWN = multiprocessing.get_context("spawn")
SHARE = 0.9  # of a worker's part of a GPU that JAX may take at once


@dataclass(frozen=True)
class Hand:
    """A process and our end of its pipe."""

    process: Any
    pipe: connection.Connection


class Processes:
    """So many processes; the kernel's arrays are in shared memory, once for all."""

    name, depth = "process", 2

    def __init__(self, size: int, cores: int, environment: Mapping[str, str]) -> None:
        """Cores of each; environment variables that must be set before it imports anything."""
        self.size, self.cores, self.environment = size, cores, dict(environment)
        self.hands: dict[str, Hand] = {}
        self.memory: Any = None
        self.lent: Any = None  # memory of the task
        self.task: Parcel | None = None

    def open(self, kernel: Kernel, store: Store) -> Mapping[str, Any]:
        """Share kernel and store."""
        self.memory, self.parcel = pack((kernel, store))
        return {"shared_mb": round(self.memory.size / 2**20, 1)}

    def hire(self, name: str, *, spare: bool = False) -> None:
        """Start a process."""
        ours, theirs = SPAWN.Pipe()
        arguments = (theirs, self.parcel, self.cores)
        process = SPAWN.Process(target=worker.main, args=arguments, name=f"epistax {name}")
        with variables(self.environment):
            process.start()
        theirs.close()  # or its death would not end the pipe
        self.hands[name] = Hand(process, ours)
        if self.task is not None:
            self.tell(name, self.task)

    def turn(self, task: Any, store: Store) -> None:
        """Share the task in the place of the one before, whose memory its users still hold."""
        before = self.lent
        self.lent, self.task = pack((task, store))
        for name in self.hands:
            self.tell(name, self.task)
        give_back(before)

    def send(self, name: str, chunk: Chunk) -> None:
        """One more chunk."""
        self.tell(name, chunk)

    def tell(self, name: str, word: Chunk | Parcel) -> None:
        """Write to a worker's pipe; where nobody reads any more, `wait` says so."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self.hands[name].pipe.send(word)

    def wait(self, timeout: float) -> list[Event]:
        """What the pipes hold; a pipe that ends is a death."""
        names = {hand.pipe: name for name, hand in self.hands.items()}
        events: list[Event] = []
        for pipe in connection.wait(list(names), timeout):
            assert isinstance(pipe, connection.Connection)
            events.append(self.heard(names[pipe], pipe))
        return events

    def heard(self, name: str, pipe: connection.Connection) -> Event:
        """The next word of a worker, or its end."""
        try:
            word, *rest = pipe.recv()
        except (EOFError, ConnectionResetError, OSError):
            return Died(name, self.buried(name))
        if word == "ready":
            return Ready(name, rest[0])
        if word == "answer":
            return Answered(name, rest[0])
        text, message, bad_input = rest
        self.fire(name)
        return Unfit(name, text, BadInput(message) if bad_input else None)

    def buried(self, name: str) -> str:
        """Why a process ended, in words."""
        hand = self.hands.pop(name)
        hand.pipe.close()
        hand.process.join(5)
        hand.process.kill()
        code = hand.process.exitcode
        return f"killed by signal {-code}" if code is not None and code < 0 else f"exit code {code}"

    def fire(self, name: str) -> None:
        """Kill it."""
        hand = self.hands.pop(name)
        hand.process.kill()
        hand.process.join()
        hand.pipe.close()

    def close(self) -> None:
        """Kill all, and give the memory back."""
        for hand in self.hands.values():
            hand.process.kill()
        for name in list(self.hands):
            self.fire(name)
        for memory in (self.memory, self.lent):
            give_back(memory)
        self.memory = self.lent = self.task = None


def give_back(memory: Any) -> None:
    """Shared memory, if any; it is gone when the last of its users is."""
    if memory is not None:
        memory.close()
        memory.unlink()


@contextmanager
def variables(values: Mapping[str, str]) -> Iterator[None]:
    """The environment with these in it: what is started inside inherits them."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def usable() -> int:
    """Cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def environment(gpus: float = 0.0) -> dict[str, str]:
    """What a worker's JAX must find when it is imported.

    Without a GPU of its own a worker must not see any, or it takes most of the memory of each.
    """
    if not gpus:
        return {"JAX_PLATFORMS": "cpu"}
    share = f"{SHARE * min(gpus, 1):.3f}"
    return {"XLA_PYTHON_CLIENT_MEM_FRACTION": share, "XLA_PYTHON_CLIENT_PREALLOCATE": "true"}
