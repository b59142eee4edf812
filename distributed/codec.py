"""Records as one file: arrays, and a tree of what they belong to as JSON among them.

Nothing in the file can run: records are made by name from a list that the reader has, with exactly
their fields, and everything else is a number, a text or an array.
"""

import dataclasses
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from epistax.distributed.errors import BadInput
from epistax.distributed.formats import npz

Fit = TypeVar("Fit")
TREE = "tree"  # the array that holds the JSON


def listed(*kinds: type) -> dict[str, Any]:
    """Records that a file may hold, by their names."""
    return {one.__name__: one for one in kinds}


def encode(value: Any, records: Mapping[str, Any]) -> bytes:
    """The file; the same value gives the same bytes."""
    arrays: dict[str, np.ndarray] = {}
    text = json.dumps(noted(value, arrays, records), allow_nan=False)
    buffer = io.BytesIO()
    np.savez(buffer, **{TREE: np.frombuffer(text.encode(), np.uint8)}, **arrays)
    return buffer.getvalue()


def read(path: Path, records: Mapping[str, Any]) -> Any:
    """The value of a file; None where it is damaged or another's. BadInput where it is no npz."""
    arrays = npz.load(path)
    try:
        return made(json.loads(arrays[TREE].tobytes()), arrays, records)
    except (LookupError, TypeError, ValueError, RecursionError):
        return None


def read_fit(
    folder: Path,
    name: str,
    kind: type[Fit],
    records: Mapping[str, Any],
    sound: Callable[[Fit], bool],
    *,
    verb: str,
) -> Fit:
    """The fit that a run directory of `verb` holds. BadInput for what is none, or is damaged."""
    path = folder / name
    if not path.exists():
        raise BadInput(f"{folder}: has no {name}; name the run directory of a finished {verb}")
    found = read(path, records)
    if not isinstance(found, kind) or not sound(found):
        raise BadInput(f"{path}: is damaged or no fit of ours; run {verb} again")
    return found


def noted(value: Any, arrays: dict[str, np.ndarray], records: Mapping[str, Any]) -> Any:
    """A value in the terms of JSON; arrays are put aside under their number."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    name = type(value).__name__
    if records.get(name) is type(value):
        fields = {
            field: noted(getattr(value, field), arrays, records) for field in fields_of(type(value))
        }
        return {"record": name, "fields": fields}
    if isinstance(value, tuple):
        return {"tuple": [noted(entry, arrays, records) for entry in value]}
    if isinstance(value, dict):
        return {"dict": {name: noted(entry, arrays, records) for name, entry in value.items()}}
    if not isinstance(value, jax.Array | np.ndarray):
        raise TypeError(f"{name} cannot be stored")
    number = f"a{len(arrays)}"
    if jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        arrays[number] = np.asarray(jax.random.key_data(value))
        return {"key": number, "law": str(jax.random.key_impl(value))}
    arrays[number] = np.asarray(value)
    return {"array": number}


def made(tree: Any, arrays: Mapping[str, np.ndarray], records: Mapping[str, Any]) -> Any:
    """The value again."""
    if not isinstance(tree, dict):
        if isinstance(tree, list):
            raise ValueError("a bare list")
        return tree
    if "record" in tree:
        kind, given = records[tree["record"]], tree["fields"]
        if set(given) != set(fields_of(kind)):
            raise ValueError(f"fields of {tree['record']}")
        return kind(**{name: made(entry, arrays, records) for name, entry in given.items()})
    if "tuple" in tree:
        return tuple(made(entry, arrays, records) for entry in tree["tuple"])
    if "dict" in tree:
        return {name: made(entry, arrays, records) for name, entry in tree["dict"].items()}
    if "key" in tree:
        return jax.random.wrap_key_data(jnp.asarray(arrays[tree["key"]]), impl=tree["law"])
    return arrays[tree["array"]]


def fields_of(kind: Any) -> tuple[str, ...]:
    """Of a NamedTuple or of a dataclass."""
    if dataclasses.is_dataclass(kind):
        return tuple(field.name for field in dataclasses.fields(kind))
    return tuple(kind._fields)
