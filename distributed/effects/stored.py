"""A fit as one file: arrays, and a tree of what they belong to as JSON among them.

Nothing in the file can run: records are made by name from a list of those that a fit is made of,
with exactly their fields, and everything else is a number, a text or an array.
"""

import dataclasses
import io
import json
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from epistax.distributed.effects.methods import Settings
from epistax.distributed.errors import BadInput
from epistax.distributed.formats import npz
from epistax.engine.effects import choice, linear, mixed, mixed_sampler, neural, training, units
from epistax.engine.nets.combos import Combining
from epistax.engine.nets.graph import Graph

NAME = "fit.npz"
TREE = "tree"  # the array that holds the JSON


class Learned(NamedTuple):
    """What `effects fit` leaves: a model and how far it can be trusted."""

    model: str
    config: Settings
    names: tuple[str, ...]
    singles: np.ndarray  # float32 [p]
    seen: np.ndarray  # bool [p], genes that were in a row
    k: int  # places of a row
    side: np.ndarray | None
    graph: Graph | None
    members: int
    fits: Any
    spare: float  # sd beside that of the members, in units of the effects
    factor: float  # sds to each side of an interval


RECORDS: dict[str, Any] = {
    one.__name__: one
    for one in (
        Learned,
        choice.Chosen,
        linear.Line,
        linear.Linear,
        mixed.Fit,
        mixed.Mixed,
        mixed_sampler.Chain,
        neural.Fitted,
        neural.Neural,
        units.Units,
        training.Training,
        Combining,
        Graph,
    )
}


def encode(learned: Learned) -> bytes:
    """The file; the same fit gives the same bytes."""
    arrays: dict[str, np.ndarray] = {}
    text = json.dumps(noted(learned, arrays), allow_nan=False)
    buffer = io.BytesIO()
    np.savez(buffer, **{TREE: np.frombuffer(text.encode(), np.uint8)}, **arrays)
    return buffer.getvalue()


def read(folder: Path) -> Learned:
    """The fit of a run directory. BadInput for what is none, or is damaged."""
    path = folder / NAME
    if not path.exists():
        raise BadInput(f"{folder}: has no {NAME}; name the run directory of a finished effects fit")
    arrays = npz.load(path)
    try:
        tree = json.loads(arrays[TREE].tobytes())
        found = made(tree, arrays)
    except (LookupError, TypeError, ValueError, RecursionError):
        found = None
    if not isinstance(found, Learned) or not sound(found):
        raise BadInput(f"{path}: is damaged or no fit of ours; run effects fit again")
    return found


def sound(found: Learned) -> bool:
    """Whether the parts of a fit are of their kinds and fit together."""
    p = len(found.names) if isinstance(found.names, tuple) else -1
    tables = (found.singles, found.seen, *(() if found.side is None else (found.side,)))
    return (
        isinstance(found.model, str)
        and isinstance(found.config, linear.Linear | neural.Neural | mixed.Mixed)
        and all(isinstance(name, str) for name in found.names)
        and all(isinstance(table, np.ndarray) and len(table) == p for table in tables)
        and all(isinstance(number, int) for number in (found.k, found.members))
        and all(isinstance(number, float) for number in (found.spare, found.factor))
    )


def noted(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """A value in the terms of JSON; arrays are put aside under their number."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    name = type(value).__name__
    if RECORDS.get(name) is type(value):
        fields = {field: noted(getattr(value, field), arrays) for field in fields_of(type(value))}
        return {"record": name, "fields": fields}
    if isinstance(value, tuple):
        return {"tuple": [noted(entry, arrays) for entry in value]}
    if isinstance(value, dict):
        return {"dict": {name: noted(entry, arrays) for name, entry in value.items()}}
    if not isinstance(value, jax.Array | np.ndarray):
        raise TypeError(f"{name} cannot be stored")
    number = f"a{len(arrays)}"
    if jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        arrays[number] = np.asarray(jax.random.key_data(value))
        return {"key": number, "law": str(jax.random.key_impl(value))}
    arrays[number] = np.asarray(value)
    return {"array": number}


def made(tree: Any, arrays: dict[str, np.ndarray]) -> Any:
    """The value again."""
    if not isinstance(tree, dict):
        if isinstance(tree, list):
            raise ValueError("a bare list")
        return tree
    if "record" in tree:
        kind, given = RECORDS[tree["record"]], tree["fields"]
        if set(given) != set(fields_of(kind)):
            raise ValueError(f"fields of {tree['record']}")
        return kind(**{name: made(entry, arrays) for name, entry in given.items()})
    if "tuple" in tree:
        return tuple(made(entry, arrays) for entry in tree["tuple"])
    if "dict" in tree:
        return {name: made(entry, arrays) for name, entry in tree["dict"].items()}
    if "key" in tree:
        return jax.random.wrap_key_data(jnp.asarray(arrays[tree["key"]]), impl=tree["law"])
    return arrays[tree["array"]]


def fields_of(kind: Any) -> tuple[str, ...]:
    """Of a NamedTuple or of a dataclass."""
    if dataclasses.is_dataclass(kind):
        return tuple(field.name for field in dataclasses.fields(kind))
    return tuple(kind._fields)
