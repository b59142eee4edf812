"""`epistax simulate`: data of known truth.

matrix: data.parquet (a, b, score; with --singles also rows (g, control)) without the pairs left
unmeasured, truth.parquet (a, b, true_score, true_interaction, strong) with all of them.
disjointness: data.npz (x, perturbation), a screen of 7 genes; truth.parquet (a, b, disjoint).
"""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from epistax.distributed.errors import BadInput
from epistax.distributed.options import Simulate
from epistax.distributed.rundir import RunDir

STATIC = ("rank", "strong", "noise", "missing", "positive", "singles")
MOST = 50_000_000  # pairs in one table


def run(options: Simulate) -> dict[str, Any]:
    """Write the data and their truth."""
    q = refuse(options) if options.kind == "matrix" else 0
    with RunDir.open(options, verb="simulate") as run:
        if run.finished:
            return run.summary
        made = matrix_of(options, run, q) if options.kind == "matrix" else screen_of(options, run)
        return run.finish({"kind": options.kind} | made)


def matrix_of(options: Simulate, run: RunDir, q: int) -> dict[str, Any]:
    """A pair matrix."""
    import jax  # here: a refusal should not wait for it

    from epistax.engine.simulate.matrices import Matrix, matrix

    made: Matrix = jax.tree.map(
        np.asarray,
        jax.jit(matrix, static_argnums=1, static_argnames=STATIC)(
            jax.random.key(options.seed),
            options.genes,
            rank=options.rank,
            strong=round(options.strong * q),
            noise=options.noise,
            missing=options.missing,
            positive=options.form == "positive",
            singles=options.singles,
        ),
    )
    names = pl.Series([f"G{k:05d}" for k in range(1, options.genes + 1)])
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
        "genes": options.genes,
        "pairs": q,
        "measured": int(made.measured.sum()),
        "strong": int(made.strong.sum()),
        "score_sd": float(made.score.std()),
        "noise_sd": float((made.score - made.true_score).std()),
    }


def screen_of(options: Simulate, run: RunDir) -> dict[str, Any]:
    """A screen with many observations of every perturbation."""
    import jax

    from epistax.engine.simulate import tabular

    made = tabular.disjointness(jax.random.key(options.seed), options.cells)
    names = np.array([*tabular.GENES, ""])  # the last answers for -1
    first, second = names[made.codes[:, 0]], names[made.codes[:, 1]]
    both = np.where(first == "", second, np.char.add(np.char.add(first, "+"), second))
    buffer = io.BytesIO()
    np.savez(buffer, x=np.asarray(made.x), perturbation=np.where(second == "", "control", both))
    written = run.write("data.npz", buffer.getvalue())
    i, j = made.pairs
    truth = pl.DataFrame({"a": names[i], "b": names[j], "disjoint": made.disjoint})
    return {
        "data": str(written),
        "truth": str(run.write_table("truth", truth)),
        "genes": len(tabular.GENES),
        "pairs": len(i),
        "observations": len(made.codes),
        "interacting": int((~made.disjoint).sum()),
    }


def describe(summary: Mapping[str, Any]) -> str:
    """What was made, where it is, and what can be done with it."""
    if summary["kind"] != "matrix":
        return (
            f"{summary['observations']:,} observations of {summary['genes']} genes and their "
            f"{summary['pairs']} pairs, {summary['interacting']} of which interact\n"
            f"data:  {summary['data']}\n"
            f"truth: {summary['truth']}\n"
            f"next:  epistax score {summary['data']} --out DIR"
        )
    return (
        f"{summary['measured']:,} of {summary['pairs']:,} pairs of {summary['genes']:,} genes, "
        f"{summary['strong']:,} of them strong; score sd {summary['score_sd']:.3g}, "
        f"noise sd {summary['noise_sd']:.3g}\n"
        f"data:  {summary['data']}\n"
        f"truth: {summary['truth']}\n"
        f"next:  epistax discover {summary['data']} --out DIR"
    )


def refuse(options: Simulate) -> int:
    """The number of pairs, if it can be made."""
    p = options.genes
    q = p * (p - 1) // 2
    if q < 1:
        raise BadInput(f"--genes: {p} gene has no pair; give 2 or more")
    if q > MOST:
        raise BadInput(
            f"--genes: {p:,} genes have {q:,} pairs; at most {MOST:,} (10,000 genes) fit"
        )
    if options.rank > p:
        raise BadInput(f"--rank: {options.rank} exceeds the {p} genes; give at most {p}")
    return q
