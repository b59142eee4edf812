"""Train critics so that every observation is judged by one that never saw its well.

Wells (or observations, where there are none) of each class are dealt into k folds; member k is
trained on all folds but its own and read on that one. How long it trains is what the other
members' held-out losses say: its own never decides. Folds and seeds are one axis, trained together
or in turn.
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
from jaxtyping import Array, Float, Int
from jaxtyping import Key as KeyArray
from numpy import ndarray

from epistax.engine import fit
from epistax.engine.interaction import critic as critics
from epistax.engine.interaction.critic import Critic
from epistax.engine.interaction.folding import Folds
from epistax.engine.mesh import copied, devices, put, split, spread
from epistax.engine.nets.encoders import network
from epistax.engine.protocols import Step
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
    names = streams(keys, folds)[:, 1]
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
        params, stats = critics.start(key, critic, x, members)
        own = {"net": stats, "fold": k, "log_prior": log_prior}
        own |= {"mean": params, "age": jnp.int32(0)}
        return fit.trainable(params, optimiser(training), own)

    each = (jnp.arange(folds), jnp.asarray(prior, jnp.float32))
    over_seeds = (jnp.concatenate([v] * len(keys)) for v in each)
    state = jax.vmap(one)(streams(keys, folds)[:, 0], *over_seeds)
    count = len(keys) * folds
    return Progress(
        state,
        fit.Train(state.params, state.stats["net"], None),
        jnp.full(count, jnp.inf),
        jnp.zeros(count, jnp.int32),
    )


def streams(keys: Keys, folds: int) -> KeyArray[Array, "m 2"]:
    """Of every member, seeds by folds, the key of its start and that of its steps."""
    own = jax.vmap(lambda key: jax.vmap(lambda k: jax.random.fold_in(key, k))(jnp.arange(folds)))
    return jax.vmap(jax.random.split)(own(keys).reshape(-1))


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
    return Placed(*put((x, label), split(mesh)), *rest)


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
        label, log_prior = data.label[rows], one.stats["log_prior"]
        value = critics.losses(raw, label, log_prior, critic)
        return {
            "held_loss": jnp.mean(value),
            "accuracy": critics.accuracy(raw, label, log_prior),
        }

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
