"""Combinations with their measured effects, out of a pair table, as models of effects take them.

Pairs, pairs of a gene with itself, and rows of three genes or more are samples alike; what is left
out (a gene without a single effect) is counted and listed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from epistax.distributed.errors import BadInput
from epistax.distributed.formats.census import Census, LeftOut, examples
from epistax.distributed.formats.pairtable import PairTable
from epistax.distributed.formats.tables import read_pairs
from epistax.distributed.options.shared import TableOptions
from epistax.engine.effects.records import Combos, Table

FEWEST = 10  # rows below which there is nothing to learn from


@dataclass(frozen=True)
class Samples:
    """q combinations of p genes, sorted by their genes."""

    names: tuple[str, ...]  # of the genes that a row holds, by code point; then those of `apart`
    singles: np.ndarray  # float32 [p]
    genes: np.ndarray  # int32 [q, k], ascending in a row; -1 behind the last
    value: np.ndarray  # float64 [q]
    left_out: tuple[LeftOut, ...]
    census: Census
    apart: int = 0  # how many of the names, the last ones, are in no row

    @property
    def combos(self) -> Combos:
        """The rows with the single effects of their genes."""
        return combos(self.genes, self.singles)

    @property
    def table(self) -> Table:
        """Everything that a model may be given."""
        return Table(self.combos, self.value.astype(np.float32))

    @property
    def seen(self) -> int:
        """How many genes the rows hold."""
        return len(self.names) - self.apart

    @property
    def frequency(self) -> float:
        """In how many of one row's places a gene stands: times rows, how often it is seen."""
        return float((self.genes >= 0).sum(1).mean()) / self.seen


def combos(genes: np.ndarray, singles: np.ndarray) -> Combos:
    """Rows of codes with the single effect of each, 0 where there is no gene."""
    return Combos(genes, np.where(genes >= 0, singles[genes], 0).astype(np.float32))


def read_samples(path: str, options: TableOptions, *, apart: bool = False) -> Samples:
    """The samples of a file; apart: genes that have a single effect and no row are named too."""
    table = read_pairs(
        path, columns=options.columns, control=options.control, sep=options.sep, test=options.test
    )
    found = samples(table, path, apart=apart)
    if np.ptp(found.value) == 0:
        raise BadInput(
            f"{path}: every combination has the effect {found.value[0]:g}; there is nothing to "
            "predict, name the score with --columns"
        )
    return found


def samples(table: PairTable, source: str, *, apart: bool = False) -> Samples:
    """The samples of a table. BadInput where there are too few."""
    have = np.isfinite(table.singles)
    if not have.any():
        raise BadInput(
            f"{source}: has no single effects; singles are written as (gene, control) rows: add "
            "them, or name the control with --control"
        )
    codes, value = rows(table)
    known = (have[codes] | (codes < 0)).all(1)
    lost = [table.names[k] for k in np.unique(codes[~known]) if k >= 0 and not have[k]]
    left_out = tuple(e for e in table.census.left_out if e.key != "higher_order")
    census = replace(table.census, left_out=left_out)
    left: tuple[LeftOut, ...] = ()
    if lost:
        reason = f"combinations of {len(lost):,} genes without a single effect"
        left = (LeftOut("no_single", int((~known).sum()), reason, examples(lost)),)
    codes, value = codes[known], value[known]
    if len(value) < FEWEST:
        raise BadInput(
            f"{source}: has {len(value):,} combinations whose genes all have a single effect, at "
            f"least {FEWEST} are needed; add rows, or (gene, control) rows of more genes"
        )
    used = np.unique(codes[codes >= 0])
    order = np.r_[used, np.setdiff1d(np.flatnonzero(have), used)] if apart else used
    place = np.full(len(table.names) + 1, -1, np.int32)
    place[order] = np.arange(len(order), dtype=np.int32)
    return Samples(
        names=tuple(table.names[k] for k in order),
        singles=table.singles[order].astype(np.float32),
        genes=place[codes],
        value=value,
        left_out=left,
        census=census,
        apart=len(order) - len(used),
    )


def rows(table: PairTable) -> tuple[np.ndarray, np.ndarray]:
    """Codes (-1 behind the last gene) and scores of pairs, (g, g) and larger rows, sorted."""
    diagonal = np.flatnonzero(np.isfinite(table.diagonal)).astype(np.int32)
    two = np.r_[np.stack([table.i, table.j], 1), np.stack([diagonal, diagonal], 1)]
    value = np.r_[table.score, table.diagonal[diagonal], table.more.score]
    many = packed(table.more.codes)
    k = max(2, many.shape[1])
    codes = np.full((len(value), k), -1, np.int32)
    codes[: len(two), :2], codes[len(two) :, : many.shape[1]] = two, many
    order = np.lexsort(codes.T[::-1])
    return codes[order], value[order]


def packed(codes: np.ndarray) -> np.ndarray:
    """Sorted rows with what is no gene (-1) behind the genes, as few columns as hold them all."""
    largest = int((codes >= 0).sum(1).max(initial=0))
    order = np.argsort(np.where(codes >= 0, codes, np.iinfo(np.int32).max), axis=1, kind="stable")
    ahead = np.take_along_axis(codes, order, axis=1)[:, :largest]
    return np.maximum(ahead, -1)


def labelled(names: Sequence[str], genes: np.ndarray) -> dict[str, pl.Series]:
    """Rows of codes as columns of names: a, b and, where some have a third, c and so on."""
    held = np.array([*names, None], object)[genes]  # -1 is none
    return {
        chr(ord("a") + k): pl.Series(held[:, k].tolist(), dtype=pl.String)
        for k in range(held.shape[1])
    }


def described(found: Samples) -> dict[str, object]:
    """The figures of a summary that say what was read."""
    return {
        "input": found.census.as_dict(),
        "left_out": [vars(entry) for entry in found.left_out],
        "genes": found.seen,
        "rows": len(found.value),
        "pairs_of_itself": int((found.genes[:, 0] == found.genes[:, 1]).sum()),
        "larger": int((found.genes[:, 2:] >= 0).any(1).sum()),
    }
