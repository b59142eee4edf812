"""Samples from environments, as models of their embedding take them.

Samples of unknown environments are counted and left out, and features that are the same in every
sample; a value that is no number is refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from epistax.distributed.causal import covariates
from epistax.distributed.causal.coding import (
    REFERENCE,
    Coding,
    Environments,
    coding_of,
    environments,
)
from epistax.distributed.causal.observed import Observed, observe
from epistax.distributed.errors import BadInput
from epistax.distributed.flags import did_you_mean
from epistax.distributed.formats.census import Census, Fact, LeftOut, examples
from epistax.distributed.formats.where import Where, listed, short
from epistax.distributed.labels import role
from epistax.distributed.options.causal import EnvironmentOptions, VectorOptions

TRAIN, HELD = ("train", "training"), ("validation", "valid", "val", "test")


@dataclass(frozen=True)
class EnvironmentTable:
    """n samples of g features from e environments."""

    genes: tuple[str, ...]
    x: np.ndarray  # float32 [n, g]
    environment: np.ndarray  # int32 [n]
    every: Environments
    held: np.ndarray | None  # bool [e], those that validate, where the file says so
    coding: Coding
    rows: np.ndarray  # where the samples stand in the file,
    columns: np.ndarray  # and the features
    census: Census

    @property
    def count(self) -> np.ndarray:
        """Samples of each environment."""
        return np.bincount(self.environment, minlength=len(self.every.names))


def read_environments(path: str, options: EnvironmentOptions, seed: int) -> EnvironmentTable:
    """The samples of a file. BadInput for what cannot be used."""
    found, control, rows, left = read_labels(path, options, options.covariate)
    coding = coding_of(found, options, control, seed)
    every, of = environments(found, coding, control)
    refuse_reference(path, every)
    columns, constant = varying(found)
    genes = tuple(found.genes[k] for k in columns)
    held = None if found.split is None else split(found, every, of)
    facts = (
        Fact("samples", "samples", len(rows), f"of {len(found.label) + lost(left):,}"
             if left else ""),
        Fact("features", "features", len(genes), found.origin),
        Fact("perturbations", "perturbations", len(coding.names)),
        Fact("environments", "environments", len(every.names),
             "with their covariates" if coding.covariates else ""),
        Fact("controls", "control samples", int(control.sum())),
        Fact("vectors", "numbers of a vector", coding.width, coding.kind),
        Fact("columns", "columns", ", ".join([found.where.column, *found.covariates])),
    )  # fmt: skip
    census = Census(path, "samples of environments", facts, (*left, *constant))
    x = found.x if len(columns) == found.x.shape[1] else np.ascontiguousarray(found.x[:, columns])
    return EnvironmentTable(genes, x, of, every, held, coding, rows, columns, census)


def read_labels(
    path: str, options: VectorOptions, beside: Sequence[str]
) -> tuple[Observed, np.ndarray, np.ndarray, tuple[LeftOut, ...]]:
    """The samples whose environment is known, which are controls, where they stand, the rest."""
    found = observe(path, options, beside)
    control = controls(found, options)
    nobody, bare = unknown(found, control)
    columns = [name for name, one in found.covariates.items() if one.is_null().any()]
    left = (
        LeftOut("unassigned", int(nobody.sum()), "nobody knows their environment"),
        LeftOut("no_covariate", int(bare.sum()), "without a covariate", examples(columns)),
    )
    rows = np.flatnonzero(~(nobody | bare))
    if not len(rows):
        raise BadInput(f"{path}: none of its {len(nobody):,} samples has a known environment")
    kept = tuple(entry for entry in left if entry.count)
    return (taken(found, rows) if kept else found), control[rows], rows, kept


def controls(found: Observed, options: VectorOptions) -> np.ndarray:
    """Which samples are controls. BadInput for a control that no sample has."""
    met = found.label.drop_nulls().unique().sort().to_list()
    for name in options.control:
        if name not in met:
            near = did_you_mean(name, met)
            raise BadInput(
                f"{found.where.source}: no environment is the control {name!r}{near}; it has "
                f"{listed(met)} (--control is exact)"
            )
    own = [name for name in met if role(name, options.control) == "control"]
    return found.label.is_in(own).fill_null(False).to_numpy()


def unknown(found: Observed, control: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Samples without an environment, and others without a covariate.

    A control may lack a number, such as a dose: it has none.
    """
    nobody = found.label.is_null().to_numpy()
    bare = np.zeros(len(nobody), bool)
    for values in found.covariates.values():
        excused = control & (covariates.numbers(values) is not None)
        bare |= values.is_null().to_numpy() & ~excused
    return nobody, bare & ~nobody


def taken(found: Observed, rows: np.ndarray) -> Observed:
    """Some of the samples."""
    where = found.where
    return replace(
        found,
        where=Where(where.source, where.column, where.unit, where.first, rows),
        label=found.label.gather(rows),
        x=found.x[rows],
        vectors=None if found.vectors is None else found.vectors[rows],
        covariates={name: one.gather(rows) for name, one in found.covariates.items()},
        smiles=None if found.smiles is None else found.smiles.gather(rows),
        split=None if found.split is None else found.split.gather(rows),
    )


def varying(found: Observed) -> tuple[np.ndarray, tuple[LeftOut, ...]]:
    """Features that are not the same in every sample. BadInput for what is no number."""
    x, source = found.x, found.where.source
    bad = np.flatnonzero(~np.isfinite(x).all(1))
    if len(bad):
        k = int(np.flatnonzero(~np.isfinite(x[bad[0]]))[0])
        here = Where(source, found.genes[k], "sample", 1, found.where.kept)
        remedy = "correct the value, or leave the sample out"
        raise here.fault(bad, x[bad[0], k], "is no number", remedy)
    same = (x == x[:1]).all(0)
    if same.all():
        raise BadInput(
            f"{source}: all {len(found.genes):,} features of {found.origin} are the same in every "
            "sample; name another layer with --layer"
        )
    names = [found.genes[k] for k in np.flatnonzero(same)]
    left = LeftOut("constant", len(names), "features are the same everywhere", examples(names))
    return np.flatnonzero(~same), (left,) if names else ()


def split(found: Observed, every: Environments, of: np.ndarray) -> np.ndarray:
    """Which environments validate. BadInput for one that also trains, and for a control."""
    assert found.split is not None
    word = found.split.fill_null("").str.to_lowercase()
    here = Where(found.where.source, found.split.name, "sample", 1, found.where.kept)
    bad = np.flatnonzero(~word.is_in([*TRAIN, *HELD]).to_numpy())
    if len(bad):
        remedy = "correct it, or name another column (or none) with --split-col"
        shown = found.split[int(bad[0])] or ""
        raise here.fault(bad, shown, "is neither train nor validation", remedy)
    held = word.is_in(list(HELD)).to_numpy()
    # of a perturbation all doses and cell lines are on one side, else its vector is known
    group = every.perturbation[of]
    for k in np.unique(group[held]):
        mine = group == k
        if k < 0 or not held[mine].all():
            name = REFERENCE if k < 0 else found.label[int(np.flatnonzero(mine)[0])]
            leak = "always trained on" if k < 0 else "trained on too"
            bad = np.flatnonzero(mine & held)
            remedy = "an environment is in one of the two"
            raise here.fault(bad, found.split[int(bad[0])],
                             f"of {short(name)}, which is {leak}", remedy)  # fmt: skip
    found_held = np.zeros(len(every.names), bool)
    found_held[of[held]] = True
    return found_held


def refuse_reference(path: str, every: Environments) -> None:
    """At most one environment is the reference where no control is."""
    rows = np.flatnonzero(every.reference)
    if (every.perturbation >= 0).all() and len(rows) > 1:
        names = listed([every.names[k] for k in rows])
        raise BadInput(
            f"{path}: {len(rows):,} environments have the zero vector, which is that of the "
            f"reference: {names}; give each its own, or name controls with --control"
        )


def lost(left: tuple[LeftOut, ...]) -> int:
    """Samples that are not used."""
    return sum(entry.count for entry in left)
