"""What runs where the work is done: a process of its own, or a Ray actor.

Nothing heavy is imported before `pin`: the array libraries count their cores when they start, and
the same cores give the same bits.
"""

import contextlib
import errno
import fcntl
import os
import shutil
import signal
import tempfile
import threading
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing import connection, parent_process
from pathlib import Path
from typing import TYPE_CHECKING, Any

from epistax.distributed.errors import BadInput

if TYPE_CHECKING:
    from epistax.distributed.plan import Chunk
    from epistax.distributed.store import Store

# errors of a disk, which no other worker would be spared
DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)
LOOK = 0.5  # seconds between looks at the processes of a cluster
HELD: list[int] = []  # locks of the cores this process has taken


@dataclass(frozen=True)
class Answer:
    """What became of a chunk; small, as it may cross a network.

    problem is "" where it is on disk, `error` where the kernel raised, `input` where that was
    BadInput, `disk` where the shard could not be written.
    """

    seconds: float
    published: bool = False  # False where another writer came first
    problem: str = ""
    text: str = ""
    peak_mb: int = 0
    error: BaseException | None = None  # only in this process: it need not survive a journey


def answer(kernel: Any, store: "Store", chunk: "Chunk", *, keep: bool = False) -> Answer:
    """Compute and publish a chunk; keep holds on to what a kernel raises."""
    began = time.perf_counter()
    try:
        frames = kernel(chunk)
        published = store.publish(chunk, frames)
    except BadInput as error:
        return Answer(time.perf_counter() - began, problem="input", text=str(error))
    except Exception as error:
        seconds = time.perf_counter() - began
        if isinstance(error, OSError) and error.errno in DISK:
            return Answer(seconds, problem="disk", text=os.strerror(error.errno))
        text = traceback.format_exc()
        return Answer(seconds, problem="error", text=text, error=error if keep else None)
    return Answer(time.perf_counter() - began, published, peak_mb=peak())


def main(pipe: connection.Connection, parcel: Any, cores: int) -> None:
    """The life of a worker process: get ready, then answer for every chunk, task by task."""
    leave_with_parent()
    try:
        facts = settle(cores)
        from epistax.distributed.parcel import Parcel, unpack

        memory, (kernel, store) = unpack(parcel)  # the kernel's arrays lie in the memory
        held = [memory]
    except Exception as error:
        pipe.send(("unfit", traceback.format_exc(), str(error), isinstance(error, BadInput)))
        return
    pipe.send(("ready", facts))
    while True:
        try:
            word = pipe.recv()
        except EOFError:
            return
        if not isinstance(word, Parcel):
            pipe.send(("answer", answer(kernel, store, word)))
            continue
        with contextlib.suppress(FileNotFoundError):  # given back: a later task is on its way
            memory, (task, store) = unpack(word)
            kernel.take(task)
            del task
            held = [memory for memory in (*held, memory) if not closed(memory)]


def closed(memory: Any) -> bool:
    """Give shared memory back, unless arrays lie in it."""
    try:
        memory.close()
    except BufferError:
        return False
    return True


def leave_with_parent() -> None:
    """Die when the driver does, however it dies; leave the signals of a terminal to the driver."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    driver = parent_process()
    if driver is None:
        return

    def watch() -> None:
        connection.wait([driver.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class Actor:
    """The same in the hands of Ray."""

    def __init__(self, parcel: list[Any], cores: int) -> None:
        """Take the cores, then what Ray holds of kernel and store: a view of the node's copy."""
        self.facts = settle(cores)
        import ray

        self.kernel, self.store = ray.get(parcel[0])
        context = ray.get_runtime_context()
        self.facts |= {"node": context.get_node_id(), "actor": context.get_actor_id()}

    def ready(self) -> Mapping[str, Any]:
        """Returns when the worker can start on a chunk."""
        return self.facts

    def turn(self, parcel: list[Any]) -> None:
        """Take what the chunks to come are about, as Ray holds it."""
        import ray

        task, self.store = ray.get(parcel[0])
        self.kernel.take(task)

    def run(self, chunk: "Chunk") -> Answer:
        """Compute and publish; the result stays on disk."""
        return answer(self.kernel, self.store, chunk)


def host(pipe: connection.Connection, settings: Mapping[str, Any]) -> None:
    """A local cluster in a process of its own, for as long as the driver holds the pipe.

    It outlives a driver that was killed by the seconds it takes to end the cluster in order. And
    Ray forks where it starts: no process with the threads of an array library may do that.
    """
    os.umask(0o077)
    import ray

    try:
        ray.init(address="local", **settings)
    except Exception as error:
        pipe.send(("failed", str(error)))
        return
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    pipe.send(("started", ray.get_runtime_context().gcs_address))
    folder = Path(settings["_temp_dir"]).parent
    broken = False
    with contextlib.suppress(EOFError, OSError):
        while not (broken or pipe.poll(LOOK)):
            broken = child_ended()
        if broken:
            pipe.send(("broken", ""))
    if not broken:
        ray.shutdown()
    bury(folder)
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)  # Ray's own last steps wait for what is gone


def child_ended() -> bool:
    """Whether one of the processes that a cluster is made of is gone."""
    how = os.WEXITED | os.WNOHANG | os.WNOWAIT  # left for its parent's own code to bury
    with contextlib.suppress(ChildProcessError):
        return os.waitid(os.P_ALL, 0, how) is not None
    return False


def bury(folder: Path) -> None:
    """End what still runs in a cluster's private folder: agents outlive a raylet that is killed."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if os.fsencode(folder) in path.read_bytes():
                os.kill(int(path.parent.name), signal.SIGKILL)


def settle(cores: int) -> dict[str, Any]:
    """Take cores, before anything that counts them is imported."""
    return {"pid": os.getpid(), "cores": pin(cores)}


def pin(cores: int) -> list[int]:
    """Stay on so many cores, if possible on ones that no other worker of ours has taken.

    Empty where the system cannot do it. A core is taken by a lock, which dies with its process.
    """
    if not hasattr(os, "sched_setaffinity"):
        return []
    available = sorted(os.sched_getaffinity(0))
    if len(available) < cores:
        raise BadInput(f"--cores: a worker needs {cores}, its machine gives it {len(available)}")
    if len(available) == cores:
        return available
    folder = Path(tempfile.gettempdir()) / f"epistax-cores-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    taken = [core for core in available if len(HELD) < cores and take(folder / str(core))]
    spare = [core for core in available if core not in taken]
    first = os.getpid() % max(len(spare), 1)
    taken += (spare[first:] + spare[:first])[: cores - len(taken)]
    os.sched_setaffinity(0, taken)
    return sorted(taken)


def take(lock: Path) -> bool:
    """Take a core, unless somebody has."""
    handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return False
    HELD.append(handle)
    return True


def peak() -> int:
    """The most memory this process has held, MB, with what it shares; 0 where nobody knows."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    found = next((line for line in lines if line.startswith("VmHWM")), "VmHWM: 0 kB")
    return int(found.split()[1]) // 1024
