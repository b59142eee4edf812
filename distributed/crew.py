"""What the driver asks of those who do the work: this process, processes, or Ray actors.

A worker is given chunks, computes and publishes each, and says so; results travel by disk, never
through the driver. It works through its chunks in order, so the oldest is the one it is at.
"""

import os
import traceback
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, runtime_checkable

from epistax.distributed.errors import BadInput
from epistax.distributed.plan import Chunk
from epistax.distributed.store import Frames, Store
from epistax.distributed.worker import Answer, answer

Kernel: TypeAlias = Callable[[Chunk], Frames]


@runtime_checkable
class Divisible(Protocol):
    """A kernel whose chunks can be searched for what fails; rows do not depend on the cut."""

    def halves(self, work: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
        """Two pieces of work that make this one, in order; nothing where it is as small as can be.

        `frames` of them, concatenated, are this one's.
        """

    def failed(self, work: Mapping[str, Any]) -> Frames:
        """The frames of a smallest piece that cannot be done: they say so."""


@dataclass(frozen=True)
class Ready:
    """A worker has all it needs; facts are for the event log."""

    worker: str
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Answered:
    """The oldest chunk of a worker is published, or could not be done."""

    worker: str
    answer: Answer


@dataclass(frozen=True)
class Died:
    """A worker is gone, and what it had with it."""

    worker: str
    cause: str
    innocent: bool = False  # its machine went: no chunk is to blame


@dataclass(frozen=True)
class Unfit:
    """A worker cannot be made, and the next one could not be either."""

    worker: str
    cause: str
    error: Exception | None = None


Event: TypeAlias = Ready | Answered | Died | Unfit


@runtime_checkable
class Crew(Protocol):
    """Workers of one kind."""

    name: str  # of the executor
    size: int  # how many are wanted
    depth: int  # chunks a worker may hold

    def open(self, kernel: Kernel, store: Store) -> Mapping[str, Any]:
        """Get ready to hire; facts for the event log."""

    def hire(self, name: str, *, spare: bool = False) -> None:
        """Start a worker; Ready, Died or Unfit follows. A spare one takes no place of its own."""

    def send(self, name: str, chunk: Chunk) -> None:
        """Give a worker one more chunk, at most `depth` at a time."""

    def wait(self, timeout: float) -> list[Event]:
        """What happened since the last call; waits for at most timeout seconds."""

    def fire(self, name: str) -> None:
        """End a worker at once; no event of it follows."""

    def close(self) -> None:
        """End all workers; chunks in flight may be lost."""


@runtime_checkable
class Lasting(Crew, Protocol):
    """Workers that can go from one plan to another."""

    def turn(self, task: Any, store: Store) -> None:
        """For all workers, those to come too: what the next chunks are about, where they go."""


class Inline:
    """This process, one chunk at a time; whoever it hires is itself."""

    name, size, depth = "inline", 1, 1

    def __init__(self) -> None:
        """Nothing to hold until the driver opens it."""
        self.queue: deque[tuple[str, Chunk]] = deque()
        self.hired: deque[str] = deque()

    def open(self, kernel: Kernel, store: Store) -> Mapping[str, Any]:
        """Remember what to call and where to publish."""
        self.kernel, self.store = kernel, store
        return {}

    def hire(self, name: str, *, spare: bool = False) -> None:
        """Ready at once."""
        self.hired.append(name)

    def send(self, name: str, chunk: Chunk) -> None:
        """Queue it: the work is done in `wait`."""
        self.queue.append((name, chunk))

    def wait(self, timeout: float) -> list[Event]:
        """Compute and publish what is queued, however long it takes."""
        events: list[Event] = [Ready(name, {"pid": os.getpid()}) for name in self.hired]
        self.hired.clear()
        while self.queue:
            name, chunk = self.queue.popleft()
            events.append(Answered(name, answer(self.kernel, self.store, chunk, keep=True)))
        return events

    def fire(self, name: str) -> None:
        """Nobody to end."""
        self.queue = deque(entry for entry in self.queue if entry[0] != name)

    def close(self) -> None:
        """Forget what was not started."""
        self.queue.clear()


class KernelFailed(RuntimeError):
    """A kernel raised in a worker; the text holds its traceback."""


def raised(given: Answer) -> Exception:
    """What to raise in the driver for a chunk that could not be done."""
    if given.problem == "input":
        return BadInput(given.text)
    if isinstance(given.error, Exception):
        return given.error
    return KernelFailed(given.text or "".join(traceback.format_stack(limit=1)))
