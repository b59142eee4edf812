"""Kill workers, drivers and raylets of a trial at random moments until it ends by itself.

Kills fall due by progress, so that a slow machine gets as many as a fast one; between two of them
pass a few tenths of a second. A driver that was killed is started again, as `--resume` would.
"""

import os
import random
import signal
import subprocess
import time
from collections import Counter, deque
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from epistax.benchmarks.faultkernel import Trial
from epistax.benchmarks.faultsystem import named, parent, short, until

FIRST, LAST = 0.02, 0.85  # share of the chunks done at the first kill and the last
BEGIN = 180.0  # seconds for a driver's first chunk on a busy machine
END = 30.0  # seconds for everything of a cluster to be gone


class Toll(NamedTuple):
    """What was killed, and how the drivers ended."""

    killed: Counter[str]  # workers, drivers, raylets
    exits: Counter[int]  # exit codes of all drivers; -9 was killed
    left: int  # processes and folders of the trial's clusters that outlived it
    seconds: float


def survive(trial: Trial, *, seed: int, **kills: int) -> Toll:
    """Run a trial through so many kills of `workers`, `drivers` and `raylets`."""
    rng = random.Random(seed)
    kinds = [kind for kind, count in kills.items() for _ in range(count)]
    rng.shuffle(kinds)
    when = sorted(trial.chunks * rng.uniform(FIRST, LAST) for _ in kinds)
    due = deque(zip(when, kinds, strict=True))
    killed: Counter[str] = Counter()
    exits: Counter[int] = Counter()
    began = time.monotonic()
    with short() as place:
        while not exits[0]:
            process = trial.start(TMPDIR=str(place))
            try:
                killed += hunt(trial, process, due, rng, place)
            finally:
                process.kill()
            exits[process.wait()] += 1
            if sum(exits.values()) > 3 + 2 * len(kinds):
                raise RuntimeError(f"drivers end without being killed: {dict(exits)}")
        seconds = time.monotonic() - began
        until(lambda: not [*named(str(place)), *place.glob("epistax-ray-*")], END)
        left = named(str(place))
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        folders = len(list(place.glob("epistax-ray-*")))
    return Toll(killed, exits, len(left) + folders, seconds)


def hunt(
    trial: Trial,
    process: "subprocess.Popen[str]",
    due: deque[tuple[float, str]],
    rng: random.Random,
    place: Path,
) -> Counter[str]:
    """Kill what is due while one driver lives; of drivers and raylets, once it got somewhere."""
    killed: Counter[str] = Counter()
    before, begun = trial.done, time.monotonic()
    while process.poll() is None:
        time.sleep(0.02)
        done = trial.done
        if done == before and time.monotonic() > begun + BEGIN:
            raise RuntimeError(f"nothing is done within {BEGIN:.0f} s; see {trial.folder}")
        if not due or done < due[0][0]:
            continue
        kind = due[0][1]
        if kind != "workers" and done == before:
            continue
        victims = VICTIMS[kind](trial, process, place)
        if victims:
            with suppress(ProcessLookupError):
                os.kill(rng.choice(victims), signal.SIGKILL)
                due.popleft()
                killed[kind] += 1
            time.sleep(rng.uniform(0.05, 0.4))
    return killed


VICTIMS: dict[str, Any] = {
    "workers": lambda trial, process, place: trial.living(),
    "drivers": lambda trial, process, place: [process.pid],
    # its cluster is a child of the driver; that of a driver that was killed before is not meant
    "raylets": lambda trial, process, place: [
        pid for pid in named("raylet/raylet", str(place)) if parent(parent(pid)) == process.pid
    ],
}


def worst(trial: Trial, guilty: tuple[int, ...] = ()) -> int:
    """The most strikes that a chunk without guilt has got, all drivers together."""
    bad = {k // trial.size for k in guilty}
    strikes = Counter(e["chunk"] for e in trial.events("strike") if e["chunk"] not in bad)
    return max(strikes.values(), default=0)
