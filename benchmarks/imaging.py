"""Critics that look at images: are balls, and guides of cells, told apart by their mechanisms.

Balls (appendix D.1.2) and guide-guide images of cells (D.2.2) of "Automated Discovery of Pairwise
Interactions from Unstructured Data", at a reduced size unless --full: 32 x 32 pixels, channels
16-32-64, fewer observations a class and steps. Beside them the same images under shuffled labels.

    python -m epistax.benchmarks.imaging --out imaging.jsonl

A line a measurement; what the file holds already is not measured again. Needs jax, flax, optax,
numpy and scipy only.
"""

import argparse
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import jax
import numpy as np

from epistax.benchmarks.harness import Record
from epistax.benchmarks.separability import (
    CURVE,
    Work,
    critics,
    curves,
    judged,
    resume,
    scores_by_clip,
    shuffled,
    tests,
)
from epistax.engine.interaction.critic import Critic
from epistax.engine.interaction.crossfit import Training
from epistax.engine.nets.encoders import Encoder
from epistax.engine.screen import screen
from epistax.engine.simulate import guides, images

SEEDS = 3


def balls(seed: int, *, size: int, n: int, steps: int, shuffle: bool) -> Iterator[Record]:
    """Six pairs of four perturbations that move two of three balls; AB and CD are inseparable."""
    made = images.balls(jax.random.key(seed), n, size=size)
    widths = (16, 32, 64) if size < 64 else (32, 54, 128, 256, 512)
    encoder = Encoder("strided", widths, (size, size, 3))
    yield from judge(made, encoder, seed, steps=steps, shuffle=shuffle)


def cells(seed: int, *, n: int, steps: int, full: bool, shuffle: bool) -> Iterator[Record]:
    """Fifteen pairs of the six guides of two genes; guides of one gene are inseparable."""
    made = guides.guides(jax.random.key(seed), n)
    how = {"hidden": (256, 128) if full else (64,), "dropout": 0.3}
    widths = (32, 64, 128) if full else (16, 32, 64)
    encoder = Encoder("pooled", widths, made.x.shape[1:], **how)
    yield from judge(made, encoder, seed, steps=steps, shuffle=shuffle)


def judge(
    made: images.Separability, encoder: Encoder, seed: int, *, steps: int, shuffle: bool
) -> Iterator[Record]:
    """The kl family on one screen of images, and the score against the clip."""
    flat = np.asarray(made.x, np.float32).reshape(len(made.codes), -1)
    data = screen(flat, made.codes, p=len(made.strength), well=None)
    data = shuffled(data, seed) if shuffle else data
    training = Training(steps=steps, batch=256, rate=1e-3, chunk=max(50, steps // 20))
    how = {"folds": 2, "seed": seed, "channels": encoder.shape[2], "together": False}
    said = critics(data, Critic(encoder, loss="nre_a"), training, **how)
    found = {}
    for form in ("bridge", "smile"):
        values = tests(data, said, form)
        found[f"kl:{form}"] = values["kl"]
        if form == "bridge":
            found |= {name: values[name] for name in ("logform", "logrms")}
    apart = np.asarray(made.separable)
    for name, value in found.items():
        size = np.abs(value)
        row = {
            "test": name,
            "score": np.round(value.astype(float), 4).tolist(),
            **judged(value, ~apart),
        }
        row |= {"separable_most": float(size[apart].max()), "least": float(size[~apart].min())}
        yield row | said.facts
    curve = curves(said.read)
    yield {"test": "kl against tau", "tau": list(CURVE), **scores_by_clip(curve, data)}


def works(*, full: bool) -> Iterator[Work]:
    """Both experiments, seed by seed; the first seed also with its labels shuffled."""
    of_balls = {"size": 64, "n": 20_000, "steps": 40_000} if full else {}
    of_balls = of_balls or {"size": 32, "n": 2000, "steps": 1200}
    of_cells = {"n": 2000, "steps": 20_000} if full else {"n": 1000, "steps": 1200}
    wanted = [(0, False), (0, True), *((seed, False) for seed in range(1, SEEDS))]
    for seed, shuffle in wanted:
        name = {"scenario": "balls", "seed": seed, **of_balls, "shuffled": shuffle}
        yield name, partial(balls, seed, **of_balls, shuffle=shuffle)
    for seed, shuffle in wanted:
        name = {"scenario": "guides", "seed": seed, **of_cells, "shuffled": shuffle}
        yield name, partial(cells, seed, **of_cells, full=full, shuffle=shuffle)


def main() -> None:
    """From the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--full", action="store_true", help="the papers' size")
    options = parser.parse_args()
    resume(options.out, works(full=options.full))


if __name__ == "__main__":
    main()
