from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

P = 20
NAMES = [f"g{n:02d}" for n in range(P)]


@pytest.fixture(scope="session")
def world() -> pl.DataFrame:
    """All pairs and (g, g) of 20 genes: sums of single effects, a factor, noise; and singles."""
    rng = np.random.default_rng(0)
    s, u = rng.uniform(-0.4, 0, P), rng.normal(size=P)
    i, j = np.triu_indices(P)
    value = 0.8 * (s[i] + s[j]) + 0.03 * u[i] * u[j] + 0.01 * rng.normal(size=len(i))
    rows = [(NAMES[a], NAMES[b], v) for a, b, v in zip(i, j, value, strict=True)]
    rows += [(name, "control", v) for name, v in zip(NAMES, s, strict=True)]
    return pl.DataFrame(rows, schema=["id1", "id2", "score"], orient="row")


@pytest.fixture
def table(world: pl.DataFrame, tmp_path: Path) -> Path:
    """The same as a file."""
    path = tmp_path / "pairs.csv"
    world.write_csv(path)
    return path


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Callable[..., int]:
    """`epistax effects ...` through the door, quietly."""
    from epistax.cli import main

    def run(*words: object) -> int:
        return main(["effects", *map(str, words), "--quiet"])

    return run
