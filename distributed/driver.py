"""Run a plan to its end, or to the point where it was asked to stop.

    plan = Plan.of(run.key, [{"policy": "ids", "seed": s} for s in range(3)])
    store = Store(run.folder("shards"), tables=("curve",))
    execute(plan, kernel, store, backend=backend("process", 4), progress=progress)
    curve = store.read(plan, "curve")

Execution is at least once, publication once. The first SIGINT or SIGTERM lets the chunks in
flight finish, for as long as who sent it is likely to wait, and raises Stopped; the second
interrupts at once, which is safe too.
"""

import contextlib
import signal
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from epistax.distributed import atomic
from epistax.distributed.crew import Crew, Inline, Kernel
from epistax.distributed.errors import Stopped
from epistax.distributed.events import NAME, Events
from epistax.distributed.foreman import Foreman
from epistax.distributed.plan import Plan
from epistax.distributed.progress import Progress
from epistax.distributed.store import Census, Store

# what stops the plans under way, of which one may be a chunk of another
ASKED: list[threading.Event] = []


@dataclass(frozen=True)
class Outcome:
    """A finished plan: its shards, and what it took here."""

    paths: list[Path]  # in the order of the plan
    facts: Mapping[str, object] = field(default_factory=dict)


def execute(
    plan: Plan,
    kernel: Kernel,
    store: Store,
    *,
    backend: Crew | None = None,
    progress: Progress | None = None,
    deadline: float = 60.0,
) -> Outcome:
    """Compute what is not on disk yet; `deadline` is Foreman's."""
    crew: Crew = Inline() if backend is None else backend
    progress = Progress("", quiet=True) if progress is None else progress
    events = Events(store.beside(NAME))
    census = store.scan(plan)
    report(census, progress)
    progress.start(len(plan.chunks), done=len(census.done))
    facts: dict[str, object] = {}
    if census.todo:
        foreman = Foreman(census, kernel, store, crew, progress, events, deadline)
        facts = run(foreman)
    atomic.sweep(store.folder)  # what killed workers were writing; none lives any more
    store.close(plan)
    events.write("end", chunks=len(plan.chunks))
    return Outcome(store.paths(plan), facts)


def run(foreman: Foreman) -> dict[str, object]:
    """Open, work, close; Stopped where something is left."""
    try:
        foreman.open()
        with stop_signals(foreman.progress) as stop:
            foreman.work(stop)
    finally:
        foreman.close()
    if foreman.done < foreman.total:
        foreman.events.write("stop", done=foreman.done, total=foreman.total)
        raise Stopped(f"{foreman.done} of {foreman.total} chunks are done")
    return foreman.facts()


def seconds(events: Events) -> dict[str, float]:
    """What the chunks of each kind took, all drivers of a run together."""
    found: dict[str, float] = {}
    for event in events.read():
        if event["event"] == "done":
            kind = event.get("kind", "")
            found[kind] = found.get(kind, 0.0) + event.get("seconds", 0.0)
    return found


def report(census: Census, progress: Progress) -> None:
    """Say what resuming found, where there is something to say."""
    if census.damaged or census.foreign:
        progress.say(
            f"{census.damaged} damaged and {census.foreign} foreign shards: computed again"
        )
    if census.strays:
        progress.say(f"{census.strays} files that are no shards of this run: left alone")
    if census.done:
        progress.say(f"{len(census.done)} chunks are there already, {len(census.todo)} to do")


@contextlib.contextmanager
def stop_signals(progress: Progress) -> Iterator[threading.Event]:
    """An event that the first SIGINT or SIGTERM sets; the second raises KeyboardInterrupt."""
    main = threading.current_thread() is threading.main_thread()
    stop = threading.Event()
    if main and any(outer.is_set() for outer in ASKED):  # by a signal between two plans
        stop.set()

    def handle(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        for plan in ASKED:
            plan.set()
        progress.say("stopping after the work in flight; once more stops at once")

    # only the main thread may set handlers; elsewhere the caller stops us by its own means, and a
    # signal that our starter had ignored (nohup, a background job) stays ignored
    wanted = [n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) != signal.SIG_IGN]
    before = {number: signal.signal(number, handle) for number in wanted if main}
    if main:
        ASKED.append(stop)
    try:
        yield stop
    finally:
        if main:
            ASKED.remove(stop)
        for number, handler in before.items():
            signal.signal(number, handler)
