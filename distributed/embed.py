"""What tests see in place of the features: a classifier's last hidden layer, or components.

classifier/         the newest states of the training, for --resume
classifier.jsonl    a line for every look at the held-out loss
"""

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

import jax
import numpy as np

from epistax.distributed.crossfitted import members
from epistax.distributed.errors import BadInput
from epistax.distributed.formats.screentable import ScreenTable
from epistax.distributed.options import Score
from epistax.distributed.prepare import Prepared, space, units
from epistax.distributed.progress import Progress
from epistax.distributed.rundir import RunDir
from epistax.engine import screen as screens
from epistax.engine.interaction import classifier
from epistax.engine.interaction.classifier import Lesson
from epistax.engine.interaction.critic import Critic
from epistax.engine.interaction.crossfit import Training
from epistax.engine.nets.encoders import Encoder
from epistax.engine.stats import components, knn, normalise

FEATURES = 128
HIDDEN = 256  # units before the last layer, of vectors
MAPS, FEWER_MAPS = (32, 16, 16, 16), (8, 8, 8)  # of images: on an accelerator, on a CPU
SHORT = {"batch": 64, "most": 300}  # of the training, for images on a CPU
PREFIX = {"classifier": "h", "pca": "pc"}


@dataclass(frozen=True)
class Setup:
    """What is to be made of a screen, and by what."""

    kind: Literal["classifier", "pca"]
    features: int
    batch: np.ndarray | None  # of the screen's observations, where they are centred on controls
    image: tuple[int, int, int] | None
    taught: Lesson | None = None
    critic: Critic | None = None
    training: Training | None = None

    @property
    def channels(self) -> int | None:
        """Of images."""
        return None if self.image is None else self.image[2]


def refuse(options: Score) -> None:
    """Options of an embedding that is not made."""
    if options.embed != "classifier" and options.embed_classes is not None:
        raise BadInput("--embed-classes: is of --embed classifier; add that, or drop it")
    if options.embed == "none" and options.embed_features is not None:
        raise BadInput("--embed-features: is of --embed classifier or pca; add one, or drop it")


def setup(options: Score, table: ScreenTable, data: Prepared) -> Setup | None:
    """The options, filled in by the data; None without --embed, BadInput where they do not fit."""
    kind = options.embed
    if kind == "none":
        return None
    well = units(table, options)
    owner, _ = screens.classes(table.codes, len(table.names))
    order = screens.arranged(owner, np.arange(len(owner)) if well is None else well)
    centred = data.facts["center"] == "batch" and table.batch is not None
    batch = table.batch[order] if centred else None
    features = options.embed_features or FEATURES
    plain = Setup(kind, features, batch, table.image)
    if kind == "pca":
        return plain
    taught = classifier.lesson(
        data.screen,
        classes=options.embed_classes or "singles",
        seed=options.seed,
        block=shared(owner, well, order),
        channels=plain.channels,
    )
    if not taught.kept[0] or taught.kept.sum() < 2:
        who = "no perturbation stands" if taught.kept[0] else "the control does not stand"
        what = "observations" if well is None else "wells"
        raise BadInput(
            f"{options.data}: {who} in two {what}, one to train the classifier on and one to embed"
            + ("; choose --embed none" if well is None else "; choose --units observations")
        )
    rows, few = len(taught.data.rows) // classifier.MEMBERS, jax.default_backend() == "cpu"
    if table.image is None:
        encoder, training = Encoder("mlp", (HIDDEN, features)), classifier.training(rows)
    else:
        maps = FEWER_MAPS if few else MAPS
        encoder = Encoder("densenet", maps, table.image, hidden=(features,))
        training = classifier.training(rows, **(SHORT if few else {}))
    return dataclasses.replace(plain, taught=taught, critic=Critic(encoder), training=training)


def unlearned(left: int) -> str:
    """Classes that no half of the wells could be trained on and the other embed."""
    who = "1 class stands" if left == 1 else f"{left:,} classes stand"
    return f"{who} in too few wells to be learned"


def shared(owner: np.ndarray, well: np.ndarray | None, order: np.ndarray) -> np.ndarray | None:
    """Wells, in the order of the screen, where several classes share them: they stay whole."""
    if well is None:
        return None
    lowest, highest = np.full(well.max() + 1, owner.max()), np.zeros(well.max() + 1, owner.dtype)
    np.minimum.at(lowest, well, owner)
    np.maximum.at(highest, well, owner)
    return well[order] if (lowest < highest).any() else None


def embedded(
    run: RunDir, options: Score, data: Prepared, made: Setup, progress: Progress
) -> tuple[Prepared, dict[str, Any]]:
    """The screen as it is tested, and what the summary says of the embedding."""
    if made.kind == "pca":
        x, facts = principal(data, made)
    else:
        x, facts = learned(run, options, data, made)
    screen = data.screen._replace(x=comparable(x, data, made, options.data))
    facts = {"kind": made.kind, "features": screen.x.shape[1], **facts}
    remarks: list[str] = []
    names = tuple(f"{PREFIX[made.kind]}_{k}" for k in range(screen.x.shape[1]))
    more: dict[str, Any] = {}
    near = space(screen, options, more, remarks)
    run.note(embedding=facts, **more)
    if facts.get("left"):
        remarks.append(f"embedding: {unlearned(facts['left'])}, but embedded all the same")
    for line in remarks:
        progress.say(line)
    return dataclasses.replace(data, features=names, screen=screen, near=near), facts


def learned(
    run: RunDir, options: Score, data: Prepared, made: Setup
) -> tuple[np.ndarray, dict[str, Any]]:
    """Every observation by the classifier that did not see its well."""
    assert made.taught is not None and made.critic is not None and made.training is not None
    outcome, _ = members(
        run,
        "classifier",
        jax.random.split(jax.random.key(options.seed), 1),
        made.critic,
        made.taught.data,
        made.training,
        image=made.image is not None,
        quiet=options.quiet,
        show="accuracy",
    )
    found = classifier.embed(data.screen, made.taught, outcome, made.critic, channels=made.channels)
    facts = {
        "encoder": made.critic.encoder.kind,
        "classes": found.classes,
        "left": made.taught.left,
        "accuracy": found.accuracy,
        "chance": 1 / found.classes,
        "held_out": found.held_out,
        "steps": outcome.at.ravel().tolist(),
        "agreement": found.agreement,
    }
    return found.h, facts


def principal(data: Prepared, made: Setup) -> tuple[np.ndarray, dict[str, Any]]:
    """The leading principal components of the standardised input."""
    x = np.asarray(data.screen.x)
    mean, sd = knn.scales(x, np.repeat(np.arange(len(data.screen.count)), data.screen.count))
    varies = sd > 0
    count = min(made.features, int(varies.sum()), len(x) - 1)
    scores, share = components.leading(x[:, varies], mean[varies], sd[varies], count=count)
    return scores.astype(x.dtype), {"share": share}


def comparable(x: np.ndarray, data: Prepared, made: Setup, source: str) -> np.ndarray:
    """Whitened by the controls, centred on those of each batch; what they lack is left out."""
    control = np.arange(len(x)) < data.screen.count[0]
    batch = np.zeros(len(x), np.int32) if made.batch is None else made.batch
    varies = ~normalise.constant(x[control], batch[control])
    if not varies.any():
        raise BadInput(f"{source}: the controls are all alike in the embedding; drop --embed")
    x = x[:, varies]
    x = (x @ normalise.whitening(x[control], batch[control])).astype(x.dtype)
    if made.batch is not None:
        x = normalise.subtract_control(x, control, batch)
    return x - x.mean(axis=0, dtype=np.float64).astype(x.dtype)
