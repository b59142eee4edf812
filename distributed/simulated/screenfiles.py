"""A simulated screen as data.npz: x, perturbation and what else is known of an observation."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from epistax.distributed.errors import BadInput
from epistax.distributed.options import Simulate
from epistax.distributed.rundir import RunDir
from epistax.distributed.simulated import storing

MOST = 16 * 2**30  # bytes of images while they are made: 32 bits a value, twice
BLOCK = 1024  # images turned into 8 bits in one step


def refuse_genes(options: Simulate, has: str) -> None:
    """--genes where their number is fixed."""
    if options.genes is not None:
        raise BadInput(f"--genes: this screen has {has}; drop it")


def refuse_large(n: int, image: tuple[int, int, int], remedy: str) -> None:
    """More images than fit."""
    total = 8 * n * int(np.prod(image, dtype=object))
    if total > MOST:
        sizes = " x ".join(map(str, image))
        raise BadInput(
            f"{remedy}: {n:,} images of {sizes} need {total / 2**30:,.1f} GiB while they are made;"
            f" at most {MOST // 2**30} fit"
        )


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
    held = {"x": np.asarray(x), "perturbation": perturbation}
    return storing.write_npz(run, "data.npz", held | columns)


def write_separability(
    run: RunDir, made: Any, x: Any, names: np.ndarray, **truth: np.ndarray
) -> dict[str, Any]:
    """The screen x and what is true of its pairs, with their exact signed KL score; the summary."""
    a, b = ordered(*(names[np.asarray(side)] for side in made.pairs))
    known = pl.DataFrame({"a": a, "b": b, **truth, "score": np.asarray(made.score, np.float64)})
    return {
        "data": write(run, x, labels(made.codes, names)),
        "truth": str(run.write_table("truth", known)),
        "pairs": len(a),
        "observations": len(made.codes),
        **{name: int(column.sum()) for name, column in truth.items()},
    }


def pixels(images: Any) -> np.ndarray:
    """Images in 0 .. 1 as 8 bits."""
    images = np.asarray(images)
    out = np.empty(images.shape, np.uint8)
    for k in range(0, len(out), BLOCK):
        out[k : k + BLOCK] = np.rint(images[k : k + BLOCK] * 255)
    return out


def describe(summary: Mapping[str, Any], what: str, *, noun: str = "genes", test: str = "") -> str:
    """What was made, where it is, and what can be done with it."""
    words = f" --test {test}" if test else ""
    return (
        f"{summary['observations']:,} observations of {summary[noun]} {noun} and their "
        f"{summary['pairs']:,} pairs, {what}\n"
        f"data:  {summary['data']}\n"
        f"truth: {summary['truth']}\n"
        f"next:  epistax score {summary['data']}{words} --out DIR"
    )
