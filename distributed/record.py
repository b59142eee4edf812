"""What run.json says of a run, and the key that decides whether two runs are the same.

Nothing about the host goes in: no user, no machine, no environment.
"""

import datetime
import hashlib
import importlib.metadata
import json
import math
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from epistax.distributed import flags

RECORDED = ("epistax", "jax", "jaxlib", "numpyro", "numpy", "polars")


def describe(options: Any, verb: str, inputs: Sequence[Path]) -> dict[str, Any]:
    """The first run.json: verb, options, seed, versions, inputs, key. Nothing about the host."""
    found: list[dict[str, Any]] = [
        {"path": str(p), "sha256": sha256(p), "bytes": p.stat().st_size} for p in inputs
    ]
    versions = {name: version(name) for name in RECORDED} | {"python": platform.python_version()}
    return {
        "verb": verb,
        "options": flags.as_json(options),
        "seed": getattr(options, "seed", None),
        "versions": versions,
        "inputs": found,
        "run_key": run_key(verb, options, [f["sha256"] for f in found]),
        "decisive": flags.decisive(options),
        "status": "running",
        "started": now(),
    }


def run_key(verb: str, options: Any, contents: Sequence[str]) -> str:
    """Hash of everything that decides the figures: verb, options, input contents, our version."""
    parts = [verb, flags.decisive(options), list(contents), version("epistax")]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def difference(earlier: Mapping[str, Any], record: Mapping[str, Any]) -> str:
    """The first thing in which two records differ, in words."""
    if earlier.get("verb") != record["verb"]:
        return f"its verb is {earlier.get('verb')}, not {record['verb']}"
    before, after = earlier.get("decisive", {}), record["decisive"]
    for name in sorted(set(before) | set(after)):
        if before.get(name) != after.get(name):
            flag = name.replace("_", "-")
            return f"its --{flag} is {before.get(name)!r}, not {after.get(name)!r}"
    hashes = [[f["sha256"] for f in r.get("inputs", [])] for r in (earlier, record)]
    if hashes[0] != hashes[1]:
        changed = [f["path"] for f in record["inputs"] if f["sha256"] not in hashes[0]]
        return f"the content of {changed[0] if changed else 'the list of inputs'} differs"
    old, new = (r.get("versions", {}).get("epistax") for r in (earlier, record))
    return f"it was made by epistax {old}, this is {new}"


def sha256(path: Path) -> str:
    """Content hash of an input; of a folder, of all its files by name."""
    digest = hashlib.sha256()
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            digest.update(str(file.relative_to(path)).encode() if path.is_dir() else b"")
            with file.open("rb") as stream:
                while block := stream.read(1 << 20):
                    digest.update(block)
    return digest.hexdigest()


def version(package: str) -> str | None:
    """Installed version, read without importing; None where absent."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def dumps(value: Any, *, indent: int | None = 2) -> str:
    """Strict JSON: arrays and numpy scalars as plain values, NaN and infinity as null."""
    return json.dumps(plain(value), indent=indent, allow_nan=False)


def plain(value: Any) -> Any:
    """The value in the terms of JSON."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} does not belong in a JSON file")


def now() -> str:
    """The time, UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
