"""The vector of every perturbation: of the file, of a table, of SMILES, or made up.

A made-up vector (one-hot, or 64 random bits) tells perturbations apart and says nothing of them.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl

from epistax.distributed.causal.observed import Observed
from epistax.distributed.errors import BadInput
from epistax.distributed.formats.side import places, read_rows
from epistax.distributed.formats.where import Where, listed, short

MADE_UP = ("onehot", "code")
BITS, RADIUS, CODE = 1024, 2, 64
SALT = 13  # tells the draws of codes from others of the same seed


def of_samples(found: Observed, of: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """The rows that all samples of a perturbation share, [p, v]. BadInput where they differ.

    of: the perturbation of each sample, -1 of samples that have none to give (controls).
    """
    assert found.vectors is not None
    first = np.full(len(names), -1)
    rows = np.flatnonzero(of >= 0)
    first[of[rows[::-1]]] = rows[::-1]
    values = found.vectors[first]
    here, there = found.vectors[rows], values[of[rows]]
    same = (here == there) | (np.isnan(here) & np.isnan(there))
    bad = rows[~same.all(1)]
    if len(bad):
        one = of[bad[0]]
        raise found.where.fault(
            bad,
            names[one],
            f"has another vector ({found.kind}) here than in {found.where.unit} "
            f"{found.where.number(first[one])}",
            "an environment has one; what differs inside it may be a --covariate",
        )
    return values


def of_table(path: str, names: Sequence[str]) -> np.ndarray:
    """The numbers of a table [p, v], NaN where it has no row. BadInput without numbers."""
    found = read_rows(path)
    if not found.columns:
        raise BadInput(f"{path}: has no column of numbers beside {found.label.name!r}")
    rows = places(path, found.label)
    values = np.full((len(names), len(found.columns)), np.nan, np.float32)
    there = [k for k, name in enumerate(names) if name in rows]
    if not there:
        raise BadInput(
            f"{path}: none of its names ({listed(list(rows)[:3])}) is one of the {len(names):,} "
            f"environments ({listed(list(names)[:3])})"
        )
    values[there] = found.values[[rows[names[k]] for k in there]]
    return values


def of_smiles(smiles: pl.Series, of: np.ndarray, names: Sequence[str], where: Where) -> np.ndarray:
    """Morgan fingerprints [p, 1024], NaN without SMILES. BadInput for what is none, or several."""
    fingerprint = morgan(where.source)
    values = np.full((len(names), BITS), np.nan, np.float32)
    pairs = pl.DataFrame({"of": of, "smiles": smiles}).with_row_index("row")
    pairs = pairs.filter(pl.col("of") >= 0).drop_nulls("smiles")
    first = pairs.group_by("of", "smiles", maintain_order=True).first()
    for row, one, text in first.select("row", "of", "smiles").iter_rows():
        here = Where(where.source, smiles.name, where.unit, where.first)
        if not np.isnan(values[one, 0]):
            problem = f"is a second SMILES of {short(names[one])}"
            raise here.fault(np.array([row]), text, problem, "an environment has one")
        bits = fingerprint(text)
        if bits is None:
            raise here.fault(np.array([row]), text, "is no SMILES that RDKit reads", "correct it")
        values[one] = bits
    return values


def morgan(source: str):  # type: ignore[no-untyped-def]
    """From SMILES to bits; None for what is no molecule."""
    try:
        from rdkit import Chem, RDLogger
        from rdkit.Chem import rdFingerprintGenerator
    except ImportError:
        raise BadInput(
            f"{source}: fingerprints of SMILES need RDKit, which is not installed; pip install "
            "'epistax[chem]', or give fingerprints with --vectors"
        ) from None
    RDLogger.DisableLog("rdApp.error")  # of a molecule that is none: said in one line of ours
    maker = rdFingerprintGenerator.GetMorganGenerator(radius=RADIUS, fpSize=BITS)

    def bits(text: str) -> np.ndarray | None:
        molecule = Chem.MolFromSmiles(text)
        return None if molecule is None else maker.GetFingerprintAsNumPy(molecule)

    return bits


def made_up(kind: str, p: int, seed: int) -> np.ndarray:
    """One-hot, or random codes of 64 bits that differ, [p, v]."""
    if kind == "onehot":
        return np.eye(p, dtype=np.float32)
    rng = np.random.default_rng([seed, SALT])
    return rng.integers(0, 2, (p, CODE)).astype(np.float32)


def check(values: np.ndarray, names: Sequence[str], source: str, kind: str) -> None:
    """Every environment has a vector of its own. BadInput for gaps, and for zero vectors."""
    bad = np.flatnonzero(np.isnan(values).any(1))
    if len(bad):
        raise BadInput(
            f"{source}: {len(bad):,} of {len(names):,} environments have no vector ({kind}): "
            f"{listed([names[k] for k in bad])}; give each one, or leave its samples out"
        )
    bad = np.flatnonzero(~np.isfinite(values).all(1))
    if len(bad):
        raise BadInput(
            f"{source}: the vector of {short(names[bad[0]])} ({kind}) is not finite; correct it"
        )
