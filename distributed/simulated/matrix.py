"""Kind `matrix`: a pair matrix of any size.

data.parquet (a, b, score; with --singles also rows (g, control)) without the pairs left
unmeasured, truth.parquet (a, b, true_score, true_interaction, strong) with all of them.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from epistax.distributed.errors import BadInput
from epistax.distributed.options import Simulate
from epistax.distributed.rundir import RunDir

STATIC = ("rank", "strong", "noise", "missing", "positive", "singles")
GENES = 200
MOST = 50_000_000  # pairs in one table


def refuse(options: Simulate) -> None:
    """What cannot be made."""
    if options.cells is not None:
        raise BadInput("--cells: a matrix has no cells; drop it")
    p = options.genes or GENES
    q = p * (p - 1) // 2
    if q < 1:
        raise BadInput(f"--genes: {p} gene has no pair; give 2 or more")
    if q > MOST:
        raise BadInput(
            f"--genes: {p:,} genes have {q:,} pairs; at most {MOST:,} (10,000 genes) fit"
        )
    if options.rank > p:
        raise BadInput(f"--rank: {options.rank} exceeds the {p} genes; give at most {p}")


def make(options: Simulate, run: RunDir) -> dict[str, Any]:
    """Write the matrix and its truth."""
    import jax  # here: a refusal should not wait for it

    from epistax.engine.simulate.matrices import Matrix, matrix

    p = options.genes or GENES
    q = p * (p - 1) // 2
    made: Matrix = jax.tree.map(
        np.asarray,
        jax.jit(matrix, static_argnums=1, static_argnames=STATIC)(
            jax.random.key(options.seed),
            p,
            rank=options.rank,
            strong=round(options.strong * q),
            noise=options.noise,
            missing=options.missing,
            positive=options.form == "positive",
            singles=options.singles,
        ),
    )
    names = pl.Series([f"G{k:05d}" for k in range(1, p + 1)])
    pairs = pl.DataFrame({"a": names.gather(made.pairs.i), "b": names.gather(made.pairs.j)})
    data = pairs.with_columns(score=made.score).filter(pl.Series(made.measured))
    if options.singles:
        alone = pl.DataFrame({"a": names, "b": "control", "score": made.single})
        data = pl.concat([data, alone])
    written = run.write_table("data", data)
    truth = {
        "true_score": made.true_score,
        "true_interaction": made.true_interaction,
        "strong": made.strong,
    }
    known = pairs.with_columns(**{k: pl.Series(v) for k, v in truth.items()})
    return {
        "data": str(written),
        "truth": str(run.write_table("truth", known)),
        "genes": p,
        "pairs": q,
        "measured": int(made.measured.sum()),
        "strong": int(made.strong.sum()),
        "score_sd": float(made.score.std()),
        "noise_sd": float((made.score - made.true_score).std()),
    }


def describe(summary: Mapping[str, Any]) -> str:
    """What was made, where it is, and what can be done with it."""
    return (
        f"{summary['measured']:,} of {summary['pairs']:,} pairs of {summary['genes']:,} genes, "
        f"{summary['strong']:,} of them strong; score sd {summary['score_sd']:.3g}, "
        f"noise sd {summary['noise_sd']:.3g}\n"
        f"data:  {summary['data']}\n"
        f"truth: {summary['truth']}\n"
        f"next:  epistax discover {summary['data']} --out DIR"
    )
