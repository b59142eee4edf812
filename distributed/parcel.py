"""A kernel for many processes of one machine: its arrays lie in shared memory, once.

Pickle's own protocol 5 takes large arrays out of the stream; they are laid side by side at
multiples of 64 bytes, where an array library can use them in place. Pickles travel between a
driver and the workers it started, never to or from a file.
"""

import pickle
import shutil
from multiprocessing import shared_memory
from pathlib import Path
from typing import Any, NamedTuple

from epistax.distributed.errors import BadInput

ALIGNED = 64
SHARED = Path("/dev/shm")


class Parcel(NamedTuple):
    """What a worker needs to unpack."""

    head: bytes
    name: str  # of the shared memory
    spans: tuple[tuple[int, int], ...]  # where each array's bytes start and end


def pack(value: Any) -> tuple[shared_memory.SharedMemory, Parcel]:
    """The memory, which the packer must unlink in the end, and how to find things in it."""
    buffers: list[pickle.PickleBuffer] = []
    head = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    views = [buffer.raw() for buffer in buffers]
    spans, end = [], 0
    for view in views:
        start = -(-end // ALIGNED) * ALIGNED
        end = start + view.nbytes
        spans.append((start, end))
    refuse(end)
    memory = shared_memory.SharedMemory(create=True, size=max(end, 1))
    assert memory.buf is not None
    for view, (start, stop) in zip(views, spans, strict=True):
        memory.buf[start:stop] = view
    return memory, Parcel(head, memory.name, tuple(spans))


def unpack(parcel: Parcel) -> tuple[shared_memory.SharedMemory, Any]:
    """The memory, to be held as long as the value, and the value; its arrays are read-only."""
    memory = shared_memory.SharedMemory(parcel.name)
    assert memory.buf is not None
    whole = memory.buf.toreadonly()
    return memory, pickle.loads(parcel.head, buffers=[whole[a:b] for a, b in parcel.spans])


def refuse(size: int) -> None:
    """Writing beyond what the system has to share would kill us without a word."""
    free = shutil.disk_usage(SHARED).free if SHARED.is_dir() else size
    if size > free:
        raise BadInput(
            f"--executor: the data take {size / 2**20:,.0f} MB of shared memory, {SHARED} has "
            f"{free / 2**20:,.0f} left; give the container more (--shm-size), or run inline"
        )
