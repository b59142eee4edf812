"""Posterior draws by the workers of a crew, which stay warm from round to round.

A chunk is a piece of draws (engine/posterior/pieces.py). What its draws have in common, the belief
above all, is the task of a plan: each node's workers get it once and use it in place. What they
give lies in shards that go as soon as they are read; the driver puts it together in the order of
the draws. So neither the number of workers nor a death among them changes a bit.
"""

import contextlib
import hashlib
import pickle
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import polars as pl

from epistax.distributed import accelerators
from epistax.distributed.crew import Crew, Inline, Lasting
from epistax.distributed.driver import execute
from epistax.distributed.plan import Chunk, Plan
from epistax.distributed.standing import Standing
from epistax.distributed.store import Store
from epistax.engine import beliefs
from epistax.engine.posterior.gibbs import Gibbs, gibbs
from epistax.engine.posterior.pieces import DRAWS, Fan, Piece, here, numbers, together
from epistax.engine.protocols import Posterior

FOLDER = "draws"  # of a run or campaign, while draws are made by workers
OWN = ("posterior", "mesh")  # what every worker has of its own


class Held(NamedTuple):
    """An array of a device, or a key, as it travels."""

    data: np.ndarray
    key: bool


class Task(NamedTuple):
    """What the draws of one plan have in common; the name is a hash of all of it."""

    name: str
    piece: Piece
    shared: tuple[Any, ...]
    static: Mapping[str, Any]

    @classmethod
    def of(cls, piece: Piece, shared: tuple[Any, ...], static: Mapping[str, Any]) -> "Task":
        """Arrays of the host; what a worker has of its own is named only."""
        given = {name: None if name in OWN else value for name, value in static.items()}
        content = piece, jax.tree.map(hosted, shared), given
        buffers: list[pickle.PickleBuffer] = []
        digest = hashlib.sha256(pickle.dumps(content, protocol=5, buffer_callback=buffers.append))
        for buffer in buffers:
            digest.update(buffer.raw())
        return cls(digest.hexdigest()[:32], *content)


class Drawer:
    """The kernel: a chunk is a piece of the draws of the task that was taken last."""

    def __init__(self, believer: Callable[[], Posterior] | None = None) -> None:
        """Believer makes the posterior, once in every worker; None where no piece asks for it."""
        self.believer = believer
        self.task: Task | None = None

    def __getstate__(self) -> dict[str, Any]:
        """What workers are sent at first; tasks come by themselves."""
        return {"believer": self.believer, "task": None}

    def take(self, task: Task) -> None:
        """In a worker: the device uses the host's copy, where it can."""
        self.task = task._replace(shared=jax.tree.map(placed, task.shared, is_leaf=is_held))

    def __call__(self, chunk: Chunk) -> pl.DataFrame:
        """The arrays of a piece."""
        task = self.task
        if task is None or task.name != chunk.work["task"]:
            raise RuntimeError(f"a worker has not got the task {chunk.work['task']}")
        part = np.arange(chunk.work["first"], chunk.work["last"], dtype=np.int32)
        own = {name: self.own(name) for name in OWN if name in task.static}
        return frame(task.piece(part, *task.shared, **{**task.static, **own}))

    def own(self, name: str) -> Any:
        """The posterior or the devices of this process."""
        if name == "mesh":
            return accelerators.mesh()
        if "made" not in self.__dict__:  # one object for all tasks, or jit starts anew
            assert self.believer is not None
            self.made = self.believer()
        return self.made


class Workers:
    """A fan of workers: every call is a plan of its own for the same crew."""

    def __init__(
        self,
        crew: Lasting,
        believer: Callable[[], Posterior] | None,
        folder: Path,
        *,
        deadline: float = 60.0,
    ) -> None:
        """Folder: where shards pass through; all workers must see it."""
        self.crew, self.kernel = Standing(crew), Drawer(believer)
        self.folder, self.deadline = folder, deadline
        self.facts: dict[str, Any] = {"executor": crew.name, "workers": crew.size, "deaths": 0}
        self.facts |= {"draws": 0, "bytes": 0}  # of all shards

    def __call__(
        self, piece: Piece, *shared: Any, count: int, size: int = DRAWS, **static: Any
    ) -> tuple[np.ndarray, ...]:
        """What the piece gives for the numbers 0 .. count - 1, in their order."""
        task = self.kernel.task = Task.of(piece, shared, static)
        ends = [(int(part[0]), int(part[-1]) + 1) for part in numbers(count, size)]
        work = [{"task": task.name, "first": first, "last": last} for first, last in ends]
        plan, store = Plan.of(task.name, work), self.store()
        done = execute(plan, self.kernel, store, backend=self.crew, deadline=self.deadline)
        parts = (arrays(store.frame(chunk, store.tables[0])) for chunk in plan.chunks)
        made = together(parts, count)
        self.facts["deaths"] += done.facts.get("deaths", 0)
        self.facts["draws"] += count
        for path in done.paths:
            self.facts["bytes"] += path.stat().st_size
            path.unlink()
        return made

    def close(self) -> None:
        """End the workers."""
        self.crew.end()

    def store(self) -> Store:
        """Where the workers publish."""
        shards = self.folder / "shards"
        shards.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Store(shards)


@contextlib.contextmanager
def fan(
    crew: Crew, believer: Callable[[], Posterior] | None, folder: Path, *, deadline: float
) -> Iterator[Fan]:
    """Who draws: this process, where the crew is nobody else, or its workers until the block ends.

    The shards of a stopped run stay: the same draws are not made again.
    """
    if isinstance(crew, Inline):
        yield here
    else:
        assert isinstance(crew, Lasting)
        with contextlib.closing(Workers(crew, believer, folder, deadline=deadline)) as workers:
            yield workers
    shutil.rmtree(folder, ignore_errors=True)


def facts(who: Fan) -> dict[str, Any]:
    """What run.json keeps of those who drew."""
    return who.facts if isinstance(who, Workers) else {"executor": "inline", "workers": 1}


def believe(config: beliefs.Settings, who: Fan, **how: Any) -> Posterior:
    """The belief of these settings, whose chains, where it has any, are moved by the fan."""
    if not isinstance(config, Gibbs) or who is here:
        return beliefs.posterior(config, mesh=accelerators.mesh(), **how)
    singles = None if how["singles"] is None else jax.numpy.asarray(how["singles"], np.float32)
    return gibbs(config, p=how["p"], reward=how["reward"], singles=singles, fan=who)


def hosted(x: Any) -> Any:
    """A leaf as it travels."""
    if not isinstance(x, jax.Array):
        return x
    key = jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)
    return Held(np.asarray(jax.random.key_data(x) if key else x), key)


def is_held(x: Any) -> bool:
    """Whether a subtree is a leaf that travels."""
    return isinstance(x, Held)


def placed(x: Any) -> Any:
    """A leaf where it has arrived."""
    if not isinstance(x, Held):
        return x
    data = jax.device_put(x.data)
    return jax.random.wrap_key_data(data) if x.key else data


def frame(made: tuple[Any, ...]) -> pl.DataFrame:
    """Arrays as a table, a row an array: its type, its shape and its bytes."""
    found = [np.ascontiguousarray(x) for x in made]
    rows = [(x.dtype.str, list(x.shape), x.tobytes()) for x in found]
    schema = {"dtype": pl.String, "shape": pl.List(pl.Int64), "data": pl.Binary}
    return pl.DataFrame(rows, schema=schema, orient="row")


def arrays(table: pl.DataFrame) -> tuple[np.ndarray, ...]:
    """The same back, read-only."""
    return tuple(
        np.frombuffer(data, dtype).reshape(shape) for dtype, shape, data in table.iter_rows()
    )
