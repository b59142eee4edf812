"""Cells of an h5ad file or a zarr folder, as models of responses take them.

Whether the matrix holds counts or log expression is declared (--values, or uns["values"]), never
guessed, and a declaration that the numbers contradict is refused. Counts are brought to the median
library and a log scale. Cells of unassigned labels or covariates and cells without any count are
counted and left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from epistax.distributed.errors import BadInput
from epistax.distributed.formats.anndata import (
    check_size,
    column,
    features,
    is_hdf5,
    is_zarr,
    length,
    opened,
    reading,
    table,
)
from epistax.distributed.formats.blocks import dense
from epistax.distributed.formats.census import Census, Fact, LeftOut, examples
from epistax.distributed.formats.claims import FALSE, TRUE
from epistax.distributed.formats.roles import Held
from epistax.distributed.formats.where import Where, listed
from epistax.distributed.labels import UNASSIGNED
from epistax.distributed.options.response import CellOptions
from epistax.distributed.options.shared import ScreenOptions
from epistax.distributed.response import columns
from epistax.distributed.response.arms import Arms, read_arms
from epistax.distributed.response.values import expression
from epistax.engine.response import expression as scale
from epistax.engine.response.records import Cells, Design

ALL_GENES, SOME = 5000, 2000  # up to so many genes all are used, of more the most variable


@dataclass(frozen=True)
class CellTable:
    """n cells of g genes, with the names of everything."""

    genes: tuple[str, ...]
    cells: Cells
    design: Design
    arms: Arms
    covariates: tuple[str, ...]
    levels: tuple[tuple[str, ...], ...]  # of each covariate
    rows: np.ndarray  # where the cells stand in the file
    census: Census

    @property
    def strata(self) -> tuple[str, ...]:
        """Names of the strata: levels joined by `_`; `all` where there is no covariate."""
        named = [[levels[k] for levels, k in zip(self.levels, row, strict=True)]
                 for row in self.design.strata]  # fmt: skip
        return tuple("_".join(one) or "all" for one in named)


def read_cells(path: str, options: CellOptions) -> CellTable:
    """The cells of a file. BadInput for what cannot be used."""
    if not (is_hdf5(path) or is_zarr(path)):
        there = Path(path).exists()
        what = "is neither an h5ad file nor a zarr folder" if there else "no such file"
        raise BadInput(f"{path}: {what}; {'write it with anndata' if there else 'check the path'}")
    with opened(path) as root:
        with reading(path, "obs"):
            obs = table(path, root, "obs", "h5ad" if is_hdf5(path) else "zarr")
            held = tuple(str(name) for name in obs if name != obs.attrs["_index"])
        fields, said = columns.fields_of(path, root)
        chosen = columns.choose(Held(path, held, "obs column", any_case=False), options, fields)
        n = length(path, obs, "obs")
        found = {name: column(path, obs, name, n) for name in chosen.all}
        where = Where(path, chosen.perturbation, "cell", 1)
        arms = read_arms(
            found[chosen.perturbation],
            None if chosen.dose is None else found[chosen.dose],
            None if chosen.control is None else flags(found[chosen.control], where),
            where,
            sep=options.sep,
            control=options.control,
        )
        levels, level = strata_of([found[name] for name in chosen.covariates], n)
        keep, left = usable(arms, level, found, chosen.covariates)
        if not keep.any():
            raise BadInput(nothing(path, n, left))
        told = ScreenOptions(layer=options.layer)
        values, names, origin = features(path, root, told, n)
        check_size(path, root, n, len(names), origin)
        with reading(path, origin):
            y = dense(values, np.arange(len(names)), n, len(names))
    refuse_names(path, names)
    given = options.values or said
    y, rows, lost = expression(path, y, np.flatnonzero(keep), given, names, origin)
    left = (*left, *lost)
    picked = genes_used(y, names, arms, options.hvg)
    used = arms.of[rows]
    check_cells(path, used, arms)
    strata, stratum = np.unique(level[rows], axis=0, return_inverse=True)
    cells = Cells(
        y if picked.all() else np.ascontiguousarray(y[:, picked]),
        used.astype(np.int32),
        stratum.reshape(-1).astype(np.int32),
    )
    design = Design(arms.doses, strata.astype(np.int32))
    genes = tuple(name for name, kept in zip(names, picked, strict=True) if kept)
    facts = (
        Fact("cells", "cells", len(rows), f"of {n:,}" if left else ""),
        Fact("genes", "genes", len(genes), f"of {len(names):,}" if not picked.all() else origin),
        Fact("perturbations", "perturbations", len(arms.perturbations) - 1),
        Fact("arms", "arms", len(arms.names) - 1, "with their doses"),
        Fact("strata", "strata", len(strata)),
        Fact("controls", "control cells", int((used == 0).sum())),
        Fact("values", "", given),
        Fact("columns", "columns", chosen.told()),
        *([Fact("undosed", "without dose", arms.undosed, "1 is taken")] if arms.undosed else []),
    )
    census = Census(path, "cells", facts, left)
    return CellTable(genes, cells, design, arms, chosen.covariates, levels, rows, census)


def flags(values: pl.Series, where: Where) -> np.ndarray:
    """A column of 0 and 1 as truth values."""
    word = values.fill_null("").str.strip_chars().str.to_lowercase()
    bad = np.flatnonzero((~word.is_in([*TRUE, *FALSE])).to_numpy())
    if len(bad):
        at = Where(where.source, values.name, where.unit, where.first)
        raise at.fault(bad, values[int(bad[0])], "is neither 0 nor 1", "write 1 for controls")
    return word.is_in(list(TRUE)).to_numpy()


def strata_of(
    covariates: Sequence[pl.Series], n: int
) -> tuple[tuple[tuple[str, ...], ...], np.ndarray]:
    """Levels of each covariate, sorted, and that of each cell [n, m]; -1 where nobody knows."""
    levels, codes = [], []
    for values in covariates:
        word = values.fill_null("").str.strip_chars()
        known = ~word.str.to_lowercase().is_in(list(UNASSIGNED))
        names = sorted(set(word.filter(known)))
        place = {name: k for k, name in enumerate(names)}
        levels.append(tuple(names))
        codes.append(np.array([place.get(one, -1) for one in word], np.int32))
    return tuple(levels), np.stack(codes, 1) if codes else np.zeros((n, 0), np.int32)


def usable(
    arms: Arms, level: np.ndarray, found: dict[str, pl.Series], covariates: Sequence[str]
) -> tuple[np.ndarray, tuple[LeftOut, ...]]:
    """Cells whose arm and stratum are known, and how many are not."""
    nobody, lacking = arms.of < 0, (level < 0).any(1)
    columns_of = [name for k, name in enumerate(covariates) if (level[:, k] < 0).any()]
    entries = (
        LeftOut("unassigned", int(nobody.sum()), "nobody knows what was perturbed",
                examples(list(arms.unassigned))),
        LeftOut("no_covariate", int((lacking & ~nobody).sum()), "without a covariate",
                examples(columns_of)),
    )  # fmt: skip
    return ~(nobody | lacking), tuple(entry for entry in entries if entry.count)


def nothing(path: str, n: int, left: Sequence[LeftOut]) -> str:
    """Why no cell can be used."""
    if not n:
        return f"{path}: holds no cell; write it again"
    why = ", ".join(f"{entry.count:,} {entry.reason}" for entry in left)
    return f"{path}: none of its {n:,} cells can be used: {why}; check its columns of obs"


def refuse_names(path: str, names: Sequence[str]) -> None:
    """Genes are told apart by their names."""
    if len(set(names)) < len(names):
        seen: set[str] = set()
        twice = [name for name in names if name in seen or seen.add(name)]  # type: ignore[func-returns-value]
        raise BadInput(
            f"{path}: {len(twice):,} names of genes stand in it more than once "
            f"({listed(sorted(set(twice)))}); make them unique, as anndata's var_names_make_unique"
        )


def check_cells(path: str, arm: np.ndarray, arms: Arms) -> None:
    """Controls, perturbations, and more than a cell of one of them."""
    count = np.bincount(arm, minlength=len(arms.names))
    if not count[0]:
        raise BadInput(
            f"{path}: has no control cell that can be used; name the control with --control, or "
            "its column with --control-col"
        )
    if not count[1:].any():
        raise BadInput(f"{path}: all {len(arm):,} cells are controls; nothing was perturbed")
    if count[1:].max() < 2:
        raise BadInput(
            f"{path}: every perturbation has one cell; a response takes several cells of each: "
            "check that labels name perturbations, not cells (--perturbation-col)"
        )


def genes_used(y: np.ndarray, names: Sequence[str], arms: Arms, asked: int | None) -> np.ndarray:
    """All genes, or the most variable and those that are perturbed."""
    count = asked or (len(names) if len(names) <= ALL_GENES else SOME)
    if count >= len(names):
        return np.ones(len(names), bool)
    chosen: Any = scale.variable(y, count)
    perturbed = set(arms.perturbations)
    return chosen | np.array([name in perturbed for name in names])
