"""A crew that is opened once and serves one plan after another, its workers warm.

To the foreman of each plan it is a crew like any other: whoever is hired for a plan may have served
the one before, and has compiled what it needs. What changes from plan to plan is the kernel's
`task`, which every worker is given before its chunks.
"""

import contextlib
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

from epistax.distributed.crew import Died, Event, Kernel, Lasting, Ready, Unfit
from epistax.distributed.plan import Chunk
from epistax.distributed.store import Frames, Store


@runtime_checkable
class Tasked(Protocol):
    """A kernel of many plans; without its task it is what they have in common."""

    task: Any

    def __call__(self, chunk: Chunk) -> Frames:
        """The frames of a chunk of the plan whose task it has taken."""

    def take(self, task: Any) -> None:
        """What the chunks to come are about."""


class Standing:
    """The workers of another crew, kept from plan to plan under names of their own."""

    def __init__(self, crew: Lasting) -> None:
        """Nobody is hired yet."""
        self.crew, self.name, self.size, self.depth = crew, crew.name, crew.size, crew.depth
        self.opened, self.hired = False, 0
        self.named: dict[str, str] = {}  # by the foreman -> by us
        self.free: deque[str] = deque()
        self.ready: dict[str, Ready] = {}  # who said so
        self.events: list[Event] = []

    def open(self, kernel: Kernel, store: Store) -> Mapping[str, Any]:
        """Open what is not open yet, and hand out the task."""
        assert isinstance(kernel, Tasked)
        facts = {} if self.opened else self.crew.open(kernel, store)
        self.opened = True
        self.crew.turn(kernel.task, store)
        return facts

    def hire(self, name: str, *, spare: bool = False) -> None:
        """Somebody who is there already, if there is; a spare one is always new."""
        if self.free and not spare:
            own = self.free.popleft()
            self.named[name] = own
            if own in self.ready:
                self.events.append(replace(self.ready[own], worker=name))
            return
        self.hired += 1
        own = self.named[name] = f"{name[0]}{self.hired}"
        self.crew.hire(own, spare=spare)

    def send(self, name: str, chunk: Chunk) -> None:
        """Give a worker one more chunk."""
        self.crew.send(self.named[name], chunk)

    def wait(self, timeout: float) -> list[Event]:
        """What happened to those who serve this plan."""
        told, self.events = self.events, []
        heard = self.crew.wait(0.0 if told else timeout)
        return told + [event for one in heard for event in self.heard(one)]

    def heard(self, event: Event) -> Iterator[Event]:
        """The event under the foreman's name; of who is free we take note ourselves."""
        own = event.worker
        name = next((name for name, mine in self.named.items() if mine == own), None)
        if isinstance(event, Ready):
            self.ready[own] = event
        elif isinstance(event, Died | Unfit):
            self.forget(name, own)
        if name is not None:
            yield replace(event, worker=name)

    def forget(self, name: str | None, own: str) -> None:
        """A worker is gone."""
        self.ready.pop(own, None)
        if name is not None:
            del self.named[name]
        with contextlib.suppress(ValueError):
            self.free.remove(own)

    def fire(self, name: str) -> None:
        """End a worker at once."""
        own = self.named[name]
        self.forget(name, own)
        self.crew.fire(own)

    def close(self) -> None:
        """The plan is over: all are free for the next one, but who was a spare one."""
        for name, own in list(self.named.items()):
            if own.startswith("s"):
                self.fire(name)
            else:
                self.free.append(self.named.pop(name))
        self.events.clear()

    def end(self) -> None:
        """End all workers."""
        self.crew.close()
