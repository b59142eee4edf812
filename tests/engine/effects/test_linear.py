"""The linear baseline against numpy's least squares."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from epistax.engine.effects.linear import Linear, linear
from epistax.engine.effects.records import Combos, Jobs, Table

RNG = np.random.default_rng(0)
GENES = np.where(RNG.random((40, 3)) < 0.2, -1, RNG.integers(0, 9, (40, 3))).astype(np.int32)
SINGLES = np.where(GENES < 0, np.nan, RNG.normal(size=(40, 3))).astype(np.float32)
SUM = np.nansum(SINGLES, axis=1)
VALUE = (0.7 * SUM - 0.1 + 0.05 * RNG.normal(size=40)).astype(np.float32)
KEYS = jax.random.split(jax.random.key(0), 2)


def fitted(train, value=VALUE):
    table = Table(Combos(GENES, SINGLES), value)
    return linear(Linear()).fit(KEYS, table, Jobs(train, np.full((2, 0), -1, np.int32)))


def test_it_is_numpys_least_squares_for_each_job():
    train = np.stack([np.arange(20), np.r_[np.arange(25, 37), np.full(8, -1)]]).astype(np.int32)
    value = VALUE.copy()
    value[[20, 24, 38, 39]] = np.nan  # rows of no job
    fits = fitted(train, value)
    for job, index in enumerate((train[0], train[1, :12])):
        x = np.stack([np.ones(len(index)), SUM[index]], axis=1)
        want, left, *_ = np.linalg.lstsq(x, VALUE[index].astype(np.float64), rcond=None)
        got = fits.intercept[job], fits.slope[job], fits.sd[job]
        np.testing.assert_allclose(got, (*want, np.sqrt(left[0] / (len(index) - 2))), rtol=1e-3)
    told = linear(Linear()).predict(fits, Combos(GENES[:5], SINGLES[:5]))
    want = np.asarray(fits.intercept)[:, None] + np.asarray(fits.slope)[:, None] * SUM[None, :5]
    np.testing.assert_allclose(told.mean, want, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(told.sd, np.tile(fits.sd[:, None], 5))


def test_rows_all_alike_are_told_by_their_mean():
    fits = fitted(np.full((2, 3), 4, np.int32))
    np.testing.assert_allclose(fits.slope, 0)
    np.testing.assert_allclose(fits.intercept, VALUE[4], rtol=1e-6)


def test_the_order_of_the_genes_does_not_matter():
    fits = fitted(np.tile(np.arange(20, dtype=np.int32), (2, 1)))
    one = linear(Linear()).predict(fits, Combos(GENES, SINGLES)).mean
    other = linear(Linear()).predict(fits, Combos(GENES[:, ::-1], SINGLES[:, ::-1])).mean
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_compiled_is_eager():
    fits = fitted(np.tile(np.arange(20, dtype=np.int32), (2, 1)))
    combos = Combos(jnp.asarray(GENES), jnp.asarray(SINGLES))
    told = linear(Linear()).predict
    np.testing.assert_allclose(jax.jit(told)(fits, combos).mean, told(fits, combos).mean, rtol=1e-6)
    assert told(fits, combos).mean.shape == (2, 40)
    with pytest.raises(TypeError):
        linear()
