"""Faults of those who do the work: kills, hangs, memory, and signals to the driver."""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from epistax.benchmarks.faultkernel import SIZE, Audit, Finding, Trial, audit
from epistax.benchmarks.faultkills import Toll, survive, worst
from epistax.benchmarks.faultsystem import alive, named, short, stat, until

WITHIN = 3.0  # seconds that who stops a job waits before it kills
ROOM = 1 << 30  # bytes that may be taken before a memory monitor objects


def processes(folder: Path, *, seeds: int, chunks: int, workers: int, drivers: int) -> Finding:
    """Worker processes and their drivers killed at random; kills of every seed."""
    trials = [Trial(str(folder / str(seed)), chunks, nap=0.01) for seed in range(seeds)]
    tolls = [survive(t, seed=k, workers=workers, drivers=drivers) for k, t in enumerate(trials)]
    audits = [audit(trial) for trial in trials]
    return chaos(trials, tolls, audits, wanted=seeds * (workers + drivers))


def actors(
    folder: Path, *, chunks: int, nap: float, seed: int, killers: int, **kills: int
) -> Finding:
    """Ray actors, drivers and raylets killed at random; integers that kill whoever computes them.

    Exactly the killers must be listed as failed, and no chunk but theirs be found guilty.
    """
    guilty = tuple(sorted(random.Random(seed).sample(range(chunks * SIZE), killers)))
    trial = Trial(str(folder / "run"), chunks, "ray", nap=nap, kills=guilty)
    toll = survive(trial, seed=seed, **kills)
    found = audit(trial, guilty)
    finding = chaos([trial], [toll], [found], wanted=sum(kills.values()), guilty=guilty)
    missed = list(finding.missed)
    missed += [] if found.failed == guilty else [f"failed are {found.failed}, not {guilty}"]
    figures = finding.figures | {"failed": len(found.failed)}
    injected = finding.injected | {"killer integers": killers}
    return finding._replace(injected=injected, figures=figures, missed=tuple(missed))


def chaos(
    trials: list[Trial],
    tolls: list[Toll],
    audits: list[Audit],
    *,
    wanted: int,
    guilty: tuple[int, ...] = (),
) -> Finding:
    """What trials under kills add up to."""
    total, killed, exits = audits[0], Counter[str](), Counter[int]()
    for found in audits[1:]:
        total += found
    for toll in tolls:
        killed, exits = killed + toll.killed, exits + toll.exits
    strikes = max(worst(trial, guilty) for trial in trials)
    left = sum(toll.left for toll in tolls)
    goals = {
        f"{sum(killed.values())} kills, not {wanted}": sum(killed.values()) == wanted,
        f"{strikes} strikes of a chunk without guilt": strikes < 5,
        f"{left} processes left": left == 0,
        f"drivers end with {sorted(exits)}": exits.keys() <= {0, 75, -signal.SIGKILL},
    }
    figures = {
        "chunks": sum(trial.chunks for trial in trials),
        "deaths": sum(len(trial.events("death")) for trial in trials),
        "most_strikes_without_guilt": strikes,
        "driver_exits": {str(code): count for code, count in sorted(exits.items())},
        "processes_left": left,
    }
    return Finding(
        {f"{kind} killed": count for kind, count in sorted(killed.items())},
        *total[:4],
        figures=figures,
        missed=tuple(text for text, reached in goals.items() if not reached),
    )


def signals(folder: Path, *, executors: tuple[str, ...], chunks: int) -> Finding:
    """SIGINT, SIGTERM, and two at once to a driver; each run goes on afterwards."""
    took: dict[str, float] = {}
    missed, total, sent = [], Audit(0, 0, 0, True, ()), 0
    for executor in executors:
        for name, numbers in SIGNALS.items():
            trial = Trial(str(folder / f"{executor}-{name}"), chunks, executor, nap=0.2)
            with short() as place:
                code, seconds, left = stopped(trial, numbers, place)
            took[f"{executor} {name}"] = round(seconds, 2)
            missed += [f"{executor} {name}: exit code {code}, not 75"] * (code != 75)
            missed += [f"{executor} {name}: {left} processes left"] * (left > 0)
            missed += [f"{executor} {name}: done before it was stopped"] * (trial.done == chunks)
            sent += len(numbers)
            replace(trial, executor="process", nap=0.0).run()
            total += audit(trial)
    figures = {"seconds_to_exit": took, "within_3_s": all(s <= WITHIN for s in took.values())}
    return Finding({"signals": sent}, *total[:4], figures=figures, missed=tuple(missed))


SIGNALS = {
    "SIGINT": (signal.SIGINT,),
    "SIGTERM": (signal.SIGTERM,),
    "twice": (signal.SIGTERM, signal.SIGTERM),
}


def stopped(trial: Trial, numbers: tuple[int, ...], place: Path) -> tuple[int, float, int]:
    """Exit code, seconds to it from the first signal, and processes left a little later."""
    process = trial.start(TMPDIR=str(place))
    try:
        until(lambda: trial.done >= 4 or process.poll() is not None, 120.0)
        workers, asked = trial.living(), time.monotonic()
        for number in numbers:
            process.send_signal(number)
            time.sleep(0.1 if len(numbers) > 1 else 0)
        code = process.wait(60)
        seconds = time.monotonic() - asked
    finally:
        process.kill()
    until(lambda: not named(str(place)) and not any(map(alive, workers)), 30.0)
    return code, seconds, len(named(str(place))) + sum(map(alive, workers))


def stuck(folder: Path, *, executors: tuple[str, ...], memory: bool) -> Finding:
    """A hang, a chunk that is slow, workers killed before they are ready, one that takes memory.

    Only the integers that hang, or take more than the monitor lets them, may be listed as failed.
    """
    total, missed = Audit(0, 0, 0, True, ()), []
    figures: dict[str, object] = {}
    for executor in executors:
        hung = Trial(str(folder / f"hang-{executor}"), 12, executor, hangs=(21,), deadline=1.0)
        slow = Trial(str(folder / f"slow-{executor}"), 12, executor, naps=(6,), deadline=5.0)
        for trial, guilty in ((hung, (21,)), (slow, ())):
            trial.run()
            struck = {e["chunk"] for e in trial.events("strike")}
            wrong = struck != {k // trial.size for k in guilty}
            missed += [f"{executor}: chunks {struck} are struck"] * wrong
            found = audit(trial, guilty)
            missed += [f"{executor}: failed are {found.failed}"] * (found.failed != guilty)
            total += found
    cold = Trial(str(folder / "cold"), 40, nap=0.05)
    figures["cold_deaths"] = frozen(cold)
    missed += ["a death before the start accuses a chunk"] * bool(cold.events("strike"))
    total += audit(cold)
    injected = {"hangs": len(executors), "slow chunks": len(executors)}
    injected["workers killed before they are ready"] = int(str(figures["cold_deaths"]))
    if memory:
        big = Trial(str(folder / "memory"), 12, "ray", nap=0.1, hogs=(21,))
        with threshold():
            big.run()
        found = audit(big, (21,))
        causes = Counter(e["cause"].partition(":")[0] for e in big.events("death"))
        figures["memory_deaths"] = dict(causes)
        missed += [f"memory: failed are {found.failed}, not 21"] * (found.failed != (21,))
        missed += [f"memory: {dict(causes)}"] * (set(causes) != {"OutOfMemoryError"})
        total += found
        injected["integers that take memory"] = 1
    return Finding(injected, *total[:4], figures=figures, missed=tuple(missed))


def frozen(trial: Trial) -> int:
    """Kill a driver's workers while they are still starting; how many."""
    process, killed = trial.start(), 0
    try:
        while process.poll() is None and killed < 3:
            for pid in starting(process.pid):
                os.kill(pid, signal.SIGKILL)
                killed += 1
            time.sleep(0.05)
        process.wait(120)
    finally:
        process.kill()
    return killed


def starting(driver: int) -> Iterator[int]:
    """Worker processes that a driver has started a moment ago."""
    for pid in named("multiprocessing.spawn", "spawn_main"):
        found = stat(pid)
        ticks = float(Path("/proc/uptime").read_text().split()[0]) * os.sysconf("SC_CLK_TCK")
        if found and int(found[1]) == driver and ticks - int(found[19]) < 30:
            yield pid


@contextmanager
def threshold() -> Iterator[None]:
    """Let Ray's monitor object to what is taken beyond the memory in use now, and some."""
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    total, free = (int(lines[k].split()[0]) << 10 for k in ("MemTotal", "MemAvailable"))
    share = (total - free + ROOM) / total
    before = dict(os.environ)
    os.environ["RAY_memory_usage_threshold"] = f"{share:.4f}"
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
