"""Kind `cells`: single cells of known regulation under perturbations of regulators.

data.h5ad             X: counts; obs: perturbation, control, dose, cell_type, donor
graph.csv             source, target: the graph as one has it beforehand, in part wrong
truth.parquet         source, target, weight and, per cell type, whether the edge is open there
effects.npz           mean and se [arms, strata, genes]: expected expression under every arm
counterfactual.npz    rows [cells], y_true [cells, arms, genes]: what these cells would have
                      expressed under every arm, without the noise of counting

Expression is log1p of counts in units of the median cell. A perturbation has the name of the
regulator it acts on; both npz also hold genes, perturbation and dose [arms], of which the first is
the control, effects.npz cell_type and donor [strata].
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from epistax.distributed.errors import BadInput
from epistax.distributed.options import Simulate
from epistax.distributed.rundir import RunDir
from epistax.distributed.simulated import storing

GENES, CELLS = 400, 6000
MOST = 2**28  # counts
AVERAGED = 4000  # cells behind each expected expression
USES = {  # of uns: which column means what, and that X holds counts
    "fields": {
        "perturbation": "perturbation",
        "control": "control",
        "dose": "dose",
        "covariates": np.array(["cell_type", "donor"]),
    },
    "values": "counts",
}


def refuse(options: Simulate) -> None:
    """What cannot be made."""
    genes, cells = options.genes or GENES, options.cells or CELLS
    if genes * cells > MOST:
        raise BadInput(
            f"--cells: {cells:,} cells of {genes:,} genes are {genes * cells:,} counts; at most "
            f"{MOST:,} fit"
        )
    if not 2 <= options.regulators <= genes:
        raise BadInput(
            f"--regulators: {options.regulators} are not 2 to {genes:,}, the number of genes"
        )
    if options.perturbations > options.regulators:
        raise BadInput(
            f"--perturbations: {options.perturbations} need as many regulators, one each, not "
            f"{options.regulators}; give more --regulators"
        )
    if len(set(options.doses)) < len(options.doses) or not options.doses:
        raise BadInput("--doses: give different ones, such as .3,.6,1")
    if options.followed > cells:
        raise BadInput(f"--followed: {options.followed:,} exceed the {cells:,} cells")


def make(options: Simulate, run: RunDir) -> dict[str, Any]:
    """Write the cells, the graph and what is true of them."""
    import jax
    import jax.numpy as jnp
    from scipy.sparse import csr_matrix

    from epistax.engine.simulate import cells
    from epistax.engine.simulate.cells_world import Size

    size = Size(
        genes=options.genes or GENES,
        cells=options.cells or CELLS,
        regulators=options.regulators,
        perturbations=options.perturbations,
        types=options.types,
        donors=options.donors,
        doses=options.doses,
        depth=options.depth,
        confounded=options.confounded,
    )
    k_cells, k_effects = jax.random.split(jax.random.key(options.seed))
    made = cells.simulate(k_cells, size)
    mean, se = cells.marginal(k_effects, made, size, cells=AVERAGED)
    rows = jnp.arange(options.followed)
    clean, _ = cells.outcomes(made, rows, size)
    names = named(size.genes, size.regulators)
    hit = [names[k] for k in made.world.hit]
    perturbation = np.array(["control", *np.repeat(hit, len(size.doses))])
    dose = np.array([1.0, *np.tile(size.doses, len(hit))])
    kinds = np.array([f"type{k + 1}" for k in np.asarray(made.strata)[:, 0]])
    donors = np.array([f"donor{k + 1}" for k in np.asarray(made.strata)[:, 1]])
    arm, stratum = np.asarray(made.arm), np.asarray(made.stratum)
    obs = {
        "perturbation": perturbation[arm],
        "control": (arm == 0).astype(np.int8),
        "dose": dose[arm],
        "cell_type": kinds[stratum],
        "donor": donors[stratum],
    }
    arms = {"genes": names, "perturbation": perturbation, "dose": dose}
    groups = {"cell_type": kinds, "donor": donors, "mean": np.asarray(mean), "se": np.asarray(se)}
    followed = {"rows": np.asarray(rows), "y_true": np.asarray(clean, np.float32)}
    graph, truth = edges(made, names)
    return {
        "data": storing.write_h5ad(
            run,
            csr_matrix(np.asarray(made.counts, np.float32)),
            obs,
            names=names,
            rows="cell",
            uns=USES,
        ),
        "graph": str(run.write("graph.csv", graph.write_csv())),
        "truth": str(run.write_table("truth", truth)),
        "effects": storing.write_npz(run, "effects.npz", arms | groups),
        "counterfactual": storing.write_npz(run, "counterfactual.npz", arms | followed),
        "cells": size.cells,
        "genes": size.genes,
        "regulators": size.regulators,
        "perturbations": size.perturbations,
        "edges": truth.height,
        "known_edges": graph.height,
        "right": graph.join(truth, on=["source", "target"], how="semi").height,
        "zeros": float((np.asarray(made.counts) == 0).mean()),
        "library": float(made.library),
    }


def named(genes: int, regulators: int) -> np.ndarray:
    """TF1, TF2, ... for regulators, which come first, and G1, G2, ... for what they regulate."""
    tf = [f"TF{k + 1:0{len(str(regulators))}d}" for k in range(regulators)]
    rest = genes - regulators
    return np.array([*tf, *(f"G{k + 1:0{len(str(rest))}d}" for k in range(rest))])


def edges(made: Any, names: np.ndarray) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The prior graph and the true one, each edge a row."""
    target, source = np.nonzero(np.asarray(made.prior))
    graph = pl.DataFrame({"source": names[source], "target": names[target]})
    target, source = np.nonzero(np.asarray(made.world.edges))
    opened = {
        f"open_type{k + 1}": table[target, source]
        for k, table in enumerate(np.asarray(made.world.open))
    }
    weight = np.asarray(made.world.weight)[target, source]
    known = {"source": names[source], "target": names[target], "weight": weight}
    return graph, pl.DataFrame(known | opened)


def describe(summary: Mapping[str, Any]) -> str:
    """What was made, where it is, and what can be done with it."""
    return (
        f"{summary['cells']:,} cells of {summary['genes']:,} genes under "
        f"{summary['perturbations']} perturbations, {summary['library']:,.0f} counts in the median "
        f"cell, {summary['zeros']:.0%} of all counts 0\n"
        f"{summary['edges']:,} edges from {summary['regulators']} regulators; the graph beforehand "
        f"has {summary['known_edges']:,}, {summary['right']:,} of them right\n"
        f"data:  {summary['data']}\n"
        f"graph: {summary['graph']}\n"
        f"truth: {summary['truth']}\n"
        f"next:  epistax response benchmark {summary['data']} --graph {summary['graph']} --out DIR"
    )
