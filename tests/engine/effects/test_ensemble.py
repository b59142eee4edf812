"""Ensembles against numpy."""

import jax.numpy as jnp
import numpy as np
import pytest

from epistax.engine.effects.ensemble import ensemble
from epistax.engine.effects.records import Predicted

MEAN = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)


def test_mean_and_sd_of_each_group_of_members():
    got = ensemble(Predicted(jnp.asarray(MEAN), jnp.zeros((6, 4))), members=3)
    groups = MEAN.reshape(2, 3, 4)
    np.testing.assert_allclose(got.mean, groups.mean(axis=1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(got.sd, groups.std(axis=1, ddof=1), rtol=1e-5)


def test_the_members_own_variance_is_added():
    got = ensemble(Predicted(jnp.asarray(MEAN), jnp.full((6, 4), 0.5)), members=2)
    between = MEAN.reshape(3, 2, 4).var(axis=1, ddof=1)
    np.testing.assert_allclose(got.sd, np.sqrt(between + 0.25), rtol=1e-5)


def test_an_ensemble_of_one_is_what_it_is():
    one = Predicted(jnp.asarray(MEAN), jnp.full((6, 4), 0.3))
    got = ensemble(one, members=1)
    np.testing.assert_allclose(got.mean, one.mean)
    np.testing.assert_allclose(got.sd, one.sd, rtol=1e-6)


def test_jobs_that_do_not_divide_are_refused():
    with pytest.raises(ValueError, match="6 jobs"):
        ensemble(Predicted(jnp.asarray(MEAN), jnp.asarray(MEAN)), members=4)
