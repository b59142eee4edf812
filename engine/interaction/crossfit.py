"""Train critics so that every observation is judged by one that never saw its well.

Wells (or observations, where there are none) of each class are dealt into k folds; member k is
trained on all folds but its own and read on that one. How long it trains is what the other
members' held-out losses say: nothing of a fold decides about the critic that reads it. Folds and
seeds are one axis, trained together or in turn.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Float, Int
from numpy import ndarray

from epistax.engine import fit
from epistax.engine.interaction import critic as critics
from epistax.engine.interaction.critic import Critic
from epistax.engine.mesh import copied, devices, split, spread
from epistax.engine.nets.encoders import network
from epistax.engine.protocols import Step
from epistax.engine.screen import Screen
from epistax.engine.types import Info, Key, Keys

HELD = 8192  # held-out observations that a member's loss is followed on
WARM = 0.05  # share of the steps over which the learning rate rises
CLIP = 1.0  # largest norm of a gradient
AVERAGED = 200  # steps over which parameters are averaged for use
Hook: TypeAlias = Callable[[int, "Progress", Info], bool | None]


@dataclass(frozen=True)
class Training:
    """How long and how fast; static."""

    steps: int
    batch: int = 1024
    rate: float = 3e-3
    decay: float = 1e-3
    chunk: int = 100  # steps between two looks at the held-out loss
    patience: int = 6  # looks without a better one after which training ends


class Folds(NamedTuple):
    """A screen's observations, standardised, sorted by fold, class and unit."""

    x: Float[Array | ndarray, "n d"]
    label: Int[Array | ndarray, "n"]  # of the classes kept, 0 the control
    unit: Int[ndarray, "n"]  # within fold and class
    first: Int[ndarray, "k c"]  # where a class lies in a fold
    count: Int[ndarray, "k c"]
    units: Int[ndarray, "k c"]
    members: Int[ndarray, "c 2"]  # what each class carries: (-1, -1), (-1, i) or (i, j)
    rows: Int[ndarray, "n"]  # of the screen

    @property
    def ends(self) -> Int[ndarray, "l"]:
        """Where folds begin, and where the last one ends."""
        return np.r_[0, np.cumsum(self.count.sum(axis=1))]


class Progress(NamedTuple):
    """What a checkpoint holds: the members as they train, and the best of each so far."""

    train: fit.Train
    best: fit.Train  # without the optimiser's part
    lowest: Float[Array, "s"]  # the loss by which `best` was chosen
    at: Int[Array, "s"]  # and its step


class Outcome(NamedTuple):
    """Trained members, seeds by folds, and what was seen of them."""

    best: fit.Train
    at: Int[ndarray, "s k"]  # steps trained
    loss: Float[ndarray, "t s k"]  # held out, after every chunk
    accuracy: Float[ndarray, "t s k"]
    diverged: int | None  # the step by which some loss was no number


def fold(
    screen: Screen,
    kept: Bool[ndarray, "c"],
    *,
    folds: int,
    seed: int,
    channels: int | None = None,
    group: Int[ndarray, "n"] | None = None,
) -> Folds:
    """Deal the units of the classes kept into folds; features get mean 0 and variance 1.

    Images are so by their channels, which alternate fastest. Every kept class needs at least as
    many units as there are folds. group has the fold of every observation, where they are dealt
    already; no unit may be torn.
    """
    stands = np.repeat(np.arange(len(screen.count)), screen.count)
    starts = np.r_[0, np.cumsum(screen.units)]
    place = starts[stands] + screen.unit  # units of all classes, numbered through
    if group is None:
        group = deal(screen, folds=folds, seed=seed)[place]
    rows = np.flatnonzero(kept[stands])
    number = np.cumsum(kept) - 1  # a class's number among those kept
    label, group, place = number[stands[rows]], group[rows], place[rows]
    order = np.lexsort((place, label, group))
    rows, label, group, place = (v[order] for v in (rows, label, group, place))
    size = (folds, int(kept.sum()))
    cell = group * size[1] + label
    count = np.bincount(cell, minlength=size[0] * size[1])
    first = np.r_[0, np.cumsum(count)[:-1]]
    new = np.r_[True, (cell[1:] != cell[:-1]) | (place[1:] != place[:-1])]
    through = np.cumsum(new) - 1
    units = np.bincount(cell[new], minlength=len(count))
    unit = through - np.r_[0, np.cumsum(units)[:-1]][cell]
    p = screen.singles
    members = np.full((len(kept), 2), -1)
    members[1 : 1 + p, 1] = np.arange(p)
    members[1 + p :] = np.stack([screen.pairs.i, screen.pairs.j], axis=1)
    shaped = (v.reshape(size) for v in (first, count, units))
    x = standardised(np.asarray(screen.x), rows, channels)
    return Folds(x, label.astype(np.int32), unit.astype(np.int32), *shaped, members[kept], rows)


def deal(screen: Screen, *, folds: int, seed: int) -> Int[ndarray, "u"]:
    """The fold of every unit, units of all classes numbered through; those of a class in turn."""
    starts = np.r_[0, np.cumsum(screen.units)]
    rank = np.random.default_rng([seed, folds]).random(starts[-1])
    owner = np.repeat(np.arange(len(screen.units)), screen.units)
    order = np.lexsort((rank, owner))
    dealt = np.empty(starts[-1], np.int64)
    dealt[order] = (np.arange(starts[-1]) - starts[owner] + owner) % folds
    return dealt


def standardised(
    x: Float[ndarray, "n d"],
    rows: Int[ndarray, "m"],
    channels: int | None,
    *,
    of: Int[ndarray, "l"] | None = None,
) -> Float[ndarray, "m d"]:
    """The rows, each feature or channel of mean 0 and variance 1 over them, or over rows `of`."""
    wide = channels or x.shape[1]
    taken = x[rows].reshape(len(rows), -1, wide)
    over = taken if of is None else x[of].reshape(len(of), -1, wide)
    mean, sd = (f(over, axis=(0, 1), dtype=np.float64).astype(x.dtype) for f in (np.mean, np.std))
    return ((taken - mean) / np.where(sd > 0, sd, 1)).reshape(len(rows), x.shape[1])


def train(
    keys: Keys,
    critic: Critic,
    data: Folds,
    training: Training,
    *,
    progress: tuple[int, Progress] | None = None,
    hooks: Sequence[Hook] = (),
    together: bool = True,
    mesh: Mesh | None = None,
) -> Outcome:
    """One member a key and fold. hooks are called as those of `fit.fit`, with a `Progress`.

    Stops at a loss that is no number; the best so far are kept. progress is where an earlier
    training stood. Not together: members in turn, no loop is compiled; for convolutions on a CPU.
    """
    folds = len(data.first)
    on_device = placed(data, mesh)
    step = stepper(critic, training, mesh)
    held = jnp.asarray(watched(data.ends), jnp.int32)
    begun, state = progress or (0, begin(keys, critic, data, training))
    names = jax.vmap(lambda key: jax.vmap(functools.partial(jax.random.fold_in, key))(
        jnp.arange(folds)))(keys).reshape(-1)  # fmt: skip
    names = copied(names, mesh)
    seen: list[Info] = []
    diverged = None
    while begun < min(training.steps, np.max(state.at) + training.patience * training.chunk):
        length = min(training.chunk, training.steps - begun)
        how = {"steps": begun + length, "chunk": length, "start": begun, "mesh": None}
        current = copied(state.train, mesh)
        if together:
            moved, info = fit.fit(names, step, current, on_device, **how)
        else:
            every = [jax.tree.map(lambda v, k=k: v[k], current) for k in range(len(names))]
            parts = [
                fit.fit(name, step, one, on_device, scan=False, **how)
                for name, one in zip(names, every, strict=True)
            ]
            moved = jax.tree.map(lambda *v: jnp.stack(v), *(part[0] for part in parts))
            info = jax.tree.map(lambda *v: np.stack(v, axis=1), *(part[1] for part in parts))
        begun += length
        state, watch = judge(
            state, moved, on_device, held, jnp.int32(begun),
            critic=critic, folds=folds, together=together,
        )  # fmt: skip
        watch = {name: np.asarray(value) for name, value in watch.items()}
        seen.append(watch)
        if not (np.isfinite(watch["held_loss"]).all() and np.isfinite(info["loss"]).all()):
            diverged = begun
            break
        last = {name: value[None] for name, value in watch.items()}
        if any([hook(begun, state, {"loss": info["loss"], **last}) for hook in hooks]):
            break
    shape = (-1, len(keys), folds)
    curves = (np.array([s[n] for s in seen]).reshape(shape) for n in ("held_loss", "accuracy"))
    return Outcome(state.best, np.asarray(state.at).reshape(shape[1:]), *curves, diverged)


def begin(keys: Keys, critic: Critic, data: Folds, training: Training) -> Progress:
    """Members as they start: seeds by folds on one leading axis."""
    folds = len(data.first)
    x, members = jnp.asarray(data.x[:2]), jnp.asarray(data.members, jnp.int32)
    rows = data.count.sum(axis=0)[None, :] - data.count  # that each member is trained on
    prior = np.log(rows / rows.sum(axis=1, keepdims=True))

    def one(key: Key, k: Int[Array, ""], log_prior: Float[Array, "c"]) -> fit.Train:
        params, stats = critics.start(jax.random.fold_in(key, k), critic, x, members)
        own = {"net": stats, "fold": k, "log_prior": log_prior}
        own |= {"mean": params, "age": jnp.int32(0)}
        return fit.trainable(params, optimiser(training), own)

    over_folds = jax.vmap(one, in_axes=(None, 0, 0))
    every = jax.vmap(over_folds, in_axes=(0, None, None))(
        keys, jnp.arange(folds), jnp.asarray(prior, jnp.float32)
    )
    state = jax.tree.map(lambda v: v.reshape(-1, *v.shape[2:]), every)
    count = len(keys) * folds
    return Progress(
        state,
        fit.Train(state.params, state.stats["net"], None),
        jnp.full(count, jnp.inf),
        jnp.zeros(count, jnp.int32),
    )


class Placed(NamedTuple):
    """The folds on the device or the mesh."""

    x: Float[Array, "n d"]
    label: Int[Array, "n"]
    ends: Int[Array, "l"]
    members: Int[Array, "c 2"]


def placed(data: Folds, mesh: Mesh | None) -> Placed:
    """Rows split over the devices, the rest whole on each."""
    rest = copied((jnp.asarray(data.ends, jnp.int32), jnp.asarray(data.members, jnp.int32)), mesh)
    if mesh is None:
        return Placed(jnp.asarray(data.x), jnp.asarray(data.label), *rest)
    spare = -len(data.x) % devices(mesh)  # rows that are never drawn
    x = np.concatenate([data.x, np.zeros((spare, data.x.shape[1]), data.x.dtype)])
    label = np.concatenate([data.label, np.zeros(spare, data.label.dtype)])
    return Placed(*jax.device_put((x, label), split(mesh)), *rest)


def optimiser(training: Training) -> optax.GradientTransformation:
    """Adam with decoupled weight decay, its rate warmed up and then lowered along a cosine."""
    warm = max(1, round(WARM * training.steps))
    rate = optax.warmup_cosine_decay_schedule(
        0.0, training.rate, warm, max(training.steps, warm + 1)
    )
    return optax.chain(
        optax.clip_by_global_norm(CLIP), optax.adamw(rate, weight_decay=training.decay)
    )


@functools.lru_cache(maxsize=64)
def stepper(critic: Critic, training: Training, mesh: Mesh | None) -> Step:
    """A step on a batch drawn evenly from all folds but the member's own."""
    of_batch = critics.trained_on(critic)

    def loss(key: Key, params: Any, state: Any, data: Placed) -> Any:
        k_rows, k_net = jax.random.split(key)
        rows = draw(k_rows, state.stats["fold"], data.ends, training.batch)
        x, label = spread((data.x[rows], data.label[rows]), mesh)
        own = state.stats
        value, (net, info) = of_batch(
            k_net, params, own["net"], x, label, data.members, own["log_prior"]
        )
        return value, ({**own, "net": net}, info)

    moved = fit.gradient(loss, optimiser(training))

    def step(key: Key, state: fit.Train, data: Placed) -> tuple[fit.Train, Info]:
        state, info = moved(key, state, data)
        age = state.stats["age"] + 1
        weight = jnp.maximum(1 / age.astype(jnp.float32), 1 / AVERAGED)
        mean = jax.tree.map(lambda m, v: m + weight * (v - m), state.stats["mean"], state.params)
        return state._replace(stats={**state.stats, "age": age, "mean": mean}), info

    return step


def draw(key: Key, fold: Int[Array, ""], ends: Int[Array, "l"], batch: int) -> Int[Array, "b"]:
    """Rows with replacement, evenly over all but the fold's."""
    start, stop = ends[fold], ends[fold + 1]
    place = jax.random.randint(key, (batch,), 0, ends[-1] - (stop - start))
    return place + jnp.where(place >= start, stop - start, 0)


def watched(ends: Int[ndarray, "l"]) -> Int[ndarray, "k v"]:
    """Rows of each fold that its member's loss is followed on: evenly spaced, so of all classes."""
    size = min(HELD, int(np.diff(ends).min()))
    return np.stack([
        np.linspace(start, stop, size, endpoint=False).astype(np.int64)
        for start, stop in zip(ends[:-1], ends[1:], strict=True)
    ])  # fmt: skip


@functools.partial(jax.jit, static_argnames=("critic", "folds", "together"))
def judge(
    state: Progress,
    moved: fit.Train,
    data: Placed,
    held: Int[Array, "k v"],
    step: Int[Array, ""],
    *,
    critic: Critic,
    folds: int,
    together: bool,
) -> tuple[Progress, Info]:
    """Keep what the other folds' members say is better than before; their held-out losses."""
    net = network(critic.encoder)

    def look(one: fit.Train) -> Info:
        rows = held[one.stats["fold"]]
        params = one.stats["mean"]
        features = net.apply(params["encoder"], one.stats["net"], data.x[rows])
        raw = critics.scored(params, features, data.members)
        value, info = critics.losses(raw, data.label[rows], one.stats["log_prior"], critic)
        return {"held_loss": jnp.mean(value), "accuracy": info["accuracy"]}

    if together:
        info = jax.vmap(look)(moved)
    else:  # one after another, written out: no convolution stands in a loop
        count = state.lowest.shape[0]
        each = [look(jax.tree.map(lambda v, k=k: v[k], moved)) for k in range(count)]
        info = jax.tree.map(lambda *v: jnp.stack(v), *each)
    loss = info["held_loss"].reshape(-1, folds)
    others = (jnp.sum(loss, axis=1, keepdims=True) - loss) / (folds - 1)
    others = others.reshape(-1)
    better = others < state.lowest

    def choose(new: Array, old: Array) -> Array:
        return jnp.where(better.reshape(-1, *(1,) * (new.ndim - 1)), new, old)

    used = fit.Train(moved.stats["mean"], moved.stats["net"], None)
    best = jax.tree.map(choose, used, state.best)
    lowest, at = jnp.where(better, others, state.lowest), jnp.where(better, step, state.at)
    return Progress(moved, best, lowest, at), info
