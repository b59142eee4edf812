"""What simulated cells would have expressed under every arm: the files beside the data.

effects.npz holds the expected expression of every arm and stratum, counterfactual.npz that of some
cells under every arm, as `epistax simulate cells` writes them.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from epistax.distributed.errors import BadInput
from epistax.distributed.formats import npz
from epistax.distributed.response.arms import CONTROL, name_of
from epistax.distributed.response.reading import CellTable

EFFECTS, CELLS = "effects.npz", "counterfactual.npz"


@dataclass(frozen=True)
class Truth:
    """In the order of the data's strata, arms and genes; nan where the files say nothing."""

    mean: np.ndarray | None  # float [c, a, g]
    rows: np.ndarray  # int [e], cells of the table
    cells: np.ndarray  # float [e, a, g]


def beside(path: str) -> list[str]:
    """Those of the two files that are there."""
    both = [Path(path).parent / name for name in (EFFECTS, CELLS)]
    return [str(one) for one in both if one.is_file()]


def read_truth(path: str, table: CellTable) -> Truth | None:
    """The truth beside a file of cells; None without any."""
    if not beside(path):
        return None
    effects, followed = (Path(path).parent / name for name in (EFFECTS, CELLS))
    shape = (0, len(table.arms.names), len(table.genes))
    rows, cells = np.zeros(0, int), np.zeros(shape, np.float32)
    if followed.is_file():
        rows, cells = of_cells(followed, table)
    return Truth(of_groups(effects, table) if effects.is_file() else None, rows, cells)


def of_groups(path: Path, table: CellTable) -> np.ndarray:
    """Expected expression, [c, a, g]."""
    held = npz.load(path)
    with damaged(path):
        arms, genes = places(held, table)
        names = [held[name] for name in table.covariates]
        named = {tuple(map(str, one)): k for k, one in enumerate(zip(*names, strict=True))}
        order = [named.get(tuple(words), -1) for words in split_names(table)]
        mean = aligned(held["mean"].transpose(1, 0, 2), arms, genes)
        found: np.ndarray = np.where(np.array(order)[:, None, None] >= 0, mean[order], np.nan)
        return found


def of_cells(path: Path, table: CellTable) -> tuple[np.ndarray, np.ndarray]:
    """Which cells of the table are followed, and what they would express [e, a, g]."""
    held = npz.load(path)
    with damaged(path):
        arms, genes = places(held, table)
        there = np.isin(held["rows"], table.rows)
        rows = np.searchsorted(table.rows, held["rows"][there])
        return rows, aligned(held["y_true"][there], arms, genes).astype(np.float32)


def places(held: dict[str, np.ndarray], table: CellTable) -> tuple[np.ndarray, np.ndarray]:
    """Where the table's arms and genes are in a file; -1 where they are not."""
    names = {str(name): k for k, name in enumerate(held["genes"])}
    done = zip(held["perturbation"], held["dose"], strict=True)
    arms = {arm_name(str(label), float(dose)): k for k, (label, dose) in enumerate(done)}
    return (
        np.array([arms.get(name, -1) for name in table.arms.names]),
        np.array([names.get(name, -1) for name in table.genes]),
    )


def arm_name(label: str, dose: float) -> str:
    """What the table calls it."""
    return CONTROL if label == CONTROL else name_of(((label, dose),), "+")


def aligned(values: np.ndarray, arms: np.ndarray, genes: np.ndarray) -> np.ndarray:
    """The last two axes in another order; nan for what is not there."""
    found = values[:, arms][:, :, genes]
    known = (arms >= 0)[:, None] & (genes >= 0)[None, :]
    out: np.ndarray = np.where(known[None], found, np.nan)
    return out


def split_names(table: CellTable) -> list[list[str]]:
    """The levels of each stratum."""
    return [[levels[k] for levels, k in zip(table.levels, row, strict=True)]
            for row in np.asarray(table.design.strata)]  # fmt: skip


class damaged:
    """A file of another shape is bad input."""

    def __init__(self, path: Path) -> None:
        """Of this file."""
        self.path = path

    def __enter__(self) -> None:
        """Nothing to do."""

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        """In one line."""
        if isinstance(error, KeyError | ValueError | IndexError | TypeError):
            raise BadInput(
                f"{self.path}: is not the truth of these cells ({error}); make both again with "
                "simulate cells, or move it away"
            ) from None
