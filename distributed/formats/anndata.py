"""Screens in AnnData's form: h5ad files and zarr folders.

Only what is asked for is read: the columns of obs that have a role, and one of X, a layer or an
embedding of obsm, in blocks of rows (columns where a sparse matrix is stored by columns).
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from epistax.distributed.errors import BadInput
from epistax.distributed.flags import did_you_mean
from epistax.distributed.formats import claims
from epistax.distributed.formats.blocks import dense
from epistax.distributed.formats.features import pick
from epistax.distributed.formats.guards import guard_hdf5, guard_zarr
from epistax.distributed.formats.observations import Observations
from epistax.distributed.formats.roles import Held, choose
from epistax.distributed.formats.where import Where, listed
from epistax.distributed.options.shared import ScreenOptions

LARGEST = 8 * 2**30  # bytes of the features as float32
SPARSE = ("csr_matrix", "csc_matrix")
OLD_CATEGORIES = "__categories"  # where anndata 0.7 kept the names of categorical columns


def is_hdf5(path: str | Path) -> bool:
    """Whether a file starts as HDF5 does."""
    try:
        with Path(path).open("rb") as file:
            return file.read(4) == b"\x89HDF"
    except OSError:
        return False  # whoever reads it says why


def is_zarr(path: str | Path) -> bool:
    """Whether a folder is the root of a zarr hierarchy."""
    return any((Path(path) / name).is_file() for name in ("zarr.json", ".zgroup", ".zarray"))


def read_anndata(path: str | Path, options: ScreenOptions) -> Observations:
    """The observations of an h5ad file or a zarr folder."""
    source = str(path)
    if options.layer is not None and options.obsm is not None:
        raise BadInput("--layer and --obsm: give one of them")
    with opened(path) as root:
        kind = "zarr" if is_zarr(path) else "h5ad"
        with reading(source, "obs"):
            obs = table(source, root, "obs", kind)
            held = [str(name) for name in obs if name != OLD_CATEGORIES]
        roles = choose(Held(source, tuple(held), "obs column", any_case=False), options)
        n = length(source, obs, "obs")
        columns = {name: column(source, obs, name, n) for name in roles.all}
        where = Where(source, roles.labels[0], "observation", 1)
        told = {name: column(source, obs, name, n) for name in (claims.COUNT, claims.FLAG)
                if name in held and name not in columns}  # fmt: skip
        facts = claims.check([columns[name] for name in roles.labels], told, where, options)
        with reading(source, "the features"):
            values, names, origin = features(source, root, options, n)
            index = pick(source, names, options.features)
            check_size(source, root, n, len(index), origin)
        with reading(source, origin):
            x = dense(values, np.array(index), n, len(names))
    return Observations(
        source=source,
        kind=f"screen ({kind})",
        where=where,
        roles=roles,
        columns=columns,
        x=x,
        features=tuple(names[k] for k in index),
        origin=origin,
        facts=facts,
    )


@contextmanager
def opened(path: str | Path) -> Iterator[Any]:
    """The root group, once it has been found harmless."""
    source = str(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of formats that anndata or zarr may change one day
        if is_zarr(path):
            import zarr

            guard_zarr(path)
            with reading(source, "the folder"):
                # consolidated metadata is a copy of what was looked at, and could differ
                root = zarr.open_group(source, mode="r", use_consolidated=False)
            yield root
        else:
            import h5py

            try:
                file = h5py.File(path, "r")
            except OSError:
                raise BadInput(
                    f"{source}: the HDF5 file is cut short or damaged; copy it again"
                ) from None
            with file:
                with reading(source, "the file"):
                    guard_hdf5(source, file)
                yield file


@contextmanager
def reading(source: str, what: str) -> Iterator[None]:
    """Whatever a library says about unreadable data, in one line of ours."""
    try:
        yield
    except BadInput:
        raise
    except Exception as error:  # anndata, h5py, zarr, pandas and scipy each have their own
        said = (str(error).strip().splitlines() or [type(error).__name__])[0][:100]
        raise BadInput(
            f"{source}: {what} cannot be read ({said}); copy the file again, or write it again with"
            " anndata"
        ) from None


def table(source: str, root: Any, name: str, kind: str) -> Any:
    """The group of obs or var."""
    if name not in root:
        has = f"it has {listed(sorted(root))}" if len(root) else "it is empty"
        form = "HDF5 but not h5ad" if kind == "h5ad" else "a zarr folder but not of AnnData"
        raise BadInput(f"{source}: is {form}: it has no {name}; {has}")
    found = root[name]
    if hasattr(found, "shape") or "_index" not in found.attrs:
        raise BadInput(
            f"{source}: its {name} is no table of anndata 0.7 or later; read and write it again"
            " with anndata"
        )
    return found


def length(source: str, group: Any, name: str) -> int:
    """How many rows obs or var has."""
    with reading(source, name):
        return int(group[group.attrs["_index"]].shape[0])


def column(source: str, obs: Any, name: str, n: int) -> pl.Series:
    """A column as text, null where it has no value, whatever its type."""
    import pandas as pd
    from anndata.io import read_elem

    with reading(source, f"obs column {name!r}"):
        held = obs[name]
        if "categories" in held.attrs and OLD_CATEGORIES in obs:
            values = pd.Categorical.from_codes(held[:], read_elem(obs[OLD_CATEGORIES][name]))
        else:
            values = read_elem(held)
        codes, distinct = pd.factorize(values)  # -1 where missing
        text = [word.decode() if isinstance(word, bytes) else str(word) for word in distinct]
    if len(codes) != n:
        raise BadInput(f"{source}: obs column {name!r} has {len(codes):,} rows of {n:,}")
    words = pl.Series(name, [*text, None], pl.String)
    return words.gather(np.where(codes < 0, len(text), codes))


def features(
    source: str, root: Any, options: ScreenOptions, n: int
) -> tuple[Any, tuple[str, ...], str]:
    """The array that holds the features, their names, and how it is called."""
    if options.obsm is not None:
        found, origin = member(source, root, "obsm", options.obsm), f"obsm {options.obsm}"
    elif options.layer is not None:
        found, origin = member(source, root, "layers", options.layer), f"layer {options.layer}"
    else:
        found, origin = root.get("X"), "X"
        if found is None or found.attrs.get("encoding-type") == "null":
            raise BadInput(f"{source}: has no X; {elsewhere(root)}")
    with reading(source, origin):
        rows, width = shape_of(source, found, origin)
    if rows != n:
        raise BadInput(f"{source}: {origin} has {rows:,} rows but obs {n:,}; write it again")
    if options.obsm is not None:
        return found, tuple(f"{options.obsm}_{k}" for k in range(width)), origin
    var = table(source, root, "var", "h5ad")
    index = str(var.attrs["_index"])
    names = tuple(column(source, var, index, length(source, var, "var")).to_list())
    if len(names) != width:
        raise BadInput(f"{source}: {origin} has {width:,} columns but var names {len(names):,}")
    return found, names, origin


def member(source: str, root: Any, group: str, name: str) -> Any:
    """One layer or embedding."""
    held = names_of(root, group)
    if name not in held:
        flag = "--layer" if group == "layers" else "--obsm"
        noun = "layer" if group == "layers" else "obsm"
        near = did_you_mean(name, held)
        has = f"it has {listed(held)}" if held else f"it has none: drop {flag}"
        raise BadInput(f"{source}: has no {noun} {name!r}{near}; {has}")
    return root[group][name]


def names_of(root: Any, group: str) -> list[str]:
    """What layers or obsm hold."""
    return sorted(root[group]) if group in root else []


def elsewhere(root: Any) -> str:
    """Which flags lead to features."""
    layers, obsm = names_of(root, "layers"), names_of(root, "obsm")
    flags = (("--layer", layers), ("--obsm", obsm))
    ways = [f"{flag} ({listed(held)})" for flag, held in flags if held]
    return f"read {' or '.join(ways)}" if ways else "it has no layers and no obsm either"


def shape_of(source: str, found: Any, origin: str) -> tuple[int, int]:
    """Rows and columns of a matrix of numbers, dense or sparse."""
    from anndata.io import sparse_dataset

    encoding = found.attrs.get("encoding-type", "")
    sparse = encoding in SPARSE or "h5sparse_format" in found.attrs
    matrix = sparse_dataset(found) if sparse else found
    shape = getattr(matrix, "shape", None)
    if shape is None:
        raise BadInput(f"{source}: {origin} is a {encoding or 'group'}; save it as an array")
    if len(shape) != 2:
        sizes = " x ".join(map(str, shape))
        raise BadInput(f"{source}: {origin} is {sizes}; give observations by features")
    kind = np.dtype(matrix.dtype)
    if kind.kind not in "fiub":
        raise BadInput(f"{source}: {origin} holds {kind}, not numbers; save it as float")
    return int(shape[0]), int(shape[1])


def check_size(source: str, root: Any, n: int, d: int, origin: str) -> None:
    """Fail before a matrix is made that is larger than what is read."""
    if 4 * n * d > LARGEST:
        obsm = names_of(root, "obsm")
        instead = f"read an embedding with --obsm ({listed(obsm)}) or " if obsm else ""
        raise BadInput(
            f"{source}: {origin} has {n:,} x {d:,} values, {4 * n * d / 2**30:,.1f} GiB as float32;"
            f" at most {LARGEST // 2**30} are read: {instead}choose fewer with --features"
        )
