"""Reading of files: our readers against the libraries that they stand on.

`io.pairs`: a table of pairs and scores, as `discover` and `effects` read it, against polars reading
the same file to the same arrays (names, pairs i < j in order, scores). Ours also looks for what is
wrong with the file and counts what it leaves out.
`io.cells`: float32 values of cells with their labels, as `score` reads them, against
`anndata.read_h5ad` or `read_zarr` and the same arrays of it. Peak memory is that of children of
their own, of both sides (`reference_peak_rss_mb`). Files are in the page cache for both.
"""

import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from epistax.benchmarks import harness
from epistax.benchmarks.harness import Maker, Record
from epistax.engine.pairs import count, unrank

ROWS, GENES = 100_000, 600  # of a pair table
CELLS, FEATURES, ARMS = 125_000, 2000, 200  # 1 GB in float32
MIXED = 20_000  # cells of the zarr


class Table(NamedTuple):
    """A pair table as arrays."""

    names: tuple[str, ...]
    i: np.ndarray  # int32 [q], i < j, sorted by (i, j)
    j: np.ndarray
    score: np.ndarray  # float64 [q]


class Cells(NamedTuple):
    """A screen as arrays."""

    x: np.ndarray  # float32 [n, d]
    names: tuple[str, ...]  # perturbations, sorted; the control is none
    codes: np.ndarray  # int32 [n], -1 for control


def suite(*, size: int | None, repeats: int, seed: int) -> Iterator[Record]:
    """100,000 pairs and 1 GB of cells, or the given number of pairs and cells."""
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("csv", "parquet"):
            path = Path(folder) / f"pairs.{kind}"
            scale = {"rows": size or ROWS, "path": str(path)}
            write_pairs(path, size or ROWS, seed)
            yield compared("io.pairs", scale, (pairs, polars_pairs), "polars", repeats)
            path.unlink()
        for kind, n in (("h5ad", size or CELLS), ("zarr", size or MIXED)):
            path = Path(folder) / f"cells.{kind}"
            scale = {"rows": n, "features": FEATURES if size is None else 50, "path": str(path)}
            write_cells(path, n, scale["features"], seed)
            yield compared("io.cells", scale, (cells, anndata_cells), "anndata", repeats)


def compared(
    name: str, scale: dict[str, Any], sides: tuple[Maker, Maker], reference: str, repeats: int
) -> Record:
    """The record of both sides, which read the same; without the path, which was a passing one."""
    same(*(side(**scale)() for side in sides))
    theirs = harness.alone(sides[1], scale)
    record = harness.measure(name, scale, *sides, reference, repeats=repeats)
    path = Path(record["size"].pop("path"))
    record["size"]["kind"] = path.suffix[1:]
    files = [path] if path.is_file() else [part for part in path.rglob("*") if part.is_file()]
    megabytes = sum(file.stat().st_size for file in files) / 2**20
    return record | {"megabytes": megabytes, "reference_peak_rss_mb": theirs["peak_rss_mb"]}


def same(left: Any, right: Any) -> None:
    """Fail unless both sides read the same."""
    for field, a, b in zip(left._fields, left, right, strict=True):
        if not (a == b if isinstance(a, tuple) else np.array_equal(a, b)):
            raise RuntimeError(f"the two sides read different `{field}`: no fair comparison")


def pairs(rows: int, path: str) -> Callable[[], Table]:
    """Our reader of pair tables."""
    from epistax.distributed.formats.tables import read_pairs

    def read() -> Table:
        table = read_pairs(path)
        return Table(table.names, table.i, table.j, table.score)

    return read


def polars_pairs(rows: int, path: str) -> Callable[[], Table]:
    """What one would write with polars."""
    import polars as pl

    def read() -> Table:
        frame = pl.read_csv(path) if path.endswith("csv") else pl.read_parquet(path)
        names = pl.concat([frame["a"], frame["b"]]).unique().sort()
        kind = pl.Enum(names)
        frame = frame.with_columns(pl.col("a", "b").cast(kind).to_physical().cast(pl.Int32))
        frame = frame.select(
            i=pl.min_horizontal("a", "b"), j=pl.max_horizontal("a", "b"), score="score"
        ).sort("i", "j")
        return Table(tuple(names.to_list()), *(column.to_numpy() for column in frame))

    return read


def cells(rows: int, features: int, path: str) -> Callable[[], Cells]:
    """Our reader of screens."""
    from epistax.distributed.formats.screens import read_screen
    from epistax.distributed.options.shared import ScreenOptions

    def read() -> Cells:
        screen = read_screen(path, ScreenOptions())
        return Cells(screen.x, screen.names, screen.codes[:, 1])

    return read


def anndata_cells(rows: int, features: int, path: str) -> Callable[[], Cells]:
    """What one would write with anndata."""
    import anndata
    import pandas as pd

    def read() -> Cells:
        reads = anndata.read_h5ad if path.endswith("h5ad") else anndata.read_zarr
        data = reads(path)
        label = pd.Categorical(data.obs["perturbation"])
        names = [name for name in label.categories if name != "control"]
        number = np.array([-1 if c == "control" else names.index(c) for c in label.categories])
        return Cells(data.X, tuple(names), number[label.codes].astype(np.int32))

    return read


def write_pairs(path: Path, rows: int, seed: int) -> None:
    """Distinct pairs of named genes in no order, the names of a row in either order."""
    import polars as pl

    rng = np.random.default_rng(seed)
    p = max(GENES, int(2 * rows**0.5))
    one, other = unrank(rng.choice(count(p), rows, replace=False), p)
    names = np.array([f"G{k:05d}" for k in range(p)])
    swap = rng.random(rows) < 0.5
    a, b = names[np.where(swap, one, other)], names[np.where(swap, other, one)]
    frame = pl.DataFrame({"a": a, "b": b, "score": rng.normal(size=rows)})
    if path.suffix == ".csv":
        frame.write_csv(path)
    else:
        frame.write_parquet(path)


def write_cells(path: Path, n: int, d: int, seed: int) -> None:
    """Dense float32 values, as anndata writes them by default."""
    import anndata
    import pandas as pd

    rng = np.random.default_rng(seed)
    arms = np.array(["control", *(f"G{k:03d}" for k in range(ARMS))])
    # every arm is there, then as chance has it
    arm = np.r_[np.arange(len(arms)), rng.integers(0, len(arms), n)][:n]
    obs = pd.DataFrame({"perturbation": pd.Categorical(arms[arm])}, index=[*map(str, range(n))])
    x = rng.standard_normal((n, d), dtype=np.float32)
    var = pd.DataFrame(index=[f"f{k}" for k in range(d)])
    data = anndata.AnnData(x, obs=obs, var=var)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the zarr format that it may write one day
        data.write_h5ad(path) if path.suffix == ".h5ad" else data.write_zarr(path)


if __name__ == "__main__":
    harness.main(suite)
