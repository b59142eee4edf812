"""Kind `l1000`: expression under compounds known by their fingerprints, each of one target.

data.h5ad        X; obs: perturbation, cell_line, plate, dose (um; 0 of DMSO), time (hours), split;
                 obsm fingerprint
truth.parquet    environment, target (-1 of DMSO), offset (at the largest doses), split
latents.npz      c (latents of each sample), mixing (x = mixing c and what plates, lines and noise
                 add)
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from epistax.distributed.errors import BadInput
from epistax.distributed.options import Simulate
from epistax.distributed.rundir import RunDir
from epistax.distributed.simulated import storing

ENVIRONMENTS, GENES, LATENTS = 1017, 978, 50
EACH = 25  # samples a compound and its share of the controls, rounded up
MOST = 2**27  # values of X
REFERENCE = "DMSO"


def refuse(options: Simulate) -> None:
    """What cannot be made."""
    e, g, d = sizes(options)
    if options.cells is not None:
        raise BadInput("--cells: how many samples a compound has is drawn, 21 on average; drop it")
    if e < 3:
        raise BadInput(f"--environments: {e} cannot be learnt from and held out; give 3 or more")
    if g < d:
        raise BadInput(f"--genes: {g} genes cannot show {d} latents; give at least {d}")
    if e * EACH * g > MOST:
        raise BadInput(
            f"--environments: {e:,} compounds, {g:,} genes are about {e * EACH * g:,} values; at "
            f"most {MOST:,} fit"
        )


def sizes(options: Simulate) -> tuple[int, int, int]:
    """Compounds, genes and latents."""
    return (
        options.environments or ENVIRONMENTS,
        options.genes or GENES,
        options.targets or LATENTS,
    )


def make(options: Simulate, run: RunDir) -> dict[str, Any]:
    """Write the samples and what is true of them."""
    import jax

    from epistax.engine.simulate import l1000

    e, g, d = sizes(options)
    size = l1000.Size(environments=e, genes=g, latents=d)
    k_counts, k_samples = jax.random.split(jax.random.key(options.seed))
    counts = l1000.counts(k_counts, size)
    made = l1000.simulate(k_samples, np.repeat(np.arange(e + 1), counts), size)
    named = {"C": e, "L": size.lines, "P": size.plates, "G": g}
    compounds, lines, plates, genes = (numbered(*both) for both in named.items())
    names = np.concatenate([[REFERENCE], compounds])
    split = np.where(np.asarray(made.held_out), "validation", "train")
    rows = np.asarray(made.environment)
    obs = {
        "perturbation": names[rows],
        "cell_line": lines[np.asarray(made.line)],
        "plate": plates[np.asarray(made.plate)],
        "dose": np.round(np.asarray(made.dose, np.float64), 2),
        "time": np.asarray(made.time),
        "split": split[rows],
    }
    truth = pl.DataFrame(
        {
            "environment": names,
            "target": np.asarray(made.target),
            "offset": np.asarray(made.offset, np.float64),
            "split": split,
        }
    )
    bits = np.asarray(made.vectors, np.uint8)
    latents = {"c": np.asarray(made.c), "mixing": np.asarray(made.mixing)}
    return {
        "data": storing.write_h5ad(
            run,
            np.asarray(made.x),
            obs,
            names=genes,
            rows="sample",
            obsm={"fingerprint": bits[rows]},
        ),
        "truth": str(run.write_table("truth", truth)),
        "latents": storing.write_npz(run, "latents.npz", latents),
        "samples": len(rows),
        "genes": g,
        "controls": int(counts[0]),
        "compounds": e,
        "held_out": int(np.asarray(made.held_out).sum()),
        "largest": int(counts[1:].max()),
    }


def numbered(letter: str, count: int) -> np.ndarray:
    """C01, C02, ..."""
    return np.array([f"{letter}{k + 1:0{len(str(count))}d}" for k in range(count)])


def describe(summary: Mapping[str, Any]) -> str:
    """What was made, where it is, and what can be done with it."""
    return (
        f"{summary['samples']:,} samples of {summary['genes']:,} genes under "
        f"{summary['compounds']:,} compounds, {summary['held_out']:,} of them held out, and "
        f"{summary['controls']:,} of {REFERENCE}\n"
        f"data:  {summary['data']}\n"
        f"truth: {summary['truth']}\n"
        f"next:  epistax causal benchmark {summary['data']} --out DIR"
    )
