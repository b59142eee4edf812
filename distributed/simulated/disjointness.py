"""Kind `disjointness`: a screen of seven genes, some pairs of which are disjoint.

data.npz (x, perturbation), truth.parquet (a, b, disjoint).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from epistax.distributed.options import Simulate
from epistax.distributed.rundir import RunDir
from epistax.distributed.simulated import screenfiles

CELLS = 2000


def refuse(options: Simulate) -> None:
    """What cannot be made."""
    screenfiles.refuse_genes(options, "7 genes")


def make(options: Simulate, run: RunDir) -> dict[str, Any]:
    """Write the screen and its truth."""
    import jax

    from epistax.engine.simulate import tabular

    made = tabular.disjointness(jax.random.key(options.seed), options.cells or CELLS)
    names = np.array(tabular.GENES)
    i, j = made.pairs
    truth = pl.DataFrame({"a": names[i], "b": names[j], "disjoint": made.disjoint})
    return {
        "data": screenfiles.write(run, made.x, screenfiles.labels(made.codes, names)),
        "truth": str(run.write_table("truth", truth)),
        "genes": len(names),
        "pairs": len(i),
        "observations": len(made.codes),
        "interacting": int((~made.disjoint).sum()),
    }


def describe(summary: Mapping[str, Any]) -> str:
    """What was made."""
    return screenfiles.describe(summary, f"{summary['interacting']} of which interact")
