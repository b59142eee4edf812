"""Attention that hides an environment from the discriminator."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from epistax.engine.causal.adversarial import counterfactual
from epistax.engine.causal.catalogue import built, method, settings
from epistax.engine.causal.families import Batch, Pace
from epistax.engine.nets.embedding import judge

COUNT = 4  # environments


def told_apart(alpha):
    """Accuracy on fresh draws of a discriminator trained on what the attention leaves."""
    net = judge(3, (16,), COUNT)
    tx = optax.adam(1e-2)
    where = jnp.linspace(-4.5, 4.5, COUNT)  # of the first latent, in each environment

    def sampled(key):
        k_z, k_back = jax.random.split(key)
        own = jnp.arange(256) % COUNT
        z = jax.random.normal(k_z, (256, 3)).at[:, 0].add(where[own])
        return counterfactual(k_back, z, jnp.tile(alpha, (256, 1))), own

    def loss(params, key):
        z, own = sampled(key)
        return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(net.apply(params, z), own))

    def step(state, key):
        params, opt = state
        moves, opt = tx.update(jax.grad(loss)(params, key), opt)
        return (optax.apply_updates(params, moves), opt), None

    k_init, k_run, k_test = jax.random.split(jax.random.key(0), 3)
    params = net.init(k_init)
    keys = jax.random.split(k_run, 400)
    (params, _), _ = jax.jit(lambda s: jax.lax.scan(step, s, keys))((params, tx.init(params)))
    z, own = jax.vmap(sampled)(jax.random.split(k_test, 8))
    right = jnp.argmax(jax.vmap(lambda z: net.apply(params, z))(z), axis=2) == own
    return float(jnp.mean(right))


def test_attention_on_what_changes_hides_the_environment_and_elsewhere_does_not():
    assert told_apart(jnp.array([1.0, 0.0, 0.0])) == pytest.approx(1 / COUNT, abs=0.1)
    assert told_apart(jnp.array([0.0, 1.0, 0.0])) > 0.8


def test_the_counterfactual_is_a_mixture_of_noise_and_latents():
    z = jnp.full((5000, 2), 3.0)
    alpha = jnp.tile(jnp.array([0.25, 1.0]), (5000, 1))
    got = np.asarray(counterfactual(jax.random.key(0), z, alpha))
    np.testing.assert_allclose(got.mean(axis=0), [2.25, 0], atol=0.06)
    np.testing.assert_allclose(got.std(axis=0), [0.25, 1], rtol=0.05)


def turned(**changes):
    config = settings(
        "adversarial", samples=64, features=8, vector=3, preset="published", latents=3,
        hidden=(7,), **changes,
    )  # fmt: skip
    family = built("adversarial", config, COUNT, 1)
    parts = jax.jit(family.begin)(jax.random.key(1))
    x, e = (jax.random.normal(jax.random.key(seed), (12, k)) for seed, k in ((0, 8), (2, 3)))
    pace = Pace(jnp.float32(1), jnp.float32(1), jnp.float32(0))
    keys = jax.random.split(jax.random.key(3), family.keys)
    batch = Batch(x, e, jnp.arange(12) % COUNT, keys, pace)
    return parts, *jax.jit(family.turn)(keys[0], parts, batch)


def test_bounded_the_generator_cannot_win_without_end():
    # a discriminator that has learnt nothing tells each a quarter
    _, _, info = turned(bounded=True, lambda_adv=2.0)
    assert 0 <= float(info["told"]) < 0.2
    assert float(info["loss"]) == pytest.approx(float(info["missed"] + 2 * info["told"]), rel=1e-5)
    _, _, info = turned(lambda_adv=1.0)
    assert float(info["told"]) == pytest.approx(-np.log(COUNT), abs=0.4)
    assert float(info["judge"]) == pytest.approx(np.log(COUNT), abs=0.4)


def test_both_take_a_step_and_spread_attention_costs():
    before, after, info = turned(entropy=0.5)
    for name in ("model", "judge"):
        moved = jax.tree.map(lambda a, b: bool((a != b).any()), before[name], after[name])
        assert moved.params["encoder" if name == "model" else "Dense_0"]
    assert 0 < float(info["entropy"]) <= np.log(3) + 1e-6
    expected = info["missed"] + info["told"] + 0.5 * info["entropy"]
    assert float(info["loss"]) == pytest.approx(float(expected), rel=1e-5)


def test_trained_the_discriminator_knows_less_and_the_reconstruction_stays(toy):
    how = {"latents": 3, "hidden": (16,), "batch": 32, "rate": 3e-3, "epochs": 60}
    kinds = {}
    for strength in (0.0, 3.0):
        config = settings(
            "adversarial", samples=240, features=8, vector=3, lambda_adv=strength, **how
        )
        fits, info = method("adversarial", config).fit(
            jax.random.split(jax.random.key(0), 2), toy.data, ()
        )
        kinds[strength] = info
    assert (kinds[3.0]["accuracy"][-10:].mean() < kinds[0.0]["accuracy"][-10:].mean() - 0.05).all()
    assert (kinds[3.0]["error"][-1] < 0.5 * toy.data.train.x.var(axis=0).mean()).all()
