"""Convolution along the edges that end in a gene: shares, both ways to mix, depth, devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from epistax.engine.mesh import mesh
from epistax.engine.nets.graphconv import (
    Convolutions,
    Nodes,
    incoming,
    mixed,
    prefers_dense,
    shares,
)
from epistax.engine.nets.regulation import Edges

G, V = 24, 5
RNG = np.random.default_rng(0)
EDGES = Edges(RNG.integers(0, 9, 60), RNG.integers(0, G, 60))
GRAPH = incoming(EDGES, G)
X = jnp.asarray(RNG.normal(size=(G, V)), jnp.float32)
LOGITS = jnp.asarray(RNG.normal(size=len(GRAPH.source)), jnp.float32)
LOOPS = jnp.asarray(RNG.normal(size=G), jnp.float32)


def plain(logits=LOGITS, loops=LOOPS):
    """P as a dense matrix, by its definition."""
    weight = np.zeros((G, G))
    weight[np.asarray(GRAPH.target), np.asarray(GRAPH.source)] = np.exp(logits)
    weight[np.arange(G), np.arange(G)] = np.exp(loops)
    return weight / weight.sum(1, keepdims=True)


def test_edges_are_kept_once_sorted_and_without_loops():
    pairs = set(zip(*map(np.ndarray.tolist, EDGES), strict=True))
    want = sorted({(t, s) for s, t in pairs if s != t})
    assert list(zip(GRAPH.target, GRAPH.source, strict=True)) == want
    np.testing.assert_array_equal(GRAPH.regulators[GRAPH.slot], GRAPH.source)
    with pytest.raises(ValueError, match="between genes 0 and 30, of 24"):
        incoming(Edges(np.array([0, 3]), np.array([30, 1])), G)


def test_shares_of_a_gene_add_up_to_1_also_of_large_logits():
    part = shares(200 * LOGITS, 200 * LOOPS, GRAPH)
    total = jax.ops.segment_sum(part.edges, GRAPH.target, G) + part.loops
    np.testing.assert_allclose(total, 1, rtol=1e-6)
    part = shares(LOGITS, LOOPS, GRAPH)
    got = np.zeros((G, G))
    got[GRAPH.target, GRAPH.source] = part.edges
    got[np.arange(G), np.arange(G)] = part.loops
    np.testing.assert_allclose(got, plain(), atol=1e-6)


@pytest.mark.parametrize("dense", [True, False])
def test_both_ways_to_mix_are_the_matrix_product_and_have_its_slopes(dense):
    def value(logits, loops, x):
        y = mixed(x, shares(logits, loops, GRAPH), GRAPH, dense=dense)
        return jnp.sum(jnp.sin(y)), y

    def reference(logits, loops, x):
        weight = jnp.zeros((G, G)).at[GRAPH.target, GRAPH.source].set(jnp.exp(logits))
        weight = weight.at[jnp.arange(G), jnp.arange(G)].set(jnp.exp(loops))
        y = (weight / weight.sum(1, keepdims=True)) @ x
        return jnp.sum(jnp.sin(y)), y

    made = [
        jax.value_and_grad(f, (0, 1, 2), has_aux=True)(LOGITS, LOOPS, X) for f in (value, reference)
    ]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6), *made)
    np.testing.assert_allclose(made[0][0][1], plain() @ np.asarray(X, np.float64), atol=1e-6)


def begun(**how):
    nodes, deep = Nodes(G, V, **how), Convolutions((V,), **how)
    own = nodes.init(jax.random.key(0), GRAPH)["params"]
    ones = {"features": X, "edges": jnp.ones(len(GRAPH.source)), "loops": jnp.ones(G)}
    assert jax.tree.map(jnp.shape, own) == jax.tree.map(jnp.shape, ones)
    return nodes.apply({"params": ones}, GRAPH), deep


def test_equal_logits_and_an_identity_give_the_mean_over_in_neighbours():
    around, deep = begun()
    params = {"convolution_0": {"kernel": jnp.eye(V), "bias": jnp.zeros(V)}}
    z = deep.apply({"params": params}, around, GRAPH)
    for gene in range(G):
        near = [gene, *GRAPH.source[GRAPH.target == gene]]
        want = np.maximum(np.mean(np.asarray(X)[near], axis=0), 0)
        np.testing.assert_allclose(z[gene], want, atol=1e-6)


def test_deeper_layers_add_what_they_read_and_are_normalised():
    around, _ = begun()
    rng = np.random.default_rng(1)
    kernels = rng.normal(size=(2, V, V)).astype(np.float32)
    params = {
        "convolution_0": {"kernel": kernels[0], "bias": np.zeros(V, np.float32)},
        "convolution_1": {"kernel": kernels[1], "bias": np.ones(V, np.float32)},
        "LayerNorm_0": {"scale": np.ones(V, np.float32), "bias": np.zeros(V, np.float32)},
    }
    z = Convolutions((V, V)).apply({"params": params}, around, GRAPH)
    p, x = plain(np.ones_like(LOGITS), np.ones(G)), np.asarray(X, np.float64)
    hidden = p @ x @ kernels[0] + x
    hidden -= hidden.mean(1, keepdims=True)
    hidden = np.maximum(hidden / np.sqrt(hidden.var(1, keepdims=True) + 1e-6), 0)
    np.testing.assert_allclose(z, np.maximum(p @ hidden @ kernels[1] + 1, 0), atol=1e-5)


def test_without_a_graph_a_gene_is_its_own_neighbour():
    none = incoming(None, G)
    nodes = Nodes(G, V)
    assert set(nodes.init(jax.random.key(0), none)["params"]) == {"free", "edges", "loops"}
    params = {"free": X, "edges": jnp.zeros(0), "loops": LOOPS}
    np.testing.assert_allclose(nodes.apply({"params": params}, none).mixed, X, rtol=1e-6)


@pytest.mark.parametrize("dense", [True, False])
def test_genes_over_eight_devices_as_on_one(dense):
    spread = mesh(8)

    def value(logits, x, over):
        y = mixed(x, shares(logits, LOOPS, GRAPH), GRAPH, dense=dense, mesh=over)
        return jnp.sum(jnp.sin(y)), y

    made = [
        jax.jit(jax.value_and_grad(value, (0, 1), has_aux=True), static_argnums=2)(LOGITS, X, over)
        for over in (None, spread)
    ]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6), *made)
    assert len(made[1][0][1].sharding.device_set) == 8


def test_dense_where_it_is_cheaper():
    assert prefers_dense(GRAPH, G)
    wide = incoming(Edges(np.arange(2000), np.arange(2000)[::-1]), 2000)
    assert not prefers_dense(wide, 2000)
