"""Rotations to sparse rows."""

import numpy as np
from scipy.optimize import minimize_scalar

from epistax.engine.stats.quartimax import climbed, quartimax


def random_rotation(random: np.random.Generator, d: int) -> np.ndarray:
    return np.linalg.qr(random.normal(size=(d, d)))[0]


def test_axes_that_rows_lie_along_are_found() -> None:
    random = np.random.default_rng(0)
    axis, size = np.repeat(np.arange(5), 4), random.normal(size=20) * 3
    sparse = np.eye(5)[axis] * size[:, None]
    turn = random_rotation(random, 5)
    back = (sparse @ turn.T) @ quartimax(sparse @ turn.T)
    largest = np.sort(np.abs(back), axis=1)
    np.testing.assert_allclose(largest[:, -1], np.abs(size), atol=1e-6)
    np.testing.assert_allclose(largest[:, :-1], 0.0, atol=1e-6)


def test_two_axes_against_a_search_over_angles() -> None:
    rows = np.random.default_rng(1).normal(size=(30, 2)) ** 3

    def lost(angle: float) -> float:
        c, s = np.cos(angle), np.sin(angle)
        return -float(np.sum((rows @ np.array([[c, -s], [s, c]])) ** 4))

    grid = np.linspace(0, np.pi / 2, 400)
    near = grid[np.argmin([lost(a) for a in grid])]
    best = minimize_scalar(lost, bounds=(near - 0.01, near + 0.01), method="bounded").fun
    rotation = quartimax(rows)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(2), atol=1e-12)
    np.testing.assert_allclose(np.sum((rows @ rotation) ** 4), -best, rtol=1e-6)


def test_the_sum_does_not_fall_on_the_way() -> None:
    random = np.random.default_rng(2)
    rows, begun = random.normal(size=(40, 6)), random_rotation(random, 6)
    before, after = (np.sum((rows @ r) ** 4) for r in (begun, climbed(rows, begun)))
    assert after >= before
