"""A graph of genes weighed by cells, and how well edges are ranked where targets are known.

Regulators are the sources of the graph and the perturbed genes. Known targets are those of
--targets, and truth.parquet beside the data where cells are simulated.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
import polars as pl

from epistax.distributed.errors import BadInput
from epistax.distributed.formats.sheets import decode, read_bytes
from epistax.distributed.formats.where import listed
from epistax.distributed.options.response import ResponseRefine
from epistax.distributed.response.graphs import GeneGraph
from epistax.distributed.response.reading import CellTable
from epistax.engine.nets.regulation import Edges
from epistax.engine.response.edges import evaluate, untrained
from epistax.engine.response.masked import Masked, background, masked
from epistax.engine.response.refine import adjacency, refine

TRUTH = "truth.parquet"
ABOVE = 1.25  # times its background is an edge of the published method kept
SEARCHED = 2**25  # edges that are looked at, at most


@dataclass(frozen=True)
class Known:
    """True edges, of the regulators whose targets are known."""

    name: str
    true: np.ndarray  # bool [g, r]
    column: np.ndarray  # int, regulators that are judged


def regulators(table: CellTable, graph: GeneGraph) -> np.ndarray:
    """Sources of the graph, and genes that are perturbed."""
    place = {name: k for k, name in enumerate(table.genes)}
    perturbed = [place[name] for name in table.arms.perturbations if name in place]
    found = np.unique(np.concatenate([graph.edges.source, np.array(perturbed, int)])).astype(int)
    if len(found) * len(table.genes) > SEARCHED:
        raise BadInput(
            f"--graph: {len(found):,} regulators of {len(table.genes):,} genes are too many edges; "
            f"at most {SEARCHED:,} are looked at: choose fewer genes with --hvg"
        )
    return found


def read_known(options: ResponseRefine, table: CellTable, sources: np.ndarray) -> tuple[Known, ...]:
    """All that is known of targets. BadInput where a file has none for these genes."""
    found = []
    beside = Path(options.data).parent / TRUTH
    if beside.is_file():
        frame = pl.read_parquet(beside)
        if {"source", "target"} <= set(frame.columns):
            pairs = list(frame.select("source", "target").iter_rows())
            found.append(known("truth", pairs, table, sources, every=True))
    if options.targets is not None:
        pairs = read_gmt(options.targets, [table.genes[k] for k in sources])
        found.append(known("targets", pairs, table, sources, every=False))
        if not found[-1].true.any():
            raise BadInput(
                f"{options.targets}: none of its targets is one of the genes "
                f"({listed([*table.genes[:3]])}); use one naming scheme"
            )
    return tuple(found)


def known(
    name: str, pairs: list[tuple[str, str]], table: CellTable, sources: np.ndarray, *, every: bool
) -> Known:
    """Pairs as a table; every: regulators without any are judged too."""
    genes = {gene: k for k, gene in enumerate(table.genes)}
    column = {table.genes[k]: r for r, k in enumerate(sources)}
    true = np.zeros((len(genes), len(sources)), bool)
    for source, target in pairs:
        if source in column and target in genes:
            true[genes[target], column[source]] = True
    return Known(name, true, np.flatnonzero(true.any(0) | every))


def read_gmt(path: str, sources: list[str]) -> list[tuple[str, str]]:
    """(regulator, target) of sets named by a regulator, or by one and more behind a `_`."""
    wanted = set(sources)
    pairs, names = [], []
    for line in decode(path, read_bytes(path)).splitlines():
        name, *rest = (cell.strip() for cell in line.split("\t"))
        if not name or len(rest) < 2:
            continue
        names.append(name)
        regulator = name if name in wanted else name.split("_")[0]
        if regulator in wanted:
            # weights may stand behind a comma
            pairs += [(regulator, cell.split(",")[0]) for cell in rest[1:] if cell]
    if not names:
        raise BadInput(f"{path}: has no line NAME<TAB>about<TAB>gene<TAB>...; give a GMT file")
    if not pairs:
        raise BadInput(
            f"{path}: none of its {len(names):,} sets ({listed(names[:3])}) is named by one of the "
            f"regulators ({listed(sources[:3])})"
        )
    return pairs


def weigh(
    options: ResponseRefine, table: CellTable, graph: GeneGraph
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Every edge from a regulator with its scores, and the summary."""
    sources = regulators(table, graph)
    told = read_known(options, table, sources)
    prior = adjacency(graph.edges, len(table.genes))[:, sources]
    score, weight, above = scores(options, table, graph.edges, sources)
    given = untrained(table.cells, prior, sources, strata=len(table.strata))
    target, column = np.nonzero(np.isfinite(score))
    names = np.array(table.genes, object)
    frame = pl.DataFrame({
        "source": names[sources[column]].tolist(),
        "target": names[target].tolist(),
        "score": score[target, column].astype(float),
        "weight": weight[target, column].astype(float),
        "prior": prior[target, column],
        "refined": score[target, column] > above,
        "correlation": given["correlation"][target, column].astype(float),
        "partial": given["partial"][target, column].astype(float),
    } | {f"known_{one.name}": one.true[target, column] for one in told})  # fmt: skip
    ranked = {"refined": score, **given}
    judged = {
        one.name: {
            name: evaluate(value[:, one.column], one.true[:, one.column], prior[:, one.column],
                           sources[one.column])
            for name, value in ranked.items()
        }
        for one in told
    }  # fmt: skip
    kept, before = frame["refined"], frame["prior"]
    return frame.sort("score", descending=True), {
        "step": "refine",
        "input": table.census.as_dict(),
        "method": options.method,
        "regulators": len(sources),
        "above": above,
        "prior": int(before.sum()),
        "refined": int(kept.sum()),
        "kept": int((kept & before).sum()),
        "new": int((kept & ~before).sum()),
        "known": {one.name: int(one.true[:, one.column].sum()) for one in told},
        "judged": judged,
    }


def scores(
    options: ResponseRefine, table: CellTable, prior: Edges, sources: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float]:
    """Score and weight of every edge [g, r], and the score above which an edge is kept."""
    if options.method == "masked":
        config = Masked()
        key = jax.random.key(options.seed)
        found, _ = masked(key, table.cells, table.design, prior, sources, config=config)
        value = np.asarray(found, np.float64)
        return value, value, ABOVE * background(config.penalty)
    place = {name: k for k, name in enumerate(table.genes)}
    acts_on = np.array([place.get(name, -1) for name in table.arms.perturbations])
    refined, _ = refine(table.cells, table.design, prior, sources, acts_on=acts_on)
    return np.asarray(refined.score, np.float64), np.asarray(refined.weight, np.float64), 0.0


def graph_of(frame: pl.DataFrame) -> str:
    """The refined graph as csv: source, target, weight, the surest first."""
    return frame.filter("refined").select("source", "target", "weight").write_csv()
