"""Variates against scipy's quantiles."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from epistax.engine.stats.variates import gamma


@pytest.mark.parametrize("shape", [5.0, 30.0, 400.0])
def test_quantiles_of_gamma(shape):
    drawn = np.asarray(gamma(jax.random.key(0), jnp.full(200_000, shape)))
    share = [0.05, 0.25, 0.5, 0.75, 0.95]
    np.testing.assert_allclose(np.quantile(drawn, share), stats.gamma(shape).ppf(share), rtol=0.012)


def test_it_never_is_negative():
    assert (gamma(jax.random.key(1), jnp.full(100_000, 0.5)) > 0).all()
