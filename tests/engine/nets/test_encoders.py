"""Every kind of encoder: what holds for all, and what each is built of."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from epistax.engine import mesh as meshes
from epistax.engine.nets.conv import groups
from epistax.engine.nets.encoders import Encoder, Network, network

ENCODERS = {
    "mlp": Encoder("mlp", (7, 4)),
    "strided": Encoder("strided", (4, 6), (8, 8, 2)),
    "averaged": Encoder("strided", (6,), (10, 10, 2), (5,)),
    "pooled": Encoder("pooled", (4, 6), (8, 8, 2), (9, 5)),
    "densenet": Encoder("densenet", (8, 4, 4), (8, 8, 2), (5,)),
}
ROWS, D = 16, {"mlp": 6, "averaged": 200}


# densenet's many shapes take long to compile
SLOW = {"densenet": pytest.mark.slow}
KINDS = [pytest.param(name, marks=SLOW.get(name, ())) for name in ENCODERS]


@pytest.fixture(scope="module", params=KINDS)
def made(request):
    """Name, compiled network, parameters, statistics and data of each kind."""
    net = Network(*map(jax.jit, network(ENCODERS[request.param])))
    x = np.random.default_rng(0).normal(size=(ROWS, D.get(request.param, 128)))
    x = jnp.asarray(x, jnp.float32)
    return request.param, net, *net.init(jax.random.key(1), x), x


def size(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def close(a, b, tolerance=1e-5):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=tolerance), a, b)


@pytest.mark.parametrize(
    "encoder, d, params, stats",
    [
        (Encoder("mlp", (4, 3)), 5, (5 + 1) * 4 + (4 + 1) * 3, 0),
        # filters without bias, scale and shift of each channel, 2 x 2 x 6 units flattened
        (
            Encoder("strided", (4, 6), (8, 8, 3), (5,)),
            192,
            9 * 3 * 4 + 8 + 9 * 4 * 6 + 12 + 25 * 5,
            0,
        ),
        (Encoder("strided", (6,), (10, 10, 3), (5,)), 300, 9 * 3 * 6 + 12 + (6 + 1) * 5, 0),
        (
            Encoder("pooled", (4, 6), (8, 8, 2), (5, 3)),
            128,
            9 * 2 * 4 + 8 + 9 * 4 * 6 + 12 + 25 * 5 + 6 * 3,
            2 * 4 + 2 * 6,
        ),
        # a layer on c maps: 2 c of the norm, 9 c 4 of the filters; half of 24 maps go on
        (
            Encoder("densenet", (8, 4, 4), (6, 6, 1), (5,)),
            36,
            9 * 8 + 38 * (8 + 12 + 16 + 20) + 48 + 24 * 12 + 38 * (12 + 16 + 20 + 24) + 56 + 29 * 5,
            0,
        ),
    ],
)
def test_parameters_are_those_counted_by_hand(encoder, d, params, stats):
    shapes = jax.eval_shape(network(encoder).init, jax.random.key(0), jnp.zeros((2, d)))
    assert (size(shapes[0]), size(shapes[1])) == (params, stats)


def test_the_papers_networks_have_the_papers_widths():
    def shapes(encoder, d):
        net, x = network(encoder), jnp.zeros((2, d))
        held = jax.eval_shape(net.init, jax.random.key(0), x)
        return held[0], jax.eval_shape(net.apply, *held, x).shape[1]

    guides = Encoder("pooled", (32, 64, 128), (32, 32, 6), (256, 128), 0.3)
    params, out = shapes(guides, 32 * 32 * 6)
    assert params["Dense_0"]["Dense_0"]["kernel"].shape == (128 * 4 * 4, 256) and out == 128
    balls = Encoder("strided", (32, 54, 128, 256, 512), (64, 64, 3))
    assert shapes(balls, 64 * 64 * 3)[1] == 2 * 2 * 512
    assert shapes(Encoder("densenet", (32, 16, 16, 16), (32, 32, 3), (128,)), 3072)[1] == 128
    assert [groups(c) for c in (32, 54, 16, 10, 7, 2, 1)] == [8, 6, 8, 5, 1, 1, 1]


def test_mlp_is_plain_matrix_products():
    net, x = network(ENCODERS["mlp"]), np.random.default_rng(2).normal(size=(9, 6))
    params, stats = net.init(jax.random.key(3), jnp.asarray(x, jnp.float32))
    params = jax.tree.map(lambda p: p + 0.1, params)  # biases start at 0
    hidden = x
    for layer in ("Dense_0", "Dense_1"):
        weights = {name: np.asarray(v, np.float64) for name, v in params[layer].items()}
        hidden = np.maximum(hidden @ weights["kernel"] + weights["bias"], 0)
    close(net.apply(params, stats, jnp.asarray(x, jnp.float32)), hidden)


def test_compiled_and_plain_agree(made):
    name, net, params, stats, x = made
    plain, key = network(ENCODERS[name]), jax.random.key(4)
    if name != "densenet":  # its many shapes, one by one, take long
        close(net.apply(params, stats, x), plain.apply(params, stats, x))
    if name == "pooled":  # the others' train is their apply, see below
        close(net.train(key, params, stats, x), plain.train(key, params, stats, x))


def test_an_ensemble_is_an_axis(made):
    name, net, _, _, x = made
    keys = jax.random.split(jax.random.key(5), 2)
    members = [net.init(key, x) for key in keys]
    params, stats = jax.tree.map(lambda *leaves: jnp.stack(leaves), *members)
    out = jax.jit(jax.vmap(net.apply, (0, 0, None)))(params, stats, x)
    for place, member in enumerate(members):
        close(out[place], net.apply(*member, x))
    assert not np.allclose(out[0], out[1])
    if name == "pooled":
        trained = jax.jit(jax.vmap(net.train, (0, 0, 0, None)))(keys, params, stats, x)
        for place, (key, member) in enumerate(zip(keys, members, strict=True)):
            own = jax.tree.map(lambda leaf, at=place: leaf[at], trained)
            close(own, net.train(key, *member, x))


def test_afterwards_rows_stand_alone(made):
    _, net, params, stats, x = made
    out = net.apply(params, stats, x)
    np.testing.assert_array_equal(out, net.apply(params, stats, x))
    for row in range(3):
        close(net.apply(params, stats, x[row : row + 1]), out[row : row + 1])


def test_only_batch_statistics_tie_the_rows_of_a_batch(made):
    name, net, params, stats, x = made
    key = jax.random.key(6)
    out, moved = net.train(key, params, stats, x)
    other = net.train(key, params, stats, x.at[8:].multiply(3))[0]
    assert np.allclose(out[:8], other[:8], atol=1e-5) == (name != "pooled")
    if name != "pooled":
        assert stats == moved == {}
        close(out, net.apply(params, stats, x))  # without dropout nothing else differs
        return
    assert not np.allclose(out, net.apply(params, stats, x), atol=1e-3)
    first = jax.lax.conv_general_dilated(
        x.reshape(ROWS, 8, 8, 2),
        params["Conv_0"]["kernel"],
        (1, 1),
        "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    close(moved["BatchNorm_0"]["mean"], 0.1 * np.mean(first, axis=(0, 1, 2)))
    close(moved["BatchNorm_0"]["var"], 0.9 + 0.1 * np.var(first, axis=(0, 1, 2)), 1e-4)


@pytest.mark.parametrize(
    "encoder", [Encoder("mlp", (50,), dropout=0.2), Encoder("pooled", (4,), (4, 4, 2), (50,), 0.2)]
)
def test_dropout_follows_the_key(encoder):
    net = network(encoder)
    x = jnp.asarray(np.random.default_rng(7).normal(size=(64, 32)), jnp.float32)
    params, stats = net.init(jax.random.key(8), x)
    first, again, other = (net.train(jax.random.key(k), params, stats, x)[0] for k in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)
    if encoder.kind == "mlp":  # a unit is 0, or larger for those that are
        whole = net.apply(params, stats, x)
        lost = (first == 0) & (whole > 0)
        close(first, jnp.where(lost, 0, whole / 0.8))
        assert lost.sum() / (whole > 0).sum() == pytest.approx(0.2, abs=0.05)


def test_a_batch_over_eight_devices_is_one_batch(made):
    _, net, params, stats, x = made
    mesh = meshes.mesh(8)
    cut = jax.device_put(x * 1 + jnp.arange(ROWS)[:, None] / 4, meshes.split(mesh))
    held = meshes.copied((params, stats), mesh)
    key = jax.random.key(9)
    one = jax.device_put(np.asarray(cut), jax.devices()[0])
    assert len(cut.sharding.device_set) == 8 and len(one.sharding.device_set) == 1
    out = net.train(meshes.copied(key, mesh), *held, cut)
    close(out, net.train(key, params, stats, one), 2e-5)
    close(net.apply(*held, cut), net.apply(params, stats, one), 2e-5)


def test_every_parameter_is_in_use(made):
    _, net, params, stats, x = made

    @jax.jit
    @jax.grad
    def gradient(params):
        out = net.train(jax.random.key(10), params, stats, x)[0]
        return jnp.sum(out * jnp.sin(1.0 + jnp.arange(out.size)).reshape(out.shape))

    for path, leaf in jax.tree_util.tree_leaves_with_path(gradient(params)):
        assert np.isfinite(leaf).all() and np.abs(leaf).max() > 1e-4, path


@pytest.mark.parametrize(
    "encoder, complaint",
    [
        (Encoder("mlp", ()), r"mlp: widths \(\)"),
        (Encoder("mlp", (4, 0)), "must be positive"),
        (Encoder("mlp", (4,), hidden=(3,)), "its layers are all in widths"),
        (Encoder("mlp", (4,), dropout=1.0), "dropout is 1.0"),
        (Encoder("pooled", (4,), (8, 8, 1), (3,), -0.1), "dropout is -0.1"),
        (Encoder("strided", (4,)), "strided: shape is missing"),
        (Encoder("pooled", (4, 4, 4), (7, 8, 3)), "too small to be halved 3 times"),
        (Encoder("densenet", (4,), (8, 8, 3)), "at least 2 of them"),
        (Encoder("densenet", (4, 4, 4, 4), (3, 3, 3)), "too small to be halved 2 times"),
        (Encoder("strided", (4,), (8, 8, 3), (), 0.3), "hidden has none"),
    ],
)
def test_what_cannot_be_built_is_refused(encoder, complaint):
    with pytest.raises(ValueError, match=complaint):
        network(encoder)


def test_the_same_encoder_gives_the_same_record():
    assert network(Encoder("mlp", (7, 4))) is network(ENCODERS["mlp"])
