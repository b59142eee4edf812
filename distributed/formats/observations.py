"""Observations as a reader finds them, and how they become a ScreenTable.

Left out and counted: labels that nobody knows, three or more perturbations at once, a perturbation
with itself, and rows without a value in some feature or pixel. Infinity, and a feature that says
nothing because it is constant or empty, are faults of the file; a pixel may say nothing.
"""

from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from epistax.distributed.errors import BadInput
from epistax.distributed.formats.blocks import span
from epistax.distributed.formats.census import Census, Fact, LeftOut, examples
from epistax.distributed.formats.experiment import describe
from epistax.distributed.formats.roles import Roles
from epistax.distributed.formats.screenfacts import tell
from epistax.distributed.formats.screentable import ScreenTable
from epistax.distributed.formats.where import Where, listed, short
from epistax.distributed.labels import UNKNOWN, Coded, encode
from epistax.distributed.options.shared import ScreenOptions

BLOCK = 2**24  # values looked at in one step


@dataclass(frozen=True)
class Observations:
    """n rows as they stand in a file, and what the reader has left out of it."""

    source: str
    kind: str
    where: Where  # the first label column and how rows are numbered
    roles: Roles
    columns: dict[str, pl.Series]  # [n] each, all that roles name
    x: np.ndarray  # float32 [n, d], NaN where there is no value
    features: tuple[str, ...]  # [d]
    origin: str  # where the features stand, in words
    nested: bool = True  # wells are numbered anew in every batch and plate
    facts: tuple[Fact, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    image: tuple[int, int, int] | None = None  # as in ScreenTable


def assemble(seen: Observations, options: ScreenOptions) -> ScreenTable:
    """The table of what can be used, with the census of everything."""
    if not len(seen.x):
        raise BadInput(nothing(seen, seen.left_out))
    labels = [seen.columns[name] for name in seen.roles.labels]
    coded = encode(labels, seen.where, sep=options.sep, control=options.control)
    if (coded.codes[:, 0] == UNKNOWN).all():
        raise BadInput(unassigned(seen, coded))
    keep, left = identified(coded, options.sep)
    left = (*seen.left_out, *left)
    if not keep.any():
        raise BadInput(nothing(seen, left))
    if not seen.x.shape[1]:
        raise BadInput(f"{seen.source}: holds no feature: rows of 0 numbers; write it again")
    low, high = span(seen.x)
    finite = bool(np.isfinite(low).all() and np.isfinite(high).all())
    whole, gaps = (keep, ()) if finite else complete(seen, keep)
    left = (*left, *gaps)
    rows = None if whole.all() else np.flatnonzero(whole)
    x = seen.x if rows is None else seen.x[rows]
    check_constant(seen, x, *((low, high) if rows is None else span(x)))
    names, codes, lost = narrowed(coded, whole)
    if not names:
        raise BadInput(
            f"{seen.source}: names no perturbation: all {len(x):,} observations are controls"
            f" ({listed(list(coded.controls))}); check --label-col and --control"
        )
    experiment = describe(seen.roles, seen.columns, rows, nested=seen.nested)
    told = tell(names, codes, coded.controls, experiment, sep=options.sep)
    total = len(seen.x) + sum(entry.count for entry in seen.left_out)
    facts = (
        Fact("rows", "", total),
        Fact("observations", "observations", len(x), f"of {total:,}" if left else ""),
        *held(seen),
        *seen.facts,
        *told,
        *read_as(seen.roles),
    )
    if lost:
        note = "perturbations are named only in what is left out"
        facts = (*facts, Fact("lost", "lost", len(lost), note, examples(lost)))
    return ScreenTable(
        names=names,
        codes=codes,
        x=x,
        features=seen.features,
        batch=experiment.batch,
        batches=experiment.batches,
        well=experiment.well,
        sides=experiment.sides,
        census=Census(seen.source, seen.kind, facts, left),
        image=seen.image,
    )


def held(seen: Observations) -> tuple[Fact, ...]:
    """What an observation is: features or an image."""
    d, shown = len(seen.features), examples(list(seen.features[:6]))
    if seen.image is None:
        return (Fact("features", "features", d, seen.origin, shown),)
    sizes = " x ".join(map(str, seen.image))
    return (Fact("features", "", d), Fact("image", "images", sizes, seen.origin))


def identified(coded: Coded, sep: str) -> tuple[np.ndarray, tuple[LeftOut, ...]]:
    """Rows of no, one or two different known perturbations, and the count of the others."""
    codes = coded.codes
    members = (codes >= 0).sum(axis=1)
    unknown = codes[:, 0] == UNKNOWN
    many = ~unknown & (members > 2)
    same = np.zeros(len(codes), bool)
    if codes.shape[1] > 1:
        same = ~unknown & (members == 2) & (codes[:, -1] == codes[:, -2])

    def shown(rows: np.ndarray) -> tuple[str, ...]:
        met: dict[str, None] = {}
        for row in np.flatnonzero(rows)[:1000]:
            met[sep.join(coded.names[k] for k in codes[row] if k >= 0)] = None
        return examples([*met])

    nobody = tuple(name or "(empty)" for name in coded.unassigned)
    entries = (
        LeftOut("unassigned", int(unknown.sum()), "nobody knows what was perturbed", nobody),
        LeftOut("higher_order", int(many.sum()), "three or more perturbations", shown(many)),
        LeftOut("self", int(same.sum()), "of a perturbation with itself", shown(same)),
    )
    return ~(unknown | many | same), tuple(entry for entry in entries if entry.count)


def complete(seen: Observations, keep: np.ndarray) -> tuple[np.ndarray, tuple[LeftOut, ...]]:
    """The kept rows with a value in every feature; fails on infinity and on empty features."""
    x, step = seen.x, max(1, BLOCK // max(1, seen.x.shape[1]))
    finite = [np.isfinite(x[k : k + step]).all(axis=1) for k in range(0, len(x), step)]
    suspect = np.flatnonzero(keep & ~np.concatenate(finite))
    if not len(suspect):
        return keep, ()
    part = x[suspect]
    endless = np.isinf(part)
    if endless.any():
        column = int(endless.any(axis=0).argmax())
        rows = suspect[endless[:, column]]
        where = replace(seen.where, column=seen.features[column])
        remedy = "correct it, or leave it without a value"
        raise where.fault(rows, x[rows[0], column], "is not a finite 32-bit number", remedy)
    gaps = np.isnan(part).sum(axis=0)
    n = int(keep.sum())
    empty = np.flatnonzero(gaps == n)
    if len(empty) and seen.image is None:
        raise BadInput(useless(seen, empty, "without any value", ["" for _ in empty]))
    most = np.argsort(-gaps, kind="stable")[:5]
    worst = tuple(f"{seen.features[k]} ({gaps[k]:,})" for k in most if gaps[k])
    part_of = "feature" if seen.image is None else "pixel"
    if len(suspect) == n:
        leave = f"leave such features out, as in --features '!{seen.features[most[0]]}'"
        remedy = leave if seen.image is None else "fill the gaps"
        raise BadInput(
            f"{seen.source}: every observation lacks a value in some {part_of}:"
            f" {listed([*worst])}; {remedy}"
        )
    whole = keep.copy()
    whole[suspect] = False
    reason = f"without a value in some {part_of}"
    return whole, (LeftOut("incomplete", len(suspect), reason, worst),)


def check_constant(seen: Observations, x: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
    """Fail on features that are the same everywhere, and on images that are all the same."""
    if len(x) > 1:
        still = np.flatnonzero(low == high)
        if seen.image is not None:
            if len(still) == x.shape[1]:
                raise BadInput(f"{seen.source}: all images are the same; save them again")
        elif len(still):
            values = [f" ({low[k]:.4g})" for k in still]
            raise BadInput(useless(seen, still, "constant", values))


def useless(seen: Observations, index: np.ndarray, state: str, values: list[str]) -> str:
    """Which features say nothing, and how to go on without them."""
    bad = [f"{short(seen.features[k])}{value}" for k, value in zip(index, values, strict=True)]
    without = ",".join("!" + seen.features[k] for k in index[:5])
    if len(bad) == len(seen.features):
        return f"{seen.source}: every feature is {state}: {listed(bad)}; name others"
    start = f"feature {bad[0]} is" if len(bad) == 1 else f"{len(bad):,} features are"
    more = "" if len(bad) == 1 else f": {listed(bad)}"
    return (
        f"{seen.source}: {start} {state}{more}; leave such features out, as in"
        f" --features '{without}'"
    )


def unassigned(seen: Observations, coded: Coded) -> str:
    """No label tells anything."""
    names = listed([repr(name) for name in coded.unassigned])
    return (
        f"{seen.source}: every label in {seen.where.column!r} is unassigned ({names}); name the"
        " perturbations, or another column with --label-col"
    )


def nothing(seen: Observations, left: tuple[LeftOut, ...]) -> str:
    """Why no observation can be used."""
    if not left:
        return f"{seen.source}: holds no observation; write it again"
    total = sum(entry.count for entry in left)
    why = ", ".join(f"{entry.count:,} {entry.reason}" for entry in left)
    return (
        f"{seen.source}: none of {total:,} observations can be used: {why}; what is needed are"
        " observations of one perturbation or two"
    )


def narrowed(coded: Coded, keep: np.ndarray) -> tuple[tuple[str, ...], np.ndarray, list[str]]:
    """Names that the kept rows carry, those rows' codes [n, 2], and the names that are gone."""
    codes = coded.codes[keep][:, -2:]
    codes = np.pad(codes, ((0, 0), (2 - codes.shape[1], 0)), constant_values=-1)
    used = np.bincount(codes[codes >= 0], minlength=len(coded.names)) > 0
    renumbered = np.append(np.cumsum(used) - 1, -1).astype(np.int32)  # the last answers for -1
    names = tuple(name for name, kept in zip(coded.names, used, strict=True) if kept)
    lost = [name for name, kept in zip(coded.names, used, strict=True) if not kept]
    return names, renumbered[np.maximum(codes, -1)], lost


def read_as(roles: Roles) -> tuple[Fact, ...]:
    """Which column served as what."""
    found = {
        "label_column": ", ".join(roles.labels),
        "batch_column": roles.batch,
        "plate_column": roles.plate,
        "well_column": roles.well,
        "guide_column": ", ".join(roles.guides),
    }
    quiet = [Fact(key, "", name) for key, name in found.items() if name]
    return (Fact("", "columns", "", roles.told()), *quiet)
