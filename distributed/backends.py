"""Where kernels run. The driver knows these five words only; processes and Ray join them later.

A backend is given chunks, computes and publishes each, and hands back receipts: results travel
by disk, never through the driver.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

from epistax.distributed.plan import Chunk
from epistax.distributed.store import Frames, Store

Kernel: TypeAlias = Callable[[Chunk], Frames]


@dataclass(frozen=True)
class Receipt:
    """A chunk is on disk; published is False where another writer came first."""

    chunk: Chunk
    published: bool
    seconds: float


@runtime_checkable
class Backend(Protocol):
    """What the driver asks of an executor."""

    capacity: int  # how many chunks may be in flight

    def open(self, kernel: Kernel, store: Store) -> None:
        """Get ready to work."""

    def submit(self, chunk: Chunk) -> None:
        """Take a chunk; never more than `capacity` at a time."""

    def collect(self, timeout: float) -> list[Receipt]:
        """What has been published since the last call; waits for at most timeout seconds."""

    def close(self) -> None:
        """Let go of workers; chunks in flight may be lost."""


class Inline:
    """This process, one chunk at a time. A kernel's exception is the caller's to see."""

    capacity = 1

    def __init__(self) -> None:
        """Nothing to hold until the driver opens it."""
        self.queue: deque[Chunk] = deque()

    def open(self, kernel: Kernel, store: Store) -> None:
        """Remember what to call and where to publish."""
        self.kernel, self.store = kernel, store

    def submit(self, chunk: Chunk) -> None:
        """Queue it: the work is done in `collect`."""
        self.queue.append(chunk)

    def collect(self, timeout: float) -> list[Receipt]:
        """Compute and publish what is queued, however long it takes."""
        receipts = []
        while self.queue:
            started = time.perf_counter()
            chunk = self.queue.popleft()
            published = self.store.publish(chunk, self.kernel(chunk))
            receipts.append(Receipt(chunk, published, time.perf_counter() - started))
        return receipts

    def close(self) -> None:
        """Forget what was not started."""
        self.queue.clear()


def backend(executor: str, workers: int) -> Backend:
    """The executor of --executor."""
    builders: dict[str, Callable[[int], Backend]] = {"inline": lambda _: Inline()}
    return builders[executor](workers)
