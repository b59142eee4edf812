"""Screens in an npz file: `x` and `perturbation` [n], arrays of text beside it.

`x` holds vectors [n, d] or images (images.py). Optional are `batch`, `plate`, `well` and `guide`
[n] and, of vectors, `features` [d], the names of the columns.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl

from epistax.distributed.errors import BadInput
from epistax.distributed.formats import images, npz
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
        images.refuse_unnamed(source, held)
        raise BadInput(f"{source}: has {listed([*held])}; a screen needs the array `x`")
    content = npz.load(path, {"x", "features", *roles.all})
    x = content["x"]
    image = images.shape(source, x)
    if x.dtype.kind not in "fiub":
        raise BadInput(f"{source}: `x` holds {x.dtype}, not numbers; save it as float")
    columns = {name: text(source, name, content[name], len(x), "rows") for name in roles.all}
    with np.errstate(over="ignore"):  # what does not fit becomes infinite, which is refused
        if image is None:
            features, values = vectors(source, content, options.features)
        else:
            images.refuse_chosen(source, options.features, content)
            features, values = images.names(image), images.flat(x)
    return Observations(
        source=source,
        kind="screen (npz)",
        where=Where(source, roles.labels[0], "row", 1),
        roles=roles,
        columns=columns,
        x=values,
        features=features,
        origin="x" if image is None else images.origin(x),
        image=image,
    )


def vectors(
    source: str, content: Mapping[str, np.ndarray], wanted: tuple[str, ...]
) -> tuple[tuple[str, ...], np.ndarray]:
    """The chosen features and their values [n, d]."""
    x = content["x"]
    d = x.shape[1]
    names = [f"x_{k}" for k in range(d)]
    if "features" in content:
        names = text(source, "features", content["features"], d, "columns").fill_null("").to_list()
    index = pick(source, names, wanted)
    chosen = x if len(index) == d else x[:, list(index)]
    return tuple(names[k] for k in index), chosen.astype(np.float32, order="C", copy=False)


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
