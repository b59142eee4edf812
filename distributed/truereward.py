"""True rewards of the pairs, where a simulation knows them: to judge by, never to choose by."""

from pathlib import Path

import numpy as np
import polars as pl

from epistax.distributed.errors import BadInput
from epistax.distributed.formats.sheets import open_parquet
from epistax.distributed.formats.where import listed
from epistax.distributed.pool import Pool
from epistax.engine.reward import Kind

COLUMNS = {
    "score": ("true_score", "r"),
    "abs": ("true_score", "r"),
    "interaction": ("true_interaction",),
}


def true_reward(path: str, column: str | None, kind: Kind, data: Pool) -> np.ndarray:
    """Of every pair of the pool, float64 [q]: the column as it is, its size for signed rewards."""
    if Path(path).suffix != ".parquet":
        raise BadInput(f"--truth: {path} is no parquet file; give a simulation's truth.parquet")
    frame = open_parquet(path, path).frame
    assert frame is not None
    if not {"a", "b"} <= set(frame.columns):
        raise BadInput(f"--truth: {path} has no columns a, b; it is not the truth of a simulation")
    numbers = [name for name, kind in frame.schema.items() if kind.is_numeric()]
    name = column or next((c for c in COLUMNS[kind] if c in numbers), None)
    if name not in numbers:
        lacks = f"no column of numbers {column!r}" if column else f"none of {COLUMNS[kind]}"
        raise BadInput(
            f"--truth-column: {path} has {lacks}; its columns of numbers are {listed(numbers)}"
        )
    names = np.array(data.names)
    wanted = pl.DataFrame({"a": names[data.pairs.i], "b": names[data.pairs.j]})
    ordered = frame.select(
        a=pl.min_horizontal("a", "b"), b=pl.max_horizontal("a", "b"), value=pl.col(name)
    ).unique(["a", "b"])
    both = wanted.join(ordered, on=["a", "b"], how="left", maintain_order="left")
    value = both["value"].cast(pl.Float64).to_numpy()
    lost = both.filter(~pl.Series(np.isfinite(value)))
    if lost.height:
        shown = listed([f"{a}+{b}" for a, b, _ in lost.head(6).rows()], lost.height)
        raise BadInput(
            f"--truth: {path} says nothing of {lost.height:,} of the {len(value):,} pairs: {shown}"
        )
    return value if kind == "score" else np.abs(value)
