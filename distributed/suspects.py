"""Chunks that are suspected of killing workers, searched until what fails is alone.

A suspect goes to a worker of its own, one at a time, so that it takes nobody along. With enough
strikes it is cut in halves, which are tried in the same way, down to a smallest piece that is
listed as failed; the rest of the chunk is published as if nothing had been. Strikes outlive the
driver: they are read from the event log.
"""

from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import polars as pl

from epistax.distributed import atomic
from epistax.distributed.crew import Divisible, Kernel, KernelFailed
from epistax.distributed.errors import Stopped
from epistax.distributed.events import Events
from epistax.distributed.plan import Chunk
from epistax.distributed.record import dumps
from epistax.distributed.store import Store

# a kill by chance hits the same chunk five times in a row hardly ever; what a kernel raises, it
# raises again, and a hang costs its deadline each time
WEIGHT = {"death": 1, "hang": 3, "error": 3}
WHOLE, PIECE = 5, 2  # strikes that prove a chunk guilty, or a piece of a guilty one
MOST = 200  # failed pieces beyond which something else is wrong


@dataclass
class Node:
    """A chunk or piece under suspicion and what it was cut into."""

    chunk: Chunk
    root: Chunk
    parts: list["Node"] = field(default_factory=list)
    done: bool = False
    why: str = ""  # it cannot be cut further and failed


class Suspects:
    """Who is suspected, of what, and what has become of them."""

    def __init__(self, kernel: Kernel, store: Store, events: Events) -> None:
        """Take the strikes of earlier drivers from the event log."""
        self.kernel, self.store, self.events = kernel, store, events
        self.queue: deque[Chunk] = deque()  # to be tried, one at a time
        self.finished: deque[Chunk] = deque()  # whole chunks that the search has published
        self.nodes: dict[str, Node] = {}
        self.failed = 0
        self.strikes, self.causes = earlier(events)

    def __len__(self) -> int:
        """Chunks whose case is open."""
        return len(self.queue) + sum(node.chunk == node.root for node in self.nodes.values())

    def known(self, chunk: Chunk) -> bool:
        """Take over a chunk that an earlier driver suspected; True if it did."""
        if not self.strikes[chunk.key]:
            return False
        if self.guilty(chunk):
            self.divide(Node(chunk, chunk))
        else:
            self.queue.append(chunk)
        return True

    def accuse(self, chunk: Chunk, kind: str, cause: str) -> None:
        """A strike; the chunk is tried again, or cut."""
        self.strikes[chunk.key] += WEIGHT[kind]
        self.causes[chunk.key] = cause
        last = cause.strip().splitlines()[-1]
        self.events.write(
            "strike", chunk=chunk.id, key=chunk.key, kind=kind, cause=last, piece=chunk.piece
        )
        if not self.guilty(chunk):
            self.queue.append(chunk)
            return
        if not isinstance(self.kernel, Divisible):
            raise KernelFailed(f"chunk {chunk.id} ({dict(chunk.work)}) fails: {cause}")
        self.divide(self.nodes.get(chunk.key) or Node(chunk, chunk))

    def guilty(self, chunk: Chunk) -> bool:
        """Whether its strikes are too many for chance."""
        return self.strikes[chunk.key] >= (PIECE if chunk.piece else WHOLE)

    def acquit(self, chunk: Chunk) -> bool:
        """A suspect is published; True where it is a whole chunk."""
        node = self.nodes.get(chunk.key)
        if node is None:
            return True
        node.done = True
        self.settle(node.root)
        return False

    def divide(self, node: Node) -> None:
        """Cut what is guilty, and queue the parts that are not known to be good."""
        self.nodes[node.chunk.key] = node
        assert isinstance(self.kernel, Divisible)
        halves = self.kernel.halves(node.chunk.work)
        if not halves:
            node.why = self.causes[node.chunk.key]
            self.count(node)
        node.parts = [Node(node.chunk.cut(work), node.root) for work in halves]
        for part in reversed(node.parts):
            self.nodes[part.chunk.key] = part
            if self.store.has(part.chunk):
                part.done = True
            elif self.guilty(part.chunk):
                self.divide(part)
            else:
                self.queue.appendleft(part.chunk)
        self.settle(node.root)

    def count(self, node: Node) -> None:
        """One more that cannot be done; too many are no accident."""
        self.failed += 1
        cause = node.why.strip().splitlines()[-1]
        self.events.write("failed", chunk=node.chunk.id, work=dict(node.chunk.work), cause=cause)
        if self.failed > MOST:
            raise Stopped(f"more than {MOST} pieces of work fail, the last of them: {cause}")

    def settle(self, root: Chunk) -> None:
        """Publish a chunk whose parts are all done or failed, and say which failed."""
        node = self.nodes.get(root.key)
        leaves = [] if node is None else list(ends(node))
        if not leaves or not all(leaf.done or leaf.why for leaf in leaves):
            return
        lost = [{"work": dict(leaf.chunk.work), "why": leaf.why} for leaf in leaves if leaf.why]
        if lost:
            record = {"id": root.id, "key": root.key, "failed": lost}
            self.store.beside("failed").mkdir(mode=0o700, exist_ok=True)
            path = self.store.beside("failed") / f"c{root.id:06d}.json"
            atomic.replace(path, (dumps(record) + "\n").encode())
        frames = [self.frames(leaf) for leaf in leaves]
        self.store.publish(
            root, {t: pl.concat([part[t] for part in frames]) for t in self.store.tables}
        )
        for leaf in leaves:
            for table in self.store.tables if leaf.chunk.piece else ():
                self.store.path(leaf.chunk, table).unlink(missing_ok=True)
        self.nodes = {key: other for key, other in self.nodes.items() if other.root != root}
        self.finished.append(root)

    def frames(self, leaf: Node) -> Mapping[str, pl.DataFrame]:
        """What a leaf gives, of every table."""
        if not leaf.why:
            return {t: self.store.frame(leaf.chunk, t) for t in self.store.tables}
        assert isinstance(self.kernel, Divisible)
        given = self.kernel.failed(leaf.chunk.work)
        return {self.store.tables[0]: given} if isinstance(given, pl.DataFrame) else given


def ends(node: Node) -> Iterator[Node]:
    """The leaves, in the order of their rows."""
    if not node.parts:
        yield node
    for part in node.parts:
        yield from ends(part)


def earlier(events: Events) -> tuple[Counter[str], dict[str, str]]:
    """Strikes and their last causes by key, since they were last forgiven."""
    strikes: Counter[str] = Counter()
    causes: dict[str, str] = {}
    for event in events.read():
        if event["event"] == "strike" and event.get("kind") in WEIGHT:
            strikes[event["key"]] += WEIGHT[event["kind"]]
            causes[event["key"]] = str(event.get("cause"))
        elif event["event"] == "forgiven":
            strikes.clear()
    return strikes, causes
