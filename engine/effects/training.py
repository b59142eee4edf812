"""How the networks are trained: Adam on the sum of squares, in batches of a fixed order.

As in the authors' program of "NAIAD": no shuffling, a rate that rises over the first tenth of the
optimiser's steps and falls to a tenth at the last, and the epoch of the least validation loss.
Jobs (seeds, members, folds, sizes) are trained side by side: each has its own number of steps, and
a batch in which it has no row changes nothing.
"""

import functools
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

from epistax.engine.effects.records import Combos
from epistax.engine.nets.combos import (
    PARTS,
    Combining,
    Net,
    Params,
    Rows,
    network,
    vectors,
    with_vectors,
)
from epistax.engine.nets.graph import Graph
from epistax.engine.protocols import Step
from epistax.engine.types import Info, Key, Scalar

Side: TypeAlias = Float[Array, "p c"] | None  # what is known of every gene
ADAM = optax.scale_by_adam()  # the direction: the rate is each job's own
BLOCK = 1024  # rows that are predicted at once
NARROW = 6.0  # the log of a noise's sd, at most so far from 0
NUMBERS = 1 << 24  # that the bilinear form may hold at once


@dataclass(frozen=True)
class Training:
    """How a network is trained; static."""

    epochs: int = 500
    batch: int = 1024  # rows
    rate: float = 1e-2  # at its peak
    warm: float = 0.1  # share of the steps on which the rate rises
    end: float = 0.1  # of the peak, at the last step
    every: int = 5  # epochs between two looks at the validation rows
    keep: Literal["best", "last"] = "best"  # the epoch of least validation loss, or the last
    unseen: Literal["mean", "own"] = "mean"  # the vector of a gene that no training row has

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "every", "rate"):
            if not getattr(self, name) > 0:
                raise ValueError(f"`{name}` is {getattr(self, name)}; it must be above 0")
        if not (0 <= self.warm < 1 and 0 <= self.end <= 1):
            raise ValueError(f"`warm` {self.warm} must be in [0, 1) and `end` {self.end} in [0, 1]")


class Sample(NamedTuple):
    """The rows of one job: gene -1 and 0 where there is none, a row that is none not kept."""

    combos: Combos
    value: Float[Array, "*n"]
    keep: Bool[Array, "*n"]


class State(NamedTuple):
    """One job: its rows, what its graph is, and what is trained."""

    train: Sample  # by batches: a leading axis more
    validation: Sample
    seen: Bool[Array, "p"]
    graph: Graph | None
    params: Params
    opt: Any
    done: Int[Array, ""]  # steps of the optimiser
    total: Int[Array, ""]
    best: Params
    least: Scalar  # mean squared validation error of `best`; inf without validation rows


def factor(done: Int[Array, ""], total: Int[Array, ""], training: Training) -> Scalar:
    """The rate of a step, as a share of its peak: (s + 1) / w, then a line from 1 towards `end`."""
    s, warm = done.astype(jnp.float32), jnp.floor(total * training.warm)
    rising = (s + 1) / jnp.maximum(warm, 1)
    falling = training.end + (1 - training.end) * (total - s) / jnp.maximum(total - warm, 1)
    return jnp.where(s < warm, rising, falling)


def started(
    key: Key,
    train: Sample,
    validation: Sample,
    side: Side,
    graph: Graph | None,
    *,
    net: Combining,
    training: Training,
) -> State:
    """A job before its first step; train is not yet cut into batches. The key is used."""
    # index -1, of no gene, is that of one behind the last
    seen = jnp.zeros(net.genes + 1, bool).at[train.combos.genes.reshape(-1)].set(True)[:-1]
    none = Sample(Combos(-1, 0.0), 0.0, False)
    cut = padded(train, none, max(1, min(training.batch, len(train.value))))
    params = network(net).init(key, inputs(train.combos, side, graph))
    return State(
        train=cut,
        validation=validation,
        seen=seen,
        graph=graph,
        params=params,
        opt=ADAM.init(params),
        done=jnp.int32(0),
        total=training.epochs * jnp.sum(jnp.any(cut.keep, axis=1)),
        best=params,
        least=jnp.float32(jnp.inf),
    )


def inputs(combos: Combos, side: Side, graph: Graph | None) -> Rows:
    """What a network reads."""
    return Rows(*combos, side, graph)


@functools.lru_cache(maxsize=64)
def stepper(net: Combining, training: Training) -> Step:
    """`every` epochs and a look at the validation rows; the data are what is known of all genes."""
    made = network(net)

    def loss(params: Params, key: Key, rows: Sample, side: Side, graph: Graph | None) -> Scalar:
        told = made.train(key, params, inputs(rows.combos, side, graph))
        return jnp.sum(jnp.where(rows.keep, missed(told, rows.value), 0.0))

    def step(key: Key, state: State, side: Side) -> tuple[State, Info]:
        def batch(carry: Any, rows: Sample) -> tuple[Any, Scalar]:
            params, opt, done = carry
            own = jax.random.fold_in(key, done)
            value, slope = jax.value_and_grad(loss)(params, own, rows, side, state.graph)
            moves, after = ADAM.update(slope, opt)
            rate = training.rate * factor(done, state.total, training)
            params_after = jax.tree.map(lambda p, m: p - rate * m, params, moves)
            live = jnp.any(rows.keep) & (done < state.total)
            new = jax.tree.map(
                lambda a, b: jnp.where(live, a, b), (params_after, after), (params, opt)
            )
            return (*new, done + live), value

        def epoch(carry: Any, _: None) -> tuple[Any, Scalar]:
            carry, values = jax.lax.scan(batch, carry, state.train)
            return carry, jnp.sum(values)

        before = (state.params, state.opt, state.done)
        (params, opt, done), values = jax.lax.scan(epoch, before, length=training.every)
        looked = validation_error(made, net, training, params, state, side)
        better = (looked < state.least) | ~jnp.any(state.validation.keep)
        better = better if training.keep == "best" else jnp.bool_(True)
        best = jax.tree.map(lambda a, b: jnp.where(better, a, b), params, state.best)
        least = jnp.where(better, looked, state.least)
        state = state._replace(params=params, opt=opt, done=done, best=best, least=least)
        return state, {"loss": values[-1], "validation": looked}

    return step


def missed(told: Float[Array, "q *two"], value: Float[Array, "q"]) -> Float[Array, "q"]:
    """The loss of each row: a square, or -log p of it where the noise is told too.

    "NAIAD", section 3.3: p(y | mu, sigma) of a conditional Gaussian; less the constant.
    """
    if told.ndim == 1:
        return (told - value) ** 2
    log_sd = jnp.clip(told[:, 1], -NARROW, NARROW)
    return 0.5 * ((told[:, 0] - value) * jnp.exp(-log_sd)) ** 2 + log_sd


def validation_error(
    made: Net, net: Combining, training: Training, params: Params, state: State, side: Side
) -> Scalar:
    """Mean loss of the validation rows, the squared error of most; inf without any."""
    rows = state.validation
    if not len(rows.value):
        return jnp.float32(jnp.inf)
    params = finished(params, state.seen, side is not None, training)
    told = predicted(made, net, params, rows.combos, side, state.graph)
    count = jnp.sum(rows.keep)
    total = jnp.sum(jnp.where(rows.keep, missed(told, rows.value), 0.0))
    mean = total / jnp.maximum(count, 1)
    return jnp.where(count > 0, mean, jnp.inf)


def finished(params: Params, seen: Bool[Array, "p"], informed: bool, training: Training) -> Params:
    """Parameters to predict with: what a gene has that no training row has.

    Its vector is the mean of those that were trained, or 0 where side information says the rest;
    "own" leaves it what it was drawn as.
    """
    if set(params) == set(PARTS):
        return {name: finished(part, seen, informed, training) for name, part in params.items()}
    free = vectors(params)
    if free is None or training.unseen == "own":
        return params
    share = seen / jnp.maximum(jnp.sum(seen), 1)
    usual = jnp.zeros(free.shape[1]) if informed else share @ free
    return with_vectors(params, jnp.where(seen[:, None], free, usual[None, :]))


def predicted(
    made: Net, net: Combining, params: Params, combos: Combos, side: Side, graph: Graph | None
) -> Float[Array, "q *two"]:
    """Predictions of any number of rows, a block at a time."""
    large = net.width**2 if net.embedded == "bilinear" else 1
    q = len(combos.genes)
    block = max(1, min(BLOCK, NUMBERS // large, q))
    filled = padded(Combos(*map(jnp.asarray, combos)), Combos(-1, 0.0), block)

    def one(rows: Combos) -> Float[Array, "b *two"]:
        return made.apply(params, inputs(rows, side, graph))

    told = jax.lax.map(one, filled)
    return told.reshape(-1, *told.shape[2:])[:q]


def padded(rows: Any, none: Any, size: int) -> Any:
    """Rows in batches of a size, a leading axis more, the last filled up with `none`."""

    def cut(x: Array, fill: Any) -> Array:
        spare = jnp.full((-len(x) % size, *x.shape[1:]), fill, x.dtype)
        return jnp.concatenate([x, spare]).reshape(-1, size, *x.shape[1:])

    return jax.tree.map(cut, rows, none)
