"""Screens in an npz file: `x` [n, d] and `perturbation` [n], arrays of text beside it.

Optional are `batch`, `plate`, `well` and `guide` [n] and `features` [d], the names of the columns.
"""

from pathlib import Path

import numpy as np
import polars as pl

from epistax.distributed.errors import BadInput
from epistax.distributed.formats import npz
from epistax.distributed.formats.features import pick
from epistax.distributed.formats.observations import Observations
from epistax.distributed.formats.roles import Held, choose
from epistax.distributed.formats.where import Where, listed
from epistax.distributed.options.shared import ScreenOptions


def read_arrays(path: str | Path, options: ScreenOptions) -> Observations:
    """The observations of an npz file."""
    source, held = str(path), tuple(npz.contents(path))
    roles = choose(Held(source, held, "array", any_case=False), options)
    if "x" not in held:
        raise BadInput(f"{source}: has {listed([*held])}; a screen needs the array `x`")
    content = npz.load(path, {"x", "features", *roles.all})
    x = content["x"]
    if x.ndim != 2:
        sizes = " x ".join(map(str, x.shape)) or "one number"
        raise BadInput(
            f"{source}: `x` is {sizes}; give two dimensions, observations by features (embed images"
            " first)"
        )
    if x.dtype.kind not in "fiub":
        raise BadInput(f"{source}: `x` holds {x.dtype}, not numbers; save it as float")
    n, d = x.shape
    columns = {name: text(source, name, content[name], n, "rows") for name in roles.all}
    names = [f"x_{k}" for k in range(d)]
    if "features" in content:
        names = text(source, "features", content["features"], d, "columns").fill_null("").to_list()
    index = pick(source, names, options.features)
    with np.errstate(over="ignore"):  # what does not fit becomes infinite, which is refused
        chosen = x if len(index) == d else x[:, list(index)]
        chosen = chosen.astype(np.float32, order="C", copy=False)
    return Observations(
        source=source,
        kind="screen (npz)",
        where=Where(source, roles.labels[0], "row", 1),
        roles=roles,
        columns=columns,
        x=chosen,
        features=tuple(names[k] for k in index),
        origin="x",
    )


def text(source: str, name: str, array: np.ndarray, size: int, what: str) -> pl.Series:
    """An array of one dimension as text, null where it is NaN."""
    if array.ndim != 1:
        sizes = " x ".join(map(str, array.shape))
        raise BadInput(
            f"{source}: `{name}` is {sizes}; give one dimension, and two arrays for labels in two"
            " columns (--label-col twice)"
        )
    if len(array) != size:
        raise BadInput(
            f"{source}: `{name}` has {len(array):,} entries but `x` has {size:,} {what}; make them"
            " agree"
        )
    if array.dtype.kind not in "USfiub":
        raise BadInput(f"{source}: `{name}` holds {array.dtype}, not text; save it as text")
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8", "replace")
    return pl.Series(name, array, nan_to_null=array.dtype.kind == "f").cast(pl.String)
