"""The run directory: --out, --resume, --force, run.json, summary.json and the lock.

    with RunDir.open(options, inputs=[options.pairs]) as run:
        if run.finished:
            return run.summary
        run.write_table("curve", frame)
        return run.finish({"n_pairs": 435})

Open it after the inputs are read and found good: until then nothing is created, so bad input
leaves no trace. run.json says what was asked (and is replaced atomically when facts are added);
summary.json is written last and its presence means: finished.
"""

import contextlib
import errno
import fcntl
import io
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from epistax.distributed import atomic
from epistax.distributed.errors import BadInput, Stopped
from epistax.distributed.record import describe, difference, dumps, now

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


class RunDir:
    """A locked directory that belongs to one run; made by `RunDir.open`."""

    def __init__(self, path: Path, record: dict[str, Any]) -> None:
        """Wrap a directory that is locked already."""
        self.path = path
        self.record = record
        self.summary: dict[str, Any] = {}
        self.finished = False

    @classmethod
    @contextlib.contextmanager
    def open(
        cls, options: Any, *, verb: str = "", inputs: Sequence[str | Path] = ()
    ) -> Iterator["RunDir"]:
        """Take the directory --out for this run, by the rules of --resume and --force."""
        path, files = Path(options.out), [Path(p) for p in inputs]
        record = describe(options, verb or options.verb, files)
        guard(path, options, record, files)
        make(path)
        with lock(path):
            guard(path, options, record, files)  # again: it may have changed before the lock
            earlier = read_record(path)
            if earlier is not None and options.resume:
                run = cls(path, earlier | {"versions": record["versions"]})
            else:
                run = cls(path, record)
                # in this order a replacement that dies half way is an unfinished run, not a mix
                (path / "summary.json").unlink(missing_ok=True)
                run.save()
                clear(path, keep=("LOCK", "run.json"))
            run.load_summary(quiet=options.quiet)
            with full(path), run.status():
                yield run

    @property
    def key(self) -> str:
        """The content key of the run: same key, same results."""
        return str(self.record["run_key"])

    def note(self, **facts: Any) -> None:
        """Add what was decided or found while running (belief, estimator, counts) to run.json."""
        self.record.setdefault("facts", {}).update(facts)
        self.save()

    def folder(self, name: str) -> Path:
        """A folder inside the run directory, made where absent; never a link to elsewhere."""
        path = self.path / name
        path.mkdir(mode=0o700, exist_ok=True)
        atomic.sync_folder(self.path)
        if path.is_symlink() or path.resolve().parent != self.path.resolve():
            raise BadInput(f"--out: {path} leads out of the run directory; remove the link")
        return path

    def write_table(self, name: str, frame: Any) -> Path:
        """A polars frame as NAME.parquet, whole or absent."""
        buffer = io.BytesIO()
        frame.write_parquet(buffer)
        return self.write(f"{name}.parquet", buffer.getvalue())

    def write_parts(self, name: str, frame: Any, *, rows: int) -> Path:
        """The same; beyond so many rows a folder NAME.parquet of parts, each whole or absent."""
        if frame.height <= rows:
            return self.write_table(name, frame)
        folder = self.folder(f"{name}.parquet")
        for part, first in enumerate(range(0, frame.height, rows)):
            self.write_table(f"{folder.name}/part-{part:04d}", frame[first : first + rows])
        return folder

    def write(self, name: str, data: bytes | str) -> Path:
        """Any other file, whole or absent."""
        path = self.path / name
        atomic.replace(path, data.encode() if isinstance(data, str) else data)
        return path

    def finish(self, summary: Mapping[str, Any]) -> dict[str, Any]:
        """Write summary.json, which ends the run, and give the summary back for the door."""
        self.summary = dict(summary)
        self.write("summary.json", dumps(self.summary) + "\n")
        self.finished = True
        return self.summary

    def save(self) -> None:
        """Write run.json."""
        self.write("run.json", dumps(self.record) + "\n")

    def load_summary(self, *, quiet: bool) -> None:
        """Recognise a run that needs nothing more."""
        with contextlib.suppress(FileNotFoundError):
            self.summary = json.loads((self.path / "summary.json").read_text())
            self.finished = True
            if not quiet:
                print(f"{self.path}: finished already, nothing to do", file=sys.stderr)

    @contextlib.contextmanager
    def status(self) -> Iterator[None]:
        """Keep `status` of run.json true, however the block ends."""
        if self.finished:
            yield
            return
        self.mark("running")
        try:
            yield
        except BaseException as error:
            # on a full disk the first error is the one to tell
            with contextlib.suppress(OSError):
                self.mark("stopped" if isinstance(error, Stopped | KeyboardInterrupt) else "failed")
            raise
        self.mark("finished" if self.finished else "stopped")

    def mark(self, status: str) -> None:
        """Set the status and when it changed."""
        self.record |= {"status": status, "changed": now()}
        self.save()


def guard(path: Path, options: Any, record: Mapping[str, Any], inputs: Sequence[Path]) -> None:
    """Refuse --out before anything is touched."""
    if options.resume and options.force:
        raise BadInput("--force and --resume exclude each other; give one")
    if path.exists() and not path.is_dir():
        raise BadInput(f"--out: {path} is a file; name a directory")
    for file in inputs:
        if path.resolve() in file.resolve().parents:
            raise BadInput(f"--out: {path} holds the input {file}; name another directory")
    # a lock alone is what a refused or killed start leaves: still empty
    if not path.is_dir() or not [p for p in path.iterdir() if not passing(p)]:
        return
    earlier = read_record(path)
    if earlier is None:
        raise BadInput(
            f"--out: {path} holds files that are not a run of ours; name a new directory"
        )
    if options.resume and earlier["run_key"] != record["run_key"]:
        keys = f"key {earlier['run_key'][:8]}, not {record['run_key'][:8]}"
        raise BadInput(
            f"--resume: {path} is another run ({keys}): {difference(earlier, record)}; "
            "give the same, or another --out"
        )
    if not (options.resume or options.force):
        finished = (path / "summary.json").exists()
        state = "a finished run" if finished else "an unfinished run; --resume goes on"
        raise BadInput(f"--out: {path} holds {state}; --force replaces it")


def make(path: Path) -> None:
    """The directory, private to its owner."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"--out: {path} cannot be made: {error.strerror}") from None


@contextlib.contextmanager
def full(path: Path) -> Iterator[None]:
    """A disk that takes nothing more is the user's to mend; what was written so far stays."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise BadInput(
            f"--out: {path} cannot be written to: {error.strerror}; make room and go on with "
            "--resume"
        ) from None


def passing(path: Path) -> bool:
    """What a start that was killed at once may leave in an otherwise empty directory."""
    return path.name == "LOCK" or path.name.startswith(atomic.TEMPORARY)


@contextlib.contextmanager
def lock(path: Path, place: str = "--out: ") -> Iterator[None]:
    """Keep a second driver out of the directory; the kernel frees the lock if we die."""
    mode = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        handle = os.open(path / "LOCK", mode, 0o600)
    except OSError as error:
        raise BadInput(f"{place}{path} cannot be written to: {error.strerror}") from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadInput(f"{place}{path} is in use by another epistax; wait or stop it") from None
        yield
    finally:
        os.close(handle)


def read_record(path: Path) -> dict[str, Any] | None:
    """The run.json of an earlier run of ours, if there is one."""
    try:
        found = json.loads((path / "run.json").read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    ours = isinstance(found, dict) and {"verb", "run_key", "options"} <= found.keys()
    return found if ours else None


def clear(path: Path, *, keep: Sequence[str]) -> None:
    """Empty the directory but for the names to keep; links are removed, not followed."""
    for entry in path.iterdir():
        if entry.name in keep:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
