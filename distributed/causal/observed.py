"""What a file says of its samples: h5ad, zarr and npz, by the names that their parts have.

npz files hold `x` [n, g], `environment` [n] and `vectors`, and may hold `split` and `features` [g].
vectors and split have a row an environment of `environments` (names), without these a row a sample.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from epistax.distributed.causal.covariates import cleaned
from epistax.distributed.errors import BadInput
from epistax.distributed.formats import npz
from epistax.distributed.formats.anndata import (
    check_size,
    column,
    features,
    is_hdf5,
    is_zarr,
    length,
    names_of,
    opened,
    reading,
    table,
)
from epistax.distributed.formats.arrays import text
from epistax.distributed.formats.blocks import dense
from epistax.distributed.formats.roles import Held
from epistax.distributed.formats.where import Where, listed
from epistax.distributed.options.causal import EnvironmentOptions, VectorOptions
from epistax.distributed.options.shared import ScreenOptions

ENVIRONMENTS = ("environment", "perturbation", "pert_iname", "pert_id", "condition", "perturbagen",
                "compound", "drug", "treatment", "label")  # fmt: skip
VECTORS = ("fingerprint", "X_fingerprint", "fingerprints", "vectors", "X_vectors", "vector",
           "morgan", "X_morgan")  # fmt: skip
SPLIT = "split"
ENVIRONMENTS_OF = "environments"  # of an npz file: their names
NONE = "none"  # the word for: no split


@dataclass(frozen=True)
class Observed:
    """n samples as the file has them; nothing is left out yet."""

    where: Where  # of the environments
    label: pl.Series  # [n]
    x: np.ndarray  # float32 [n, g]; no features where none were asked for
    genes: tuple[str, ...] = ()
    origin: str = ""  # of x
    vectors: np.ndarray | None = None  # float32 [n, v], of each sample's environment
    kind: str = ""  # what the vectors are called
    covariates: dict[str, pl.Series] = field(default_factory=dict)
    smiles: pl.Series | None = None
    split: pl.Series | None = None


def observe(path: str, options: VectorOptions, beside: Sequence[str]) -> Observed:
    """The samples of a file, columns `beside` as covariates; features where one learns from it."""
    if is_hdf5(path) or is_zarr(path):
        return of_anndata(path, options, beside)
    if str(path).endswith(".npz") or npz.names(path):
        return of_arrays(path, options, beside)
    there = Path(path).exists()
    what = "is neither an h5ad file, a zarr folder nor an npz file" if there else "no such file"
    raise BadInput(f"{path}: {what}; {'write it with anndata' if there else 'check the path'}")


def of_anndata(path: str, options: VectorOptions, beside: Sequence[str]) -> Observed:
    """Columns of obs, X or a layer, and an entry of obsm."""
    with opened(path) as root:
        with reading(path, "obs"):
            obs = table(path, root, "obs", "h5ad" if is_hdf5(path) else "zarr")
            names = tuple(str(name) for name in obs if name != obs.attrs["_index"])
        held = Held(path, names, "obs column", any_case=False)
        n = length(path, obs, "obs")
        label = labelled(held, options)
        smiles = options.smiles_col and held.named(options.smiles_col, "--smiles-col")
        covariates = [held.named(name, "--covariate") for name in beside]
        split = split_of(held, options)
        x, genes, origin = np.zeros((n, 0), np.float32), (), ""
        if isinstance(options, EnvironmentOptions):
            x, genes, origin = matrix(path, root, n, ScreenOptions(layer=options.layer))
        vectors, kind = None, ""
        key = entry(names_of(root, "obsm"), options)
        if key is not None:
            vectors, _, kind = matrix(path, root, n, ScreenOptions(obsm=key))
        return Observed(
            where=Where(path, label, "sample", 1),
            label=cleaned(column(path, obs, label, n)),
            x=x,
            genes=genes,
            origin=origin,
            vectors=vectors,
            kind=kind,
            covariates={name: cleaned(column(path, obs, name, n)) for name in covariates},
            smiles=cleaned(column(path, obs, smiles, n)) if smiles else None,
            split=cleaned(column(path, obs, split, n)) if split else None,
        )


def matrix(
    path: str, root: object, n: int, asked: ScreenOptions
) -> tuple[np.ndarray, tuple[str, ...], str]:
    """X, a layer or an entry of obsm as float32, its columns' names, and how it is called."""
    values, names, origin = features(path, root, asked, n)
    check_size(path, root, n, len(names), origin)
    with reading(path, origin):
        return dense(values, np.arange(len(names)), n, len(names)), names, origin


def labelled(held: Held, options: VectorOptions) -> str:
    """The column of the environments. BadInput without any."""
    if options.environment_col is not None:
        return held.named(options.environment_col, "--environment-col")
    found = held.first(ENVIRONMENTS)
    if found is None:
        raise BadInput(
            f"{held.source}: has no {held.kind} of environments ({', '.join(ENVIRONMENTS)}); it "
            f"has {listed([repr(name) for name in held.names])}: name one with --environment-col"
        )
    return found


def split_of(held: Held, options: VectorOptions) -> str | None:
    """The column that divides the samples; none where there is none, or none is wanted."""
    if not isinstance(options, EnvironmentOptions) or options.split_col == NONE:
        return None
    if options.split_col is not None:
        return held.named(options.split_col, "--split-col")
    return held.known(SPLIT)


def entry(held: list[str], options: VectorOptions) -> str | None:
    """The entry of obsm that holds vectors; none where they come from elsewhere."""
    if options.vectors is not None or options.smiles_col is not None:
        return None
    if options.vector_key is not None:
        return options.vector_key
    return next((name for name in VECTORS if name in held), None)


def of_arrays(path: str, options: VectorOptions, beside: Sequence[str]) -> Observed:
    """The arrays of an npz file."""
    names = tuple(npz.contents(path))
    held = Held(path, names, "array", any_case=False)
    label, split = labelled(held, options), split_of(held, options)
    if "x" not in names:
        raise BadInput(f"{path}: has {listed([*names])}; samples need the array `x`")
    key = options.vector_key or next((name for name in VECTORS if name in names), None)
    key = key and held.named(key, "--vector-key")
    more = [held.named(name, "--covariate") for name in beside]
    smiles = options.smiles_col and held.named(options.smiles_col, "--smiles-col")
    wanted = (label, split, key, smiles, ENVIRONMENTS_OF, "features", *more)
    content = npz.load(path, {"x", *[name for name in wanted if name is not None]})
    x = content["x"]
    if x.ndim != 2 or x.dtype.kind not in "fiub":
        sizes = " x ".join(map(str, x.shape))
        raise BadInput(f"{path}: `x` is {x.dtype} of {sizes}; give samples by features, as numbers")
    n, g = x.shape

    def words(name: str | None) -> pl.Series | None:
        return None if not name else cleaned(text(path, name, content[name], n, "rows"))

    given = [f"x_{k}" for k in range(g)]
    if "features" in content:
        given = text(path, "features", content["features"], g, "columns").to_list()
    found, vectors = words(label), None
    assert found is not None
    if key is not None and options.vectors is None and options.smiles_col is None:
        vectors = rows_of(path, key, content, found)
    wide = isinstance(options, EnvironmentOptions)
    return Observed(
        where=Where(path, label, "sample", 1),
        label=found,
        x=x.astype(np.float32, copy=False) if wide else np.zeros((n, 0), np.float32),
        genes=tuple(given) if wide else (),
        origin="x",
        vectors=vectors,
        kind="" if vectors is None else f"array {key}",
        covariates={name: series for name in more if (series := words(name)) is not None},
        smiles=words(smiles),
        split=split and divided(path, split, content, found),
    )


def by_environment(
    path: str, name: str, content: Mapping[str, np.ndarray], label: pl.Series
) -> np.ndarray:
    """The row of each sample in an array of environments; one behind the last where none is."""
    rows = len(content[name])
    if ENVIRONMENTS_OF not in content:
        if rows != len(label):
            raise BadInput(
                f"{path}: `{name}` has {rows:,} rows but `x` {len(label):,}; name the environments "
                f"of its rows in the array `{ENVIRONMENTS_OF}`"
            )
        return np.arange(rows)
    if len(content[ENVIRONMENTS_OF]) != rows:
        raise BadInput(
            f"{path}: `{name}` has {rows:,} rows but `{ENVIRONMENTS_OF}` names "
            f"{len(content[ENVIRONMENTS_OF]):,}; make them agree"
        )
    named = cleaned(text(path, ENVIRONMENTS_OF, content[ENVIRONMENTS_OF], rows, "rows"))
    place = {one: k for k, one in enumerate(named) if one is not None}
    if len(place) < len(named.drop_nulls()):
        twice = named.filter(named.is_duplicated())[0]
        raise BadInput(f"{path}: `{ENVIRONMENTS_OF}` names {twice!r} twice; give each one row")
    return np.array([place.get(one, rows) for one in label])


def rows_of(path: str, key: str, content: Mapping[str, np.ndarray], label: pl.Series) -> np.ndarray:
    """The vector of each sample's environment; NaN of one that has none."""
    vectors = content[key]
    if vectors.ndim != 2 or vectors.dtype.kind not in "fiub":
        raise BadInput(f"{path}: `{key}` is no table of numbers; give a row an environment")
    gap = np.full((1, vectors.shape[1]), np.nan, np.float32)
    whole = np.concatenate([vectors.astype(np.float32), gap])
    return whole[by_environment(path, key, content, label)]


def divided(path: str, name: str, content: Mapping[str, np.ndarray], label: pl.Series) -> pl.Series:
    """What each sample is for."""
    rows = by_environment(path, name, content, label)
    word = text(path, name, content[name], len(content[name]), "rows")
    return cleaned(pl.concat([word, pl.Series([None], dtype=pl.String)]).gather(rows))
