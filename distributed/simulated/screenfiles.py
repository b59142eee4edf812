"""A simulated screen as data.npz: x, perturbation and what else is known of an observation."""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np

from epistax.distributed.rundir import RunDir


def labels(codes: np.ndarray, names: np.ndarray) -> np.ndarray:
    """`control`, `A` or `A+B`, by code point; codes are (-1, -1), (-1, i) or (i, j)."""
    named = np.append(names, "")  # the last answers for -1
    first, second = named[codes[:, 0]], named[codes[:, 1]]
    low, high = ordered(first, second)
    both = np.where(low == "", high, np.char.add(np.char.add(low, "+"), high))
    return np.where(high == "", "control", both)


def ordered(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each pair of names in the order in which pairs are written."""
    return np.where(a <= b, a, b), np.where(a <= b, b, a)


def write(run: RunDir, x: Any, perturbation: np.ndarray, **columns: np.ndarray) -> str:
    """The file; its path."""
    buffer = io.BytesIO()
    np.savez(buffer, x=np.asarray(x, np.float32), perturbation=perturbation, **columns)
    return str(run.write("data.npz", buffer.getvalue()))


def describe(summary: Mapping[str, Any], what: str) -> str:
    """What was made, where it is, and what can be done with it."""
    return (
        f"{summary['observations']:,} observations of {summary['genes']} genes and their "
        f"{summary['pairs']:,} pairs, {what}\n"
        f"data:  {summary['data']}\n"
        f"truth: {summary['truth']}\n"
        f"next:  epistax score {summary['data']} --out DIR"
    )
