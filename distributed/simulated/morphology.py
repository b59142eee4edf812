"""Kind `morphology`: the 50-gene screen, in wells or in single cells.

data.npz          x, perturbation; of wells also plate, well, guide
truth.parquet     a, b, same_pathway and, of wells: r, gamma, synthetic_lethal, interacting;
                  of saturating cells: separable; of cells in states: disjoint
genes.parquet     gene, pathway
pathways.gmt, of wells also synthetic_lethal.csv    the known relations, for --known
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from epistax.distributed.errors import BadInput
from epistax.distributed.options import Simulate
from epistax.distributed.rundir import RunDir
from epistax.distributed.simulated import screenfiles

GENES, PATHWAYS = 50, 15
MOST = 400  # genes: 80,000 pairs, a million wells
TOP = 0.05  # share of the pairs that counts as interacting
OF_WELLS = ("features", "wells", "scale")
LETTERS = "ABCDEFGHIJKLMNOP"


def refuse(options: Simulate) -> None:
    """What cannot be made."""
    p, k = options.genes or GENES, options.pathways
    if not 2 <= p <= MOST:
        raise BadInput(f"--genes: a morphology screen has 2 to {MOST} genes, not {p:,}")
    if k > PATHWAYS:
        raise BadInput(f"--pathways: there are {PATHWAYS}, not {k}")
    if k > p:
        raise BadInput(
            f"--pathways: {k} pathways need at least as many genes, not {p}; give at most {p}"
        )
    if options.mode == "wells" and options.cells is not None:
        raise BadInput("--cells: wells have none; give --wells, or --mode cells or mixture")
    for name in OF_WELLS if options.mode != "wells" else ():
        if getattr(options, name) != getattr(Simulate, name):
            raise BadInput(f"--{name}: is of --mode wells, not of {options.mode}; drop it")
    least = k + 4
    if options.features < least:
        raise BadInput(
            f"--features: {k} pathways and 4 interaction axes need at least {least} features, "
            f"not {options.features}"
        )


def make(options: Simulate, run: RunDir) -> dict[str, Any]:
    """Write the screen, its truth and its known relations."""
    import jax

    from epistax.engine.simulate import morphology

    k_genes, k_data = jax.random.split(jax.random.key(options.seed))
    genes = morphology.biology(
        k_genes, options.genes or GENES, pathways=options.pathways, d=options.features
    )
    names = named(genes.pathway)
    maker = wells if options.mode == "wells" else cells
    data, n, truth = maker(k_data, genes, names, options, run)
    a, b = screenfiles.ordered(*(names[np.asarray(side)] for side in genes.pairs))
    pairs = pl.DataFrame({"a": a, "b": b})
    known = pairs.with_columns(
        same_pathway=genes.same_pathway, synthetic_lethal=np.asarray(genes.lethal)
    )
    if options.mode != "wells":
        known = known.drop("synthetic_lethal")
    relations = write_known(run, known, names, [morphology.NAMES[k] for k in genes.pathway])
    return {
        "mode": options.mode,
        "data": data,
        "truth": str(run.write_table("truth", known.with_columns(**truth))),
        "known": relations,
        "genes": len(names),
        "pathways": options.pathways,
        "pairs": len(a),
        "observations": n,
        "same_pathway": int(genes.same_pathway.sum()),
        **{name: int(v.sum()) for name, v in truth.items() if v.dtype == bool},
    }


def named(pathway: np.ndarray) -> np.ndarray:
    """Invented names that tell the pathway: APO1, APO2, AUT1, ..."""
    from epistax.engine.simulate.morphology import NAMES

    short = ["MAA" if n == "mTOR amino acid" else "TLM" if n == "translation mTOR" else
             "TSC" if n == "transcription" else n[:3].upper() for n in NAMES]  # fmt: skip
    nth = [int((pathway[:k] == own).sum()) + 1 for k, own in enumerate(pathway)]
    return np.array([f"{short[own]}{n}" for own, n in zip(pathway, nth, strict=True)])


def wells(
    key: Any, genes: Any, names: np.ndarray, options: Simulate, run: RunDir
) -> tuple[str, int, dict[str, np.ndarray]]:
    """The screen in wells: its file, observations and truth."""
    from epistax.engine.simulate import morphology_wells
    from epistax.engine.stats import metrics

    made = morphology_wells.wells(key, genes, double=options.wells, scale=options.scale)
    perturbation = screenfiles.labels(made.codes, names)
    number, row = np.asarray(made.plate), np.asarray(made.row)
    batch = number * morphology_wells.BATCHES // morphology_wells.PLATES
    plate = np.array([f"B{b + 1}P{p + 1}" for b, p in zip(batch, number, strict=True)])
    column = np.zeros(len(plate), int)
    for at in np.unique(number * len(LETTERS) + row):
        here = np.flatnonzero(number * len(LETTERS) + row == at)
        column[here] = np.arange(1, len(here) + 1)
    well = [f"{p}-{LETTERS[r]}{c:03d}" for p, r, c in zip(plate, row, column, strict=True)]
    guide = np.array([f"guide{g + 1}" if g >= 0 else "" for g in made.guide])
    path = screenfiles.write(
        run, made.x, perturbation, plate=plate, well=np.array(well), guide=guide
    )
    reward = np.asarray(genes.reward, np.float64)
    truth = {
        "r": reward,
        "gamma": np.asarray(genes.gamma),
        "interacting": metrics.top(reward, TOP),
    }
    return path, len(made.x), truth


def cells(
    key: Any, genes: Any, names: np.ndarray, options: Simulate, run: RunDir
) -> tuple[str, int, dict[str, np.ndarray]]:
    """The screen in single cells: its file, observations and truth."""
    from epistax.engine.simulate import morphology_cells as law

    made = {"cells": law.saturating, "mixture": law.mixture}[options.mode](
        key, genes, double=options.cells or law.DOUBLE
    )
    path = screenfiles.write(run, made.x, screenfiles.labels(made.codes, names))
    return path, len(made.x), {TRUTH[options.mode]: made.apart}


TRUTH = {"cells": "separable", "mixture": "disjoint"}


def write_known(
    run: RunDir, pairs: pl.DataFrame, names: np.ndarray, pathways: list[str]
) -> list[str]:
    """Gene sets and, where there are any, lethal pairs, as the files that --known reads."""
    run.write_table("genes", pl.DataFrame({"gene": names, "pathway": pathways}))
    groups: dict[str, list[str]] = {}
    for name, pathway in zip(names, pathways, strict=True):
        groups.setdefault(pathway, []).append(name)
    lines = ["\t".join([pathway, "simulated", *members]) for pathway, members in groups.items()]
    written = [str(run.write("pathways.gmt", "\n".join(lines) + "\n"))]
    if "synthetic_lethal" in pairs.columns:
        lethal = pairs.filter("synthetic_lethal").select(entity1="a", entity2="b")
        written.append(str(run.write("synthetic_lethal.csv", lethal.write_csv())))
    return written


def describe(summary: Mapping[str, Any]) -> str:
    """What was made."""
    apart = {name: summary[name] for name in ("separable", "disjoint") if name in summary}
    what = f"{summary['interacting']} of which count as interacting" if not apart else ""
    what += "".join(f"{count:,} of which are {name}" for name, count in apart.items())
    text = screenfiles.describe(summary, what)
    return text + "\n" + "\n".join(f"known: {path}" for path in summary["known"])
