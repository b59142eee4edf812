"""Effects in units of a job's own training rows."""

import jax
import jax.numpy as jnp
import numpy as np

from epistax.engine.effects import units
from epistax.engine.effects.neural import Neural, neural
from epistax.engine.effects.records import Combos, Jobs, Table
from epistax.engine.effects.training import Training
from epistax.engine.nets.combos import Combining

RNG = np.random.default_rng(0)
GENES = np.where(RNG.random((30, 3)) < 0.2, -1, RNG.integers(0, 7, (30, 3))).astype(np.int32)
SINGLES = np.where(GENES < 0, np.nan, RNG.normal(2, 3, (30, 3))).astype(np.float32)
VALUE = RNG.normal(-4, 5, 30).astype(np.float32)
TABLE = Table(Combos(GENES, SINGLES), VALUE)


def test_units_are_moments_of_the_rows_of_the_job():
    index = np.r_[np.arange(3, 20), [-1] * 5]
    own = units.sample(Table(*jax.tree.map(jnp.asarray, TABLE)), jnp.asarray(index))
    scale = units.measured(own)
    np.testing.assert_allclose(scale.single, np.nanmean(SINGLES[3:20]), rtol=1e-5)
    np.testing.assert_allclose(scale.value, VALUE[3:20].mean(), rtol=1e-5)
    np.testing.assert_allclose(scale.sd, VALUE[3:20].std(), rtol=1e-5)
    got = units.converted(own, scale)
    want = (np.nan_to_num(SINGLES[3:20]) - scale.single) / scale.sd
    np.testing.assert_allclose(got.combos.singles[:17], want, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(np.mean(got.value[:17]), 0, atol=1e-5)
    np.testing.assert_allclose(np.std(got.value[:17]), 1, rtol=1e-5)
    np.testing.assert_array_equal(got.value[17:], 0)


def test_rows_all_alike_have_a_unit_of_one():
    same = Table(TABLE.combos, np.full(30, 2.5, np.float32))
    own = units.sample(Table(*jax.tree.map(jnp.asarray, same)), jnp.arange(4))
    assert units.measured(own).sd == 1


def test_effects_in_other_units_are_predicted_in_these():
    config = Neural(Combining(7, 2, 4, dropout=0.0), Training(epochs=6, every=2), standard=True)
    jobs = Jobs(np.arange(20, dtype=np.int32)[None], np.arange(20, 30, dtype=np.int32)[None])
    key = jax.random.split(jax.random.key(1), 1)
    made = neural(config)
    fits = made.fit(key, TABLE, jobs)
    other = Table(Combos(GENES, 10 * SINGLES), 10 * VALUE)
    more = made.fit(key, other, jobs)
    told, again = made.predict(fits, TABLE.combos).mean, made.predict(more, other.combos).mean
    np.testing.assert_allclose(again, 10 * told, rtol=1e-3, atol=1e-2)
    error = np.mean((np.asarray(told)[0, 20:] - VALUE[20:]) ** 2)
    np.testing.assert_allclose(fits.loss, [error], rtol=1e-3)
