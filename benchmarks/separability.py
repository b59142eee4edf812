"""How well critics measure separability where the truth is exact: scores, estimators, clips.

Screens of four genes (engine.simulate.tabular, after appendix D.1.1 of "Automated Discovery of
Pairwise Interactions from Unstructured Data"), the same with the labels shuffled, eight settings
of strength and dimension, and the estimators alone on Gaussians whose log-ratios are known.

    python -m epistax.benchmarks.separability --out separability.jsonl

A line a measurement; what the file holds already is not measured again. Needs jax, flax, optax,
numpy and scipy only, so that it runs where the rest of the house is not installed.
"""

import argparse
import itertools
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from numpy import ndarray

from epistax.benchmarks import harness
from epistax.benchmarks.harness import Record
from epistax.engine.interaction import crossfit, folding, nearest, readout
from epistax.engine.interaction.critic import Critic, leanest
from epistax.engine.interaction.crossfit import Training
from epistax.engine.interaction.ratiotests import ratio_tests
from epistax.engine.nets.encoders import Encoder
from epistax.engine.screen import Screen, screen
from epistax.engine.simulate import tabular
from epistax.engine.stats import divergence as dv
from epistax.engine.stats import metrics

CRITIC = Critic(Encoder("mlp", (128, 64)), loss="nre_a")
KINDS = (("nre_a", 3), ("nre_a", 1), ("softmax", 1))  # losses, and critics a fold
SETTINGS = [(h, d) for h in (1.0, 2.0, 3.0) for d in (3, 8, 20) if (h, d) != (3.0, 20)]
HELD, TRAINED = 1500, 3000  # observations a class, of a setting
NEGATIVES = (1, 2)  # AC and AD, which `calib` knows to be separable; the others are judged
CLIPS = (1.0, 2.0, 5.0)
CURVE = (0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0)


class Said(NamedTuple):
    """What a critic says of a screen's pairs, and how it was trained."""

    read: readout.Readout
    facts: Record


def critics(
    data: Screen,
    critic: Critic,
    training: Training,
    *,
    folds: int,
    seed: int,
    members: int = 1,
    channels: int | None = None,
    together: bool = True,
) -> Said:
    """Train and read so many critics a fold."""
    kept = np.ones(len(data.count), bool)
    dealt = folding.fold(data, kept, folds=folds, seed=seed, channels=channels)
    begun = time.perf_counter()
    keys = jax.random.split(jax.random.key(seed), members)
    outcome = crossfit.train(keys, critic, dealt, training, together=together)
    took = time.perf_counter() - begun
    best = outcome.loss.mean(axis=(1, 2)).argmin()
    facts = {
        "steps": outcome.at.ravel().tolist(),
        "held_loss": float(outcome.loss[best].mean()),
        "accuracy": float(outcome.accuracy[best].mean()),
        "train_seconds": round(took, 1),
        "rank": critic.rank,
    }
    return Said(readout.read(outcome, critic, dealt), facts)


def ranked(data: Screen, critic: Critic, training: Training, **how: Any) -> Said:
    """The critic of the singles' rank, unless one without bound predicts better, as in `score`."""
    bounded = replace(critic, rank=data.singles)
    both = [critics(data, one, training, **how) for one in (bounded, critic)]
    return both[leanest([said.facts["held_loss"] for said in both])]


def tests(data: Screen, said: Said, estimator: str, tau: float | None = dv.TAU) -> dict[str, Any]:
    """Signed kl, log form and root mean square of all pairs, and the clip."""
    kept = np.ones(len(data.count), bool)
    run = ratio_tests(data, kept, said.read, estimator=estimator, tau=tau, seed=0)
    found = run.test(np.arange(len(data.pairs.i)))
    values = {name: np.asarray(getattr(found, name).value) for name in ("kl", "logform", "logrms")}
    return values | {"tau": run.tau}


def judged(score: Float[ndarray, "q"], interacting: ndarray) -> Record:
    """Agreement of |score| with the truth."""
    size = np.abs(score).astype(np.float64)
    return {
        "auroc": metrics.auroc(size, interacting),
        "average_precision": metrics.average_precision(size, interacting),
    }


def shuffled(data: Screen, seed: int) -> Screen:
    """The same observations under labels drawn at random: nothing is left to find."""
    order = np.random.default_rng([seed, 1]).permutation(len(data.x))
    return data._replace(x=np.asarray(data.x)[order])


def of_four(seed: int, n: int, *, hit: float = 2.0, latents: int = 3) -> tuple[Any, Screen]:
    """A simulated screen of four genes and six pairs."""
    made = tabular.separability(jax.random.key(seed), n, hit=hit, latents=latents)
    return made, screen(np.asarray(made.x, np.float32), made.codes, p=4, well=None)


def four(seed: int, *, n: int, shuffle: bool) -> Iterator[Record]:
    """Bridge, SMILE and nearest neighbours on one screen."""
    made, data = of_four(seed, n)
    data = shuffled(data, seed) if shuffle else data
    said = ranked(data, CRITIC, Training(steps=3000, batch=2048), folds=3, seed=seed)
    near = nearest.separable(nearest.space(jax.random.key(seed), data))(np.arange(6))
    found = {"knn": near}
    for form in ("bridge", "smile"):
        values = tests(data, said, form)
        found[f"kl:{form}"] = values["kl"]
        if form == "bridge":
            found |= {name: values[name] for name in ("logform", "logrms")}
            curve = curves(said.read)
    apart = np.asarray(made.separable)
    for name, value in found.items():
        row = {
            "test": name,
            "score": np.round(value.astype(float), 4).tolist(),
            **judged(value, ~apart),
        }
        size = np.abs(value)
        row |= {"separable_most": float(size[apart].max())}
        row |= {"inseparable": [float(size[~apart].min()), float(size[~apart].max())]}
        yield row | said.facts
    yield {"test": "kl against tau", "tau": list(CURVE), **scores_by_clip(curve, data)}


def held(data: readout.Readout) -> dv.Ratios:
    """Log-ratios of every class by fold: leading axes folds and classes."""
    length = int(np.asarray(data.count).max())
    reference = readout.seen(data, 0, length)

    def one(which: jax.Array) -> dv.Ratios:
        rows = readout.seen(data, which, length)
        of_p, of_q = (readout.ratios(r, data, which) for r in (rows, reference))
        return dv.Ratios(of_p, of_q, rows.mask, reference.mask)

    found = jax.lax.map(one, jnp.arange(data.count.shape[1]))
    return jax.tree.map(lambda v: jnp.swapaxes(v, 0, 1), found)


def everywhere(function: Callable[..., Any]) -> Callable[..., Any]:
    """Over folds and classes."""
    return jax.jit(jax.vmap(jax.vmap(function)))


def curves(data: readout.Readout) -> Float[ndarray, "c t"]:
    """SMILE of every class at every clip, mean over folds."""
    grid = jnp.asarray(CURVE)
    return np.asarray(everywhere(lambda r: dv.curve(r, grid))(held(data))).mean(axis=0)


def scores_by_clip(curve: Float[ndarray, "c t"], data: Screen) -> Record:
    """Signed scores of the pairs at every clip."""
    p = data.singles
    scores = curve[1 + p :] - curve[1 + data.pairs.i] - curve[1 + data.pairs.j]
    return {"score": np.round(scores.astype(float), 4).tolist()}


def setting(seed: int, *, hit: float, latents: int, loss: str, members: int) -> Iterator[Record]:
    """Every estimator and clip rule on one screen; each fold is one split, and their mean."""
    made, data = of_four(seed, HELD + TRAINED, hit=hit, latents=latents)
    folds = (HELD + TRAINED) // HELD
    critic = CRITIC if loss == CRITIC.loss else replace(CRITIC, loss="softmax")
    said = ranked(data, critic, Training(steps=1500), folds=folds, seed=seed, members=members)
    ratios = held(said.read)
    estimates = {
        name: np.asarray(everywhere(partial(dv.ESTIMATORS[name], tau=dv.TAU))(ratios))
        for name in ("bridge", "mc", "mile")
    }
    estimates["ts:2"] = np.asarray(everywhere(partial(dv.truncated, tau=2.0))(ratios))
    for tau in CLIPS:
        estimates[f"smile:{tau:g}"] = np.asarray(everywhere(partial(dv.smile, tau=tau))(ratios))
    grid = jnp.asarray(dv.GRID)
    curve = np.asarray(everywhere(lambda r: dv.curve(r, grid))(ratios))
    chosen = rules(curve, estimates["bridge"], ratios, data)
    for rule, taus in chosen.items():
        at = [int(np.flatnonzero(np.asarray(dv.GRID, np.float32) == t)[0]) for t in taus]
        estimates[rule] = np.stack([curve[k, :, t] for k, t in enumerate(at)])
    true = np.asarray(made.score)
    kl = np.sum(np.asarray(made.strength) ** 2, axis=1) / 2
    known = np.r_[0.0, kl, true + kl[data.pairs.i] + kl[data.pairs.j]]
    rest = np.setdiff1d(np.arange(6), NEGATIVES)
    for name, value in estimates.items():
        miss = signed(value, data) - true[None, :]
        whole = signed(value.mean(axis=0, keepdims=True), data) - true[None, :]
        yield {
            "estimator": name,
            "score_errors": np.round(miss[:, rest], 3).tolist(),
            "crossfit_errors": np.round(whole[0, rest], 3).tolist(),
            "kl_rmse": round(float(np.sqrt(np.mean((value - known[None, :])[:, 1:] ** 2))), 4),
            **({"tau": [float(t) for t in chosen[name]]} if name in chosen else {}),
            **said.facts,
        }


def signed(value: Float[ndarray, "k c"], data: Screen) -> Float[ndarray, "k q"]:
    """Signed scores by fold."""
    p = data.singles
    return value[:, 1 + p :] - value[:, 1 + data.pairs.i] - value[:, 1 + data.pairs.j]


def rules(
    curve: Float[ndarray, "k c t"], bridge: Float[ndarray, "k c"], ratios: dv.Ratios, data: Screen
) -> dict[str, list[float]]:
    """The clip that each rule takes, fold by fold."""
    grid = jnp.asarray(dv.GRID)
    p = data.singles
    pairs = np.array(NEGATIVES)
    triples = np.stack([1 + p + pairs, 1 + data.pairs.i[pairs], 1 + data.pairs.j[pairs]], axis=1)
    known = jnp.ones(bridge.shape[1] - 1, bool)
    each = np.asarray(everywhere(lambda r: dv.lepski(r, grid))(ratios))
    return {
        "match": [
            float(dv.match(c[1:], b[1:], known, grid)) for c, b in zip(curve, bridge, strict=True)
        ],
        "calib": [float(dv.calibrate(jnp.asarray(c), jnp.asarray(triples), grid)) for c in curve],
        "lepski": each[:, 1:].max(axis=1).tolist(),
    }


def gaussian(kl: float, *, n: int = 2000, repeats: int = 400) -> Iterator[Record]:
    """Bias and sd of each estimator on N(mu, 1) and N(0, 1) with their true log-ratio."""
    mu = float(np.sqrt(2 * kl))
    rng = np.random.default_rng(0)
    p, q = (rng.normal(m, size=(repeats, n)) * mu - kl for m in (mu, 0.0))
    mask = jnp.ones((repeats, n), bool)
    ratios = dv.Ratios(jnp.asarray(p, jnp.float32), jnp.asarray(q, jnp.float32), mask, mask)
    taus = {"smile": (1.0, 2.0, 5.0), "ts": (1.0, 2.0, 5.0)}
    for name, function in dv.ESTIMATORS.items():
        for tau in taus.get(name, (dv.TAU,)):
            value = np.asarray(jax.jit(jax.vmap(partial(function, tau=tau)))(ratios))
            whole = f"{name}:{tau:g}" if name in taus else name
            error = {"bias": float(value.mean() - kl), "sd": float(value.std(ddof=1))}
            yield {"estimator": whole, "kl": kl, "n": n, "repeats": repeats, **error}


Work = tuple[Record, Callable[[], Iterator[Record]]]


def works(size: int) -> Iterator[Work]:
    """All there is to measure: its name, and what does it."""
    for kl in (0.5, 2.0, 4.5, 8.0):
        yield {"scenario": "gaussian", "kl": kl}, partial(gaussian, kl)
    for seed in range(5):
        for shuffle in (False, True):
            name = {"scenario": "four", "seed": seed, "n": size, "shuffled": shuffle}
            yield name, partial(four, seed, n=size, shuffle=shuffle)
    every = itertools.product(KINDS, range(2), SETTINGS)
    for (loss, members), seed, (hit, latents) in every:
        how = {"hit": hit, "latents": latents, "loss": loss, "members": members}
        yield {"scenario": "setting", "seed": seed, **how}, partial(setting, seed, **how)


def resume(out: Path, every: Iterator[Work]) -> None:
    """Measure what the file does not hold; a line a measurement, written as it comes."""
    lines = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
    for name, work in every:
        if any(name.items() <= line.items() for line in lines):
            continue
        rows = [{**name, **row, "device": harness.device()} for row in work()]
        rows[0]["versions"] = harness.versions()
        with out.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)


def main() -> None:
    """From the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", type=int, default=20_000, help="observations a class")
    options = parser.parse_args()
    resume(options.out, works(options.size))


if __name__ == "__main__":
    main()
