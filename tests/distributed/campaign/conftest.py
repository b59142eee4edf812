import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from epistax.cli import main

GENES = [f"G{n:02d}" for n in range(12)]


def score(a: str, b: str) -> float:
    """What is true of a pair."""
    i, j = GENES.index(min(a, b)), GENES.index(max(a, b))
    return round(float(np.sin(3.1 * i) * np.cos(1.7 * j) + 0.01 * i * j), 4)


class Desk:
    """A laboratory at its shell, in a folder of its own."""

    genes, score = GENES, staticmethod(score)

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.capsys, self.path = folder, capsys, folder / "screen"
        self.file("genes.txt", "\n".join(GENES) + "\n")

    def file(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        return path

    def go(self, step: str, *words: Any) -> dict[str, Any]:
        """A step that works: its summary."""
        self.capsys.readouterr()
        code = main(["campaign", step, str(self.path), *map(str, words), "--json", "--quiet"])
        out, error = self.capsys.readouterr()
        assert code == 0 and not error, error
        return json.loads(out)

    def refused(self, step: str, *words: Any) -> str:
        """A step that must not work: the line that it says; no file changes."""
        before = self.tree()
        self.capsys.readouterr()
        code = main(["campaign", step, str(self.path), *map(str, words)])
        out, error = self.capsys.readouterr()
        assert code == 2 and not out, (out, error)
        assert error.count("\n") == 1 and "Traceback" not in error, error
        assert self.tree() == before
        return error

    def new(self, *words: Any, batch: int | None = 8, policy: str = "random") -> dict[str, Any]:
        """Begin on the twelve genes."""
        size = [] if batch is None else ["--batch", batch]
        given = ["--policy", policy, *([] if "--rounds" in words else ["--rounds", 3])]
        return self.go("new", "--genes", self.folder / "genes.txt", *size, *given, *words)

    def proposed(self, number: int) -> pl.DataFrame:
        """The rows of a round."""
        return pl.read_csv(self.path / f"rounds/{number:04d}/proposed.csv", infer_schema=False)

    def pairs(self, number: int) -> list[tuple[str, str]]:
        """Its pairs, once each."""
        rows = self.proposed(number).filter(pl.col("a") != pl.col("b")).select("a", "b").rows()
        return list(dict.fromkeys(rows))

    def measure(self, name: str, pairs: Any, **other: Any) -> Path:
        """Results of pairs as they are, or as given: a+b=value."""
        lines = [f"{b},{a},{other.get(f'{a}{b}', score(a, b))}" for a, b in pairs]
        return self.file(name, "\n".join(["id1,id2,score", *lines]) + "\n")

    def tree(self) -> dict[str, bytes]:
        """Every file of the campaign but the lock and the report."""
        passing = ("LOCK", "report.html")
        every = [p for p in sorted(self.path.rglob("*")) if p.is_file() and p.name not in passing]
        return {str(p.relative_to(self.path)): p.read_bytes() for p in every}


@pytest.fixture
def desks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[str], Desk]:
    """Laboratories by name."""

    def make(name: str) -> Desk:
        (tmp_path / name).mkdir()
        return Desk(tmp_path / name, capsys)

    return make


@pytest.fixture
def desk(desks: Callable[[str], Desk]) -> Desk:
    return desks("one")
