"""Encoder and decoder: what the heads can be, how many parameters, moments, devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from epistax.engine.mesh import mesh
from epistax.engine.nets.graphconv import incoming
from epistax.engine.nets.inference import Inferring, Relations, network
from epistax.engine.nets.regulation import Edges
from epistax.engine.nets.stack import Shape, Stack, Widths

G, R = 16, 3
RNG = np.random.default_rng(0)
GRAPH = incoming(Edges(RNG.integers(0, 5, 30), RNG.integers(0, G, 30)), G)
SHAPE = Shape(G, R, (2, 3), Widths(outcome=7, covariate=2, width=6, latent=4))
SMALL = Relations(features=5, width=5)
Y = jnp.asarray(RNG.gamma(1.0, 1.0, (9, G)), jnp.float32)
T = jax.nn.one_hot(RNG.integers(0, R, 9), R)
X = jnp.asarray(RNG.integers(0, 2, (9, 2)), jnp.int32)


def counted(config, graph):
    made = jax.eval_shape(lambda key: network(config).init(key, graph), jax.random.key(0))
    return sum(leaf.size for leaf in jax.tree.leaves(made[0]))


def test_parameters_are_as_many_as_in_the_published_models():
    rng = np.random.default_rng(1)
    shape = Shape(2000, 25, (3, 2))
    edges = incoming(Edges(rng.integers(0, 40, 9000), rng.integers(0, 2000, 9000)), 2000)
    around = 0.97e6 + len(edges.source) - 6805  # a logit an edge
    assert counted(Inferring(shape, relations=Relations()), edges) == pytest.approx(
        around, rel=2e-3
    )
    assert counted(Inferring(shape), incoming(None, 2000)) == pytest.approx(1.16e6, rel=5e-3)


def encoded(config, train=True, over=None, how=jax.jit):
    net = network(config, over)
    params, stats = net.init(jax.random.key(0), GRAPH)
    # large weights, that both signs come before the last ReLU
    params = jax.tree.map(lambda x: 3 * x, params)

    def all(params, y):
        z_g = net.graph(params, net.nodes(params, GRAPH), GRAPH)
        belief, moved = net.encode(params, stats, y, T, X, z_g, train=train)
        told, moved = net.decode(params, moved, belief[0], T, z_g, train=train)
        return belief, told, moved

    return how(all), params


@pytest.mark.parametrize("relations", [None, SMALL, Relations(5, 5, 2, aggregation="mlp")])
def test_means_are_at_least_0_and_sds_at_least_log_2(relations):
    all, params = encoded(Inferring(SHAPE, relations=relations))
    (mean, sd), _, _ = all(params, Y)
    assert np.min(mean) == 0 and np.max(mean) > 0
    assert np.min(sd) == pytest.approx(np.log(2) + 1e-3, abs=1e-6) and np.max(sd) > 1
    free, params = encoded(Inferring(SHAPE, rectified=False))
    (mean, sd), _, _ = free(params, Y)
    assert np.min(mean) < 0 and np.min(sd) < 0.6


def test_both_heads_share_what_is_read_of_a_cell_where_the_graph_is_added():
    # cells differ in mean and raw sd by the same numbers, where both are above 0
    all, params = encoded(Inferring(SHAPE, relations=SMALL))
    (mean, sd), _, _ = all(params, Y)
    raw = np.log(np.expm1(np.asarray(sd, np.float64) - 1e-3))
    both = (mean > 1e-3) & (raw > 1e-3)
    apart = np.where(both, np.asarray(mean) - raw, np.nan)
    assert np.nanmax(np.nanmax(apart, 0) - np.nanmin(apart, 0)) < 1e-3


def test_moments_are_of_the_rows_in_training_and_running_ones_afterwards():
    net = Stack((4,), 2)
    made = net.init(jax.random.key(0), Y, True)
    kernel = jnp.asarray(RNG.normal(size=(G, 4)), jnp.float32)
    params = made["params"]
    params["Dense_0"]["kernel"] = kernel
    params["Dense_1"]["kernel"] = jnp.eye(4, 2)
    held = {"params": params, "batch_stats": made["batch_stats"]}
    out, moved = net.apply(held, Y, True, mutable=["batch_stats"])
    x = np.asarray(Y, np.float64) @ np.asarray(kernel)
    want = np.maximum((x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5), 0)[:, :2]
    np.testing.assert_allclose(out, want, atol=1e-4)
    running = moved["batch_stats"]["BatchNorm_0"]
    np.testing.assert_allclose(running["mean"], 0.1 * x.mean(0), rtol=1e-4)
    np.testing.assert_allclose(running["var"], 0.9 + 0.1 * x.var(0), rtol=1e-4)
    after = net.apply({"params": params, **moved}, Y, False)
    want = (x - 0.1 * x.mean(0)) / np.sqrt(0.9 + 0.1 * x.var(0) + 1e-5)
    np.testing.assert_allclose(after, np.maximum(want, 0)[:, :2], atol=1e-3)


def test_a_row_depends_on_no_other_afterwards():
    all, params = encoded(Inferring(SHAPE, relations=SMALL), train=False)
    _, told, _ = all(params, Y)
    _, other, _ = all(params, Y.at[1:].mul(3.0))
    np.testing.assert_allclose(told[0][0], other[0][0], rtol=1e-5)
    assert np.abs(told[0][1] - other[0][1]).max() > 1e-3


def test_genes_over_eight_devices_and_compiled_as_on_one():
    config = Inferring(SHAPE, relations=SMALL)
    made = []
    for over, how in ((None, lambda f: f), (None, jax.jit), (mesh(8), jax.jit)):
        all, params = encoded(config, over=over, how=how)
        made.append(all(params, Y))
    for other in made[1:]:
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), made[0], other)


def test_what_cannot_be_built_is_refused():
    with pytest.raises(ValueError, match="`features` 4 be `width` 5"):
        Relations(features=4, width=5, depth=2)
    with pytest.raises(ValueError, match="`depth` is 1; it must be at least 2"):
        Widths(depth=1)
