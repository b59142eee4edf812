"""Run a plan to its end, or to the point where it was asked to stop.

    plan = Plan.of(run.key, [{"policy": "ids", "seed": s} for s in range(3)])
    store = Store(run.folder("shards"), tables=("curve",))
    execute(plan, kernel, store, progress=progress)
    curve = store.read(plan, "curve")

Execution is at least once, publication once. The first SIGINT or SIGTERM lets the chunks in
flight finish and raises Stopped; the second interrupts at once, which is safe too.
"""

import contextlib
import signal
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from epistax.distributed.backends import Backend, Inline, Kernel
from epistax.distributed.errors import Stopped
from epistax.distributed.plan import Plan
from epistax.distributed.progress import Progress
from epistax.distributed.store import Census, Store


def execute(
    plan: Plan,
    kernel: Kernel,
    store: Store,
    *,
    backend: Backend | None = None,
    progress: Progress | None = None,
) -> list[Path]:
    """Compute what is not on disk yet; the paths of all shards in the order of the plan."""
    backend = Inline() if backend is None else backend
    progress = Progress("", quiet=True) if progress is None else progress
    census = store.scan(plan)
    report(census, progress)
    progress.start(len(plan.chunks), done=len(census.done))
    if census.todo:
        with stop_signals(progress) as stop:
            pull(census, kernel, store, backend, progress, stop)
    store.close(plan)
    return store.paths(plan)


def pull(
    census: Census,
    kernel: Kernel,
    store: Store,
    backend: Backend,
    progress: Progress,
    stop: threading.Event,
) -> None:
    """Keep the backend fed up to its capacity until everything is published."""
    todo, in_flight = deque(census.todo), 0
    done, total = len(census.done), len(census.done) + len(census.todo)
    backend.open(kernel, store)
    try:
        while in_flight or (todo and not stop.is_set()):
            while todo and in_flight < backend.capacity and not stop.is_set():
                backend.submit(todo.popleft())
                in_flight += 1
            for receipt in backend.collect(timeout=0.5):
                in_flight -= 1
                done += 1
                progress.advance(note=f"chunk {receipt.chunk.id}")
    finally:
        backend.close()
    if done < total:
        raise Stopped(f"{done} of {total} chunks are done")


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
    stop = threading.Event()

    def handle(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        progress.say("stopping after the work in flight; once more stops at once")

    # only the main thread may set handlers; elsewhere the caller stops us by its own means
    main = threading.current_thread() is threading.main_thread()
    # and a signal that our starter had ignored (nohup, a background job) stays ignored
    wanted = [n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) != signal.SIG_IGN]
    before = {number: signal.signal(number, handle) for number in wanted if main}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
