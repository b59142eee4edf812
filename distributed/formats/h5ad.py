"""AnnData as the bytes of an h5ad file, and tables in the form that it takes."""

import io
from typing import Any

import polars as pl


def packed(data: Any) -> bytes:
    """An AnnData, compressed."""
    import h5py
    from anndata.io import write_elem

    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        write_elem(file, "/", data, dataset_kwargs={"compression": "gzip"})
    return buffer.getvalue()


def framed(frame: pl.DataFrame) -> Any:
    """A table of pandas whose texts are categories, the one form of text every version writes."""
    import numpy as np
    import pandas as pd

    columns: dict[str, Any] = {}
    for column in frame:
        if column.dtype == pl.String:
            words = sorted(column.drop_nulls().unique().to_list())
            code = column.cast(pl.Enum(words)).to_physical().cast(pl.Int64).fill_null(-1)
            columns[column.name] = pd.Categorical.from_codes(code.to_numpy(), words)
        elif column.null_count():
            columns[column.name] = column.cast(pl.Float64).fill_null(np.nan).to_numpy()
        else:
            columns[column.name] = column.to_numpy()
    return pd.DataFrame(columns, index=[str(k) for k in range(frame.height)])
