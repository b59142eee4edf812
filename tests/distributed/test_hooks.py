"""Hooks: a training that stops and goes on equals one that did not."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from epistax.distributed.hooks import Checkpoint, EventLog, Watch
from epistax.distributed.progress import Progress
from epistax.engine.fit import Train, fit, gradient, trainable

TX = optax.adam(1e-2)


def loss(key, params, state, batch):
    noise = 0.1 * jax.random.normal(key, batch.shape)
    return jnp.sum((params["w"] - batch + noise) ** 2), (None, {})


STEP = gradient(loss, TX, part="model")
KEY, DATA = jax.random.key(0), jnp.arange(3.0)


def fresh():
    return {
        "model": trainable({"w": jnp.zeros(3)}, TX),
        "key": jax.random.key(5),
        "count": jnp.int32(3),
    }


def train(steps, start=0, state=None, hooks=()):
    state = fresh() if state is None else state
    return fit(KEY, STEP, state, DATA, steps=steps, chunk=10, start=start, hooks=hooks)[0]


def same(a, b):
    def words(x):
        is_key = jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
        return np.asarray(jax.random.key_data(x) if is_key else x)

    return jax.tree.structure(a) == jax.tree.structure(b) and all(
        np.array_equal(words(x), words(y))
        for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )


def test_resumed_equals_uninterrupted_bit_for_bit(tmp_path):
    with Checkpoint(tmp_path) as checkpoint:
        assert checkpoint.restore(fresh())[0] == 0
        train(20, hooks=[checkpoint])
    with Checkpoint(tmp_path) as checkpoint:
        start, state = checkpoint.restore(fresh())
        assert start == 20 and isinstance(state["model"], Train)
        assert not same(state, fresh())
        assert same(train(40, start, state, [checkpoint]), train(40))


def test_uncommitted_steps_are_not_restored(tmp_path):
    with Checkpoint(tmp_path) as checkpoint:
        train(20, hooks=[checkpoint])
    # what a death in the middle of a save leaves: a step under its temporary name
    torn = tmp_path / "30.orbax-checkpoint-tmp"
    torn.mkdir()
    (torn / "default").mkdir()
    with Checkpoint(tmp_path) as checkpoint:
        assert checkpoint.restore(fresh())[0] == 20


def test_every_and_keep(tmp_path):
    with Checkpoint(tmp_path, every=2, keep=2) as checkpoint:
        train(80, hooks=[checkpoint])
    assert sorted(int(p.name) for p in tmp_path.iterdir() if p.name.isdigit()) == [60, 80]


def test_a_state_of_another_form_is_refused(tmp_path):
    with Checkpoint(tmp_path) as checkpoint:
        train(10, hooks=[checkpoint])
        with pytest.raises(ValueError):
            checkpoint.restore({"model": jnp.zeros(3)})


def test_the_event_log_survives_a_torn_line_and_a_repeat(tmp_path):
    log = EventLog(tmp_path / "events.jsonl")
    train(30, hooks=[log])
    first = log.read()
    assert [e["step"] for e in first] == [10, 20, 30] and first[0]["loss"] > first[2]["loss"]
    with log.path.open("a") as file:
        file.write('{"step": 40, "lo\n' + json.dumps({"step": 20, "loss": -1.0}) + "\n")
    assert [(e["step"], e["loss"]) for e in log.read()][1] == (20, -1.0)
    assert len(log.read()) == 3


def test_watch_counts_steps_and_shows_the_loss(capsys):
    with Progress("fit", every=0.0) as progress:
        progress.start(30, done=10)
        train(30, start=10, hooks=[Watch(progress)])
    err = capsys.readouterr().err
    assert "fit: 20 of 30" in err and "fit: 30 of 30" in err and "loss " in err
