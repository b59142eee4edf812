"""Environments and their vectors: a perturbation with its covariates behind it.

Controls are the reference: their own part of the vector is zero, and all of it where their
covariates are the commonest. Without controls the reference is the environment whose vector is
zero, if there is one.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

from epistax.distributed.causal import covariates, vectors
from epistax.distributed.causal.covariates import Covariate
from epistax.distributed.causal.observed import Observed
from epistax.distributed.errors import BadInput
from epistax.distributed.formats.where import Where, listed
from epistax.distributed.options.causal import VectorOptions

REFERENCE = "control"  # what all controls are called


class Coding(NamedTuple):
    """How environments become vectors: what a fit keeps of them."""

    kind: str  # where the vectors of perturbations come from
    names: tuple[str, ...]  # of perturbations; controls are not among them
    table: np.ndarray  # float32 [p, v], their vectors
    covariates: tuple[Covariate, ...]

    @property
    def width(self) -> int:
        """Numbers of the vector of an environment."""
        return int(self.table.shape[1]) + sum(one.width for one in self.covariates)


class Environments(NamedTuple):
    """e of them, controls first, then by name."""

    names: tuple[str, ...]
    vectors: np.ndarray  # float32 [e, v]
    perturbation: np.ndarray  # int [e], place among the names of a coding; -1 of controls

    @property
    def reference(self) -> np.ndarray:
        """Bool [e]: what the others are compared with; none may be."""
        control = self.perturbation < 0
        return control if control.any() else ~self.vectors.any(1)


def coding_of(found: Observed, options: VectorOptions, control: np.ndarray, seed: int) -> Coding:
    """Vectors of all perturbations and the scale of the covariates. BadInput for gaps."""
    names = sorted(set(found.label.filter(pl.Series(~control))))
    kind, table = own_vectors(found, options, number(found.label, control, names), names, seed)
    vectors.check(table, names, found.where.source, kind)
    if control.any() or found.covariates:
        zero = [name for name, row in zip(names, table, strict=True) if not row.any()]
        if zero:
            raise BadInput(
                f"{found.where.source}: {len(zero):,} of {len(names):,} environments have the zero "
                f"vector ({kind}), which is that of the reference: {listed(zero)}; give each its "
                "own, or name controls with --control"
            )
    learned = tuple(covariates.learned(one, control) for one in found.covariates.values())
    return Coding(kind, tuple(names), table, learned)


def own_vectors(
    found: Observed, options: VectorOptions, of: np.ndarray, names: Sequence[str], seed: int
) -> tuple[str, np.ndarray]:
    """Where the vectors of perturbations come from, and they."""
    given = options.vectors
    if found.smiles is not None:
        table = vectors.of_smiles(found.smiles, of, names, found.where)
        return f"SMILES of {options.smiles_col}", table
    if given in vectors.MADE_UP:
        return str(given), vectors.made_up(str(given), len(names), seed)
    if given is not None:
        return given, vectors.of_table(given, names)
    if found.vectors is not None:
        return found.kind, vectors.of_samples(found, of, names)
    raise BadInput(
        f"{found.where.source}: has no vectors of environments; name their obsm entry with "
        "--vector-key, or give them with --vectors FILE, --vectors code or --smiles-col"
    )


def environments(
    found: Observed, coding: Coding, control: np.ndarray
) -> tuple[Environments, np.ndarray]:
    """The environments that samples are from, and that of each sample, int32 [n]."""
    of = number(found.label, control, coding.names)
    label = pl.Series(["" if p < 0 else coding.names[p] for p in of], dtype=pl.String)
    label = label.replace("", REFERENCE)
    name = covariates.names([*found.covariates.values()], label)
    first = pl.DataFrame({"name": name, "control": control}).with_row_index("row")
    first = first.unique("name", keep="first").sort(["control", "name"], descending=[True, False])
    at, here = first["row"].to_numpy(), found.where
    beside = [
        one.coded(values, control, Where(here.source, one.name, here.unit, here.first, here.kept))
        for one, values in zip(coding.covariates, found.covariates.values(), strict=True)
    ]
    rows = [joined(coding, of[at]), *(values[at] for values in beside)]
    place = {one: k for k, one in enumerate(first["name"])}
    every = Environments(tuple(place), np.concatenate(rows, 1).astype(np.float32), of[at])
    return every, np.array([place[one] for one in name], np.int32)


def number(label: pl.Series, control: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """The perturbation of each sample, -1 of a control."""
    place = {name: k for k, name in enumerate(names)}
    return np.array([-1 if own else place[name] for name, own in zip(label, control, strict=True)],
                    int)  # fmt: skip


def joined(coding: Coding, perturbation: np.ndarray) -> np.ndarray:
    """The vectors of perturbations, zero of controls."""
    zero = np.zeros((1, coding.table.shape[1]), np.float32)
    found: np.ndarray = np.concatenate([coding.table, zero])[perturbation]
    return found


def nearest(vectors_of: np.ndarray, base: np.ndarray, width: int) -> list[np.ndarray]:
    """For each vector [k, v] the rows of base [c, v] whose covariates are most like its own.

    width: of the part of the perturbation. Only covariates that differ among the rows of base
    count: a control has no dose.
    """
    beside, mine = base[:, width:], vectors_of[:, width:]
    apart = beside.std(0) > 0
    if not apart.any():
        return [np.arange(len(base))] * len(vectors_of)
    found = []
    for row in mine[:, apart]:
        gap = np.abs(row[None, :] - beside[:, apart]).sum(1)
        found.append(np.flatnonzero(gap <= gap.min() + 1e-6))
    return found
