"""A small linear world of environments: files and calls."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

D, G, E = 3, 8, 6  # latents, features, environments beside the control
EACH = 30


def made(seed: int = 0) -> dict[str, np.ndarray]:
    """x = M C, C = Z + offsets: environment k adds to latent k mod D; its vector is a code."""
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(G, D))
    target = np.r_[-1, np.arange(E) % D]
    offset = np.r_[0.0, np.where(np.arange(E) % 2, -4.0, 4.0)]
    of = np.repeat(np.arange(E + 1), np.r_[4 * EACH, [EACH] * E])
    shift = (target[:, None] == np.arange(D)) * offset[:, None]
    z = rng.normal(size=(len(of), D)) + shift[of]
    names = np.array(["DMSO", *(f"E{k}" for k in range(E))])
    split = np.where(np.arange(E + 1) > D, "validation", "train")
    return {
        "x": z @ mixing.T + 0.1 * rng.normal(size=(len(of), G)),
        "environment": names[of],
        "environments": names,
        "vectors": np.r_[np.zeros((1, 5)), rng.integers(0, 2, (E, 5)) + 0.1],
        "split": split,
        "c": z,
        "z": z,
        "mixing": mixing,
        "edges": np.zeros((D, D)),
        "sd": np.ones(D),
        "noise": np.array(0.1),
        "target": target,
        "offset": offset,
    }


def saved(folder: Path, arrays: dict[str, np.ndarray], *, truth: bool = True) -> Path:
    """data.npz, with truth.parquet beside it."""
    inside = {name: one for name, one in arrays.items() if name not in ("target", "offset")}
    np.savez(folder / "data.npz", **inside)
    if truth:
        table = {name: arrays[name] for name in ("target", "offset")}
        pl.DataFrame({"environment": arrays["environments"], **table}).write_parquet(
            folder / "truth.parquet"
        )
    return folder / "data.npz"


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The world as a file, its truth beside it."""
    return saved(tmp_path_factory.mktemp("world"), made())


@pytest.fixture
def world() -> Callable[..., dict[str, np.ndarray]]:
    """The arrays of the world, to be changed."""
    return made


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    """Write arrays of a world."""

    def put(arrays: dict[str, np.ndarray], **more: bool) -> Path:
        return saved(tmp_path, arrays, **more)

    return put


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Callable[..., int]:
    """`epistax causal ...` through the door, quietly."""
    from epistax.cli import main

    def run(*words: object) -> int:
        return main(["causal", *map(str, words), "--quiet"])

    return run


@pytest.fixture
def study() -> Callable[..., Any]:
    """The benchmark of a file, as its options design it."""
    from epistax.distributed.causal import benchmark
    from epistax.distributed.causal.reading import read_environments
    from epistax.distributed.causal.truth import read_truth
    from epistax.distributed.options.causal import CausalBenchmark

    def made(path: Path, **more: Any) -> Any:
        asked = CausalBenchmark(data=str(path), out="x", **more)
        table = read_environments(str(path), asked, asked.seed)
        return benchmark.design(asked, table, read_truth(str(path), table))

    return made
