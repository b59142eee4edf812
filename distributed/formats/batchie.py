"""Screens as BATCHIE keeps them: one HDF5 file of experiments, an observation each.

`treatment_names` and `treatment_doses` [n, arity], `observations` [n], `observation_mask` [n],
`sample_names`, `plate_names`, and the control's name as an attribute. A treatment without a dose is
a control. What was measured at several doses is a treatment a dose, called `name@dose`.
"""

import io
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from epistax.distributed.errors import BadInput
from epistax.distributed.formats.anndata import is_hdf5, opened, reading
from epistax.distributed.formats.census import Fact, examples
from epistax.distributed.formats.combined import Combined
from epistax.distributed.formats.pairtable import PairTable, assemble
from epistax.distributed.formats.where import Where, listed, short
from epistax.distributed.labels import CONTROLS, encode, unseen

NAMES, DOSES, VALUES, MASK = (
    "treatment_names",
    "treatment_doses",
    "observations",
    "observation_mask",
)
SAMPLES, PLATES, IDS = "sample_names", "plate_names", "treatment_ids"
CONTROL = "control_treatment_name"


def is_batchie(path: str | Path) -> bool:
    """Whether a file is HDF5 and has the treatments and observations of a screen."""
    if not is_hdf5(path):
        return False
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return {NAMES, VALUES} <= set(file) and "obs" not in file
    except OSError:
        return False  # whoever reads it says why


def read_batchie(
    path: str | Path, *, control: tuple[str, ...], sep: str, sample: str | None
) -> PairTable:
    """The experiments of one sample; masked ones are not measured."""
    source = str(path)
    with opened(path) as root:
        with reading(source, "the experiments"):
            names, samples = words(root[NAMES]), words(root[SAMPLES]) if SAMPLES in root else None
            score = np.asarray(root[VALUES], np.float64).copy()
            doses = np.asarray(root[DOSES], np.float64) if DOSES in root else np.ones(names.shape)
            mask = np.asarray(root[MASK], bool) if MASK in root else np.ones(score.shape, bool)
            said = root.attrs.get(CONTROL, "")
    n = len(score)
    who = np.zeros(n) if samples is None else samples
    parts = {NAMES: names, DOSES: doses, VALUES: score, MASK: mask, SAMPLES: who}
    for name, part in parts.items():
        if len(part) != n or part.ndim != (2 if name in (NAMES, DOSES) else 1):
            raise BadInput(
                f"{source}: {name} is {shape(part)} but {VALUES} {shape(score)}; save the screen"
                " again"
            )
    if doses.shape != names.shape:
        raise BadInput(f"{source}: {NAMES} is {shape(names)} but {DOSES} {shape(doses)}; "
                       "save the screen again")  # fmt: skip
    endless = np.flatnonzero(mask & np.isinf(score))
    if len(endless):
        where = Where(source, VALUES, "experiment", 1)
        raise where.fault(endless, score[endless[0]], "is not finite", "mask it")
    score[~mask] = np.nan
    absent = [name for name in control if not (names == name).any()]
    if absent:
        raise BadInput(unseen(source, absent[0], [str(name) for name in np.unique(names)]))
    without = (names == said) | (doses <= 0) | np.isin(names, np.array(control, str))
    told, dosed = treatments(source, names, doses, without, sep)
    keep, facts = one_sample(source, samples, sample, n)
    if dosed:
        note = "treatments at several doses, each one of its own"
        facts.append(Fact("dosed", "several doses", len(dosed), note, examples(dosed)))
    columns = [pl.Series(column[keep], dtype=pl.String) for column in told.T]
    where = Where(source, NAMES, "experiment", 1, kept=keep)
    return assemble(source, "pair table (BATCHIE)", encode(columns, where, sep=sep), score[keep],
                    None, facts=tuple(facts))  # fmt: skip


def treatments(
    source: str, names: np.ndarray, doses: np.ndarray, without: np.ndarray, sep: str
) -> tuple[np.ndarray, list[str]]:
    """What every experiment carries, and the treatments at several doses."""
    joined = [str(name) for name in np.unique(names[~without]) if sep in name]
    if joined:
        raise BadInput(
            f"{source}: the treatment {short(joined[0])} holds {sep!r}, which separates names; "
            "choose a sign that no name has with --sep"
        )
    both = sorted(set(zip(names[~without], doses[~without].tolist(), strict=True)))
    held = [name for name, _ in both]
    several = sorted({a for a, b in zip(held, held[1:], strict=False) if a == b})
    with_dose = np.char.add(np.char.add(names, "@"), [[f"{d:g}" for d in row] for row in doses])
    told = np.where(np.isin(names, several), with_dose, names)
    return np.where(without, CONTROLS[0], told), several


def one_sample(
    source: str, samples: np.ndarray | None, wanted: str | None, n: int
) -> tuple[np.ndarray, list[Fact]]:
    """The experiments of one sample, since an average over several would say nothing of any."""
    held = [] if samples is None else [str(name) for name in np.unique(samples)]
    if wanted is not None and wanted not in held:
        raise BadInput(f"{source}: has no sample {wanted!r} (--test); it has {listed(held)}")
    if len(held) > 1 and wanted is None:
        raise BadInput(f"{source}: holds the samples {listed(held)}; choose one with --test")
    keep = np.arange(n) if wanted is None else np.flatnonzero(samples == wanted)
    share = f"of {n:,}" if len(keep) < n else ""
    return keep, [
        Fact("rows", "experiments", len(keep), share),
        *(Fact("sample", "sample", name) for name in ([wanted] if wanted else held)),
    ]


def write_batchie(found: Combined) -> bytes:
    """Measured combinations and singles, all of one sample and plate, at dose 1."""
    import h5py

    names = [*found.members, *((name,) for name in found.singles)]
    arity = max(map(len, names))
    full = np.array([[*row, *[CONTROLS[0]] * (arity - len(row))] for row in names])
    doses = np.where(full == CONTROLS[0], 0.0, 1.0)
    place = {name: k for k, name in enumerate(sorted(set(full[doses > 0])))}
    ids = np.reshape([place.get(name, -1) for name in full.ravel()], full.shape)
    n, zeros = len(full), np.zeros(len(full), np.int64)
    held: dict[str, Any] = {
        NAMES: np.char.encode(full, "utf-8"),
        DOSES: doses,
        IDS: ids,
        VALUES: np.r_[found.score, [*found.singles.values()]],
        MASK: np.ones(n, bool),
        SAMPLES: np.full(n, b"sample"),
        "sample_ids": zeros,
        PLATES: np.full(n, b"plate"),
        "plate_ids": zeros,
    }
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for name, values in held.items():
            file.create_dataset(name, data=values, compression="gzip")
        file.attrs[CONTROL] = CONTROLS[0]
    return buffer.getvalue()


def words(values: Any) -> np.ndarray:
    """Text of a data set, stored as fixed or as variable bytes."""
    found = np.asarray(values)
    each = (w.decode() if isinstance(w, bytes) else str(w) for w in found.ravel())
    return np.array([*each], str).reshape(found.shape)


def shape(part: np.ndarray) -> str:
    """`4 x 2`."""
    return " x ".join(map(str, part.shape))
