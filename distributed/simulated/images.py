"""Kind `images`: images of three balls under four genes, some pairs of which are not separable.

data.npz (x: images of 8 bits, perturbation), truth.parquet (a, b, separable, score: the exact
signed KL score).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from epistax.distributed.errors import BadInput
from epistax.distributed.options import Simulate
from epistax.distributed.rundir import RunDir
from epistax.distributed.simulated import screenfiles

CELLS, CLASSES = 2000, 11
LEAST = 16  # pixels, below which a ball is a dot


def refuse(options: Simulate) -> None:
    """What cannot be made."""
    screenfiles.refuse_genes(options, "4 genes")
    if options.size < LEAST:
        raise BadInput(f"--size: {options.size} pixels hold no three balls; give {LEAST} or more")
    cells, size = options.cells or CELLS, options.size
    screenfiles.refuse_large(CLASSES * cells, (size, size, 3), "--cells or --size")


def make(options: Simulate, run: RunDir) -> dict[str, Any]:
    """Write the screen and its truth."""
    import jax

    from epistax.engine.simulate import images, latents

    key, cells = jax.random.key(options.seed), options.cells or CELLS
    made = images.balls(key, cells, hit=options.hit, size=options.size)
    names, apart, x = np.array(latents.FOUR), np.asarray(made.separable), screenfiles.pixels(made.x)
    summary = screenfiles.write_separability(run, made, x, names, separable=apart)
    return {"genes": len(names), "size": options.size} | summary


def describe(summary: Mapping[str, Any]) -> str:
    """What was made."""
    what = f"{summary['separable']} of which are separable"
    return screenfiles.describe(summary, what, test="kl")
