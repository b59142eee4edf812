"""The rotation after which few numbers of every row are large.

Quartimax (Neuhaus and Wrigley 1954): the orthogonal R for which the fourth powers of A R add up to
the most. Found by a fixed point, R <- the orthogonal factor of A'(A R)^3, from several beginnings:
the sum is convex in R, so that it never falls on the way.
"""

import numpy as np
from jaxtyping import Float
from numpy import ndarray

BEGINNINGS, STEPS, STILL = 8, 500, 1e-8


def quartimax(rows: Float[ndarray, "e d"], *, seed: int = 0) -> Float[ndarray, "d d"]:
    """R, of determinant 1 or -1; the order and the signs of its columns mean nothing."""
    random = np.random.default_rng(seed)
    d = rows.shape[1]
    found = [climbed(rows, np.eye(d))]
    for _ in range(BEGINNINGS - 1):
        found.append(climbed(rows, np.linalg.qr(random.normal(size=(d, d)))[0]))
    return max(found, key=lambda rotation: float(np.sum((rows @ rotation) ** 4)))


def climbed(rows: Float[ndarray, "e d"], rotation: Float[ndarray, "d d"]) -> Float[ndarray, "d d"]:
    """The rotation where the sum of fourth powers no longer rises."""
    for _ in range(STEPS):
        left, _, right = np.linalg.svd(rows.T @ (rows @ rotation) ** 3)
        last, rotation = rotation, left @ right
        if np.max(np.abs(rotation - last)) < STILL:
            break
    return rotation
