"""The critics of a score run: which classes they can know, how they are trained, what they say.

critic/         the newest states of the training, for --resume
critic.jsonl    a line for every look at the held-out loss
critic-free.*   the same of the one whose rank is not bounded, where both are tried
classes.parquet a row a class: its divergence from the control and how far to trust it
"""

import functools
from dataclasses import dataclass, replace
from typing import Any, get_args

import jax
import numpy as np
import polars as pl

from epistax.distributed import accelerators
from epistax.distributed.crossfitted import members
from epistax.distributed.errors import BadInput
from epistax.distributed.options import Score
from epistax.distributed.options.score import CRITIC
from epistax.distributed.prepare import Prepared
from epistax.distributed.rundir import RunDir
from epistax.engine.interaction import crossfit, folding, readout, separability, wellnulls
from epistax.engine.interaction.critic import Critic, leanest
from epistax.engine.interaction.crossfit import Training
from epistax.engine.interaction.ratiotests import RatioTests, ratio_tests
from epistax.engine.interaction.readout import Readout
from epistax.engine.nets.encoders import Encoder, network
from epistax.engine.stats.divergence import doubtful

LEAST = 10  # observations below which a critic cannot know a class
SMALL, MANY = 1000, 100_000  # observations of a class, of a screen
FEW = 100  # classes up to which each has weights of its own
BLOCK = 4096  # pairs whose null draws are held at once
BATCHES, EPOCHS, STEPS = {"vectors": 1024, "images": 256}, 12, (1500, 6000)
CLASS = {
    "a": pl.String,
    "b": pl.String,
    "n": pl.Int64,
    "kl": pl.Float64,
    "log_z": pl.Float64,
    "ess": pl.Float64,
    "ess_unclipped": pl.Float64,
    "shift": pl.Float64,
    "status": pl.String,
}


@dataclass(frozen=True)
class Setup:
    """What is trained on what."""

    critics: tuple[Critic, ...]  # with ever more freedom; the held-out loss chooses
    training: Training
    folds: int
    ensemble: int
    kept: np.ndarray  # classes that a critic can know


def asked(options: Score) -> list[str]:
    """The tests asked for that need a critic."""
    return [name for name in options.test if name.partition(":")[0] in CRITIC]


def setup(options: Score, data: Prepared) -> Setup:
    """The options, filled in by the data; BadInput where they cannot be kept."""
    screen, image = data.screen, data.image
    kind = options.encoder or ("mlp" if image is None else "pooled" if image[2] > 3 else "strided")
    if (kind == "mlp") != (image is None):
        what = "vectors" if image is None else "images"
        raise BadInput(f"--encoder: {kind!r} is not for {what}, which {options.data} holds")
    widths = options.widths or ((128, 64) if image is None else (16, 32, 64))
    dense = {"hidden": (64,), "dropout": 0.3} if kind == "pooled" else {}
    encoder = Encoder(kind, widths, image, **dense)
    try:
        network(encoder)
    except ValueError as error:
        raise BadInput(f"--widths: {error}") from None
    folds = options.folds or default_folds(data)
    kept = (screen.count >= LEAST) & (screen.units >= folds)
    rows = int(screen.count[kept].sum())
    least, most = STEPS
    batch = BATCHES["vectors" if image is None else "images"]
    steps = options.steps or int(np.clip(EPOCHS * rows // batch, least, most))
    rate = options.rate or (3e-3 if image is None else 1e-3)
    training = Training(steps=steps, batch=batch, rate=rate)
    few = kept.sum() <= FEW
    loss, head = ("nre_a", "linear") if few else ("softmax", "embedding")
    critic = Critic(encoder, loss=options.loss or loss, head=options.head or head)
    ensemble = options.ensemble or (3 if few and rows < MANY and image is None else 1)
    return Setup(ranked(critic, options, data, kept), training, folds, ensemble, kept)


def ranked(critic: Critic, options: Score, data: Prepared, kept: np.ndarray) -> tuple[Critic, ...]:
    """The critic of the rank asked for; else, of vectors, that of the singles and the unbounded."""
    if options.rank is not None and critic.head != "linear":
        raise BadInput(f"--rank: {options.rank} is of --head linear; this head is {critic.head}")
    singles = int(kept[1 : 1 + data.screen.singles].sum())
    if options.rank is not None:
        return (replace(critic, rank=options.rank),)
    if critic.head != "linear" or data.image is not None or not 0 < singles < kept.sum() - 1:
        return (critic,)
    return replace(critic, rank=singles), critic


def left_out(data: Prepared, made: Setup) -> list[str]:
    """Of what a critic cannot know, a line; a control too small for it leaves out everything."""
    screen, kept = data.screen, made.kept
    there = screen.count > 0
    what = f"{LEAST} observations, in as many wells as there are folds ({made.folds})"
    if not kept[0]:
        n, units = screen.count[0], screen.units[0]
        had = f"the control has {n:,} in {units:,}" if n else "there is no control"
        return [f"no critic: {had}; it needs at least {what}"]
    few = int((there & ~kept).sum())
    total = int(there.sum())
    return [f"critic: {few:,} of {total:,} classes left out, with fewer than {what}"] if few else []


def default_folds(data: Prepared) -> int:
    """More where observations are few: what a critic is not shown costs it more there."""
    screen = data.screen
    if data.image is not None:
        return 2
    typical = np.median(screen.count[screen.count > 0])
    folds = 5 if typical < SMALL and len(screen.x) < MANY else 3
    return int(max(2, min(folds, np.median(screen.units[screen.units > 0]))))


def trained(run: RunDir, options: Score, data: Prepared, made: Setup) -> Readout | None:
    """Every observation of the classes kept as critics see it that were not trained on it.

    None where the control is too small for a critic, or no class is left to tell from it.
    """
    if not made.kept[0] or made.kept.sum() < 2:
        return None
    channels = None if data.image is None else data.image[2]
    seed = options.seed
    folds = folding.fold(data.screen, made.kept, folds=made.folds, seed=seed, channels=channels)
    keys = jax.random.split(jax.random.key(seed), made.ensemble)
    found = []
    for name, critic in zip(("critic", "critic-free"), made.critics, strict=False):
        outcome, log = members(
            run,
            name,
            keys,
            critic,
            folds,
            made.training,
            image=data.image is not None,
            quiet=options.quiet,
            remedy=f"; lower --rate (it was {made.training.rate:g})",
        )
        best = min(log.read(), key=lambda line: np.mean(line["held_loss"]))
        found.append((critic, outcome, best))
    losses = [float(np.mean(best["held_loss"])) for _, _, best in found]
    critic, outcome, best = found[leanest(losses)]
    tried = {str(one.rank or "free"): loss for (one, _, _), loss in zip(found, losses, strict=True)}
    run.note(critic=facts(made, critic, outcome, best) | {"held_losses": tried})
    return readout.read(outcome, critic, folds)


def facts(
    made: Setup, critic: Critic, outcome: crossfit.Outcome, best: dict[str, Any]
) -> dict[str, Any]:
    """What was trained and how well it tells classes apart on what it was not trained on."""
    return {
        "classes": int(made.kept.sum()),
        "encoder": critic.encoder.kind,
        "widths": list(critic.encoder.widths),
        "loss": critic.loss,
        "head": critic.head,
        "rank": critic.rank,
        "folds": made.folds,
        "members": made.folds * made.ensemble,
        "steps": outcome.at.ravel().tolist(),
        "rate": made.training.rate,
        "batch": made.training.batch,
        "held_loss": float(np.mean(best["held_loss"])),
        "accuracy": float(np.mean(best["accuracy"])),
    }


@dataclass(eq=False)
class Critics:
    """Statistics of all pairs by one read-out; those of an estimator are computed once."""

    options: Score
    data: Prepared
    made: Setup
    read: Readout | None

    def status(self) -> np.ndarray:
        """Of every pair: `ok`, `no_single`, or `too_few` observations of a class for a critic."""
        screen, kept = self.data.screen, self.made.kept
        i, j = (1 + np.asarray(side) for side in screen.pairs)
        alone = np.minimum(screen.count[i], screen.count[j])
        known = kept[i] & kept[j] & kept[1 + screen.singles :] & (self.read is not None)
        return np.where(alone == 0, "no_single", np.where(known, "ok", "too_few"))

    @functools.cache  # noqa: B019  (lives as long as its scorer)
    def tests(self, estimator: str) -> RatioTests:
        """One estimator's tests, the singles' share of them done."""
        assert self.read is not None
        tau = None if self.options.tau == "auto" else self.options.tau
        how = {"estimator": estimator, "tau": tau, "seed": self.options.seed}
        how |= {"mesh": accelerators.mesh()}
        return ratio_tests(self.data.screen, self.made.kept, self.read, **how)

    @functools.cache  # noqa: B019
    def all(self, estimator: str) -> tuple[np.ndarray, separability.Statistics]:
        """The pairs that can be tested, and their statistics."""
        pairs = np.flatnonzero(self.status() == "ok")
        return pairs, self.tests(estimator).test(pairs)

    def test(self, name: str, pairs: np.ndarray) -> dict[str, np.ndarray]:
        """Statistic, score, error, p-value and status of pairs that can be tested."""
        family, _, form = name.partition(":")
        every, found = self.all(form or "bridge")
        at = np.searchsorted(every, pairs)
        value, se = (np.asarray(v, np.float64) for v in getattr(found, family))
        p = self.p_values(family, form or "bridge")
        status = np.where(self.trusted(form or "bridge")[at], "ok", "doubtful")
        parts = {"statistic": value, "score": np.abs(value), "se": se, "p": p}
        return {key: v[at] for key, v in parts.items()} | {"status": status}

    @functools.cache  # noqa: B019
    def p_values(self, family: str, estimator: str) -> np.ndarray:
        """Of all pairs that can be tested, by --null: normal, or by draws of the wells."""
        pairs, every = self.all(estimator)
        value, se = (np.asarray(v, np.float64) for v in getattr(every, family))
        method = self.options.null
        if family == "logrms" or method == "none":
            return np.full(len(value), np.nan)
        sd = separability.excess(value, se)
        if method not in get_args(wellnulls.Method):
            return separability.p_values(value, se, sd)
        null, found = self.tests(estimator).null(method, self.options.draws), []
        for at in np.array_split(np.arange(len(pairs)), -(-len(pairs) // BLOCK) or 1):
            draws = getattr(null(pairs[at]), family)
            found.append(wellnulls.p_values(value[at], np.asarray(draws, np.float64), sd))
        return np.concatenate(found)

    @functools.cache  # noqa: B019
    def trusted(self, estimator: str) -> np.ndarray:
        """Pairs none of whose classes is doubtful, among those that can be tested."""
        screen, alone = self.data.screen, self.tests(estimator).alone
        pairs, found = self.all(estimator)
        number = np.cumsum(self.made.kept) - 1
        good = ~np.asarray(doubtful(alone.seen))
        i, j = (number[1 + np.asarray(side)[pairs]] for side in screen.pairs)
        return good[i] & good[j] & ~np.asarray(doubtful(found.seen))

    def classes(self) -> pl.DataFrame:
        """A row a class, the control's apart: `a` a single, `a` and `b` a pair.

        By the first estimator that was asked for.
        """
        forms = [name.partition(":")[2] for name in asked(self.options) if name.startswith("kl")]
        estimator = (forms or [""])[0] or "bridge"
        screen, names = self.data.screen, np.array([*self.data.names, ""])
        alone, (pairs, found) = self.tests(estimator).alone, self.all(estimator)
        singles = np.flatnonzero(self.made.kept[1 : 1 + screen.singles])
        seen = [
            np.concatenate([np.asarray(a)[1:], np.asarray(b)])
            for a, b in zip(alone.seen, found.seen, strict=True)
        ]
        i = np.r_[singles, np.asarray(screen.pairs.i)[pairs]]
        j = np.r_[np.full(len(singles), -1), np.asarray(screen.pairs.j)[pairs]]
        number = np.r_[1 + singles, 1 + screen.singles + pairs]
        bad = np.asarray(doubtful(type(found.seen)(*seen)))
        values = {
            "a": names[i],
            "b": names[j],
            "n": screen.count[number],
            "kl": np.concatenate([np.asarray(alone.kl)[1:], np.asarray(found.double)]),
            **dict(zip(("log_z", "ess", "ess_unclipped", "shift"), seen, strict=True)),
            "status": np.where(bad, "doubtful", "ok"),
        }
        return pl.DataFrame(values, schema=CLASS).with_columns(
            b=pl.when(pl.col("b") == "").then(None).otherwise("b")
        )
