"""Runs as they lie on disk: how far they are, whether they are whole, and how to mend them.

What a run is made of says so itself: run.json how it was started, shards what is done, events.jsonl
who did it. Mending takes away what is bad and starts the run again as it was started.
"""

import contextlib
import fcntl
import importlib
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from epistax.distributed import atomic, shard
from epistax.distributed.errors import BadInput
from epistax.distributed.events import NAME, Events
from epistax.distributed.options import VERBS, Options
from epistax.distributed.record import sha256
from epistax.distributed.rundir import lock, read_record
from epistax.distributed.store import mismatches

RECENT = 20  # chunks whose pace tells how long the rest will take


def record(directory: str) -> tuple[Path, dict[str, Any]]:
    """The run directory and its run.json."""
    path = Path(directory)
    if not path.is_dir():
        raise BadInput(f"DIR: {path} is not a directory; name one that --out made")
    if (path / "campaign.json").is_file():
        raise BadInput(f"DIR: {path} is a campaign; epistax campaign status {path} tells of it")
    found = read_record(path)
    if found is None:
        raise BadInput(f"DIR: {path} has no run.json of ours; name a directory that --out made")
    return path, found


def status(directory: str) -> dict[str, Any]:
    """Verb, state, chunks done and failed, pace, and the workers of the last driver."""
    path, found = record(directory)
    told = list(Events(path / NAME).read())
    starts = [k for k, event in enumerate(told) if event["event"] == "start"]
    last = told[starts[-1] :] if starts else []
    count = Counter(event["event"] for event in last)
    total = int(last[0]["total"]) if last else 0
    state = found.get("status", "unknown")
    running = state == "running" and in_use(path)
    if state == "running" and not running:
        state = "killed"
    done = len({p.name.split(".")[0] for p in shards(path)})
    times = [event["time"] for event in last if event["event"] == "done"][-RECENT:]
    pace = (len(times) - 1) / (times[-1] - times[0]) if len(set(times)) > 1 else None
    left = (total - done) / pace if running and pace else None
    return {
        "directory": str(path),
        "verb": found["verb"],
        "state": state,
        "started": found.get("started"),
        "chunks": total,
        "done": done,
        "failed": len(list((path / "failed").glob("c*.json"))),
        "chunks_per_second": pace if running else None,
        "seconds_left": left,
        "deaths": count["death"],
        "strikes": count["strike"],
        "last_event_seconds_ago": round(time.time() - told[-1]["time"], 1) if told else None,
        "executor": last[0].get("executor") if last else None,
        "workers": workers(last),
    }


def workers(told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each worker of a driver: where it runs, what it has done, and its end."""
    found: dict[str, dict[str, Any]] = {}
    for event in told:
        name = event.get("worker")
        if event["event"] == "ready":
            facts = {key: event[key] for key in ("pid", "node", "actor") if key in event}
            found[name] = {"name": name, **facts, "done": 0, "died": None}
        elif event["event"] == "done" and name in found:
            found[name]["done"] += 1
        elif event["event"] == "death" and name in found:
            found[name]["died"] = event["cause"]
    return list(found.values())


def in_use(path: Path) -> bool:
    """Whether a driver holds the directory; nothing is made to find out."""
    try:
        handle = os.open(path / "LOCK", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def verify(directory: str) -> dict[str, Any]:
    """Every file that can be checked: shards by their seals, by the manifest, and by their run."""
    path, found = record(directory)
    bad = list(damaged(path))
    manifest = path / "manifest.json"
    if manifest.is_file():
        bad += [("shards/" + name, why) for name, why in unlike(manifest, path / "shards")]
    changed = [f["path"] for f in found.get("inputs", []) if not same(f)]
    named = dict(reversed(bad))  # the first thing that was said of each
    return {
        "directory": str(path),
        "verb": found["verb"],
        "shards": len(shards(path)),
        "manifest": manifest.is_file(),
        "bad": [{"file": name, "why": why} for name, why in sorted(named.items())],
        "inputs_changed": changed,
        "n_failed": len(named),
    }


def damaged(path: Path) -> Iterator[tuple[str, str]]:
    """Shards that are torn or of another run."""
    for file in shards(path):
        key = file.name.split(".")[0].partition("-")[2]
        if file.is_symlink():
            yield f"shards/{file.name}", "is a link"
            continue
        try:
            shard.verify(file.read_bytes(), key)
        except (shard.Damaged, shard.Foreign) as error:
            yield f"shards/{file.name}", str(error)
        except OSError as error:
            yield f"shards/{file.name}", error.strerror or "cannot be read"


def unlike(manifest: Path, folder: Path) -> Iterator[tuple[str, str]]:
    """Shards that are gone or not those of the manifest."""
    try:
        wrong = mismatches(manifest, folder)
    except (ValueError, KeyError, TypeError):
        yield "../manifest.json", "is no manifest"
        return
    for name in wrong:
        yield name, "differs from the manifest" if (folder / name).exists() else "is missing"


def shards(path: Path) -> list[Path]:
    """What looks like a published chunk."""
    return sorted((path / "shards").glob("c*-*.*.parquet"))


def same(entry: Mapping[str, Any]) -> bool:
    """Whether an input is what it was; one that is not here cannot be said to differ."""
    file = Path(entry["path"])
    return not file.exists() or sha256(file) == entry["sha256"]


def repair(directory: str, *, quiet: bool) -> dict[str, Any]:
    """Take away what is bad, and compute it and whatever else is missing."""
    path, found = record(directory)
    options = recalled(path, found, quiet)
    bad = [entry["file"] for entry in verify(directory)["bad"]]
    with lock(path, "DIR: "):
        for name in bad:
            with contextlib.suppress(FileNotFoundError):
                (path / name).unlink()
        removed = atomic.sweep(path / "shards") if (path / "shards").is_dir() else 0
        unfinish(path, bool(bad))
        Events(path / NAME).write("repair", removed=bad)
    summary = again(options)
    failed = summary.get("n_failed", 0)
    return {"removed": bad, "temporaries": removed, "n_failed": failed, "run": summary}


def retry_failed(directory: str, *, quiet: bool) -> dict[str, Any]:
    """Forgive every chunk that failed, and compute it again."""
    path, found = record(directory)
    records = sorted((path / "failed").glob("c*.json"))
    suspected = [event for event in Events(path / NAME).read() if event["event"] == "strike"]
    if not records and not suspected:
        raise BadInput(f"DIR: nothing has failed in {path}")
    options = recalled(path, found, quiet)
    with lock(path, "DIR: "):
        Events(path / NAME).write("forgiven", chunks=len(records))
        unfinish(path, bool(records))
        for file in records:
            for part in (path / "shards").glob(f"{file.stem}-*.parquet"):
                part.unlink()
            file.unlink()
    summary = again(options)
    return {"retried": len(records), "n_failed": summary.get("n_failed", 0), "run": summary}


def unfinish(path: Path, changed: bool) -> None:
    """Before shards go: what was concluded from them."""
    if changed:
        for name in ("summary.json", "manifest.json"):
            (path / name).unlink(missing_ok=True)
        atomic.sync_folder(path)


def again(options: Options) -> dict[str, Any]:
    """The verb once more, with --resume."""
    module = importlib.import_module(f"epistax.distributed.verbs.{options.verb}")
    summary: dict[str, Any] = module.run(options)
    return summary


def recalled(path: Path, found: Mapping[str, Any], quiet: bool) -> Options:
    """The options of a run from its run.json."""
    cls = VERBS.get(found["verb"])
    if cls is None:
        raise BadInput(f"DIR: {path} was made by {found['verb']!r}, which is no verb here")
    given = {k: tuple(v) if isinstance(v, list) else v for k, v in found["options"].items()}
    given |= {"out": str(path), "resume": True, "force": False, "quiet": quiet}
    lost = [f["path"] for f in found.get("inputs", []) if not Path(f["path"]).exists()]
    if lost:
        raise BadInput(
            f"DIR: {path} was made from {lost[0]}, which is not there; go to where it was started"
        )
    try:
        return cls(**given)
    except TypeError as error:
        raise BadInput(f"DIR: {path}: run.json has options of another version: {error}") from None
