"""Features of single effects: symmetric, any number of genes, the kernel that they stand for."""

import jax.numpy as jnp
import numpy as np

from epistax.engine.effects import smooth
from epistax.engine.effects.records import Combos

SINGLES = jnp.asarray(np.random.default_rng(0).uniform(-1, 0.5, 30), jnp.float32)


def features(genes, singles, waves=(8, 6), length=1.0):
    combos = Combos(np.asarray(genes, np.int32), np.asarray(singles, np.float32))
    return np.asarray(smooth.features(combos, smooth.lie(SINGLES), waves=waves, length=length))


def test_products_of_the_sines_are_the_squared_exponential_kernel():
    x = jnp.linspace(-1, 1, 21)
    wave = np.asarray(smooth.sines(x, 24, 0.4), np.float64)
    kernel = np.exp(-0.5 * ((x[:, None] - x[None, :]) / 0.4) ** 2)
    inner = slice(4, 17)  # near the walls of the box the sines have to vanish
    np.testing.assert_allclose((wave @ wave.T)[inner, inner], kernel[inner, inner], atol=0.02)


def test_features_are_symmetric_and_blind_to_places_without_a_gene():
    rng = np.random.default_rng(1)
    genes = rng.integers(0, 30, (50, 3))
    singles = np.asarray(SINGLES)[genes]
    order = [2, 0, 1]
    np.testing.assert_allclose(
        features(genes, singles), features(genes[:, order], singles[:, order]), atol=1e-5
    )
    padded = np.hstack([genes, np.full((50, 1), -1)]), np.hstack([singles, np.full((50, 1), 9.0)])
    np.testing.assert_allclose(features(genes, singles), features(*padded), atol=1e-5)


def test_the_linear_features_of_a_pair_are_its_sum_difference_and_product():
    at = smooth.lie(SINGLES)
    a, b = -0.7, 0.1
    x, y = (a - float(at.middle)) / float(at.half), (b - float(at.middle)) / float(at.half)
    found = features([[3, 4]], [[a, b]])[0, : smooth.LINEAR]
    np.testing.assert_allclose(found, [1, (x + y) / 2, abs(x - y) - 1, x * y, 0], atol=1e-6)
    assert features([[3, 3]], [[a, a]])[0, smooth.LINEAR - 1] == 1


def test_far_outside_the_sines_go_on_as_they_are_at_the_edge():
    far = features([[0, 1], [0, 1]], [[5.0, 5.0], [50.0, 50.0]])
    np.testing.assert_allclose(far[0, smooth.LINEAR :], far[1, smooth.LINEAR :], atol=1e-6)


def test_equal_singles_divide_by_nothing():
    same = smooth.lie(jnp.full(4, -0.3))
    combos = Combos(np.array([[0, 1]], np.int32), np.float32([[-0.3, -0.3]]))
    assert np.isfinite(smooth.features(combos, same, waves=(3, 2), length=1.0)).all()
