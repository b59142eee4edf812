"""Whether two latents are the true ones up to a rotation and two scales.

"Towards Learning Cell Causal-Embeddings", section 6.1 and figures 6, 12 and 14: x = M C = M~ C~
for any M~ = M R_theta diag(lambda), R_theta = [[cos, -sin], [sin, cos]]. The rows of M R_theta are
compared with those of M~ at every theta, with and without the first column of M multiplied by -1,
which stands for scales of different signs. Latents are disentangled where the common angle is a
multiple of pi / 2. Where |lambda_1| is not |lambda_2|, no angle brings the rows' directions
together: least squares find the scales too.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.linalg import polar

POINTS = 721  # 0 to 2 pi: half a degree apart
ANGLES = np.linspace(0.0, 2 * np.pi, POINTS)
STEP = 2 * np.pi / (POINTS - 1)
FLIP = np.array([-1.0, 1.0])


class Turned(NamedTuple):
    """How rows meet, of M or of M with its first column multiplied by -1."""

    distance: Float[ndarray, "a g"]  # 1 - cosine of each row at each angle: 0 .. 2
    row_angle: Float[ndarray, "g"]  # where each row comes nearest
    angle: float  # where they do on average
    mean_distance: float  # there
    spread: float  # the shortest arc with every row_angle on it, in grid steps


class Scaled(NamedTuple):
    """The least squares fit of M R_theta diag(lambda) to M~."""

    angle: float
    scale: Float[ndarray, "2"]  # lambda
    residual: float  # share of the squares of M~ that is left


class Polar(NamedTuple):
    """M^+ M~ = Q S: a rotation (and a reflection, where turned over) after a stretch."""

    transform: Float[ndarray, "d d"]
    orthogonal: Float[ndarray, "d d"]
    stretch: Float[ndarray, "d d"]
    entangled: float  # share of a column's squares beside its largest entry: 0 of a permutation


def turned(true: Float[ndarray, "g 2"], found: Float[ndarray, "g 2"], *, flip: bool) -> Turned:
    """Cosine distances of the rows of M R_theta to those of M~; 1 of a row that is 0."""
    start = true * FLIP[None, :] if flip else true
    rotated = np.einsum("gj,ajk->agk", start, rotations())
    lengths = np.linalg.norm(true, axis=1) * np.linalg.norm(found, axis=1)
    product = (rotated * found[None]).sum(axis=2)
    distance = 1 - np.divide(
        product, lengths[None, :], out=np.zeros_like(product), where=lengths[None, :] > 0
    )
    mean = distance.mean(axis=1)
    best = int(np.argmin(mean))
    row_angle = ANGLES[np.argmin(distance, axis=0)]
    spread = arc(row_angle[lengths > 0]) / STEP
    return Turned(distance, row_angle, float(ANGLES[best]), float(mean[best]), spread)


def rotations() -> Float[ndarray, "a 2 2"]:
    """R_theta at every angle."""
    cos, sin = np.cos(ANGLES), np.sin(ANGLES)
    return np.stack([np.stack([cos, -sin], axis=1), np.stack([sin, cos], axis=1)], axis=1)


def arc(angles: Float[ndarray, "g"]) -> float:
    """The shortest arc of the circle, in radians, on which all of them lie."""
    if not len(angles):
        return 0.0
    around = np.sort(angles % (2 * np.pi))
    gaps = np.diff(np.append(around, around[0] + 2 * np.pi))
    return float(2 * np.pi - gaps.max())


def scaled(true: Float[ndarray, "g 2"], found: Float[ndarray, "g 2"]) -> Scaled:
    """Theta of the grid, and scales of any sign and size. Both columns of M~ 0: nothing is left."""
    rotated = np.einsum("gj,ajk->agk", true, rotations())
    scale = (rotated * found[None]).sum(axis=1) / (rotated**2).sum(axis=1)
    left = ((rotated * scale[:, None, :] - found[None]) ** 2).sum(axis=(1, 2))
    best = int(np.argmin(left))
    total = float((found**2).sum())
    return Scaled(float(ANGLES[best]), scale[best], float(left[best]) / total if total else 0.0)


def decomposed(true: Float[ndarray, "g d"], found: Float[ndarray, "g d"]) -> Polar:
    """M^+ M~ by its polar decomposition; of any number of latents."""
    transform = np.linalg.lstsq(true, found, rcond=None)[0]
    orthogonal, stretch = polar(transform)
    squares = transform**2
    total = squares.sum(axis=0)
    largest = np.divide(squares.max(axis=0), total, out=np.ones_like(total), where=total > 0)
    return Polar(transform, orthogonal, stretch, float(1 - largest.mean()))
