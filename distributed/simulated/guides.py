"""Kind `guides`: single cells in six stains under three guides of each of two genes.

data.npz (x: images of 8 bits, perturbation), truth.parquet (a, b, same_gene, score: the exact
signed KL score). Which latents each gene hits is in summary.json.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from epistax.distributed.options import Simulate
from epistax.distributed.rundir import RunDir
from epistax.distributed.simulated import screenfiles

CELLS, CLASSES = 2000, 22
IMAGE = (32, 32, 6)


def refuse(options: Simulate) -> None:
    """What cannot be made."""
    screenfiles.refuse_genes(options, "2 genes of 3 guides")
    screenfiles.refuse_large(CLASSES * (options.cells or CELLS), IMAGE, "--cells")


def make(options: Simulate, run: RunDir) -> dict[str, Any]:
    """Write the screen and its truth."""
    import jax

    from epistax.engine.simulate import guides

    made = guides.guides(jax.random.key(options.seed), options.cells or CELLS)
    names, same = np.array(guides.GUIDES), ~np.asarray(made.separable)
    x = screenfiles.pixels(made.x)
    summary = screenfiles.write_separability(run, made, x, names, same_gene=same)
    hit: dict[str, list[str]] = {}  # of each gene
    for name, strength in zip(guides.GUIDES, np.asarray(made.strength), strict=True):
        hit[name[0]] = [guides.LATENTS[k] for k in np.flatnonzero(strength)]
    return {"genes": len(hit), "guides": len(names), "hit": hit} | summary


def describe(summary: Mapping[str, Any]) -> str:
    """What was made."""
    what = f"{summary['same_gene']} of which target one gene"
    text = screenfiles.describe(summary, what, noun="guides", test="kl")
    hit = (f"gene {gene} changes {' and '.join(names)}" for gene, names in summary["hit"].items())
    return text + "\ntruly: " + "; ".join(hit)
