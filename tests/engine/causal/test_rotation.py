import numpy as np
import pytest

from epistax.engine.causal import rotation
from epistax.engine.causal.rotation import STEP


def mixing():
    signs = np.random.default_rng(3).choice([-1.0, 0.0, 1.0], (10, 2))
    signs[(signs == 0).all(axis=1)] = [1, -1]
    return signs


def turn(angle):
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def test_scales_of_two_signs_meet_where_the_first_column_is_flipped():
    true = mixing()
    found = true @ turn(0.6 * np.pi) @ np.diag([1.0, -1.0])
    flipped, plain = (rotation.turned(true, found, flip=flip) for flip in (True, False))
    np.testing.assert_allclose(flipped.row_angle, 0.4 * np.pi, atol=1e-9)
    assert flipped.angle == pytest.approx(0.4 * np.pi) and flipped.mean_distance < 1e-12
    assert flipped.spread < 1e-6
    assert plain.mean_distance > 0.5 and plain.spread > 100
    assert flipped.distance.shape == (721, 10)


def test_scales_of_one_sign_meet_without():
    true = mixing()
    found = true @ turn(0.3 * np.pi) @ np.diag([2.0, 2.0])
    plain = rotation.turned(true, found, flip=False)
    assert plain.angle == pytest.approx(0.3 * np.pi) and plain.mean_distance < 1e-12
    # each row by itself is met at some angle, also where the two never meet together
    assert rotation.turned(true, found, flip=True).distance.min(axis=0).max() < 1e-4


def test_unequal_scales_need_least_squares():
    true = mixing()
    found = true @ turn(0.6 * np.pi) @ np.diag([1.0, -3.0])
    both = [rotation.turned(true, found, flip=flip) for flip in (True, False)]
    assert min(b.mean_distance for b in both) > 0.02
    fit = rotation.scaled(true, found)
    assert fit.residual < 1e-20
    rebuilt = true @ turn(fit.angle) @ np.diag(fit.scale)
    np.testing.assert_allclose(rebuilt, found, atol=1e-9)
    assert rotation.scaled(true, found + np.eye(10)[:, :2] * 5).residual > 0.1


def test_the_arc_is_the_shortest_one():
    assert rotation.arc(np.array([0.1, 6.2])) == pytest.approx(2 * np.pi - 6.1)
    assert rotation.arc(np.array([1.0, 2.0, 1.5])) == pytest.approx(1.0)
    assert rotation.arc(np.array([0.0, np.pi / 2, np.pi, 1.5 * np.pi])) == pytest.approx(
        1.5 * np.pi
    )
    assert rotation.arc(np.zeros(0)) == 0
    # 0 and 2 pi are one angle
    near = mixing() @ turn(-STEP / 2)
    assert rotation.turned(mixing(), near, flip=False).spread <= 1 + 1e-6


def test_the_polar_decomposition_of_a_permutation_with_scales():
    true = np.random.default_rng(4).normal(size=(20, 4))
    order = np.eye(4)[[2, 0, 3, 1]] @ np.diag([1.0, -2.0, 3.0, 0.5])
    made = rotation.decomposed(true, true @ order)
    np.testing.assert_allclose(made.transform, order, atol=1e-10)
    np.testing.assert_allclose(made.orthogonal @ made.stretch, order, atol=1e-10)
    np.testing.assert_allclose(made.orthogonal @ made.orthogonal.T, np.eye(4), atol=1e-10)
    assert made.entangled < 1e-12
    mixed = rotation.decomposed(true[:, :2], true[:, :2] @ turn(np.pi / 4))
    assert mixed.entangled == pytest.approx(0.5)


def test_a_feature_that_nothing_moves_is_no_nearer_anywhere():
    found = mixing() @ turn(0.25 * np.pi)
    found[0] = 0
    made = rotation.turned(mixing(), found, flip=False)
    assert (made.distance[:, 0] == 1).all() and made.spread < 1e-6
    assert made.angle == pytest.approx(0.25 * np.pi)
