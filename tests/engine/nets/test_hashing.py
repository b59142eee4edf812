"""Normal draws by a hash."""

import jax
import numpy as np
from scipy import stats

from epistax.engine.nets.hashing import normal


def test_draws_are_normal_and_each_key_has_its_own():
    keys = jax.random.split(jax.random.key(0), 6)
    x = np.asarray(jax.vmap(lambda key: normal(key, (200, 100)))(keys))
    assert np.isfinite(x).all()
    assert stats.kstest(x.ravel(), "norm").pvalue > 0.01
    np.testing.assert_array_equal(normal(keys[3], (200, 100)), x[3])
    flat = x.reshape(6, -1)
    apart = np.corrcoef(flat)[np.triu_indices(6, 1)]
    assert np.abs(apart).max() < 4.5 / flat.shape[1] ** 0.5
    near = [np.corrcoef(x[0, :-k].ravel(), x[0, k:].ravel())[0, 1] for k in (1, 2, 3)]
    near += [np.corrcoef(x[0, :, :-k].ravel(), x[0, :, k:].ravel())[0, 1] for k in (1, 2, 3)]
    assert np.abs(near).max() < 4.5 / x[0].size ** 0.5
    squares = np.corrcoef(flat**2)[np.triu_indices(6, 1)]
    assert np.abs(squares).max() < 4.5 / flat.shape[1] ** 0.5
