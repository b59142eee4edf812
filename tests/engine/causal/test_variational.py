"""Five variational autoencoders: what a trained one is, and where the environment enters each."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from epistax.engine.causal.catalogue import built, method, settings
from epistax.engine.causal.families import Batch, Pace, matrices, networks, optimiser, seen
from epistax.engine.causal.gate import gated
from epistax.engine.causal.objective import drawn, missed
from epistax.engine.causal.records import Data, Samples
from epistax.engine.fit import trainable
from epistax.engine.stats.gaussian import kl

X, E = (jax.random.normal(jax.random.key(seed), (12, k)) for seed, k in ((0, 8), (1, 3)))
T = jnp.float32(0.5)
KEYS = jax.random.split(jax.random.key(4), 5)


def small(name, **changes):
    some = {"latents": 3, "hidden": (7,), "depth": 3, **changes}
    return settings(name, samples=240, features=8, vector=3, preset="published", **some)


def begun(name, config):
    family = built(name, config, 2, 1)
    return family, jax.jit(family.begin)(jax.random.key(1))


def test_a_linear_one_shrinks_as_probabilistic_components_do():
    """X = M C without noise, a decoder of variance 1: x^ = S x, S = sum (1 - 1/lambda) v v'."""
    rng = np.random.default_rng(3)
    mixing = np.array(
        [[1, 1], [1, 0], [0, -1], [1, 0], [-1, 1], [0, 1], [1, 1], [1, 0], [-1, 0], [1, -1]]
    )
    c = rng.normal(size=(2000, 2))
    c = (c - c.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(c.T, bias=True))).T
    samples = Samples((c @ mixing.T).astype(np.float32), np.zeros(2000, np.int32))
    data = Data(np.zeros((1, 2), np.float32), samples, samples)
    config = settings(
        "vae", samples=2000, features=10, vector=2, preset="published", latents=2, hidden=(),
        epochs=60, batch=200, rate=1e-2,
    )  # fmt: skip
    model = method("vae", config)
    fits, _ = model.fit(jax.random.split(jax.random.key(0), 2), data, ())
    e = np.zeros((2000, 2), np.float32)
    told = np.asarray(model.decode(fits, model.encode(fits, samples.x, e).mean, e))
    values, axes = np.linalg.eigh(mixing @ mixing.T)
    shrunk = (axes * np.maximum(1 - 1 / np.maximum(values, 1), 0)) @ axes.T
    for one in told:
        expected = samples.x @ shrunk
        assert np.linalg.norm(one - expected) < 0.05 * np.linalg.norm(expected)
        assert np.linalg.norm(one - samples.x) > 0.05 * np.linalg.norm(samples.x)  # it shrinks


@pytest.mark.parametrize("name", ["vae", "conditional", "environment", "translation", "structured"])
def test_the_loss_is_less_the_bound(name):
    config = small(name, beta=0.7)
    family, parts = begun(name, config)
    net, params = networks(name, config), parts["model"].params
    pace = Pace(T, jnp.float32(0.7), jnp.float32(0))
    batch = Batch(X, E, jnp.zeros(12, jnp.int32), KEYS, pace)
    _, info = jax.jit(family.turn)(KEYS[0], parts, batch)

    mean, log_sd = net.encode(params, X, E)
    zeros = jnp.zeros((12, 3))
    before = zeros, zeros
    if name in ("environment", "structured"):
        before = gated(*net.auxiliary(params, E), T)
    if name == "translation":
        shift, _ = gated(*net.auxiliary(params, E), T)
        z = drawn(KEYS[3], mean, log_sd) + shift  # the divergence is that of what has no offset
        apart = kl(mean, log_sd, zeros, zeros)
    else:
        z = drawn(KEYS[3], mean, log_sd)
        apart = kl(mean, log_sd, *before)
    told = net.decode(params, net.variables(params, z), E)
    lost = jnp.mean(missed(told, X, jnp.float32(0), form="normal"))
    np.testing.assert_allclose(info["missed"], lost, rtol=1e-5)
    np.testing.assert_allclose(info["divergence"], jnp.mean(apart), rtol=1e-4)
    np.testing.assert_allclose(info["loss"], lost + 0.7 * jnp.mean(apart), rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "prior", "decoder"),
    [
        ("vae", False, False),
        ("conditional", False, True),
        ("environment", True, False),
        ("translation", True, False),
        ("structured", True, False),
    ],
)
def test_where_the_environment_enters(name, prior, decoder):
    family, parts = begun(name, small(name, sees="x"))
    params = parts["model"].params
    mean, log_sd = family.prior(params, T, E)
    assert bool(jnp.any(mean != 0)) == prior
    assert bool(jnp.any(log_sd != 0)) == (prior and name != "translation")
    z = jnp.ones((12, 3))
    assert bool(jnp.any(family.decode(params, z, E) != family.decode(params, z, -E))) == decoder
    one, other = (family.encode(params, T, X, e)[0] for e in (E, -E))
    apart = family.prior(params, T, E)[0] - family.prior(params, T, -E)[0]
    # a translation is told of e by its offset alone
    expected = apart if name == "translation" else jnp.zeros_like(apart)
    np.testing.assert_allclose(one - other, expected, atol=1e-6)


def test_a_learned_variance_is_that_of_what_is_missed():
    config = small("vae", likelihood="learned", rate=0.05, clip=1.0)
    family, parts = begun("vae", config)
    pace = Pace(T, jnp.float32(1), jnp.float32(0))
    batch = Batch(3 * X, E, jnp.zeros(12, jnp.int32), KEYS, pace)
    step = jax.jit(family.turn)
    for _ in range(400):
        parts, _ = step(KEYS[0], parts, batch)
    params = parts["model"].params
    z = drawn(KEYS[3], *family.encode(params, T, 3 * X, E))
    squares = jnp.mean((family.decode(params, z, E) - 3 * X) ** 2)
    np.testing.assert_allclose(jnp.exp(params["log_variance"]), squares, rtol=0.2)


def test_some_rows_are_told_the_zero_vector():
    e = jnp.ones((4000, 2))
    told = seen(jax.random.key(0), e, 0.3)
    rows = np.asarray(told).any(axis=1)
    assert abs(1 - rows.mean() - 0.3) < 0.03 and (np.asarray(told)[rows] == 1).all()
    assert seen(jax.random.key(0), e, 0.0) is e


def test_gradients_are_clipped_and_weights_decay_but_not_biases():
    config = small("vae", clip=1.0, decay=0.5, rate=0.1)
    params = {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}
    assert matrices(params) == {"kernel": True, "bias": False}
    state = trainable(params, optimiser(config, 1))
    none = jax.tree.map(jnp.zeros_like, params)
    moves, _ = optimiser(config, 1).update(none, state.opt, params)
    np.testing.assert_allclose(moves["kernel"], -0.05, rtol=1e-6)
    np.testing.assert_array_equal(moves["bias"], 0)
    large = jax.tree.map(lambda x: 1e6 * x, params)
    _, opt = optimiser(config, 1).update(large, state.opt, params)
    length = sum(float(jnp.sum(x**2)) for x in jax.tree.leaves(opt[1].mu)) ** 0.5
    assert length == pytest.approx(0.1, rel=1e-4)  # a tenth of a gradient of norm 1


def test_paths_and_what_tells_of_environments_do_not_decay():
    config = small("environment", encoder="residual", decoder="residual")
    _, parts = begun("environment", config)
    told = matrices(parts["model"].params)
    assert told["decoder"]["path"] == {"kernel": False, "bias": False}
    assert not any(jax.tree.leaves(told["auxiliary"]))
    hidden = {name: part for name, part in told["decoder"].items() if name != "path"}
    assert any(jax.tree.leaves(hidden))


def test_the_rate_falls_along_a_cosine():
    config = small("vae", rate=0.1, fall=0.2)
    params = {"kernel": jnp.ones((2, 2))}
    tx = optimiser(config, 4)
    state, moves = tx.init(params), []
    for _ in range(5):
        update, state = tx.update(params, state, params)
        moves.append(-float(update["kernel"][0, 0]))
    share = 0.2 + 0.8 * (1 + np.cos(np.pi * np.arange(5) / 4)) / 2
    np.testing.assert_allclose(moves, 0.1 * share, rtol=1e-4)


def test_what_translation_encodes_is_before_or_after_the_offset():
    told = {}
    for tells in ("previous", "sum"):
        config = small("translation", tells=tells, sees="x")
        family, parts = begun("translation", config)
        params = parts["model"].params
        told[tells] = family.encode(params, T, X, E)[0]
    offset, log_sd = family.prior(params, T, E)
    np.testing.assert_allclose(told["previous"] - told["sum"], offset, atol=1e-5)
    np.testing.assert_array_equal(log_sd, 0)
