"""What is true of simulated environments: what `epistax simulate scm | l1000` writes beside them.

truth.parquet says which latent is the target of each environment (-1: none). The latents of the
samples and, of linear worlds, how features follow from them are in the data, or in latents.npz.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from epistax.distributed.causal.reading import EnvironmentTable
from epistax.distributed.errors import BadInput
from epistax.distributed.formats import npz

TARGETS, LATENTS = "truth.parquet", "latents.npz"
UNKNOWN = -1  # target: none, or nobody knows


class Linear(NamedTuple):
    """x = M C + noise, C = W C + Z: of two or more latents whose noises are normal."""

    mixing: np.ndarray  # [g, d]
    edges: np.ndarray  # [d, d]
    sd: np.ndarray  # [d], of the noises of latents
    noise: float  # sd of what is added to each feature


@dataclass(frozen=True)
class Truth:
    """In the order of a table's environments, samples and features."""

    target: np.ndarray  # int [e]
    offset: np.ndarray  # float [e], what is added to the noise of the target
    c: np.ndarray | None  # float [n, d], latents of the samples
    linear: Linear | None


def beside(path: str) -> list[str]:
    """Files that hold the truth beside a data file; none where there is no table of targets."""
    folder = Path(path).parent
    if not (folder / TARGETS).is_file():
        return []
    return [str(folder / name) for name in (TARGETS, LATENTS) if (folder / name).is_file()]


def read_truth(path: str, table: EnvironmentTable) -> Truth | None:
    """The truth of a table; None without any, and of one that is about other things."""
    files = beside(path)
    if not files:
        return None
    try:
        frame = pl.read_parquet(files[0])
    except (pl.exceptions.PolarsError, OSError):
        raise BadInput(f"{files[0]}: is damaged; make both again, or move it away") from None
    if not {"environment", "target", "offset"} <= set(frame.columns):
        return None
    names = frame["environment"].cast(pl.String).to_list()
    place = {name: k for k, name in enumerate(names)}
    every = table.every
    at = np.array([len(names) if p < 0 else place.get(table.coding.names[p], len(names))
                   for p in every.perturbation], int)  # fmt: skip
    target = np.append(frame["target"].to_numpy(), UNKNOWN)[at]
    offset = np.append(frame["offset"].to_numpy(), 0.0)[at]
    held = [path] if path.endswith(".npz") else files[1:]
    arrays = npz.load(held[0], {"c", "mixing", "edges", "sd", "noise"}) if held else {}
    c = arrays.get("c")
    if c is not None and (c.ndim != 2 or len(c) <= table.rows.max()):
        raise BadInput(
            f"{held[0]}: `c` has {len(c):,} rows, not one for each sample; make both again with "
            "simulate, or move it away"
        )
    return Truth(target, offset, None if c is None else c[table.rows], linear(arrays, table))


def linear(arrays: dict[str, np.ndarray], table: EnvironmentTable) -> Linear | None:
    """How features follow from latents; None where they do not in a straight line."""
    if not {"mixing", "edges", "sd", "noise"} <= set(arrays):
        return None
    mixing = arrays["mixing"]
    if mixing.ndim != 2 or len(mixing) <= table.columns.max():
        return None
    parts = (arrays[name].astype(np.float64) for name in ("edges", "sd"))
    return Linear(mixing[table.columns].astype(np.float64), *parts, float(arrays["noise"]))
