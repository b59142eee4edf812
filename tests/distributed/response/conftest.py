"""A small world of cells: files and tables."""

from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

G, P, N = 80, 4, 700
GENES = [f"g{n:02d}" for n in range(G)]


def made(seed: int = 0) -> anndata.AnnData:
    """Counts of cells: 2 cell types x 2 donors, 4 perturbations that shift genes alike in all."""
    rng = np.random.default_rng(seed)
    arm = rng.choice(P + 1, N, p=[0.3, *[0.7 / P] * P])
    kind, donor = rng.integers(0, 2, N), rng.integers(0, 2, N)
    effect = np.r_[np.zeros((1, G)), rng.normal(size=(P, G)) * (rng.random((P, G)) < 0.3)]
    state = rng.normal(size=N)
    log = 1 + 0.8 * rng.normal(size=G) + 0.3 * rng.normal(size=(2, G))[kind]
    log = log + effect[arm] + 0.2 * state[:, None] * np.r_[np.ones(10), np.zeros(G - 10)]
    counts = rng.poisson(np.exp(log)).astype(np.float32)
    labels = ["control", *GENES[:P]]
    obs = pd.DataFrame({
        "perturbation": [labels[a] for a in arm],
        "control": (arm == 0).astype(int),
        "dose": 1.0,
        "cell_type": np.array(["alpha", "beta"])[kind],
        "donor": np.array(["d1", "d2"])[donor],
    }, index=[f"c{n}" for n in range(N)])  # fmt: skip
    data = anndata.AnnData(counts, obs=obs, var=pd.DataFrame(index=GENES))
    data.uns["fields"] = {
        "perturbation": "perturbation",
        "control": "control",
        "dose": "dose",
        "covariates": ["cell_type", "donor"],
    }
    data.uns["values"] = "counts"
    return data


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The world as a file, with a graph beside it."""
    folder = tmp_path_factory.mktemp("cells")
    made().write_h5ad(folder / "data.h5ad")
    rng = np.random.default_rng(1)
    rows = [f"g{rng.integers(4):02d},{gene}" for gene in GENES[4:]]
    (folder / "graph.csv").write_text("\n".join(["source,target", *rows]) + "\n")
    return folder / "data.h5ad"


@pytest.fixture
def world() -> Callable[..., anndata.AnnData]:
    """The world, to be changed."""
    return made


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Callable[..., int]:
    """`epistax response ...` through the door, quietly."""
    from epistax.cli import main

    def run(*words: object) -> int:
        return main(["response", *map(str, words), "--quiet"])

    return run
