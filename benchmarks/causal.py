"""Time of training causal embeddings: one fit, 16 side by side, an epoch on profiles of cells.

The model is the environment VAE without remedies, in the sizes of sections 6.1, 6.4 and 6.5 of
"Towards Learning Cell Causal-Embeddings". Numbers are drawn, since time does not depend on them;
the looks at the end of every epoch are at one sample. Fits side by side are compared with the same
fits one after another, one fit with a plain PyTorch loop (extra `bench-torch`), where there is one.
"""

import importlib.util
import os
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from epistax.benchmarks import harness
from epistax.benchmarks.harness import Record, Timed
from epistax.engine.causal import training
from epistax.engine.causal.catalogue import begin, built, settings
from epistax.engine.causal.families import Family
from epistax.engine.causal.records import Data, Samples
from epistax.engine.causal.settings import Settings
from epistax.engine.fit import fit
from epistax.engine.types import Keys

SECTIONS = {
    "6.1": {"features": 10, "hidden": 5, "latents": 2},
    "6.4": {"features": 20, "hidden": 20, "latents": 5},
}
STEPS, BATCH, ROUNDS = 1000, 64, 50  # steps that are timed; minibatches of an epoch
FITS = 16
GENES, HIDDEN, LATENTS, BITS = 978, 500, 200, 1024
PROFILES, ENVIRONMENTS, LARGE = 14_600, 682, 256  # samples, environments, and of a minibatch


class Problem(NamedTuple):
    """A model and what it is trained on."""

    settings: Settings
    family: Family
    known: training.Known


def suite(*, size: int | None, repeats: int, seed: int) -> Iterator[Record]:
    """1,000 steps of sections 6.1 and 6.4; an epoch of 6.5 at `size` genes (978)."""
    torch = importlib.util.find_spec("torch") is not None
    name = "a plain PyTorch loop" if torch else None
    for own in SECTIONS.values():
        one = {**own, "fits": 1, "steps": STEPS, "seed": seed}
        beside = theirs if torch else None
        yield harness.measure("causal.steps.1", one, ours, beside, name, repeats=repeats)
        many = {**one, "fits": FITS}
        told = "one fit at a time"
        yield harness.measure("causal.steps.16", many, ours, in_turn, told, repeats=repeats)
    large = {"genes": size or GENES, "samples": PROFILES, "seed": seed}
    beside = their_epoch if torch else None
    yield harness.measure("causal.epoch", large, our_epoch, beside, name, repeats=min(repeats, 3))


def problem(data: Data, hidden: int, latents: int, batch: int) -> Problem:
    """The environment VAE of these sizes, without remedies."""
    samples, features = data.train.x.shape
    changes = {"hidden": (hidden,), "latents": latents, "batch": batch}
    vector = data.vectors.shape[1]
    config = settings(
        "environment", samples=samples, features=features, vector=vector, preset="published",
        **changes,
    )  # fmt: skip
    arrays, count = training.known(data, stop=False)
    family = built("environment", config, count, config.epochs * (samples // batch))
    return Problem(config, family, jax.tree.map(jnp.asarray, arrays))


def small(*, features: int, hidden: int, latents: int, seed: int) -> Problem:
    """An environment a latent, that shifts it; and the reference."""
    rng = np.random.default_rng(seed)
    vectors = np.concatenate([np.zeros((1, latents)), np.eye(latents)]).astype(np.float32)
    data = drawn(rng, vectors, BATCH * ROUNDS, features)
    return problem(data, hidden, latents, BATCH)


def profiles(*, genes: int, samples: int, seed: int) -> Problem:
    """Fingerprints, of which a twentieth of the bits are set."""
    rng = np.random.default_rng(seed)
    vectors = (rng.random((ENVIRONMENTS, BITS)) < 0.05).astype(np.float32)
    return problem(drawn(rng, vectors, samples, genes), HIDDEN, min(LATENTS, genes), LARGE)


def drawn(rng: np.random.Generator, vectors: Any, samples: int, features: int) -> Data:
    """Training samples of N(0, 1), and one that validates."""
    x = rng.normal(size=(samples, features)).astype(np.float32)
    environment = rng.integers(0, len(vectors), samples).astype(np.int32)
    return Data(vectors, Samples(x, environment), Samples(x[:1], environment[:1]))


def run(made: Problem, keys: Keys, epochs: int) -> Callable[[], Any]:
    """Epochs of fits side by side, in one call."""
    step = training.stepper(made.family, made.settings)
    warmth = jnp.full(len(keys), made.settings.temperature, jnp.float32)
    start = jax.vmap(lambda parts, t: training.started(parts, t, stop=False))
    state = start(begin(made.family)(keys), warmth)
    return lambda: fit(keys, step, state, made.known, steps=epochs, chunk=epochs)[0].parts


def ours(*, fits: int, steps: int, seed: int, **sizes: int) -> Timed:
    """All fits side by side."""
    keys = jax.random.split(jax.random.key(seed), fits)
    return run(small(seed=seed, **sizes), keys, steps // ROUNDS)


def in_turn(*, fits: int, steps: int, seed: int, **sizes: int) -> Timed:
    """The same fits one after another, by the same step."""
    made = small(seed=seed, **sizes)
    keys = jax.random.split(jax.random.key(seed), fits)
    each = [run(made, keys[k : k + 1], steps // ROUNDS) for k in range(fits)]
    return lambda: [one() for one in each]


def theirs(*, fits: int, steps: int, seed: int, **sizes: int) -> Timed:
    """One fit of the loop; small networks gain nothing from more threads."""
    del fits
    return loop(small(seed=seed, **sizes), steps, threads=1)


def our_epoch(*, genes: int, samples: int, seed: int) -> Timed:
    """An epoch of one fit."""
    keys = jax.random.split(jax.random.key(seed), 1)
    return run(profiles(genes=genes, samples=samples, seed=seed), keys, 1)


def their_epoch(*, genes: int, samples: int, seed: int) -> Timed:
    """An epoch of the loop, on all cores."""
    made = profiles(genes=genes, samples=samples, seed=seed)
    return loop(made, samples // LARGE, threads=os.cpu_count() or 1)


def loop(made: Problem, steps: int, *, threads: int) -> Timed:
    """Steps of the loop."""
    import torch

    from epistax.benchmarks import causaltorch

    torch.set_num_threads(threads)
    return causaltorch.trained(made.known, made.settings, steps)


if __name__ == "__main__":
    harness.main(suite)
