"""Faults of clusters that are joined: a machine that goes, a token that is wrong, a job stopped."""

import contextlib
import importlib.util
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from epistax.benchmarks.faultkernel import Finding, Trial, audit
from epistax.benchmarks.faultstates import screen
from epistax.benchmarks.faultsystem import everyone, named, parent, short, until

RAY = [sys.executable, "-P", "-c", "from ray.scripts.scripts import main; main()"]
START = 90.0  # seconds for a cluster to answer on a busy machine
LATE = 30.0  # seconds within which a run must end after a machine has gone
REFUSED = "the cluster refuses us; set RAY_AUTH_MODE=token"


@dataclass
class Head:
    """A cluster such as `ray start` makes, with a token of its own."""

    folder: Path
    port: int
    dashboard: int  # port of the jobs; 0 without
    environment: Mapping[str, str]  # of whoever has the token
    own: Mapping[str, str]  # what the cluster's own processes have beside it
    processes: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    @property
    def address(self) -> str:
        """Where it is joined."""
        return f"127.0.0.1:{self.port}"

    @property
    def stranger(self) -> dict[str, str]:
        """The environment of somebody without a token."""
        return {k: v for k, v in self.environment.items() if not k.startswith("RAY_")}

    def start(self, *words: str) -> None:
        """One machine, which is a process group of this one."""
        self.processes.append(
            subprocess.Popen(
                [*RAY, "start", *words, "--disable-usage-stats", "--block"],
                env={**self.environment, **self.own},
                cwd=self.folder,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        )

    def join(self, cpus: int) -> None:
        """One more machine, once those before it are up."""
        up = len(self.raylets()) + 1
        ports = ("--min-worker-port=0", "--max-worker-port=0")
        self.start(f"--address={self.address}", f"--num-cpus={cpus}", *ports)
        if not until(lambda: len(self.raylets()) == up, START):
            raise RuntimeError(f"a second `ray start` is not up within {START:.0f} s")

    def raylets(self) -> list[int]:
        """The process of every machine."""
        return named("raylet/raylet", str(self.folder))


@contextlib.contextmanager
def head(
    *, cpus: int, machines: int = 0, jobs: bool = False, module: tuple[str, str] | None = None
) -> Iterator[Head]:
    """A cluster of one machine with so many cores and others with one each; ended in the end.

    A module, by file name and content, is found there before all others of its name.
    """
    from epistax.distributed.errors import BadInput
    from epistax.distributed.joining import listens

    with short() as folder:
        token = folder / "token"
        token.touch(0o600)
        token.write_text("5" * 64)
        clean = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
        clean |= {"HOME": str(folder), "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
        port, dashboard = random.SystemRandom().sample(range(20000, 30000), 2)
        own = {}
        if module is not None:
            (folder / module[0]).write_text(module[1])
            own["PYTHONPATH"] = str(folder)
        found = Head(folder, port, dashboard if jobs else 0, clean, own)
        words = ["--head", f"--port={port}", f"--num-cpus={cpus}", f"--temp-dir={folder / 'ray'}"]
        shown = [f"--dashboard-port={dashboard}"] if jobs else ["--include-dashboard=false"]

        def answers() -> bool:
            with contextlib.suppress(BadInput):
                listens("--ray", "127.0.0.1", dashboard if jobs else port)
                return True
            return False

        try:
            found.start(*words, *shown)
            if not until(answers, START):
                raise RuntimeError(f"`ray start --head` does not answer within {START:.0f} s")
            time.sleep(5)
            for _ in range(machines):
                found.join(1)
            time.sleep(5 if machines else 0)
            yield found
        finally:
            for process in reversed(found.processes):
                end(process)


def gone(pid: int) -> None:
    """A machine without warning: everything that its first process has started, workers too."""
    below = [pid]
    for number in below:
        below += [child for child in everyone() if parent(child) == number]
    for number in below:
        with contextlib.suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)


def end(process: "subprocess.Popen[bytes]") -> None:
    """A machine in order, then whatever is left of it."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(15)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def machine(folder: Path, *, chunks: int, nap: float) -> Finding:
    """Three machines, a worker on each of two; one of these goes in the middle of the run."""
    with head(cpus=0, machines=2) as cluster:
        trial = Trial(str(folder / "run"), chunks, "ray", address=cluster.address, nap=nap)
        process = trial.start(**cluster.environment)
        try:
            nodes: set[str] = set()

            def both() -> bool:
                nodes.update(event["node"] for event in trial.events("ready"))
                return len(nodes) == 2 and trial.done >= chunks // 4

            ready = until(lambda: both() or process.poll() is not None, 120.0)
            before, asked = trial.done, time.monotonic()
            gone(cluster.processes[-1].pid)
            code = process.wait(120) if ready else -1
            seconds = time.monotonic() - asked
        finally:
            process.kill()
    found = audit(trial)
    strikes = len(trial.events("strike"))
    goals = {
        f"workers on {len(nodes)} machines, not 2": len(nodes) == 2,
        f"exit code {code}": code == 0,
        f"{before} of {chunks} chunks done when the machine went": before < chunks,
        f"ended after {seconds:.0f} s": seconds < LATE,
        "no death was noticed": len(trial.events("death")) > 0,
    }
    figures = {"chunks": chunks, "seconds_after": round(seconds, 1), "strikes": strikes}
    missed = tuple(text for text, reached in goals.items() if not reached)
    return Finding({"machines killed": 1}, *found[:4], figures=figures, missed=missed)


def admission(folder: Path, *, jobs: bool) -> Finding:
    """`ray start --head` with a token: `score` joins, and `submit` sends a job, with it alone."""
    data = screen(folder / "screen.npz")
    missed, seconds = [], {}
    with head(cpus=2, jobs=jobs) as cluster:
        job = f"http://127.0.0.1:{cluster.dashboard}"
        doors: dict[str, tuple[str, ...]] = {"score": ("--ray", cluster.address)}
        doors |= {"submit": ("submit", "--address", job, "--")} if jobs else {}
        for door, words in doors.items():
            out = folder / door
            command = ["score", str(data), "--test", "knn", "--out", str(out)]
            command = [*words, *command] if door == "submit" else [*command, *words]
            for name, more in STRANGERS.items():
                begun = time.monotonic()
                done = epistax(command, folder, cluster.stranger | more)
                seconds[f"{door}, {name} token"] = round(time.monotonic() - begun, 1)
                refused = done.returncode == 2 and REFUSED in done.stderr
                missed += [f"{door}, {name} token: {done.stderr}"] * (not refused)
                missed += [f"{door}, {name} token: not one line"] * (done.stderr.count("\n") != 1)
                missed += [f"{door}, {name} token: files were written"] * out.exists()
            done = epistax(command, folder, dict(cluster.environment))
            missed += [f"{door}: {done.stderr}"] * (done.returncode != 0)
        if jobs:
            wrong = ["score", str(folder / "nosuch.npz"), "--out", str(folder / "none")]
            done = epistax([*doors["submit"], *wrong], folder, dict(cluster.environment))
            missed += [f"a bad job: {done.stderr}"] * (done.returncode != 2)
    alone = ["score", str(data), "--test", "knn", "--cores", "1", "--out", str(folder / "alone")]
    epistax(alone, folder, dict(os.environ))
    want = (folder / "alone/scores.parquet").read_bytes()
    made = [folder / door / "scores.parquet" for door in doors]
    lost = sum(not path.is_file() for path in made)
    same = all(path.read_bytes() == want for path in made if path.is_file())
    figures = {"seconds_to_refuse": seconds}
    return Finding(
        {"strangers": len(seconds)}, lost, identical=same, figures=figures, missed=tuple(missed)
    )


STRANGERS: dict[str, dict[str, str]] = {"no": {}, "wrong": {"RAY_AUTH_TOKEN": "6" * 64}}


def strange(folder: Path) -> Finding:
    """A cluster of another version of Ray; one whose workers have no epistax."""
    data = screen(folder / "screen.npz")
    missed, seconds = [], {}
    for name, (module, said) in STRANGE.items():
        with head(cpus=2, module=module) as cluster:
            out, begun = folder / name, time.monotonic()
            command = ["score", str(data), "--test", "knn", "--out", str(out)]
            where = ["--ray", cluster.address, "--workers", "1", "--quiet"]
            done = epistax([*command, *where], folder, dict(cluster.environment))
            seconds[name] = round(time.monotonic() - begun, 1)
        wrong = done.returncode != 2 or said not in done.stderr or done.stderr.count("\n") != 1
        missed += [f"{name}: {done.stderr}"] * wrong
    return Finding({"clusters": 2}, figures={"seconds_to_refuse": seconds}, missed=tuple(missed))


STRANGE = {
    "another Ray": (
        ("sitecustomize.py", "import ray\nray.__version__ = '2.0.0'\n"),
        "install the same on both sides",
    ),
    "no epistax": (("epistax.py", ""), "the cluster's workers have no epistax; install it there"),
}


def epistax(
    words: list[str], folder: Path, environment: dict[str, str]
) -> "subprocess.CompletedProcess[str]":
    """The command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "epistax.cli", *words],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def job(folder: Path, *, chunks: int) -> Finding:
    """`ray job stop` of a run, which Ray kills 3 seconds later; it goes on afterwards."""
    trial = Trial(str(folder / "run"), chunks, "ray", address="auto", nap=0.3)
    assert trial.store.folder.is_dir()
    with head(cpus=2, jobs=True) as cluster:
        url = f"--address=http://127.0.0.1:{cluster.dashboard}"

        def ray(*words: str) -> "subprocess.CompletedProcess[str]":
            return subprocess.run(
                [*RAY, "job", *words], env=dict(cluster.environment), cwd=cluster.folder,
                capture_output=True, text=True, timeout=120, check=False,
            )  # fmt: skip

        ray("submit", url, "--no-wait", "--submission-id=faults", "--", *trial.command())
        until(lambda: trial.done >= 4, 120.0)
        asked, before = time.monotonic(), trial.done
        ray("stop", url, "faults")
        until(lambda: trial.events("stop"), 20.0)
        seconds = time.monotonic() - asked
        said = ray("logs", url, "faults").stdout
    missed = ["nothing was done"] * (before < 4) + ["all was done"] * (trial.done == chunks)
    missed += ["the driver did not say that it stopped"] * ("stopped: " not in said)
    stray = len(list(trial.store.folder.glob(".tmp-*")))
    Trial(trial.folder, chunks).run()
    found = audit(trial)
    figures = {"seconds_to_stop": round(seconds, 1), "temporaries": stray}
    return Finding({"jobs stopped": 1}, *found[:4], figures=figures, missed=tuple(missed))


def able() -> bool:
    """Whether Ray can run jobs here: ray[default] is installed."""
    return all(importlib.util.find_spec(name) for name in ("aiohttp_cors", "pydantic"))
