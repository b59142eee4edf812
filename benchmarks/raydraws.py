"""Posterior draws by Ray actors, against the same draws by one process (`ray.draws`).

A round of information-directed sampling without a list of pairs: of every draw its certified
maximum, for E max R, and its rewards on the shortlist. 4,096 draws at 20,000 perturbations, rank
10; by one process, by one, two and four actors, and by two actors of which two are killed. Every
worker has one core. What is compared to the bit: the batch, Psi, E max R, and the variance v of the
batch over the draws.
"""

import contextlib
import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from epistax.benchmarks import harness
from epistax.benchmarks.harness import Record
from epistax.benchmarks.moments import BATCH, random_factors, sizes
from epistax.benchmarks.round import MEASURED, some
from epistax.engine import shortlist, stream
from epistax.engine.policy.catalogue import Settings, weight
from epistax.engine.posterior.pieces import DRAWS as PIECE

GENES, DRAWS, FEW = 20_000, 4096, 512  # FEW draws where there are fewer genes
NAME = "ids-defl"  # what `ids` stands for
RUNS = (("ray", 1, 0), ("ray", 2, 0), ("ray", 4, 0), ("ray", 2, 2))  # executor, workers, kills


class Round(NamedTuple):
    """What a round came to, and what it took once every worker was warm."""

    found: dict[str, np.ndarray]
    seconds: float
    moved: int  # bytes of all shards
    belief: int  # bytes that each node is sent a plan
    facts: dict[str, Any]


def rows(*, size: int | None, seed: int) -> Iterator[Record]:
    """A record a run; the reference of all is one process of one core."""
    how = sizes(size or GENES, seed) | {"measured": MEASURED}
    how["draws"] = DRAWS if how["genes"] >= GENES else FEW
    alone = played(how, "process", 1, 0)  # what `--executor inline --cores 1` is
    for executor, workers, kills in RUNS:
        mine = played(how, executor, workers, kills)
        equal = {name: np.array_equal(mine.found[name], alone.found[name]) for name in mine.found}
        yield {
            "name": "ray.draws",
            "size": how | {"executor": executor, "workers": workers, "kills": kills},
            "ours_seconds": mine.seconds,
            "reference": "inline, one core",
            "reference_seconds": alone.seconds,
            "ratio": alone.seconds / mine.seconds,
            "equal": all(equal.values()),
            **{f"equal_{name}": same for name, same in equal.items()},
            "draws_per_second": how["draws"] / mine.seconds,
            "reference_draws_per_second": how["draws"] / alone.seconds,
            "bytes_per_draw": mine.moved / how["draws"],
            "belief_bytes_per_node": mine.belief,
            "deaths": mine.facts["deaths"],
            "device": harness.device(),
            "versions": harness.versions(),
        }


def played(how: dict[str, int], executor: str, workers: int, kills: int) -> Round:
    """One round by these workers, after a short one that they compile in."""
    from epistax.distributed import drawing
    from epistax.distributed.backends import backend

    factors, done = random_factors(how["genes"], how["seed"]), some(**about(how))
    crew, where = backend(executor, workers, cores=1), stream.space(how["genes"], done)
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.closing(drawing.Workers(crew, None, Path(folder) / "draws")) as fan,
    ):
        open = shortlist.Open(factors, done, where, stream.TILE, None, None, fan)
        directed(open, 4 * PIECE * workers, how["seed"] + 1)
        before, begun = fan.facts["bytes"], time.perf_counter()
        with killing(fan, kills, how["draws"] // PIECE):
            found = directed(open, how["draws"], how["seed"])
        seconds = time.perf_counter() - begun
        belief = sum(np.asarray(x).nbytes for x in jax.tree.leaves((factors, done)))
        return Round(found, seconds, fan.facts["bytes"] - before, belief, dict(fan.facts))


def about(how: dict[str, int]) -> dict[str, int]:
    """What `some` asks for."""
    return {"p": how["genes"], "measured": how["measured"], "seed": how["seed"]}


def directed(open: shortlist.Open, draws: int, seed: int) -> dict[str, np.ndarray]:
    """The batch of a round and the figures it rests on."""
    settings, key = Settings(batch=BATCH, draws=draws), jax.random.key(seed)
    lam = weight(NAME, settings)
    chosen, info = shortlist.directed(NAME, key, open, settings, lam, BATCH)
    rewards = open.drawn(jax.random.split(key)[0], chosen.pairs, draws)
    return {
        "batch": np.stack(chosen.pairs),
        "psi": -chosen.value,
        "expected_best": np.float32(info["expected_best"]),
        "v": np.asarray(rewards.var(0)),
    }


@contextlib.contextmanager
def killing(fan: Any, kills: int, pieces: int) -> Iterator[None]:
    """Meanwhile kill a worker when a part of the first plan's pieces is done, and again."""
    over = threading.Event()
    due = [pieces * (k + 1) // (kills + 2) for k in range(kills)]

    def kill() -> None:
        killed: list[int] = []
        for count in due:
            pids: list[int] = []
            while not pids or len(list((fan.folder / "shards").glob("c*"))) < count:
                if over.wait(0.02):
                    return
                ready = (event for event in events(fan) if event["event"] == "ready")
                pids = [event["pid"] for event in ready if event["pid"] not in killed]
            killed.append(pids[-1])
            with contextlib.suppress(ProcessLookupError):
                os.kill(pids[-1], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        yield
    finally:
        over.set()
        killer.join()


def events(fan: Any) -> Iterator[dict[str, Any]]:
    """What the log says of the plan that runs."""
    from epistax.distributed.events import NAME as LOG
    from epistax.distributed.events import Events

    told = list(Events(fan.folder / LOG).read())
    begun = max(n for n, event in enumerate(told) if event["event"] == "start")
    yield from told[begun:]


if __name__ == "__main__":
    harness.main(lambda *, size, repeats, seed: rows(size=size, seed=seed))
