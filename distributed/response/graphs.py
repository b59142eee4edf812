"""Graphs of genes: a table source,target[,weight], each row a regulator and a gene it regulates."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from epistax.distributed.errors import BadInput
from epistax.distributed.formats.sheets import open_sheet, strings
from epistax.distributed.formats.where import listed
from epistax.engine.nets.regulation import Edges

HEADERS = (("source", "target"), ("regulator", "target"), ("tf", "target"), ("from", "to"))


@dataclass(frozen=True)
class GeneGraph:
    """Edges among the genes of the data, and what a reader should know of them."""

    edges: Edges
    remarks: tuple[str, ...]


def read_graph(path: str, genes: Sequence[str]) -> GeneGraph:
    """The edges whose genes are both among those given. BadInput where there is none."""
    sheet = open_sheet(path)
    lower = [name.lower() for name in sheet.header]
    pair = next((p for p in HEADERS if set(p) <= set(lower)), None)
    if pair is None:
        has = listed([repr(name) for name in sheet.header])
        raise BadInput(f"{path}: has {has}, no columns source,target; name the two columns so")
    source, target = (
        one.cast(pl.String).fill_null("").str.strip_chars()
        for one in strings(sheet, [lower.index(name) for name in pair])
    )
    if not len(source):
        raise BadInput(f"{path}: has a header but no rows; write the table again")
    place = {name: k for k, name in enumerate(genes)}
    at = [np.array([place.get(name, -1) for name in one], np.int32) for one in (source, target)]
    inside, loops = (at[0] >= 0) & (at[1] >= 0), source.to_numpy() == target.to_numpy()
    named = dict.fromkeys([*source, *target])
    absent = [name for name in named if name not in place and name]
    if not inside.any():
        raise BadInput(
            f"{path}: none of its {len(source):,} edges has both genes in the data; it names "
            f"{listed(list(named)[:3])}, the data {listed(list(genes)[:3])}: use one naming scheme"
        )
    kept = np.unique(np.stack(at, 1)[inside & ~loops], axis=0)
    if not len(kept):
        raise BadInput(f"{path}: has only edges of genes to themselves; give others")
    remarks = [f"--graph: {len(kept):,} edges between {len(np.unique(kept)):,} of {len(genes):,} "
               "genes"]  # fmt: skip
    if absent:
        lost = int((~inside).sum())
        remarks.append(
            f"--graph: {lost:,} of {len(source):,} edges are not used: {len(absent):,} names are "
            f"not among the genes ({listed(absent)})"
        )
    extra = int((inside & loops).sum()), int((inside & ~loops).sum()) - len(kept)
    for count, what in zip(extra, ("of genes to themselves", "repeated"), strict=True):
        if count:
            remarks.append(f"--graph: {count:,} edges {what} are not used")
    return GeneGraph(Edges(kept[:, 0], kept[:, 1]), tuple(remarks))
