"""Networks that begin as principal components."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from epistax.engine.causal import principal as components
from epistax.engine.causal import targets
from epistax.engine.causal.catalogue import built, settings
from epistax.engine.causal.families import begun, networks
from epistax.engine.causal.start import principal
from epistax.engine.simulate import scm


def started(x, name="conditional", where=(), **changes):
    how = {"latents": 3, "hidden": (7,), "depth": 3, "sees": "concat"}
    how |= {"start": "pca", "encoder": "residual", "decoder": "residual", "likelihood": "normal"}
    how |= {"clamp": True, **changes}
    config = settings(name, samples=len(x), features=x.shape[1], vector=3, **how)
    keys = jax.random.split(jax.random.key(0), 2)
    params = jax.vmap(lambda key: begun(key, networks(name, config), config))(keys)
    return built(name, config, 2, 1), principal(params, x, *where), config


@pytest.mark.parametrize("name", ["conditional", "structured"])
def test_training_starts_from_the_components(toy, name):
    x = toy.data.train.x
    family, params, _ = started(x, name)
    e = jnp.asarray(toy.data.vectors[toy.data.train.environment])
    found = components.fitted(x, 3)
    variance = np.linalg.eigvalsh(np.cov(x.T, bias=True))[-3:]
    for fit in range(2):
        own = jax.tree.map(lambda leaf, fit=fit: leaf[fit], params)
        mean, log_sd = family.encode(own, jnp.float32(1), jnp.asarray(x), e)
        np.testing.assert_allclose(np.cov(mean.T, bias=True), np.eye(3), atol=1e-3)
        told = family.decode(own, mean, e)
        np.testing.assert_allclose(told, components.reconstructed(found, x), atol=1e-3)
        # the sd of a linear decoder's posterior, held softly
        expected = np.broadcast_to(-0.5 * np.log1p(variance), log_sd.shape)
        np.testing.assert_allclose(np.sort(log_sd)[:, ::-1], expected, atol=0.15)


def test_latents_without_a_component_tell_nothing_yet(toy):
    x = toy.data.train.x.copy()
    x[:, 2:] = 0
    family, params, _ = started(x, latents=4)
    own = jax.tree.map(lambda leaf: leaf[0], params)
    e = jnp.zeros((len(x), 3))
    mean, _ = family.encode(own, jnp.float32(1), jnp.asarray(x), e)
    assert np.isfinite(mean).all()
    np.testing.assert_allclose(family.decode(own, mean, e), x, atol=1e-4)


def test_a_learned_variance_starts_at_what_components_miss(toy):
    x = toy.data.train.x
    _, params, _ = started(x, "vae", likelihood="learned")
    rest = components.error(components.fitted(x, 3), x)
    np.testing.assert_allclose(np.exp(params["log_variance"]), rest, rtol=1e-4)


def test_turned_the_latents_are_those_that_environments_shift():
    world = jax.tree.map(np.asarray, scm.sparse(jax.random.key(3), n=100, latents=3, features=12))
    of = world.environment
    family, params, _ = started(world.x, "vae", where=(of, 0), start="shifts")
    own = jax.tree.map(lambda leaf: leaf[0], params)
    e = jnp.zeros((len(of), 3))
    mean, _ = family.encode(own, jnp.float32(1), jnp.asarray(world.x), e)
    plain = of == 0
    match = targets.matched(np.asarray(mean)[plain], world.c[plain])
    assert match.mcc > 0.99
    np.testing.assert_allclose(np.mean(mean[plain], axis=0), 0, atol=1e-3)  # of the reference
    found = components.fitted(world.x, 3)  # turned or not, they reconstruct alike
    told = family.decode(own, mean, e)
    np.testing.assert_allclose(told, components.reconstructed(found, world.x), atol=1e-3)
    inside = [np.cov(mean[of == k].T, bias=True) * np.sum(of == k) for k in np.unique(of)]
    np.testing.assert_allclose(sum(inside) / len(of), np.eye(3), atol=1e-3)


def test_without_shifts_the_components_are_whitened_as_they_are(toy):
    x = toy.data.train.x
    _, params, _ = started(x, where=(np.zeros(len(x), int), None), start="shifts")
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params))


def test_components_need_paths():
    with pytest.raises(ValueError, match="must have paths"):
        started(np.ones((9, 8)), encoder="mlp")
