"""The loop, with the hardest user there will be: alternating players and batch statistics."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from epistax.engine import fit as loop
from epistax.engine.fit import Train, fit
from epistax.engine.mesh import mesh

DATA = {
    "x": np.random.default_rng(0).normal(size=(256, 2)).astype(np.float32) * 3 + 1,
}
GENERATOR, JUDGE = optax.adam(3e-3), optax.adam(1e-2)


def dense(key, n, m):
    return {"w": jax.random.normal(key, (n, m)) / np.sqrt(n), "b": jnp.zeros(m)}


def start(key) -> dict[str, Train]:
    kg, kd, ke = jax.random.split(key, 3)
    generator = {"one": dense(kg, 2, 8), "two": dense(ke, 8, 2)}
    return {
        "generator": loop.trainable(generator, GENERATOR, stats={"mean": jnp.zeros(8)}),
        "judge": loop.trainable({"one": dense(kd, 2, 1)}, JUDGE),
    }


def generate(key, params, stats):
    hidden = jax.random.normal(key, (64, 2)) @ params["one"]["w"] + params["one"]["b"][None]
    running = 0.9 * stats["mean"] + 0.1 * hidden.mean(0)  # batch statistics, as batch norm has
    out = jnp.tanh(hidden - running[None]) @ params["two"]["w"] + params["two"]["b"][None]
    return out, {"mean": running}


def judge(params, x):
    return (x @ params["one"]["w"] + params["one"]["b"][None])[:, 0]


def generator_loss(key, params, state, batch) -> tuple[Any, Any]:
    fake, stats = generate(key, params, state["generator"].stats)
    return jax.nn.softplus(-judge(state["judge"].params, fake)).mean(), (stats, {})


def judge_loss(key, params, state, batch) -> tuple[Any, Any]:
    fake, _ = generate(key, state["generator"].params, state["generator"].stats)
    loss = jax.nn.softplus(judge(params, fake)) + jax.nn.softplus(-judge(params, batch["x"][:64]))
    return loss.mean(), (None, {"gap": judge(params, fake).mean()})


ADVERSARIAL = loop.minibatch(
    loop.alternate(
        [
            loop.gradient(judge_loss, JUDGE, "judge"),
            loop.gradient(generator_loss, GENERATOR, "generator"),
        ],
        every=[2, 1],
    ),
    size=64,
)


def equal(a, b):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(x, y)


def test_resumed_equals_uninterrupted_bit_for_bit():
    key = jax.random.key(1)
    whole, info = fit(key, ADVERSARIAL, start(key), DATA, steps=60, chunk=60)
    half, first = fit(key, ADVERSARIAL, start(key), DATA, steps=30, chunk=13)
    again, second = fit(key, ADVERSARIAL, half, DATA, steps=60, chunk=7, start=30)
    equal(whole, again)
    np.testing.assert_array_equal(
        info["1"]["loss"], np.concatenate([first["1"]["loss"], second["1"]["loss"]])
    )
    assert len(info["0"]["gap"]) == 60


def test_both_players_and_the_statistics_move():
    key = jax.random.key(2)
    before = start(key)
    after, _ = fit(key, ADVERSARIAL, before, DATA, steps=400)
    assert float(jnp.abs(after["generator"].stats["mean"]).max()) > 1e-3
    fake, _ = generate(key, after["generator"].params, after["generator"].stats)
    was, _ = generate(key, before["generator"].params, before["generator"].stats)
    centre = DATA["x"].mean(0)
    assert np.abs(fake.mean(0) - centre).max() < 0.7 * np.abs(was.mean(0) - centre).max()
    assert int(after["judge"].opt[0].count) == 800 and int(after["generator"].opt[0].count) == 400


def test_seeds_side_by_side_equal_seeds_in_turn():
    keys = jax.random.split(jax.random.key(3), 4)
    many, info = fit(keys, ADVERSARIAL, jax.vmap(start)(keys), DATA, steps=25)
    assert info["1"]["loss"].shape == (25, 4)
    for n, key in enumerate(keys):
        one, _ = fit(key, ADVERSARIAL, start(key), DATA, steps=25)
        for x, y in zip(jax.tree.leaves(one), jax.tree.leaves(many), strict=True):
            np.testing.assert_allclose(x, y[n], rtol=2e-4, atol=2e-5)


def test_the_callers_state_survives_and_a_hook_may_end_the_training():
    key, seen = jax.random.key(4), []

    def hook(step, state, info):
        seen.append((step, len(info["1"]["loss"])))
        return step >= 20

    state = start(key)
    fit(key, ADVERSARIAL, state, DATA, steps=100, chunk=10, hooks=[hook])
    assert seen == [(10, 10), (20, 10)]
    assert np.isfinite(np.asarray(state["judge"].params["one"]["w"])).all()  # not donated away


def test_gradient_step_is_plain_descent():
    quadratic = loop.gradient(
        lambda key, params, state, batch: (((params - batch) ** 2).sum(), (None, {})),
        optax.sgd(0.25),
    )
    target = jnp.array([3.0, -1.0])
    state, info = fit(
        jax.random.key(0), quadratic, loop.trainable(jnp.zeros(2), optax.sgd(0.25)), target, steps=3
    )
    np.testing.assert_allclose(state.params, target * (1 - 0.5**3))
    np.testing.assert_allclose(info["loss"], 10 * 0.25 ** np.arange(3), rtol=1e-6)


def test_eight_devices_equal_one():
    # not by minibatch: it draws rows across devices. The loss is a mean over all rows
    def loss(key, params, state, batch):
        hidden = jnp.tanh(batch["x"] @ params["one"]["w"] + params["one"]["b"][None])
        return ((hidden.sum(1) - batch["x"][:, 0]) ** 2).mean(), (None, {})

    tx = optax.adam(1e-2)
    step, key = loop.gradient(loss, tx), jax.random.key(6)
    state = loop.trainable({"one": dense(key, 2, 4)}, tx)
    one, info = fit(key, step, state, DATA, steps=50)
    many, shared = fit(key, step, state, DATA, steps=50, mesh=mesh(8))
    assert len(many.params["one"]["w"].sharding.device_set) == 8
    np.testing.assert_allclose(info["loss"], shared["loss"], rtol=1e-5)
    for x, y in zip(jax.tree.leaves(one), jax.tree.leaves(many), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-6)


def test_a_mesh_of_devices_that_are_not_there_is_refused():
    with pytest.raises(ValueError, match="a mesh of 9 devices was asked for, 8 exist here"):
        mesh(9)


@pytest.mark.parametrize("size", [16, 1000])
def test_minibatch_draws_rows_without_replacement(size):
    def look(key, state, batch):
        return state, {"rows": batch["x"]}

    data = {"x": jnp.arange(100)}
    _, info = fit(jax.random.key(0), loop.minibatch(look, size), 0, data, steps=5)
    for rows in info["rows"]:
        assert len(set(rows.tolist())) == min(size, 100)
