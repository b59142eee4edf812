"""Numbers of a matrix as log expression, by what they are declared to be."""

from collections.abc import Iterator, Sequence

import numpy as np

from epistax.distributed.errors import BadInput
from epistax.distributed.formats.census import LeftOut
from epistax.engine.response.expression import normalise

BLOCK = 2**24  # values looked at in one step
KINDS = ("counts", "log")
LARGEST_LOG = 30.0  # a log of expression is below that


def expression(
    path: str,
    values: np.ndarray,
    rows: np.ndarray,
    kind: str | None,
    genes: Sequence[str],
    origin: str,
) -> tuple[np.ndarray, np.ndarray, tuple[LeftOut, ...]]:
    """Log expression of the kept rows, which rows those are, and what was left out."""
    if kind not in KINDS:
        said = f"uns says {kind!r}" if kind else "nothing says"
        raise BadInput(
            f"{path}: {said} whether {origin} holds counts or log expression; declare it with "
            "--values counts or --values log"
        )
    whole, largest = looked(path, values, rows, genes)
    if kind == "log" and whole:
        raise BadInput(
            f"{path}: {origin} is declared log but holds integers only, as counts are (largest "
            f"{largest:g}); declare --values counts"
        )
    if kind == "log" and largest > LARGEST_LOG:
        raise BadInput(
            f"{path}: {origin} is declared log but has a value of {largest:g}, which is no log of "
            "an expression; take the log, or give the counts with --values counts"
        )
    if kind == "counts" and not whole:
        raise BadInput(
            f"{path}: {origin} is declared counts but holds numbers that are no integers; declare "
            "--values log, or read the counts with --layer"
        )
    total = summed(values, rows)
    full = total > 0
    lost = int((~full).sum())
    if lost == len(rows):
        raise BadInput(f"{path}: {origin} is 0 throughout; read another --layer")
    kept = rows[full]
    y = values if len(kept) == len(values) else values[kept]
    if kind == "counts":
        normalise(y, total[full])
    left = (LeftOut("empty", lost, "without any count"),) if lost else ()
    return y, kept, left


def looked(
    path: str, values: np.ndarray, rows: np.ndarray, genes: Sequence[str]
) -> tuple[bool, float]:
    """Whether all values are integers, and the largest. BadInput for NaN, infinity, negatives."""
    whole, largest = True, 0.0
    for part, at in blocks(values, rows):
        bad = ~np.isfinite(part) | (part < 0)
        if bad.any():
            cell, gene = np.argwhere(bad)[0]
            raise BadInput(
                f"{path}: gene {genes[gene]}, cell {at[cell] + 1:,}: {part[cell, gene]:g} is no "
                "expression; give counts, or log1p of normalised counts, not scaled values"
            )
        whole = whole and bool((part == np.round(part)).all())
        largest = max(largest, float(part.max(initial=0)))
    return whole, largest


def summed(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The sum of each row, float64."""
    return np.concatenate([part.sum(1, dtype=np.float64) for part, _ in blocks(values, rows)])


def blocks(values: np.ndarray, rows: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows, some at a time, and where they stand."""
    step = max(1, BLOCK // max(1, values.shape[1]))
    for first in range(0, len(rows), step):
        at = rows[first : first + step]
        yield values[at], at
