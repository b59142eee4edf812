"""Finished runs, and the door to `epistax export`."""

import json
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import polars as pl
import pytest

from epistax.cli import main
from epistax.distributed.record import sha256
from epistax.distributed.scoring import SCORES

GENES = [f"G{k:02d}" for k in range(8)]
LABELS = ["ctrl", "A+ctrl", "B+ctrl", "A+B", "C+ctrl"]
Made = Callable[..., Path]


def run(folder: Path, verb: str, *words: str) -> Path:
    out = folder / verb.replace(" ", "-")
    assert main([*verb.split(), *words, "--out", str(out), "--quiet"]) == 0
    return out


def by_hand(folder: Path, verb: str, inputs: tuple[Path, ...] = (), **tables: Any) -> Path:
    """A run directory of tables made by hand."""
    folder.mkdir(exist_ok=True)
    held = [{"path": str(p), "sha256": sha256(p)} for p in inputs]
    record = {"verb": verb, "options": {}, "run_key": "k", "inputs": held,
              "versions": {"epistax": "0"}}  # fmt: skip
    (folder / "run.json").write_text(json.dumps(record))
    (folder / "summary.json").write_text("{}")
    for name, columns in tables.items():
        pl.DataFrame(columns).write_parquet(folder / f"{name}.parquet")
    return folder


@pytest.fixture(scope="session")
def ran() -> Made:
    """A run of a verb, quietly."""
    return run


@pytest.fixture(scope="session")
def finished() -> Made:
    """A run directory of tables made by hand."""
    return by_hand


@pytest.fixture(scope="session")
def exported() -> Made:
    """The file of a run beside it, a shape and a name given."""

    def write(done: Path, to: str, name: str, *words: str) -> Path:
        out = done.parent / name
        assert main(["export", str(done), "--to", to, "--out", str(out), "--force", *words]) == 0
        return out

    return write


@pytest.fixture
def complaint(capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """What `export` says of what it must refuse."""

    def ask(*words: object) -> str:
        assert main(["export", *map(str, words)]) == 2
        error = capfd.readouterr().err
        assert error.startswith("epistax export: ") and error.count("\n") == 1
        return error

    return ask


@pytest.fixture(scope="session")
def fit(tmp_path_factory) -> Path:
    """Effects of all pairs of eight genes, by the sum of singles."""
    folder, rng = tmp_path_factory.mktemp("effects"), np.random.default_rng(0)
    single = dict(zip(GENES, rng.normal(size=len(GENES)), strict=True))
    rows = [(a, b, single[a] + single[b] + rng.normal() / 9) for a, b in combinations(GENES, 2)]
    rows += [(gene, "negative", value) for gene, value in single.items()]
    pl.DataFrame(rows, schema=["id1", "id2", "score"], orient="row").write_csv(folder / "p.csv")
    return run(folder, "effects fit", str(folder / "p.csv"), "--model", "linear")


@pytest.fixture
def scored(tmp_path: Path) -> Path:
    """Two tests of three pairs, of which the last has no score."""
    rows = [
        (a, b, test, s and s - 1, s and s * scale, s, p, 5, 6, n, 7, "scored" if s else "few")
        for test, scale in (("additive", 1.0), ("mmd", 2.0))
        for a, b, s, p, n in (("A", "B", 0.3, 0.01, 9), ("A", "C", 0.7, 0.2, 8),
                              ("B", "C", None, None, 1))
    ]  # fmt: skip
    frame = pl.DataFrame(rows, schema=SCORES, orient="row")
    return by_hand(tmp_path / "run", "score", scores=frame.with_columns(q_value=pl.col("p_value")))


@pytest.fixture
def screen(tmp_path: Path) -> Path:
    x = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    obs = pd.DataFrame({"condition": LABELS}, index=[f"c{k}" for k in range(5)])
    data = anndata.AnnData(x, obs=obs, var=pd.DataFrame(index=["f0", "f1", "f2"]))
    data.write_h5ad(tmp_path / "screen.h5ad")
    return tmp_path / "screen.h5ad"
