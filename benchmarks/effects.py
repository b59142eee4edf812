"""Models of pair effects: campaigns of ensembles against loops from Python, and how fits grow.

A campaign is that of "NAIAD", section 4.4: 3 seeds, 5 rounds, ensembles of 3, chosen by maximum
predicted effect and uniformly; on a simulated screen of 112 genes. The reference trains the same
networks one after another, a jitted step a batch from Python: as the authors' program does, with a
look at all other rows after every epoch (`campaign`), or without any look (`campaign.blind`). The
default model is measured by itself, on screens of 448 genes.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from epistax.benchmarks import harness
from epistax.benchmarks.harness import Record, Timed
from epistax.engine import effectrounds
from epistax.engine.effects import catalogue
from epistax.engine.effects.mixed import Mixed, mixed
from epistax.engine.effects.neural import Neural
from epistax.engine.effects.records import Combos, Jobs, Method, Table
from epistax.engine.nets.combos import Rows, network

SEEDS, MEMBERS, STEP, ROUNDS, EPOCHS = 3, 3, 100, 5, 400
GENES, LARGE, GROWTH = 112, 448, (1000, 5000, 20_000, 50_000)


def suite(*, size: int | None, repeats: int, seed: int) -> Iterator[Record]:
    """Campaigns of `size` epochs a fit (400), then fits of the default model."""
    scale = {"genes": GENES, "epochs": size or EPOCHS, "seed": seed}
    times = max(1, repeats // 5)  # the loops take minutes
    for looks, name in ((1, "effects.campaign"), (0, "effects.campaign.blind")):
        beside = {**scale, "looks": looks}
        label = "a jitted step a batch from Python, " + ("with" if looks else "without") + " looks"
        record = harness.measure(name, beside, ours, loop, label, repeats=times)
        fits = SEEDS * MEMBERS * (1 + 2 * (ROUNDS - 1))
        yield record | {"fits": fits, "fits_per_second": fits / record["ours_seconds"]}
    for rows in GROWTH:
        wide = {"genes": LARGE, "rows": rows, "seed": seed}
        yield harness.measure("effects.default", wide, default, repeats=min(repeats, 3))


def screen(genes: int, seed: int) -> tuple[Table, np.ndarray]:
    """Every pair, a gene with itself too: a curved function of single effects and two factors."""
    rng = np.random.default_rng(seed)
    s, u = rng.uniform(-0.6, 0.1, genes), 0.05 * rng.normal(size=(genes, 2))
    i, j = np.triu_indices(genes)
    effect = 0.7 * (s[i] + s[j]) + 0.4 * s[i] * s[j] + u[i, 0] + u[j, 0] + 4 * u[i, 1] * u[j, 1]
    effect = effect + 0.04 * rng.normal(size=len(i))
    pair = np.stack([i, j], 1).astype(np.int32)
    return Table(Combos(pair, s[pair].astype(np.float32)), effect.astype(np.float32)), s


def settings(n: int, genes: int, epochs: int) -> Neural:
    """NAIAD as published for so many rows, at its last epoch."""
    config = catalogue.settings("naiad", genes=genes, n=n)
    assert isinstance(config, Neural)
    return replace(config, training=replace(config.training, keep="last", epochs=epochs))


def ours(*, genes: int, epochs: int, seed: int, looks: int) -> Timed:
    """All arms, seeds and members of a round in one call."""
    table, _ = screen(genes, seed)
    sizes = tuple(STEP * (n + 1) for n in range(ROUNDS))
    arms = [effectrounds.Arm(name, seed + k) for name in ("mpe", "uniform") for k in range(SEEDS)]
    protocol = effectrounds.Protocol(sizes, MEMBERS)
    methods = {n: catalogue.method(settings(n, genes, epochs)) for n in sizes}

    def call() -> list[int]:
        return [x.found for out in effectrounds.play(methods.__getitem__, table, arms, protocol)
                for x in out]  # fmt: skip

    return call


def loop(*, genes: int, epochs: int, seed: int, looks: int) -> Timed:
    """The same rounds, every network by itself."""
    table, _ = screen(genes, seed)
    order = [np.random.default_rng(seed + k).permutation(len(table.value)) for k in range(SEEDS)]
    free = len(table.value) - int(0.3 * len(table.value))
    steppers = {n: trained(settings(n, genes, epochs), looks)
                for n in range(STEP, STEP * ROUNDS + 1, STEP)}  # fmt: skip

    def call() -> None:
        for k in range(SEEDS):
            for arm in ("mpe", "uniform"):
                measured = order[k][:STEP]
                for n in range(ROUNDS):
                    if n == 0 and arm == "uniform":
                        continue  # as it was for the other arm
                    fits = [steppers[len(measured)](jax.random.key(member), table, measured)
                            for member in range(MEMBERS)]  # fmt: skip
                    mean = np.mean(fits, 0)
                    pool = np.setdiff1d(order[k][:free], measured)
                    best = pool[np.argsort(mean[pool])]
                    more = order[k][len(measured) :] if arm == "uniform" else best
                    measured = np.r_[measured, more[:STEP]]

    return call


def trained(config: Neural, looks: int) -> partial[np.ndarray]:
    """A function that trains one network and predicts the table with it."""
    net, training = network(config.net), config.training
    tx = optax.adam(training.rate)

    @jax.jit
    def step(key, params, opt, rows, value, rate):  # type: ignore[no-untyped-def]
        def loss(params):  # type: ignore[no-untyped-def]
            return jnp.sum((net.train(key, params, rows) - value) ** 2)

        updates, opt = tx.update(jax.grad(loss)(params), opt)
        return optax.apply_updates(params, jax.tree.map(lambda u: rate * u, updates)), opt

    @jax.jit
    def error(params, rows, value):  # type: ignore[no-untyped-def]
        return jnp.mean((net.apply(params, rows) - value) ** 2)

    predict = jax.jit(net.apply)
    return partial(one_by_one, net.init, tx.init, step, error, predict, training.epochs, looks)


def one_by_one(init, begin, step, error, predict, epochs, looks, key, table, measured):  # type: ignore[no-untyped-def]
    """Epoch after epoch, a full batch each."""
    every = Rows(*(jnp.asarray(x) for x in table.combos))
    rows = Rows(*(x[measured] for x in (every.genes, every.singles)))
    other = np.setdiff1d(np.arange(len(table.value)), measured)
    rest = Rows(*(x[other] for x in (every.genes, every.singles)))
    value, truth = (jnp.asarray(table.value)[at] for at in (measured, other))
    params = init(key, rows)
    opt = begin(params)
    warm = epochs // 10
    for s in range(epochs):
        rate = (s + 1) / warm if s < warm else 0.1 + 0.9 * (epochs - s) / (epochs - warm)
        params, opt = step(jax.random.fold_in(key, s), params, opt, rows, value, rate)
        if looks:
            float(error(params, rest, truth))
    return np.asarray(predict(params, every))


def default(*, genes: int, rows: int, seed: int) -> Timed:
    """The default model, one fit."""
    table, singles = screen(genes, seed)
    method: Method = mixed(Mixed(), singles=singles)
    train = np.random.default_rng(seed).permutation(len(table.value))[:rows]
    jobs = Jobs(train[None].astype(np.int32), np.full((1, 1), -1, np.int32))
    keys = jax.random.key(seed)[None]
    return lambda: method.fit(keys, table, jobs)


if __name__ == "__main__":
    harness.main(suite)
