"""Numbers of genes read off h: the products that are computed are the sums that are meant."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from epistax.engine.mesh import mesh
from epistax.engine.nets.readout import ByGraph, PerGene, att, dot

B, G, D, V = 5, 16, 4, 3
RNG = np.random.default_rng(0)


def drawn(*shape):
    return jnp.asarray(RNG.normal(size=shape), jnp.float32)


H, Z = drawn(B, D), drawn(G, V)


def keys(reading, w, b):
    """att(h, Z_G(i)) of every cell and gene, as it is written: one layer that reads both."""
    if reading == "dot":
        return np.broadcast_to(np.asarray(Z) @ w + b, (B, G, D))
    both = np.concatenate(
        [np.repeat(H[:, None], G, 1), np.repeat(Z[None], B, 0)], axis=2, dtype=np.float64
    )
    return both @ w + b


@pytest.mark.parametrize("reading, softmax", [("dot", False), ("att", False), ("att", True)])
def test_readings_are_the_sums_over_units_that_they_are_written_as(reading, softmax):
    net, k = ByGraph(reading, 2, softmax), 2
    reads = V if reading == "dot" else D + V
    kernel, bias = drawn(reads, k * D), drawn(k * D)
    got = net.apply({"params": {"kernel": kernel, "bias": bias}}, H, Z)
    assert len(got) == 2
    for m, own in enumerate(got):
        cut = slice(m * D, (m + 1) * D)
        each = keys(reading, np.asarray(kernel)[:, cut], np.asarray(bias)[cut])
        if softmax:
            each = np.exp(each) / np.exp(each).sum(2, keepdims=True)
        want = np.einsum("bgd,bd->bg", each, np.asarray(H, np.float64))
        np.testing.assert_allclose(own, want, rtol=1e-5, atol=2e-5)


def test_attention_without_a_softmax_is_dot_and_a_number_a_cell():
    w, b = drawn(D + V, D), drawn(D)
    beyond = att(H, Z, w, b) - dot(H, Z, w[D:], b)
    np.testing.assert_allclose(beyond, np.broadcast_to(beyond[:, :1], (B, G)), atol=5e-6)
    assert np.ptp(beyond[:, 0]) > 0.1


def test_a_softmax_gives_means_of_units_also_of_logits_far_apart():
    kernel = jnp.concatenate([300 * jnp.eye(D)[:, ::-1], 300 * jnp.eye(V, D)])
    net = ByGraph("att", 1, True)
    params = {"params": {"kernel": kernel, "bias": jnp.zeros(D)}}

    def value(h):
        (out,) = net.apply(params, h, Z)
        return jnp.sum(out), out

    (_, out), slope = jax.value_and_grad(value, has_aux=True)(H)
    assert np.isfinite(out).all() and np.isfinite(slope).all()
    assert (out <= H.max(1, keepdims=True) + 1e-5).all()
    assert (out >= H.min(1, keepdims=True) - 1e-5).all()


def test_mlp_is_one_layer_on_cell_and_gene():
    kernel, bias = drawn(D + V, 2), drawn(2)
    got = ByGraph("mlp", 2).apply({"params": {"kernel": kernel, "bias": bias}}, H, Z)
    for m in range(2):
        want = keys("mlp", np.asarray(kernel)[:, [m]], np.asarray(bias)[[m]])[..., 0]
        np.testing.assert_allclose(got[m], want, atol=1e-5)


def test_weights_of_each_gene():
    kernel, bias = drawn(D, 2 * G), drawn(2 * G)
    got = PerGene(G, 2).apply({"params": {"kernel": kernel, "bias": bias}}, H)
    np.testing.assert_allclose(np.concatenate(got, 1), H @ kernel + bias[None], atol=1e-5)


def test_genes_over_eight_devices_as_on_one():
    params = {"kernel": drawn(D + V, 2 * D), "bias": drawn(2 * D)}
    made = []
    for over in (None, mesh(8)):
        net = ByGraph("att", 2, True, over)
        made.append(jax.jit(lambda p, h, z, net=net: net.apply({"params": p}, h, z))(params, H, Z))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-6), *made)
    assert len(made[1][0].sharding.device_set) == 8
