"""Encoders, decoders, what tells of an environment, and causal variables."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from epistax.engine.nets.autoregressive import widths
from epistax.engine.nets.beginning import STILL
from epistax.engine.nets.embedding import Embedding, between, judge, network

PLAIN = Embedding(features=8, vector=3, latents=5, hidden=(6,), auxiliary=(7,))
X, E = (jax.random.normal(jax.random.key(seed), (9, k)) for seed, k in ((0, 8), (1, 3)))


def made(**changes):
    net = network(replace(PLAIN, **changes))
    return net, net.init(jax.random.key(2))


def shaken(params, seed=3):
    """Parameters none of which is 0."""
    leaves, tree = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(seed), len(leaves))
    moved = [x + 0.3 * jax.random.normal(k, x.shape) for x, k in zip(leaves, keys, strict=True)]
    return jax.tree.unflatten(tree, moved)


def test_film_leaves_the_encoder_as_it_would_be_without():
    net, params = made(sees="film")
    plain = network(PLAIN)
    own = {k: v for k, v in params["encoder"].items() if not k.startswith("Film")}
    without = plain.encode({**params, "encoder": own}, X, E)
    for a, b in zip(net.encode(params, X, E), without, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    moved = net.encode(shaken(params), X, E)[0] - net.encode(shaken(params), X, 2 * E)[0]
    assert np.abs(moved).max() > 0.01


@pytest.mark.parametrize(("sees", "reads"), [("x", False), ("concat", True)])
def test_the_encoder_sees_the_vector_or_not(sees, reads):
    net, params = made(sees=sees, bottleneck=4)
    one, other = (net.encode(params, X, e)[0] for e in (E, E[::-1]))
    assert bool((one != other).any()) == reads


@pytest.mark.parametrize("depth", [2, 5])
def test_causal_variables_depend_on_earlier_noises_alone(depth):
    net, params = made(layers=widths(5, depth))
    z = jax.random.normal(jax.random.key(4), (3, 5))
    np.testing.assert_array_equal(net.variables(params, z), z)  # at first C = Z
    params = shaken(params)
    jacobian = jax.vmap(jax.jacobian(lambda z: net.variables(params, z[None])[0]))(z)
    assert float(jnp.abs(jnp.linalg.slogdet(jacobian)[1]).max()) < 1e-6
    upper = np.triu(np.ones((5, 5), bool), 1)
    assert float(jnp.abs(jacobian[:, upper]).max()) == 0
    np.testing.assert_array_equal(jax.vmap(jnp.diag)(jacobian), np.ones((3, 5)))
    last = widths(5, depth)[-1]
    if last == 1:  # any graph: each variable hears of each before it
        assert (jnp.abs(jacobian[:, ~upper]).max(axis=0) > 0).all()


def test_layers_are_even():
    assert widths(7, 3) == (3, 2, 2) and widths(4, 4) == (1, 1, 1, 1) and widths(6, 1) == (6,)


def test_networks_with_paths_begin_linear():
    net, params = made(encoder="residual", decoder="residual")
    into, out = (jax.tree.map(np.asarray, params[x]["path"]) for x in ("encoder", "decoder"))
    mean = np.asarray(net.encode(params, X, E)[0])
    np.testing.assert_allclose(mean, np.asarray(X) @ into["kernel"] + into["bias"], atol=1e-6)
    told = net.decode(params, jnp.asarray(mean), E)
    np.testing.assert_allclose(told, mean @ out["kernel"] + out["bias"], atol=1e-6)
    slopes = jax.grad(lambda p: jnp.sum(net.decode(p, net.encode(p, X, E)[0], E) ** 2))(params)
    for part in ("encoder", "decoder"):
        assert float(jnp.abs(slopes[part][STILL]["kernel"]).max()) > 0
        assert float(jnp.abs(slopes[part]["path"]["kernel"]).max()) > 0


@pytest.mark.parametrize("bottleneck", [None, 4])
def test_anchored_the_zero_vector_tells_nothing(bottleneck):
    net, params = made(anchored=True, bottleneck=bottleneck)
    mean, log_sd = net.auxiliary(shaken(params), jnp.zeros_like(E))
    np.testing.assert_array_equal(jnp.stack([mean, log_sd]), 0)
    assert float(jnp.abs(net.auxiliary(params, E)[0]).max()) > 0
    free, params = made(bottleneck=bottleneck)
    assert float(jnp.abs(free.auxiliary(params, jnp.zeros_like(E))[0]).max()) > 0


def test_logs_of_sds_are_held():
    x = jnp.array([-1e4, -30.0, -2.0, 0.0, 1e4])
    got = between(x, -5.0, 2.0)
    np.testing.assert_allclose(got[jnp.array([0, 1, 4])], [-5, -5, 2], atol=0.01)
    assert abs(float(got[2]) + 2) < 0.1 and abs(float(got[3])) < 0.15
    assert float(jax.grad(between)(0.5, -5.0, 2.0)) > 0.5
    far = 1e5 * X
    net, params = made(clamp=True, prior_clamp=True)
    log_sd = net.encode(params, far, E)[1]
    assert -5 <= float(log_sd.min()) and float(log_sd.max()) < 2.01
    assert float(jnp.abs(net.auxiliary(params, 1e5 * E)[1]).max()) <= 1
    net, params = made()
    assert float(jnp.abs(net.encode(params, far, E)[1]).max()) > 100


def test_a_key_drops_hidden_units():
    net, params = made(dropout=0.5, decoder="mlp")
    still = net.encode(params, X, E)[0]
    key = jax.random.key(5)
    one, again = (net.encode(params, X, E, key=key)[0] for _ in range(2))
    np.testing.assert_array_equal(one, again)
    assert bool((one != still).any())
    for part in (net.decode(params, still, E, key=key), net.auxiliary(params, E, key=key)[0]):
        assert np.isfinite(part).all()


def test_a_conditional_decoder_reads_the_vector_and_others_do_not():
    for seen in (True, False):
        net, params = made(decoder_sees=seen)
        z = jnp.ones((9, 5))
        assert bool((net.decode(params, z, E) != net.decode(params, z, 2 * E)).any()) == seen


def test_the_discriminator_has_a_logit_for_each_environment():
    one = judge(5, (6,), 4)
    params = one.init(jax.random.key(0))
    z = jax.random.normal(jax.random.key(1), (9, 5))
    first, last = (jax.tree.map(np.asarray, params[x]) for x in ("Tower_0", "Dense_0"))
    first = first["Dense_0"]
    hidden = np.maximum(np.asarray(z) @ first["kernel"] + first["bias"], 0)
    told = hidden @ last["kernel"] + last["bias"]
    np.testing.assert_allclose(one.apply(params, z), told, atol=1e-5)
