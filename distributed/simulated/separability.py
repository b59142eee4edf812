"""Kind `separability`: a screen of four genes, some pairs of which are not separable.

data.npz (x, perturbation), truth.parquet (a, b, separable, score: the exact signed KL score).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from epistax.distributed.errors import BadInput
from epistax.distributed.options import Simulate
from epistax.distributed.rundir import RunDir
from epistax.distributed.simulated import screenfiles

CELLS, LATENTS = 5000, 2


def refuse(options: Simulate) -> None:
    """What cannot be made."""
    screenfiles.refuse_genes(options, "4 genes")
    if options.latents < LATENTS:
        raise BadInput(f"--latents: the genes hit {LATENTS}, not {options.latents}; give 2 or more")


def make(options: Simulate, run: RunDir) -> dict[str, Any]:
    """Write the screen and its truth."""
    import jax

    from epistax.engine.simulate import latents, tabular

    made = tabular.separability(
        jax.random.key(options.seed),
        options.cells or CELLS,
        hit=options.hit,
        latents=options.latents,
    )
    names, apart = np.array(latents.FOUR), np.asarray(made.separable)
    summary = screenfiles.write_separability(run, made, made.x, names, separable=apart)
    return {"genes": len(names)} | summary


def describe(summary: Mapping[str, Any]) -> str:
    """What was made."""
    what = f"{summary['separable']} of which are separable"
    return screenfiles.describe(summary, what, test="kl")
