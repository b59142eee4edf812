"""What a user or a kill leaves in the way: hostile files, run directories that are not whole."""

import base64
import contextlib
import gzip
import io
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from epistax.benchmarks.faultkernel import Finding

PATIENCE = 30.0  # seconds within which bad input must be answered
TESTS = ("additive", "cosine", "severity", "knn", "knn:adaptive")  # a chunk each


def hostile(folder: Path, *, cases: str) -> Finding:
    """Every case of a TOML file: one line, exit code 2, nothing written, nothing run."""
    found = tomllib.loads(Path(cases).read_text(encoding="utf-8"))["case"]
    missed, slowest = [], 0.0
    for number, case in enumerate(found):
        place = folder / str(number)
        place.mkdir()
        begun = time.monotonic()
        missed += [f"{case['name']}: {problem}" for problem in attempt(case, place)]
        slowest = max(slowest, time.monotonic() - begun)
    figures = {"cases": len(found), "slowest_seconds": round(slowest, 2)}
    missed += ["fewer than 60 cases"] * (len(found) < 60)
    return Finding({"hostile inputs": len(found)}, figures=figures, missed=tuple(missed))


def attempt(case: dict[str, Any], folder: Path) -> list[str]:
    """What is wrong with the answer to a case, in words."""
    make(case, folder)
    before = tree(folder)
    with contextlib.chdir(folder):
        code, _, error = called(*shlex.split(case["command"]))
    wrong = [f"exit code {code}: {error}"] * (code != 2)
    wrong += [f"not one line: {error}"] * (error.count("\n") != 1 or "Traceback" in error)
    wrong += [f"{words!r} is not in {error}" for words in case["says"] if words not in error]
    return wrong + ["files were written"] * (tree(folder) != before)


def make(case: dict[str, Any], folder: Path) -> None:
    """Write the files of a case."""
    content = {name: text.encode() for name, text in case.get("files", {}).items()}
    content |= {name: base64.b64decode(text) for name, text in case.get("base64", {}).items()}
    for name, text in case.get("packed", {}).items():
        content[name] = gzip.decompress(base64.b64decode(text))
    for name, text in case.get("gzip", {}).items():
        whole = gzip.compress(text.encode(), mtime=0)
        content[name] = whole[: len(whole) - case.get("cut", 0)]
    for name, data in content.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    for name, target in case.get("links", {}).items():
        (folder / name).symlink_to(target)


def tree(folder: Path) -> dict[str, bytes | None]:
    """Everything below a folder, with contents."""
    paths = sorted(folder.rglob("*"))
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in paths}


def called(*words: str) -> tuple[int, str, str]:
    """Exit code, output and complaints of a command, native code's among them; -1 of a hang."""
    from epistax.cli import main

    out, error = io.StringIO(), io.StringIO()
    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE)
    try:
        with native() as rest, contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
            code = main(words)
    except TimeoutError:
        code = -1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    return code, out.getvalue(), error.getvalue() + "".join(rest)


def late(number: int, frame: object) -> NoReturn:
    """Whoever takes so long hangs."""
    raise TimeoutError


@contextlib.contextmanager
def native() -> Iterator[list[str]]:
    """Collect what is written to the descriptor of standard error, past Python."""
    told: list[str] = []
    with tempfile.TemporaryFile() as file:
        kept = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            yield told
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            file.seek(0)
            told.append(file.read().decode(errors="replace"))


def states(folder: Path, *, harm: Sequence[str] = ()) -> Finding:
    """Run directories of `score` that are not whole, and disks that take nothing more.

    By every harm, or by some.
    """
    data = screen(folder / "screen.npz")
    whole = folder / "whole"
    score(data, whole)
    missed: list[str] = []
    injected, done = 0, Counts()
    for name in harm or HARM:
        run = Path(shutil.copytree(whole, folder / name, symlinks=True))
        victim = sorted((run / "shards").iterdir())[1]
        times = stamps(run)
        HARM[name](run, victim)
        code, out, _ = called("verify", str(run))
        if name != "torn journal":
            missed += [f"{name}: verify does not name it"] * (code != 3 or victim.name not in out)
        called("repair", str(run), "--quiet")
        changed = sorted(p for p, when in stamps(run).items() if times.get(p) != when)
        expected = [] if name == "torn journal" else [victim.name]
        missed += [f"{name}: {changed} are made again"] * (changed != expected)
        done.add(run, whole)
        injected += 1
    for name, refuse in REFUSALS.items():
        said = refuse(data, folder, whole)
        missed += [f"{name}: {said}"] * bool(said)
        injected += 1
    disks, wrong = full(data, folder, whole, done)
    missed += wrong
    figures = {"detected": injected + disks - len(missed), "of": injected + disks}
    figures |= {} if disks else {"no right to mount": 1}
    finding = Finding({"states": injected + disks}, done.lost, 0, done.strays, done.identical)
    return finding._replace(figures=figures, missed=tuple(missed))


class Counts:
    """What mended runs lack and have too many of, against the whole one."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.lost = self.strays = 0
        self.identical = True

    def add(self, run: Path, whole: Path) -> None:
        """Compare shards, manifest and scores."""
        ours, theirs = (dict(files(folder)) for folder in (run, whole))
        self.lost += len(theirs.keys() - ours.keys())
        self.strays += len(ours.keys() - theirs.keys())
        self.identical &= ours == theirs


def files(run: Path) -> Iterator[tuple[str, bytes]]:
    """Results of a run by name."""
    for path in [*(run / "shards").iterdir(), run / "manifest.json", run / "scores.parquet"]:
        if path.exists():
            yield path.name, path.read_bytes()


def stamps(run: Path) -> dict[str, int]:
    """When each shard was written."""
    return {p.name: p.lstat().st_mtime_ns for p in (run / "shards").iterdir()}


def torn_journal(run: Path, victim: Path) -> None:
    """As a power cut leaves it."""
    with (run / "events.jsonl").open("a") as file:
        file.write('{"time": 1, "event": "do')


def flipped(run: Path, victim: Path) -> None:
    """One bit of a shard."""
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 4
    victim.write_bytes(data)


def foreign(run: Path, victim: Path) -> None:
    """Another chunk's shard under its name."""
    other = sorted((run / "shards").iterdir())[2]
    victim.write_bytes(other.read_bytes())


def linked(run: Path, victim: Path) -> None:
    """A link to a copy outside of the run."""
    outside = run.with_name("outside")
    victim.replace(outside)
    victim.symlink_to(outside)


HARM: dict[str, Callable[[Path, Path], Any]] = {
    "torn journal": torn_journal,
    "deleted shard": lambda run, victim: victim.unlink(),
    "truncated shard": lambda run, victim: os.truncate(victim, victim.stat().st_size - 50),
    "empty shard": lambda run, victim: os.truncate(victim, 0),
    "flipped bit": flipped,
    "foreign shard": foreign,
    "shard that is a link": linked,
}


def another_run(data: Path, folder: Path, whole: Path) -> str:
    """Resume with other options."""
    code, _, error = called("score", str(data), "--test", "knn", "--out", str(whole), "--resume")
    return "" if code == 2 and "is another run (key " in error else error


def two_drivers(data: Path, folder: Path, whole: Path) -> str:
    """Resume while somebody holds the directory."""
    from epistax.distributed.rundir import lock

    with lock(whole):
        code, error = score(data, whole, "--resume")
    return "" if code == 2 and "is in use by another epistax" in error else error


REFUSALS = {"key of another run": another_run, "two drivers": two_drivers}


def full(data: Path, folder: Path, whole: Path, done: Counts) -> tuple[int, list[str]]:
    """A disk without room, then with it, then read-only; how many of them, and what went wrong."""
    place, missed = folder / "tiny", []
    place.mkdir()
    if not mounted(place, "size=64k"):
        return 0, []
    try:
        ballast = place / "ballast"
        ballast.write_bytes(bytes(40_000))
        code, error = score(data, place / "run", "--resume")
        missed += [f"full disk: {error}"] * (code != 2 or "No space left on device" not in error)
        empty = [p for p in (place / "run").rglob("*.parquet") if p.stat().st_size == 0]
        missed += [f"full disk: {len(empty)} empty files"] * bool(empty)
        mounted(place, "remount,size=20m")
        code, error = score(data, place / "run", "--resume")
        missed += [f"room again: {error}"] * (code != 0)
        done.add(place / "run", whole)
        mounted(place, "remount,ro")
        for name, word in (("run", "--force"), ("new", "--resume")):
            code, error = score(data, place / name, word)
            wrong = code != 2 or "Read-only file system" not in error or error.count("\n") != 1
            missed += [f"read-only disk, {name}: {error}"] * wrong
    finally:
        subprocess.run(["umount", str(place)], check=False)
    return 2, missed


def mounted(place: Path, how: str) -> bool:
    """Mount a file system that lives in memory, where we may."""
    words = ["mount", "-t", "tmpfs", "-o", how, "tmpfs", str(place)]
    with contextlib.suppress(FileNotFoundError):
        return subprocess.run(words, capture_output=True, check=False).returncode == 0
    return False


def screen(path: Path) -> Path:
    """Five genes, ten pairs, 24 observations a class."""
    rng = np.random.default_rng(0)
    effect, x, label = rng.normal(size=(5, 4)), [], []
    classes = [(), *((i,) for i in range(5)), *((i, j) for j in range(5) for i in range(j))]
    for members in classes:
        count = 24 if members else 72
        mean = sum((effect[i] for i in members), np.zeros(4))
        x.append(mean + rng.normal(size=(count, 4)))
        label += ["+".join(f"g{i}" for i in members) or "ctrl"] * count
    np.savez(path, x=np.concatenate(x).astype(np.float32), perturbation=np.array(label))
    return path


def score(data: Path, out: Path, *flags: str) -> tuple[int, str]:
    """Exit code and complaints of `score`."""
    words = [word for test in TESTS for word in ("--test", test)]
    code, _, error = called("score", str(data), "--out", str(out), *words, "--quiet", *flags)
    return code, error
