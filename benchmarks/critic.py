"""Training of critics against a plain PyTorch loop and against a loop of jitted steps from Python.

The PyTorch loop (extra `bench-torch`) has the same network, loss and sizes and Adam as it is: no
schedule, no clipping, no averages. The jitted loop gathers each batch on the host, one member after
another, and ends at the same parameters as ours (checked first); ours keeps the screen on the
device and scans all members' steps in one call. `gemm_share` is the part of the machine's rate of
matrix products, measured in the same run, that training reaches; `most` is what the ratio would be
if training were those products alone, at that rate.
"""

import importlib.util
import os
from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from epistax.benchmarks import harness, limits
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
SQUARES, TRIES = (1024, 2048), 5  # products by which the machine's rate is measured


def suite(*, size: int | None, repeats: int, seed: int) -> Iterator[Record]:
    """Four genes, and fifty of 1,276 classes, or the given number of genes."""
    torch = importlib.util.find_spec("torch") is not None
    peak = products()
    for genes, cells, features in [(size, 100, 15)] if size else [(4, 5000, 3), (50, 100, 15)]:
        scale = {"genes": genes, "cells": cells, "features": features, "steps": 100, "seed": seed}
        left, right = (side(**{**scale, "steps": 5})() for side in (ours, loop))
        apart = max(
            jax.tree.leaves(jax.tree.map(lambda a, b: float(jnp.abs(a - b).max()), left, right))
        )
        if not apart < CLOSE:
            raise RuntimeError(f"the two sides' parameters differ by {apart}: no fair comparison")
        name = "a plain PyTorch loop, on one thread or all: the faster" if torch else None
        record = harness.measure(
            "critic.train", scale, ours, theirs if torch else None, name, repeats=repeats
        )
        yield record | reached(record, peak) | ({} if torch else harness.missing("bench-torch"))
        name = "a jitted step a batch, gathered on the host"
        record = harness.measure("critic.train", scale, ours, loop, name, repeats=repeats)
        yield record | reached(record, peak) | {"parameter_difference": apart}


def products() -> float:
    """Operations a second of the fastest large product of jax or numpy, float32."""
    rates = []
    for n in SQUARES:
        for side in (limits.product, limits.numpy_product):
            call = side(n=n, precision="float32")
            harness.seconds(call)
            rates.append(2 * n**3 / min(harness.seconds(call) for _ in range(TRIES)))
    return max(rates)


def reached(record: Record, peak: float) -> Record:
    """How fast the network goes, and what of the peak that is."""
    size, seconds = record["size"], record["ours_seconds"]
    members = FOLDS * size["steps"]
    classes = 1 + size["genes"] + count(size["genes"])
    flops = members * operations(size["features"], classes, network(size["genes"]))
    told = {
        "classes": classes,
        "observations_per_second": members * BATCH / seconds,
        "gemm_peak": peak,
        "gemm_share": flops / seconds / peak,
    }
    against = record["reference_seconds"]
    return told | {"most": against and against * peak / flops}


def operations(features: int, classes: int, critic: Critic) -> int:
    """Additions and multiplications in the products of one step: forward, and both gradients."""
    widths = critic.encoder.widths
    sizes = list(zip(widths, (*widths[1:], classes), strict=True))
    forward = BATCH * sum(a * b for a, b in sizes)
    if critic.head == "embedding":
        forward += critics.EMBEDDING * widths[-1] * classes
    # nobody asks for the gradient of what was observed
    return 2 * (3 * forward + 2 * BATCH * features * widths[0])


def network(genes: int) -> Critic:
    """The critic of so many genes."""
    few = genes <= 12
    return Critic(Encoder("mlp", (128, 64)), loss="nre_a" if few else "softmax",
                  head="linear" if few else "embedding")  # fmt: skip


def prepared(
    genes: int, cells: int, features: int, steps: int, seed: int
) -> tuple[Critic, Training, Folds, jax.Array, fit.Train]:
    """What both sides start from; the figures of the observations do not matter for speed."""
    codes = np.repeat(classes(genes), cells, axis=0)
    x = np.random.default_rng(seed).normal(size=(len(codes), features)).astype(np.float32)
    data = screen(x, codes, p=genes, well=None)
    dealt = folding.fold(data, np.ones(len(data.count), bool), folds=FOLDS, seed=seed)
    critic = network(genes)
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


def theirs(**size: int) -> Timed:
    """The PyTorch loop, on as many threads as serve it better."""
    import torch

    from epistax.benchmarks import critictorch

    critic, training, dealt, _, _ = prepared(**size)

    def run(threads: int, steps: int) -> Timed:
        trained = critictorch.trained(critic, dealt, training.batch, steps, training.rate)

        def call() -> float:
            torch.set_num_threads(threads)
            return trained()

        return call

    several = {1, os.cpu_count() or 1}
    tried = {threads: run(threads, max(1, training.steps // 10)) for threads in several}
    took = {threads: [harness.seconds(call) for _ in range(3)] for threads, call in tried.items()}
    return run(min(took, key=lambda threads: min(took[threads])), training.steps)


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
