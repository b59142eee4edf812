"""What is expected of an environment."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from epistax.engine.causal.catalogue import method, settings
from epistax.engine.causal.outlook import moved, predicted
from epistax.engine.causal.records import Latents, Method


def told(toy, name, **changes):
    """Fits, and what they expect of environments 0, 1 and 4 from the reference's samples."""
    how = {"latents": 3, "hidden": (16,), "epochs": 60, "batch": 32, "rate": 5e-3, "decay": 1e-4}
    how |= {"likelihood": "normal", "start": "random", **changes}
    config = settings(name, samples=240, features=8, vector=3, **how)
    model = method(name, config)
    fits, _ = model.fit(jax.random.split(jax.random.key(0), 2), toy.data, ())
    train, v = toy.data.train, toy.data.vectors
    x = train.x[train.environment == 0]
    seen = [predicted(model, fits, x, v[0], v[e]).mean for e in (0, 1, 4)]
    z = model.encode(fits, x, np.zeros((len(x), 3), np.float32)).mean
    same = model.decode(fits, z, np.zeros((len(x), 3), np.float32)).mean(axis=1)
    np.testing.assert_allclose(seen[0], same, atol=1e-4)  # of the reference: itself
    return seen


def test_latents_keep_where_they_lie_in_their_prior():
    rng = np.random.default_rng(0)
    z = jnp.asarray(rng.normal(size=(2, 4000, 3)) * 0.5 + 1)
    before = Latents(jnp.full((2, 1, 3), 1.0), jnp.full((2, 1, 3), np.log(0.5)))
    after = Latents(jnp.full((2, 1, 3), -2.0), jnp.full((2, 1, 3), np.log(1.5)))
    got = np.asarray(moved(z, before, after))
    np.testing.assert_allclose(got.mean(axis=1), -2, atol=0.1)
    np.testing.assert_allclose(got.std(axis=1), 1.5, rtol=0.05)
    np.testing.assert_allclose(moved(z, before, before), z, atol=1e-6)


def test_a_linear_gaussian_model_is_predicted_exactly():
    mixing = np.random.default_rng(0).normal(size=(3, 5))

    def prior(fits, v):
        return Latents(jnp.asarray(v)[None], jnp.zeros((1, *v.shape)))

    model = Method(
        fit=lambda *_: None,
        encode=lambda fits, x, v: Latents(jnp.asarray(x @ np.linalg.pinv(mixing))[None], None),
        decode=lambda fits, z, v: z @ jnp.asarray(mixing),
        prior=prior,
        variables=lambda fits, z: z,
    )
    c = np.random.default_rng(1).normal(size=(50, 3))
    shift = np.array([0.0, 2.0, -1.0])
    got = predicted(model, None, c @ mixing, np.zeros(3), shift)
    np.testing.assert_allclose(got.mean[0], (c + shift[None]).mean(axis=0) @ mixing, atol=1e-4)
    np.testing.assert_allclose(got.sd[0], (c @ mixing).std(axis=0), rtol=1e-4)


@pytest.mark.parametrize("name", ["environment", "translation", "conditional"])
def test_what_an_environment_does_is_foreseen(toy, name):
    control, seen, new = told(toy, name)
    train, validation = toy.data.train, toy.data.validation
    for got, samples, e in ((seen, train, 1), (new, validation, 4)):
        truth = samples.x[samples.environment == e].mean(axis=0)
        lost = np.mean((np.asarray(got) - truth[None]) ** 2, axis=1)
        blind = np.mean((np.asarray(control) - truth[None]) ** 2, axis=1)
        assert (lost < 0.4 * blind).all(), (lost, blind)


@pytest.mark.parametrize("name", ["vae", "adversarial"])
def test_without_a_prior_the_reference_comes_back(toy, name):
    control, seen, new = told(toy, name, epochs=2)
    np.testing.assert_allclose(seen, control, atol=1e-5)
    np.testing.assert_allclose(new, control, atol=1e-5)
