"""Images of an npz file: `x` [n, height, width] or, with channels last, [n, height, width, c].

Whole numbers of 8 bits are read as fractions, 0 .. 255 as 0 .. 1; all others as they are.
"""

import re
from collections.abc import Collection

import numpy as np

from epistax.distributed.errors import BadInput
from epistax.distributed.formats import npz

LEAST = 8  # pixels a side
APART = re.compile(r"arr_\d+")  # what numpy.savez calls arrays that are given without a name


def shape(source: str, x: np.ndarray) -> tuple[int, int, int] | None:
    """Height, width and channels; None where x holds vectors. Fails on what is neither."""
    if x.ndim == 2:
        return None
    sizes = " x ".join(map(str, x.shape)) or "one number"
    if x.ndim not in (3, 4):
        raise BadInput(
            f"{source}: `x` is {sizes}; give two dimensions, observations by features, or images:"
            " observations by height by width by channels"
        )
    height, width, channels = (*x.shape[1:], 1)[:3]
    if min(height, width) < LEAST or not channels:
        first = x.ndim == 4 and min(x.shape[2:]) >= LEAST
        remedy = (
            "move the channels last (numpy.moveaxis(x, 1, -1))" if first else "give larger ones"
        )
        raise BadInput(
            f"{source}: `x` is {sizes}, images of {height} x {width} pixels, and {LEAST} x {LEAST}"
            f" are the least; {remedy}, or vectors in two dimensions"
        )
    if 4 * x.size > npz.LIMIT:
        raise BadInput(
            f"{source}: its images take {4 * x.size / 2**30:,.1f} GiB as 32-bit numbers, of which"
            f" at most {npz.LIMIT // 2**30} are read; crop or resize them"
        )
    return height, width, channels


def refuse_unnamed(source: str, held: Collection[str]) -> None:
    """Images that stand in arrays of their own, as numpy.savez writes a list."""
    apart = [name for name in held if APART.fullmatch(name)]
    if "x" not in held and len(apart) > 1:
        raise BadInput(
            f"{source}: holds {len(apart):,} arrays without a name ({apart[0]}, ...) and no `x`;"
            " if these are images, crop or resize them to one size and save one array `x`"
        )


def refuse_chosen(source: str, wanted: Collection[str], held: Collection[str]) -> None:
    """Names of features, which pixels have not."""
    if wanted:
        raise BadInput(f"--features: {source} holds images, whose pixels have no names; drop it")
    if "features" in held:
        raise BadInput(f"{source}: `x` holds images and `features` names columns; drop the names")


def flat(x: np.ndarray) -> np.ndarray:
    """One row an image [n, height * width * c] of 32-bit numbers."""
    rows = x.reshape(len(x), -1).astype(np.float32)
    if x.dtype == np.uint8:
        rows /= 255
    return rows


def origin(x: np.ndarray) -> str:
    """What the values are, in words."""
    return "pixels" + (", 0 .. 255 read as 0 .. 1" if x.dtype == np.uint8 else "")


def names(image: tuple[int, int, int]) -> tuple[str, ...]:
    """Of the values of a row: row, column and channel of the pixel, from 0."""
    height, width, channels = image
    return tuple(
        f"pixel {y},{x},{c}" for y in range(height) for x in range(width) for c in range(channels)
    )
