"""Simulated arrays and annotated data as files of a run directory."""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np

from epistax.distributed.formats.h5ad import packed
from epistax.distributed.rundir import RunDir


def write_npz(run: RunDir, name: str, arrays: Mapping[str, np.ndarray]) -> str:
    """Arrays by name; the path."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return str(run.write(name, buffer.getvalue()))


def write_h5ad(
    run: RunDir,
    x: Any,
    obs: Mapping[str, np.ndarray],
    *,
    names: np.ndarray,
    rows: str,
    obsm: Mapping[str, np.ndarray] | None = None,
    uns: Mapping[str, Any] | None = None,
) -> str:
    """X of features `names` as data.h5ad, its rows numbered; texts become categories. The path."""
    import pandas as pd
    from anndata import AnnData

    texts = {k: pd.Categorical(v) if v.dtype.kind == "U" else v for k, v in obs.items()}
    data = AnnData(
        X=x,
        obs=pd.DataFrame(texts, index=[f"{rows}{k + 1}" for k in range(x.shape[0])]),
        var=pd.DataFrame(index=names),
        obsm=obsm,
        uns=uns,
    )
    return str(run.write("data.h5ad", packed(data)))
