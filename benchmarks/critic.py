"""Training of critics: our compiled chunk of steps against a loop of jitted steps from Python.

Both train the members of all folds on the same batches by the same optimiser, so that they end at
the same parameters (checked first). Ours keeps the screen on the device and scans all members'
steps in one call; the reference gathers each batch on the host, one member after another.
"""

from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from epistax.benchmarks import harness
from epistax.benchmarks.harness import Record, Timed
from epistax.engine import fit
from epistax.engine.interaction import critic as critics
from epistax.engine.interaction import crossfit, folding
from epistax.engine.interaction.critic import Critic
from epistax.engine.interaction.crossfit import Training
from epistax.engine.interaction.folding import Folds
from epistax.engine.nets.encoders import Encoder
from epistax.engine.pairs import count
from epistax.engine.screen import screen
from epistax.engine.simulate.latents import classes

FOLDS, BATCH, CLOSE = 2, 1024, 1e-3


def suite(*, size: int | None, repeats: int, seed: int) -> Iterator[Record]:
    """Four genes, and fifty of 1,276 classes, or the given number of genes."""
    for genes, cells, features in [(size, 100, 15)] if size else [(4, 5000, 3), (50, 100, 15)]:
        scale = {"genes": genes, "cells": cells, "features": features, "steps": 100, "seed": seed}
        left, right = (side(**{**scale, "steps": 5})() for side in (ours, loop))
        apart = max(
            jax.tree.leaves(jax.tree.map(lambda a, b: float(jnp.abs(a - b).max()), left, right))
        )
        if not apart < CLOSE:
            raise RuntimeError(f"the two sides' parameters differ by {apart}: no fair comparison")
        name = "a jitted step a batch, gathered on the host"
        record = harness.measure("critic.train", scale, ours, loop, name, repeats=repeats)
        seen = FOLDS * BATCH * scale["steps"]
        yield record | {
            "classes": 1 + genes + count(genes),
            "parameter_difference": apart,
            "observations_per_second": seen / record["ours_seconds"],
        }


def prepared(
    genes: int, cells: int, features: int, steps: int, seed: int
) -> tuple[Critic, Training, Folds, jax.Array, fit.Train]:
    """What both sides start from; the figures of the observations do not matter for speed."""
    codes = np.repeat(classes(genes), cells, axis=0)
    x = np.random.default_rng(seed).normal(size=(len(codes), features)).astype(np.float32)
    data = screen(x, codes, p=genes, well=None)
    dealt = folding.fold(data, np.ones(len(data.count), bool), folds=FOLDS, seed=seed)
    few = genes <= 12
    critic = Critic(Encoder("mlp", (128, 64)), loss="nre_a" if few else "softmax",
                    head="linear" if few else "embedding")  # fmt: skip
    training = Training(steps=steps, batch=BATCH, chunk=steps)
    keys = jax.random.split(jax.random.key(seed), FOLDS)
    state = crossfit.begin(jax.random.split(jax.random.key(seed), 1), critic, dealt, training)
    return critic, training, dealt, keys, state.train


def ours(**size: int) -> Timed:
    """All members and steps in one compiled call."""
    critic, training, dealt, keys, state = prepared(**size)
    data, step = crossfit.placed(dealt, None), crossfit.stepper(critic, training, None)
    how = {"steps": training.steps, "chunk": training.steps}
    return lambda: fit.fit(keys, step, state, data, **how)[0].params


def loop(**size: int) -> Timed:
    """Member by member and batch by batch, from Python."""
    critic, training, dealt, keys, state = prepared(**size)
    tx, loss = crossfit.optimiser(training), critics.trained_on(critic)
    members, ends = jnp.asarray(dealt.members, jnp.int32), jnp.asarray(dealt.ends, jnp.int32)
    draw = jax.jit(partial(crossfit.draw, batch=BATCH))

    @jax.jit
    def step(key, params, stats, opt, x, label):  # type: ignore[no-untyped-def]
        args = (stats["net"], x, label, members, stats["log_prior"])
        grads = jax.grad(lambda p: loss(key, p, *args)[0])(params)
        updates, opt = tx.update(grads, opt, params)
        return optax.apply_updates(params, updates), opt

    def call() -> object:
        done = []
        for k in range(FOLDS):
            one = jax.tree.map(lambda v, k=k: v[k], state)
            params, opt = one.params, one.opt
            for t in range(training.steps):
                k_rows, k_net = jax.random.split(jax.random.fold_in(keys[k], t))
                rows = np.asarray(draw(k_rows, one.stats["fold"], ends))
                params, opt = step(k_net, params, one.stats, opt, dealt.x[rows], dealt.label[rows])
            done.append(params)
        return jax.tree.map(lambda *v: jnp.stack(v), *done)

    return call


if __name__ == "__main__":
    harness.main(suite)
