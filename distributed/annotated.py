"""Results of a run as AnnData: in a copy of its screen, or with perturbations as observations.

uns["epistax"][VERB] holds every table of the run and what was asked of it; predicted profiles are
in varm of a screen (or are the rows of X), embeddings in obsm, matrices of pairs in obsp.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy.sparse import csr_matrix

from epistax.distributed.effects import stored
from epistax.distributed.errors import BadInput
from epistax.distributed.formats.anndata import is_hdf5, is_zarr, opened, reading
from epistax.distributed.formats.h5ad import framed
from epistax.distributed.outcomes import singles_of, table, was_read
from epistax.distributed.record import dumps
from epistax.distributed.report.sections.runs import Run

KEY = "epistax"
WIDE = {  # tables with a row a profile and feature: their keys, and what X is of them
    "response fit": ("heldout", ("stratum", "arm", "known"), "gene"),
    "response predict": ("predictions", ("stratum", "arm"), "gene"),
    "causal predict": ("predictions", ("environment",), "feature"),
}
MATRICES = {  # pairs by what: the table, the column that tells several apart, the columns of values
    "score": ("scores", "test", ("score", "q_value")),
    "rank": ("ranked", "measure", ("exact",)),
    "effects fit": ("heldout", None, ("effect", "predicted")),
    "effects predict": ("predictions", None, ("predicted", "sd")),
}
CELLS, EMBEDDING = "latents.h5ad", "X_causal"


def annotated(run: Run, data: str | None) -> Any:
    """The AnnData of a run. BadInput where results and screen do not belong together."""
    wide = WIDE.get(run.verb, ("",))[0]
    tables = {path.stem: table(run, path.stem) for path in sorted(run.path.glob("*.parquet"))}
    made = without_screen(run, tables) if data is None else with_screen(run, tables, data)
    told = dict(made.uns.get(KEY, {}))
    told[run.verb.replace(" ", "_")] = {
        "run": {
            "verb": run.verb,
            "epistax": str(run.record["versions"]["epistax"]),
            "run_key": str(run.record["run_key"]),
            "options": dumps(run.record["options"], indent=None),
        },
        **{name: framed(frame) for name, frame in tables.items() if name != wide},
    }
    made.uns[KEY] = told
    return made


def with_screen(run: Run, tables: dict[str, pl.DataFrame], path: str) -> Any:
    """A copy of the screen, with what stands beside its observations and features."""
    data = read_screen(path)
    if run.verb == "causal fit":
        same(run, path)
        held = run.path / CELLS
        if not held.is_file():
            raise BadInput(f"{run.path}: has no {CELLS}; run causal fit with --embed, or leave out "
                           "--data")  # fmt: skip
        latents = read_screen(str(held))
        rows = [int(name.removeprefix("sample")) - 1 for name in latents.obs_names]
        for name, values in latents.obsm.items():
            data.obsm[name] = np.full((data.n_obs, values.shape[1]), np.nan, np.float32)
            data.obsm[name][rows] = values
    if run.verb in WIDE:
        rows, features, layers = profiles(run.verb, tables)
        place = {name: k for k, name in enumerate(features)}
        at = np.array([place.get(name, -1) for name in data.var_names])
        if (at < 0).all():
            raise BadInput(f"{path}: has none of the {len(features):,} features of the run; give "
                           "the file that the run read")  # fmt: skip
        for name in layers:
            values = np.where(at[:, None] < 0, np.nan, layers[name].T[np.maximum(at, 0)])
            frame = framed(pl.DataFrame(dict(zip(titles(rows), values.T, strict=True))))
            data.varm[f"{KEY}_{name}"] = frame.set_index(data.var_names)
    return data


def without_screen(run: Run, tables: dict[str, pl.DataFrame]) -> Any:
    """Perturbations, or profiles of them, as observations."""
    import pandas as pd
    from anndata import AnnData

    if run.verb in WIDE:
        rows, features, layers = profiles(run.verb, tables)
        obs = framed(rows).set_index(pd.Index(titles(rows)))
        var = pd.DataFrame(index=list(features))
        x = layers.pop("predicted")
        return AnnData(x.astype(np.float32), obs=obs, var=var, layers=layers)
    if run.verb == "causal fit":
        shifts = tables["shifts"]
        obs = pd.DataFrame(index=shifts["gene"].to_list())
        return AnnData(obs=obs, obsm={EMBEDDING: shifts.drop("gene").to_numpy()})
    name, by, values = MATRICES[run.verb]
    pairs = tables[name]
    singles = singles_of(stored.read(run.path)) if run.verb == "effects fit" else {}
    names = sorted({*pairs["a"], *pairs["b"], *singles})
    alone = {"single": [singles[name] for name in names]} if singles else {}
    made = AnnData(obs=pd.DataFrame(alone, index=names))
    kinds = [None] if by is None else pairs[by].unique(maintain_order=True)
    for kind in kinds:
        part = pairs if kind is None else pairs.filter(pl.col(str(by)) == kind)
        if "c" in part.columns:
            part = part.filter(pl.col("c").is_null())  # three at once are in no matrix
        for value in values:
            title = value if kind is None else f"{kind}_{value}"
            made.obsp[title] = matrix(part, value, names)
    return made


def profiles(
    verb: str, tables: dict[str, pl.DataFrame]
) -> tuple[pl.DataFrame, tuple[str, ...], dict[str, np.ndarray]]:
    """Keys of each profile, the features, and every column of numbers as [profiles, features]."""
    name, keys, feature = WIDE[verb]
    frame = tables[name]
    rows = frame.select(keys).unique(maintain_order=True)
    features = tuple(frame[feature].unique(maintain_order=True))
    shape = (rows.height, len(features))
    if frame.height != shape[0] * shape[1]:
        raise BadInput(f"{name}.parquet: has {frame.height:,} rows, not {shape[0]:,} profiles of "
                       f"{shape[1]:,} features; run {verb} again")  # fmt: skip
    numbers = [c for c in frame.columns if frame[c].dtype == pl.Float64]
    return rows, features, {c: frame[c].fill_null(np.nan).to_numpy().reshape(shape)
                            for c in numbers}  # fmt: skip


def titles(rows: pl.DataFrame) -> list[str]:
    """A name a profile."""
    return ["|".join(map(str, row)) for row in rows.iter_rows()]


def matrix(pairs: pl.DataFrame, value: str, names: Sequence[str]) -> csr_matrix:
    """A symmetric matrix of perturbations; pairs without a value are not in it."""
    held = pairs.filter(pl.col(value).is_not_null() & pl.col(value).is_not_nan())
    place = {name: k for k, name in enumerate(names)}
    a, b = (held[side].replace_strict(place, return_dtype=pl.Int64).to_numpy() for side in "ab")
    v, apart = held[value].to_numpy(), a != b
    both = (np.r_[v, v[apart]], (np.r_[a, b[apart]], np.r_[b, a[apart]]))
    return csr_matrix(both, shape=(len(names), len(names)))


def read_screen(path: str) -> Any:
    """A whole h5ad file or zarr folder, once it has been found harmless."""
    import anndata

    if not (is_hdf5(path) or is_zarr(path)):
        there = Path(path).exists()
        what = "is neither an h5ad file nor a zarr folder" if there else "no such file"
        raise BadInput(f"{path}: {what}; give the screen that the run read (--data)")
    with opened(path):
        pass
    with reading(path, "the file"):
        return anndata.read_h5ad(path) if is_hdf5(path) else anndata.read_zarr(path)


def same(run: Run, path: str) -> None:
    """Rows are matched by their place, so the file must be the one that was read."""
    if not was_read(run, Path(path)):
        raise BadInput(f"{path}: is not the file that the run read, or has changed since; its "
                       "samples cannot be told apart, give the file itself")  # fmt: skip
