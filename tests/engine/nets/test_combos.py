"""Networks of combinations: their size, their symmetry, and each form against plain numpy."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from epistax.engine.nets.attention import heads
from epistax.engine.nets.combos import Combining, Rows, network, vectors, with_vectors
from epistax.engine.nets.graph import Graph, spread

P, Q = 7, 12
FORMS = {
    "naiad": Combining(P, 4, 6, symmetric=False),
    "naiad-symmetric": Combining(P, 4, 6),
    "pheno": Combining(P, 4, 6, None),
    "embed": Combining(P, 4, 0),
    "recover": Combining(P, 4, 0, "bilinear", symmetric=False),
    "recover-symmetric": Combining(P, 6, 0, "bilinear"),
    "transformer": Combining(P, 4, 5, "attention"),
    "transformer-cls": Combining(P, 4, 5, "token"),
    "gears": Combining(P, 4, 0, "graph"),
}
ORDERED = ("naiad", "recover")
SYMMETRIC = [name for name in FORMS if name not in ORDERED]
GRAPH = Graph(jnp.array([[0, 1], [1, 2], [4, 5], [0, 6]]), jnp.array([1.0, 0.5, 2.0, 0.0]))


def rows(k=2, graph=GRAPH, side=None, seed=0):
    rng = np.random.default_rng(seed)
    genes = np.stack([rng.permutation(P)[:k] for _ in range(Q)])
    singles = rng.normal(size=(Q, k)).astype(np.float32)
    return Rows(jnp.asarray(genes, jnp.int32), jnp.asarray(singles), side, graph)


@functools.lru_cache
def made(name, k=2):
    """The form's functions, jitted where it is slow without, and its parameters."""
    net = network(FORMS[name])
    return jax.jit(net.apply), net.init(jax.random.key(3), rows(k)), net


def count(config, k=2):
    one = Rows(jnp.zeros((1, k), jnp.int32), jnp.zeros((1, k)))
    shapes = jax.eval_shape(network(config).init, jax.random.key(0), one)
    return sum(leaf.size for leaf in jax.tree.leaves(shapes))


def test_parameters_are_as_many_as_published():
    assert count(Combining(112, 4, 64, symmetric=False)) == 4_802
    assert count(Combining(112, 4, 64)) == 4_802
    assert count(Combining(112, 128, 0, "bilinear", symmetric=False)) == 2_194_177
    assert count(Combining(112, 4, 64, None)) == 2 * 64 + 64 * 64 + 65
    # two heads of 4: D = 8; a block has 3 D (D + 1) and 3 D (D + 1) more, and a norm of 2 D
    head = 8 * 9 + 9
    assert count(Combining(112, 4, 0, "attention")) == 112 * 8 + 2 * (6 * 8 * 9 + 16) + head
    assert count(Combining(112, 4, 0, "token")) == 112 * 8 + 8 + 2 * (6 * 8 * 9 + 16) + head


def test_heads_are_the_logarithm_of_the_width_but_two_at_least():
    for width in (1, 2, 3, 4, 8, 16, 31, 32, 128):
        assert heads(width) == max(2, math.floor(math.log2(width)))


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("name", SYMMETRIC)
def test_the_order_of_the_genes_does_not_matter(name, k):
    apply, params, _ = made(name, k)
    given = rows(k)
    other = given._replace(genes=given.genes[:, ::-1], singles=given.singles[:, ::-1])
    first = apply(params, given)
    assert np.std(first) > 1e-3
    np.testing.assert_allclose(first, apply(params, other), atol=2e-5)


@pytest.mark.parametrize("name", ORDERED)
def test_it_does_as_published(name):
    apply, params, _ = made(name)
    given = rows()
    other = given._replace(genes=given.genes[:, ::-1], singles=given.singles[:, ::-1])
    assert np.abs(apply(params, given) - apply(params, other)).max() > 1e-3


@pytest.mark.parametrize("name", [name for name in SYMMETRIC if name != "pheno"])
def test_a_place_without_a_gene_adds_nothing(name):
    apply, params, _ = made(name, 2)
    if "Pheno_0" in params:  # its first layer has a weight for each place: those of two
        params = {key: value for key, value in params.items() if key != "Pheno_0"}
        form = Combining(P, 4, 0, FORMS[name].embedded)
        apply = jax.jit(network(form).apply)
    given = rows(2)
    wider = given._replace(
        genes=jnp.pad(given.genes, ((0, 0), (0, 1)), constant_values=-1),
        singles=jnp.pad(given.singles, ((0, 0), (0, 1)), constant_values=jnp.nan),
    )
    np.testing.assert_allclose(apply(params, given), apply(params, wider), atol=2e-5)


def test_the_published_bilinear_form_takes_two_genes():
    net = network(FORMS["recover"])
    with pytest.raises(ValueError, match="3 genes"):
        net.init(jax.random.key(0), rows(3))


@pytest.mark.parametrize("name", FORMS)
def test_compiled_is_eager_and_dropout_is_for_training(name):
    apply, params, net = made(name)
    given = rows()
    plain = apply(params, given)
    np.testing.assert_allclose(plain, net.apply(params, given), atol=2e-5)
    noisy = net.train(jax.random.key(0), params, given)
    assert np.abs(noisy - plain).max() > 1e-4


def linear(x, layer):
    return x @ np.asarray(layer["kernel"], np.float64) + np.asarray(layer.get("bias", 0.0))


def relu(x):
    return np.maximum(x, 0)


def gelu(x):
    return x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2


def head(z, params):
    return linear(relu(linear(z, params["Dense_0"])), params["Dense_1"])[:, 0]


def pheno(params, x):
    for layer in ("Dense_0", "Dense_1"):
        x = gelu(linear(x, params[layer]))
    return linear(x, params["Dense_2"])[:, 0]


def test_naiad_is_the_sum_of_its_branches():
    apply, params, _ = made("naiad")
    given = rows()
    e = np.asarray(vectors(params))[given.genes]
    each = linear(relu(linear(e, params["Embed_0"]["Dense_0"])), params["Embed_0"]["Dense_1"])
    want = head(each.sum(1), params["Embed_0"]["Head_0"])
    want = want + pheno(params["Pheno_0"], np.asarray(given.singles))
    np.testing.assert_allclose(apply(params, given), want, atol=1e-5)


@pytest.mark.parametrize(
    "name, k", [("recover", 2), ("recover-symmetric", 2), ("recover-symmetric", 3)]
)
def test_the_bilinear_form_is_the_formula_written_out(name, k):
    apply, params, _ = made(name, k)
    given, own = rows(k), params["Recover_0"]
    v = np.asarray(vectors(params))[given.genes].astype(np.float64)
    v = relu(linear(relu(linear(v, own["Dense_0"])), own["Dense_1"]))
    v = linear(v, own["Dense_2"])
    w, d, o = (np.asarray(own[x], np.float64) for x in ("weight", "diagonal", "offset"))
    z = np.tile(o, (Q, 1))
    for row in range(Q):
        for i in range(k):
            for j in range(i + 1, k):
                for q in range(len(o)):
                    for p in range(len(o)):
                        other = w[q, p] if name == "recover-symmetric" else w[p, q]
                        z[row, q] += (w[q, p] @ v[row, i]) * d[q, p] * (other @ v[row, j])
    want = np.asarray(given.singles).sum(1) + head(z, own["Head_0"])
    np.testing.assert_allclose(apply(params, given), want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["transformer", "transformer-cls"])
def test_a_transformer_is_its_blocks_written_out(name):
    apply, params, _ = made(name, 3)
    given, own, many = rows(3), params["Transformer_0"], heads(4)
    x = np.asarray(vectors(params))[given.genes].astype(np.float64)
    if name == "transformer-cls":
        token = np.asarray(own["token"])
        x = np.concatenate([np.tile(token, (Q, 1, 1)), x], axis=1)
    for block in ("Block_0", "Block_1"):
        layer = own[block]
        joint = linear(x, layer["Attention_0"]["joint"])
        query, key, value = np.split(joint.reshape(*x.shape[:2], 3 * many, 4), 3, axis=2)
        mixed = np.zeros_like(x).reshape(query.shape)
        for h in range(many):
            score = query[:, :, h] @ key[:, :, h].transpose(0, 2, 1) / math.sqrt(4)
            share = np.exp(score) / np.exp(score).sum(-1, keepdims=True)
            mixed[:, :, h] = share @ value[:, :, h]
        x = x + linear(mixed.reshape(x.shape), layer["Attention_0"]["outward"])
        mean, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
        norm = layer["LayerNorm_0"]
        x = (x - mean) / np.sqrt(var + 1e-5) * np.asarray(norm["scale"]) + np.asarray(norm["bias"])
        x = x + linear(gelu(linear(x, layer["Dense_0"])), layer["Dense_1"])
    want = head(x[:, 0] if name == "transformer-cls" else x.mean(1), own["Head_0"])
    want = want + pheno(params["Pheno_0"], np.sort(np.asarray(given.singles), axis=1))
    np.testing.assert_allclose(apply(params, given), want, atol=2e-5)


def test_a_graph_mixes_vectors_as_its_normalised_matrix_does():
    x = np.random.default_rng(1).normal(size=(P, 3))
    a = np.eye(P)
    for (i, j), w in zip(np.asarray(GRAPH.edges), np.asarray(GRAPH.weights), strict=True):
        a[i, j] += w
        a[j, i] += w
    s = a / np.sqrt(np.outer(a.sum(0), a.sum(0)))
    np.testing.assert_allclose(spread(jnp.asarray(x, jnp.float32), GRAPH), s @ x, atol=1e-6)


def test_gears_without_edges_is_gears_without_a_graph():
    apply, params, _ = made("gears")
    none = Graph(GRAPH.edges, jnp.zeros(4))
    alone = apply(params, rows(graph=None))
    np.testing.assert_allclose(alone, apply(params, rows(graph=none)), atol=1e-6)
    assert np.abs(alone - apply(params, rows())).max() > 1e-3


@pytest.mark.parametrize("name", FORMS)
def test_genes_under_other_codes_have_the_same_effects(name):
    apply, params, _ = made(name)
    given, order = rows(), jnp.asarray(np.random.default_rng(2).permutation(P), jnp.int32)
    moved = given._replace(genes=order[given.genes], graph=Graph(order[GRAPH.edges], GRAPH.weights))
    if (free := vectors(params)) is not None:
        params = with_vectors(params, jnp.zeros_like(free).at[order].set(free))
    np.testing.assert_allclose(apply(made(name)[1], given), apply(params, moved), atol=2e-5)


def test_side_information_is_added_to_the_vectors():
    side = jnp.asarray(np.random.default_rng(4).normal(size=(P, 3)), jnp.float32)
    net, given = network(FORMS["embed"]), rows(side=None)
    params = net.init(jax.random.key(1), given._replace(side=side))
    layer = params["table"]["Dense_0"]
    whole = vectors(params) + side @ layer["kernel"] + layer["bias"][None, :]
    want = net.apply(with_vectors(params, whole), given)
    np.testing.assert_allclose(net.apply(params, given._replace(side=side)), want, atol=1e-5)


@pytest.mark.parametrize(
    "change",
    [{"genes": 0}, {"width": 0}, {"hidden": -1}, {"dropout": 1.0}, {"hidden": 0, "embedded": None}],
)
def test_a_network_that_cannot_be_is_refused(change):
    with pytest.raises(ValueError, match="genes|dropout|branch"):
        network(Combining(**({"genes": 3} | change)))
