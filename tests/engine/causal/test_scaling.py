import numpy as np
import pytest
from scipy.stats import median_abs_deviation

from epistax.engine.causal import scaling


def samples(n=60, g=5):
    rng = np.random.default_rng(0)
    return rng.normal(3, [1, 2, 3, 4, 0.5], (n, g)).astype(np.float32)


@pytest.mark.parametrize("controls", [0, 19, 20, 45])
def test_spread_is_of_the_reference_where_there_is_enough_of_it(controls):
    x = samples()
    reference = np.arange(60) < controls
    x[reference] *= 2
    made = scaling.learned(x, reference)
    rows = (x[reference] if controls >= 20 else x).astype(np.float64)
    np.testing.assert_allclose(made.centre, np.median(rows, axis=0), rtol=1e-6)
    np.testing.assert_allclose(made.spread, median_abs_deviation(rows) * 1.4826, rtol=1e-5)


def test_one_wild_sample_changes_next_to_nothing():
    x = samples(61)
    x[-1] = 1e6
    one, other = (scaling.learned(part, np.zeros(len(part), bool)) for part in (x, x[:-1]))
    assert np.abs(one.spread / other.spread - 1).max() < 0.1
    assert scaling.scaled(one, x)[-1].tolist() == [scaling.CLIP] * 5


def test_mostly_equal_and_constant_genes():
    x = samples()
    x[:, 0], x[:45, 1] = 0.1, 2.0
    made = scaling.learned(x, np.zeros(60, bool))
    assert made.spread[0] == 1 and made.centre[0] == np.float32(0.1)
    assert made.spread[1] == pytest.approx(x[:, 1].std(), rel=1e-5)
    assert (scaling.scaled(made, x)[:, 0] == 0).all()


def test_what_is_scaled_is_restored():
    x = samples()
    made = scaling.learned(x, np.zeros(60, bool))
    near = np.abs(scaling.scaled(made, x)) < scaling.CLIP
    assert near.all() and scaling.scaled(made, x).dtype == np.float32
    np.testing.assert_allclose(scaling.restored(made, scaling.scaled(made, x)), x, atol=1e-5)
    many = np.stack([x, x + 1])  # of several fits at once, and one profile
    np.testing.assert_allclose(scaling.restored(made, many)[1], scaling.restored(made, x + 1))
    np.testing.assert_allclose(scaling.restored(made, x)[0], scaling.restored(made, x[0]))
