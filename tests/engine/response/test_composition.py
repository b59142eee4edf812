import numpy as np

from epistax.engine.response.composition import composed


def test_doses_are_on_a_line_and_parts_add_up():
    arms = np.array(
        [
            [1, 0, 0, 0],
            [0, 0.5, 0, 0],
            [0, 1, 0, 0],
            [0, 0, 1, 0],
            [0, 0.75, 0, 0],  # between two doses
            [0, 0.25, 0, 0],  # below the least: towards none
            [0, 2, 0, 0],  # above the largest: that one
            [0, 1, 1, 0],  # two at once
            [0, 1, 0, 1],  # one of the two never measured alone
        ],
        float,
    )
    cells = np.array([9, 9, 9, 9, 0, 0, 0, 0, 0])
    weights = composed(arms, cells)
    expected = np.zeros((9, 9))
    expected[[1, 2, 3], [1, 2, 3]] = 1
    expected[4, [1, 2]] = 0.5
    expected[5, 1] = 0.5
    expected[6, 2] = 1
    expected[7, [2, 3]] = 1
    np.testing.assert_allclose(weights, expected)


def test_a_measured_combination_is_itself():
    arms = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 1, 1]], float)
    weights = composed(arms, np.array([5, 5, 5, 5]))
    np.testing.assert_array_equal(weights[3], [0, 0, 0, 1])
    np.testing.assert_array_equal(weights[0], 0)
