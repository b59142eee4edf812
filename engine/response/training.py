"""How the networks are trained: epochs of shuffled minibatches, and looks at the validation cells.

One step of `engine.fit` is the epochs between two looks. A look predicts the mean of every group
(stratum and arm) of the validation cells from their controls, whatever the stratum of these, and
scores it by R2 across genes, the mean of that of all genes and that of the DE genes: "Predicting
Cellular Responses with Variational Causal Inference and Refined Relational Information", the
evaluation. It decides which parameters are kept, and nothing else.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from epistax.engine.fit import Hook, Train
from epistax.engine.nets.graphconv import Incoming
from epistax.engine.nets.inference import Params, Stats
from epistax.engine.protocols import Step
from epistax.engine.response.evaluation import r2
from epistax.engine.response.known import Known, Look, batch
from epistax.engine.types import Info, Key, Scalar

Parts: TypeAlias = dict[str, Any]  # `Train`s, of which "model" predicts, and frozen copies
Told: TypeAlias = tuple[Float[Array, "b g"], Float[Array, "b g"]]  # mean and sd


@dataclass(frozen=True)
class Training:
    """How a network is trained; static."""

    epochs: int = 1000
    batch: int = 64  # cells
    rate: float = 3e-4
    decay: float = 4e-7  # of weights, in the gradient: before Adam
    every: int = 10  # epochs between two looks at the validation cells
    slow: int = 45  # looks after which the rate falls to `factor` of it
    factor: float = 0.1
    patience: int | None = 20  # looks without a better score, of all fits, that end the training
    keep: Literal["best", "last"] = "best"  # what predicts: that of the best look, or the last
    least: int = 5  # validation cells of a group that is looked at
    controls: int = 128  # of the validation cells, that a look predicts from at most

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "rate", "every", "slow", "least", "controls"):
            if not getattr(self, name) > 0:
                raise ValueError(f"`{name}` is {getattr(self, name)}; it must be above 0")
        object.__setattr__(self, "every", min(self.every, self.epochs))

    @property
    def looks(self) -> int:
        """How many there are, so that no epoch is lacking."""
        return -(-self.epochs // self.every)


class Family(NamedTuple):
    """What tells one kind of model from another.

    turns take one minibatch each, in turn, through an epoch: networks that are trained against
    each other have several. epoch is called before each epoch.
    """

    begin: Callable[[Key, Incoming], Parts]
    turns: tuple[Step, ...]
    predict: Callable[..., Told]  # (params, stats, graph, y, t, x, wanted)
    epoch: Callable[[Parts], Parts] = lambda parts: parts
    draws: int = 0  # cells of the wanted group that a minibatch brings with each cell


class State(NamedTuple):
    """One fit: what is trained, and what predicts."""

    parts: Parts
    best: tuple[Params, Stats]
    top: Scalar  # the score of `best`
    looks: Float[Array, ""]
    since: Float[Array, ""]  # looks since `best`


class Pace(NamedTuple):
    """The share of its first rate at which an optimiser now steps."""

    factor: Scalar


def adam(rate: float, decay: float) -> optax.GradientTransformation:
    """Adam with weights' decay in the gradient (PyTorch's), paced."""
    one = optax.add_decayed_weights(decay), optax.scale_by_adam(), optax.scale(-rate)
    return optax.chain(*one, paced())


def paced() -> optax.GradientTransformation:
    """Updates times the factor of a `Pace`."""

    def init(params: Any) -> Pace:
        del params
        return Pace(jnp.float32(1.0))

    def update(updates: Any, pace: Pace, params: Any = None) -> tuple[Any, Pace]:
        del params
        return jax.tree.map(lambda u: pace.factor * u, updates), pace

    return optax.GradientTransformation(init, update)


def at_pace(parts: Parts, factor: Scalar) -> Parts:
    """All optimisers at this share of their rates."""

    def one(x: Any) -> Any:
        return Pace(factor) if isinstance(x, Pace) else x

    return jax.tree.map(one, parts, is_leaf=lambda x: isinstance(x, Pace))


def started(key: Key, family: Family, graph: Incoming) -> State:
    """One fit before its first step; the key is used."""
    parts = family.begin(key, graph)
    model: Train = parts["model"]
    none = jnp.float32(0)
    return State(parts, (model.params, model.stats), jnp.float32(-jnp.inf), none, none)


@functools.lru_cache(maxsize=64)
def stepper(family: Family, training: Training) -> Step:
    """`every` epochs and a look; the data are what is `Known`."""

    def step(key: Key, state: State, data: Known) -> tuple[State, Info]:
        factor = training.factor ** jnp.floor(state.looks / training.slow)
        parts = at_pace(state.parts, factor)

        def epoch(parts: Parts, place: Array) -> tuple[Parts, Info]:
            k_order, k_run = jax.random.split(jax.random.fold_in(key, place))
            return once(k_order, k_run, family.epoch(parts), data, family, training)

        parts, info = jax.lax.scan(epoch, parts, jnp.arange(training.every))
        model: Train = parts["model"]
        now = (model.params, model.stats)
        score = looked(family, now, data)
        # without a group to look at there is no score, and the last is kept
        better = (score > state.top) | (len(data.look.arm) == 0) | (training.keep == "last")
        best = jax.tree.map(lambda a, b: jnp.where(better, a, b), now, state.best)
        state = State(
            parts=parts,
            best=best,
            top=jnp.where(better, score, state.top),
            looks=state.looks + 1,
            since=jnp.where(score > state.top, 0.0, state.since + 1),
        )
        return state, {**jax.tree.map(lambda x: jnp.mean(x), info), "validation": score}

    return step


def once(
    k_order: Key, k_run: Key, parts: Parts, data: Known, family: Family, training: Training
) -> tuple[Parts, Info]:
    """One epoch; cells that do not fill a minibatch for every turn wait for the next."""
    cells, turns = len(data.cells.arm), len(family.turns)
    size = max(1, min(training.batch, cells // turns))
    rounds = cells // (turns * size)
    order = jax.random.permutation(k_order, cells)[: rounds * turns * size]

    def round(parts: Parts, at: tuple[Array, Array]) -> tuple[Parts, Info]:
        rows, place = at
        info: Info = {}
        for turn, one in enumerate(family.turns):
            k_batch, k_step = jax.random.split(jax.random.fold_in(k_run, turns * place + turn))
            taken = batch(k_batch, data, rows[turn], draws=family.draws)
            parts, told = one(k_step, parts, taken)
            info = {**told, **info}  # the loss is that of the first turn
        return parts, info

    at = (order.reshape(rounds, turns, size), jnp.arange(rounds))
    parts, info = jax.lax.scan(round, parts, at)
    return parts, jax.tree.map(jnp.mean, info)


def looked(family: Family, model: tuple[Params, Stats], data: Known) -> Scalar:
    """The score of the validation groups; nan without any."""
    look: Look = data.look
    rows = len(look.y)

    def one(group: tuple[Array, ...]) -> Scalar:
        stratum, arm, mean, strongest = group
        each = [jnp.broadcast_to(x[None, :], (rows, x.shape[0])) for x in (
            data.arms[0], data.strata[stratum], data.arms[arm])]  # fmt: skip
        told, _ = family.predict(*model, data.graph, look.y, *each)
        told = jnp.mean(told, axis=0)
        every = jnp.ones_like(strongest)
        return (r2(mean, told, every) + r2(mean, told, strongest)) / 2

    if not len(look.arm):
        return jnp.float32(jnp.nan)
    return jnp.nanmean(jax.lax.map(one, (look.stratum, look.arm, look.mean, look.strongest)))


def patient(training: Training) -> Hook:
    """Ends the training once no fit has had a better score for so many looks."""

    def hook(done: int, state: State, info: Info) -> bool:
        del done, info
        return training.patience is not None and bool(jnp.min(state.since) > training.patience)

    return hook
