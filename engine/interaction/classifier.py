"""Embed observations by the last hidden layer of a classifier of perturbations.

"Active Learning to Discover Pairwise Genetic Interactions via Representation Learning", section 3:
where P(x_i | y) = softmax(w_i . h(y)) is learned well, perturbations that act apart have
h_ij = h_i + h_j for the means of h less the control's. Doubles are no classes unless asked for: a
classifier that is taught them may bend h until the interaction is gone.

Two members are trained, each on half of the wells of every class, and each embeds the half that it
never saw; the doubles are dealt like all others. As a class stands half in either, a contrast of
means of classes is the mean of both members' contrasts. Two trainings end in one h but for a linear
map (Roeder, Metz and Kingma 2021, "On Linear Identifiability of Learned Representations"): it is
fitted from the second member's h to the first's where neither was trained, and what is left between
them is taken off by the controls of each.
"""

from typing import Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from epistax.engine.interaction import critic as critics
from epistax.engine.interaction import folding
from epistax.engine.interaction.critic import Critic
from epistax.engine.interaction.crossfit import Outcome, Training
from epistax.engine.interaction.folding import Folds
from epistax.engine.interaction.readout import hidden_of
from epistax.engine.screen import Screen

MEMBERS = 2
BATCH, EPOCHS, STEPS = 1024, 50, (300, 4000)
RATE, DECAY = 1e-3, 1e-4
LOOKS = 25  # at the held-out loss
PAIRED = 20_000  # observations, at most, that the map between members is fitted on
ENOUGH = 4  # of them a hidden unit, at least, for those of the training to be left out
RIDGE = 1e-5  # of the mean variance of a hidden unit
BLOCK = 8192  # observations that are classified at once

Hidden: TypeAlias = Float[ndarray, "n h"]


class Lesson(NamedTuple):
    """What is learned of a screen, and who embeds what."""

    data: Folds  # of the classes that are learned
    half: Int[ndarray, "n"]  # the member that embeds an observation, and is trained on no such
    kept: Bool[ndarray, "c"]  # classes that are learned
    left: int  # classes that cannot be: they do not stand in both halves


class Embedded(NamedTuple):
    """A screen's observations, and how well the classifier knew what it had not seen."""

    h: Hidden
    accuracy: float  # share of held-out observations told right, the mean over classes
    held_out: int  # how many those are, each told by the member that never saw its well
    classes: int
    agreement: float  # share of the first member's variance that the mapped second has


def lesson(
    screen: Screen,
    *,
    classes: Literal["singles", "all"],
    seed: int,
    block: Int[ndarray, "n"] | None = None,
    channels: int | None = None,
) -> Lesson:
    """Deal the screen's units into halves, those of a class in turn, and choose what is learned.

    block numbers what is dealt whole, such as wells that several classes share. Images are
    standardised by their channels.
    """
    stands = np.repeat(np.arange(len(screen.count)), screen.count)
    if block is None:
        units = folding.deal(screen, folds=MEMBERS, seed=seed)
        half = units[np.r_[0, np.cumsum(screen.units)][stands] + screen.unit]
    else:
        half = (np.random.default_rng(seed).permutation(int(block.max()) + 1) % MEMBERS)[block]
    held = [np.bincount(stands[half == k], minlength=len(screen.count)) for k in range(MEMBERS)]
    last = len(screen.count) if classes == "all" else 1 + screen.singles
    asked = (screen.count > 0) & (np.arange(len(screen.count)) < last)
    kept = asked & (np.min(held, axis=0) > 0)
    how = {"folds": MEMBERS, "seed": seed, "channels": channels, "group": half}
    return Lesson(folding.fold(screen, kept, **how), half, kept, int((asked & ~kept).sum()))


def training(rows: int, *, batch: int = BATCH, most: int = STEPS[1]) -> Training:
    """Of members that have so many observations each; in small batches where they are few."""
    size = min(batch, max(32, rows // 2))
    steps = int(np.clip(EPOCHS * rows // size, STEPS[0], max(most, STEPS[0])))
    return Training(steps, batch=size, rate=RATE, decay=DECAY, chunk=-(-steps // LOOKS))


def embed(
    screen: Screen, taught: Lesson, outcome: Outcome, critic: Critic, *, channels: int | None = None
) -> Embedded:
    """Every observation by its member, the second mapped, each less the mean of its controls."""
    x, learned = np.asarray(screen.x), taught.data.rows
    stands = np.repeat(np.arange(len(screen.count)), screen.count)

    def hidden(k: int, rows: Int[ndarray, "m"]) -> Hidden:
        member = jax.tree.map(lambda v: v[k], outcome.best)
        taken = folding.standardised(x, rows, channels, of=learned)
        return hidden_of(member.params["encoder"], member.stats, taken, critic)

    parts = [hidden(k, np.flatnonzero(taught.half == k)) for k in range(MEMBERS)]
    shared = np.flatnonzero(~taught.kept[stands])
    if len(shared) < ENOUGH * parts[0].shape[1]:
        shared = np.arange(len(x))
    shared = shared[:: -(-len(shared) // PAIRED)]
    target, source = (hidden(k, shared) for k in range(MEMBERS))
    matrix, shift = affine(source, target)
    missed = ((source @ matrix + shift - target) ** 2).sum()
    agreement = 1 - missed / max(((target - target.mean(axis=0)) ** 2).sum(), 1e-12)
    right, seen = recalled(parts, taught, stands, outcome)
    h = np.empty((len(x), parts[0].shape[1]), x.dtype)
    for k, part in enumerate((parts[0], parts[1] @ matrix)):
        here = taught.half == k
        h[here] = part - part[stands[here] == 0].mean(axis=0, dtype=np.float64)
    return Embedded(h, float(np.mean(right / seen)), int(seen.sum()), len(seen), float(agreement))


def affine(source: Hidden, target: Hidden) -> tuple[Float[ndarray, "h h"], Float[ndarray, "h"]]:
    """The matrix and shift that take source to target with least squares, in float64."""
    mean, aim = (v.mean(axis=0, dtype=np.float64) for v in (source, target))
    centred = source - mean
    square = centred.T @ centred
    ridge = RIDGE * (np.trace(square) / len(square) or 1.0)
    matrix = np.linalg.solve(square + ridge * np.eye(len(square)), centred.T @ (target - aim))
    return matrix, aim - mean @ matrix


def recalled(
    parts: list[Float[ndarray, "_ h"]], taught: Lesson, stands: Int[ndarray, "n"], outcome: Outcome
) -> tuple[Int[ndarray, "k"], Int[ndarray, "k"]]:
    """Of each class learned: observations told right by who had not seen them, and all of them.

    Every class is taken to be as likely as any other, so that chance is one in their number.
    """
    number, size = np.cumsum(taught.kept) - 1, int(taught.kept.sum())
    right, seen = np.zeros(size, int), np.zeros(size, int)
    members = jnp.asarray(taught.data.members, jnp.int32)
    for k, part in enumerate(parts):
        head = jax.tree.map(lambda v, k=k: v[k], outcome.best.params["head"])
        weight, bias = map(np.asarray, critics.weights(head, members))
        here = stands[taught.half == k]
        part, label = part[taught.kept[here]], number[here[taught.kept[here]]]
        for first in range(0, len(part), BLOCK):
            raw = part[first : first + BLOCK] @ weight.T + bias
            own = label[first : first + BLOCK]
            right += np.bincount(own[raw.argmax(axis=1) == own], minlength=size)
            seen += np.bincount(own, minlength=size)
    return right, seen
