"""Epochs, looks, and what may move a parameter."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from epistax.engine import mesh
from epistax.engine.causal import training
from epistax.engine.causal.catalogue import built, method, settings
from epistax.engine.causal.families import Batch, Pace
from epistax.engine.causal.records import Data

KEYS = jax.random.split(jax.random.key(0), 2)


def small(name, preset="published", **changes):
    some = {"latents": 3, "hidden": (7,), "epochs": 3, "batch": 32, **changes}
    return settings(name, samples=240, features=8, vector=3, preset=preset, **some)


def same(a, b, **close):
    for one, other in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(one, other, **close)


def taken(toy, key=3):
    """A minibatch of 32 samples."""
    arrays, count = training.known(toy.data, stop=False)
    rows = np.arange(0, 240, 7)[:32]
    pace = Pace(jnp.float32(0.5), jnp.float32(1), jnp.float32(2))
    e = arrays.vectors[arrays.train.environment[rows]]
    keys = jax.random.split(jax.random.key(key), 11)
    some = jax.tree.map(jnp.asarray, (arrays.train.x[rows], e, arrays.place[rows]))
    return lambda family: Batch(*some, keys[: family.keys], pace), count


@pytest.mark.parametrize("name", ["environment", "adversarial"])
def test_a_step_compiled_is_a_step_not_compiled(toy, name):
    batch, count = taken(toy)
    family = built(name, small(name, irm=1.0, sees="film"), count, 1)
    parts = jax.jit(family.begin)(jax.random.key(1))
    one, told = jax.jit(family.turn)(KEYS[0], parts, batch(family))
    with jax.disable_jit():
        other, info = family.turn(KEYS[0], parts, batch(family))
    same(told, info, rtol=1e-4, atol=1e-5)
    same(one["model"].opt, other["model"].opt, rtol=1e-3, atol=1e-5)


def test_samples_over_eight_devices_are_trained_on_as_on_one(toy):
    batch, count = taken(toy)
    family = built("environment", small("environment", irm=1.0), count, 1)
    parts = jax.jit(family.begin)(jax.random.key(1))
    some = batch(family)
    devices = mesh.mesh(8)
    cut = {name: mesh.placed(getattr(some, name), devices) for name in ("x", "e", "environment")}
    whole = mesh.copied((parts, some.keys, some.pace), devices)
    spread = some._replace(**cut, keys=whole[1], pace=whole[2])
    one, info = jax.jit(family.turn)(KEYS[0], parts, some)
    other, told = jax.jit(family.turn)(mesh.copied(KEYS[0], devices), whole[0], spread)
    same(info, told, rtol=1e-4)
    same(one["model"].opt, other["model"].opt, rtol=1e-3, atol=1e-4)


def test_fits_side_by_side_are_fits_alone_with_their_temperatures(toy):
    both = method("environment", small("environment", anneal=True), temperatures=(0.2, 2.0))
    fits, info = both.fit(KEYS, toy.data, ())
    alone = method("environment", small("environment", anneal=True, temperature=2.0))
    fit, told = alone.fit(KEYS[1:], toy.data, ())
    assert info["loss"].shape == (3, 2) and told["loss"].shape == (3, 1)
    same(jax.tree.map(lambda x: x[1:], fits), fit, rtol=1e-4, atol=1e-5)
    for name in info:
        np.testing.assert_allclose(info[name][:, 1:], told[name], rtol=1e-4)
    v = toy.data.vectors[1:3]
    same(jax.tree.map(lambda x: x[1:], both.prior(fits, v)), alone.prior(fit, v), atol=1e-5)
    np.testing.assert_allclose(fits.temperature, [0.2, 2.0], rtol=1e-6)


def test_validation_samples_move_no_parameter_and_are_looked_at_by_their_means(toy):
    model = method("conditional", small("conditional"))
    fits, info = model.fit(KEYS, toy.data, ())
    moved = toy.data.validation._replace(x=toy.data.validation.x[::-1] * 2)
    other, told = model.fit(KEYS, toy.data._replace(validation=moved), ())
    same(fits, other, rtol=0)
    np.testing.assert_array_equal(info["loss"], told["loss"])
    assert (info["validation"] != told["validation"]).all()
    x, environment = toy.data.validation
    e = toy.data.vectors[environment]
    rebuilt = model.decode(fits, model.encode(fits, x, e).mean, e)
    lost = np.mean((np.asarray(rebuilt) - x[None]) ** 2, axis=(1, 2))
    np.testing.assert_allclose(info["validation"][-1], lost, rtol=1e-5)


def test_blocks_of_a_look_are_all_samples(toy, monkeypatch):
    family = built("vae", small("vae"), 4, 1)
    params = jax.jit(family.begin)(jax.random.key(1))["model"].params
    arrays, _ = training.known(toy.data, stop=False)
    model = training.Fitted(params, jnp.float32(1))
    some = jax.tree.map(jnp.asarray, (arrays.train, arrays.vectors))
    whole = training.error(family, model, *some)
    monkeypatch.setattr(training, "BLOCK", 37)
    np.testing.assert_allclose(training.error(family, model, *some), whole, rtol=1e-5)
    none = jax.tree.map(lambda x: x[:0], some[0])
    assert np.isnan(training.error(family, model, none, some[1]))


def test_what_is_not_finite_is_shown(toy):
    x = toy.data.train.x.copy()
    x[0, 0] = np.nan
    broken = toy.data._replace(train=toy.data.train._replace(x=x))
    _, info = method("vae", small("vae")).fit(KEYS[:1], broken, ())
    assert np.isnan(info["loss"]).any() and np.isnan(info["validation"][-1]).all()


def test_stopping_looks_at_training_environments_held_out_and_keeps_the_best(toy):
    config = small("environment", stop=True, patience=1, rate=0.3, epochs=30)
    model = method("environment", config)
    fits, info = model.fit(KEYS[:1], toy.data, ())
    held = info["held"][:, 0]
    last = np.argmin(held)
    assert len(held) < 30 and np.all(held[last + 1 :] >= held[last]) and len(held) == last + 3
    arrays, count = training.known(toy.data, stop=True)
    own = np.unique(arrays.held.environment)
    assert count == 3 and len(own) == 1 and own[0] in (1, 2, 3)
    assert own[0] not in arrays.train.environment
    e = toy.data.vectors[arrays.held.environment]
    rebuilt = model.decode(fits, model.encode(fits, arrays.held.x, e).mean, e)
    np.testing.assert_allclose(np.mean((rebuilt - arrays.held.x[None]) ** 2), held[last], rtol=1e-4)


def test_a_tenth_of_environments_is_held_out_never_the_reference(toy):
    vectors = np.ones((41, 2))
    vectors[[0, 5]] = 0
    samples = toy.data.train._replace(environment=np.arange(41), x=np.zeros((41, 2)))
    held = training.held_out(samples, vectors)
    assert len(held) == 4 and not set(held) & {0, 5}
    few = toy.data.train._replace(environment=np.arange(240) % 2)
    with pytest.raises(ValueError, match="`stop` is on with 1 training environments"):
        training.held_out(few, toy.data.vectors)


@pytest.mark.parametrize("n", [1, 2, 1000, 70_000])
def test_rows_are_shuffled(n):
    orders = [np.asarray(training.shuffled(jax.random.key(seed), n)) for seed in (0, 1)]
    for order in orders:
        np.testing.assert_array_equal(np.sort(order), np.arange(n))
    if n > 2:
        assert abs(np.corrcoef(orders[0], np.arange(n))[0, 1]) < 4.5 / n**0.5
        assert abs(np.corrcoef(*orders)[0, 1]) < 4.5 / n**0.5


def test_an_epoch_warms_and_the_penalty_waits(toy):
    config = small("vae", warmup=2, irm=3.0, irm_after=10, beta=0.5)
    arrays, count = training.known(toy.data, stop=False)
    seen = []

    def turn(key, parts, batch):
        jax.debug.callback(lambda *x: seen.append([float(v) for v in x]), *batch.pace, ordered=True)
        return parts, {"rows": jnp.sum(batch.environment).astype(jnp.float32)}

    family = built("vae", config, count, 1)._replace(turn=turn)
    arrays = jax.tree.map(jnp.asarray, arrays)
    for done in (0, 1, 2):
        epoch = training.epoch(
            KEYS[0], {}, arrays, family, config, jnp.float32(0.7), jnp.float32(done)
        )
    jax.block_until_ready(epoch)
    jax.effects_barrier()
    assert len(seen) == 3 * 7  # 240 samples hold 7 minibatches of 32
    np.testing.assert_allclose([x[1] for x in seen[::7]], [0, 0.25, 0.5])
    assert [x[2] for x in seen] == [0.0] * 10 + [3.0] * 11


def test_bad_data_are_refused_in_a_line(toy):
    model = method("vae", small("vae"))
    wide = toy.data._replace(vectors=np.zeros((6, 4), np.float32))
    with pytest.raises(ValueError, match="`vector` is 3, and the data have 4"):
        model.fit(KEYS, wide, ())
    with pytest.raises(ValueError, match="`temperatures` are 2 for 1 keys"):
        method("vae", small("vae"), temperatures=(1.0, 2.0)).fit(KEYS[:1], toy.data, ())
    with pytest.raises(ValueError, match="must be above 0"):
        method("vae", replace(small("vae")), temperatures=(0.0,))
    assert isinstance(toy.data, Data)
