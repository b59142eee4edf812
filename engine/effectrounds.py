"""Rounds of measuring combinations that a model of effects chooses, replayed on a full table.

"NAIAD: Gene Interaction Prediction using Active Learning", section 4.4 and appendix D: every seed
starts from the same random rows whatever chooses afterwards, a share of the table is kept for
testing and never measured, every round trains an ensemble anew on all that is measured, and found
is how many of the strongest combinations are among the strongest of the whole table once measured
values have taken the place of predictions. Predictions are drawn towards the mean and so are named
too seldom: `probable` counts among those of greatest probability of being among the strongest.
All arms and members of a round train side by side.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from epistax.engine.effects.ensemble import ensemble
from epistax.engine.effects.linear import Linear, linear
from epistax.engine.effects.records import Jobs, Method, Predicted, Table
from epistax.engine.policy.acquisitions import Direction, acquisition, beyond, reached, strong


class Arm(NamedTuple):
    """One acquisition with one seed."""

    acquisition: str
    seed: int


class Protocol(NamedTuple):
    """sizes: rows measured in each round; members of an ensemble; top: how many are sought.

    test is the share of the table that is never measured; the error is told on it.
    """

    sizes: tuple[int, ...]
    members: int = 3
    test: float = 0.3
    top: int = 200
    direction: Direction = "negative"


class Outcome(NamedTuple):
    """Of an arm after a round: how many of the strongest are found, and how many are measured.

    found by predictions and probable by probabilities of unmeasured rows; rmse is on the rows
    kept for testing, NaN where none are.
    """

    arm: Arm
    round: int
    measured: Int[ndarray, "n"]
    found: int
    probable: int
    measured_top: int
    rmse: float


def shuffled(seed: int, q: int) -> Int[ndarray, "q"]:
    """The order of a seed: the first rows train, the last test."""
    return np.random.default_rng(seed).permutation(q)


def play(
    method: Callable[[int], Method], table: Table, arms: Sequence[Arm], protocol: Protocol
) -> Iterator[list[Outcome]]:
    """Round by round the outcomes of all arms; method is that for so many training rows.

    ValueError where the rounds want more rows than are free.
    """
    value = np.asarray(table.value, np.float64)
    q, kept = len(value), int(protocol.test * len(value))
    if protocol.sizes[-1] > q - kept:
        raise ValueError(f"{protocol.sizes[-1]} rows to measure, {q - kept} of {q} are free")
    order = {arm.seed: shuffled(arm.seed, q) for arm in arms}
    test = {seed: at[q - kept :] for seed, at in order.items()}
    measured = {arm: order[arm.seed][: protocol.sizes[0]] for arm in arms}
    wanted = strongest(value, protocol)
    for number, size in enumerate(protocol.sizes):
        predicted, plain = told(method(size), table, measured, number, protocol.members)
        outcomes = []
        for n, arm in enumerate(arms):
            full = completed(Predicted(*(x[n] for x in predicted)), value, measured[arm])
            error = np.asarray(predicted.mean[n], np.float64) - value
            named = strongest(full.mean, protocol), likeliest(full, protocol), measured[arm]
            outcomes.append(Outcome(
                arm, number, measured[arm], *(len(np.intersect1d(x, wanted)) for x in named),
                float(np.sqrt((error[test[arm.seed]] ** 2).mean())) if kept else np.nan,
            ))  # fmt: skip
        yield outcomes
        if number + 1 == len(protocol.sizes):
            return
        for n, arm in enumerate(arms):
            more = protocol.sizes[number + 1] - size
            free = np.setdiff1d(order[arm.seed][: q - kept], measured[arm], assume_unique=True)
            if arm.acquisition == "uniform":  # the next of the order, as round 0 is its first
                chosen = order[arm.seed][size : size + more]
            else:
                own = Predicted(*(x[n] for x in predicted))
                chosen = free[taken(arm, own, plain[n], value, measured[arm], free, more, protocol)]
            measured[arm] = np.r_[measured[arm], chosen]


def told(
    method: Method, table: Table, measured: dict[Arm, Int[ndarray, "n"]], number: int, members: int
) -> tuple[Predicted, Float[ndarray, "a q"]]:
    """Every arm's prediction of all rows, and that of the linear model: [arms q].

    Arms of one seed that have measured the same rows share their fits.
    """
    arms = list(measured)
    first = {(arm.seed, measured[arm].tobytes()): arm for arm in reversed(arms)}
    distinct = [arm for arm in arms if first[arm.seed, measured[arm].tobytes()] is arm]
    where = [distinct.index(first[arm.seed, measured[arm].tobytes()]) for arm in arms]
    train = np.stack([measured[arm] for arm in distinct]).astype(np.int32)
    none = np.full((1, 1), -1, np.int32)
    jobs = Jobs(np.repeat(train, members, 0), np.repeat(none, members * len(train), 0))
    keys = jnp.stack([
        jax.random.fold_in(jax.random.fold_in(jax.random.key(arm.seed), number), member)
        for arm in distinct for member in range(members)
    ])  # fmt: skip
    seen = only(table, np.unique(train))
    found = ensemble(method.predict(method.fit(keys, seen, jobs), table.combos), members=members)
    plain = linear(Linear())
    line = plain.predict(plain.fit(keys[::members], seen, Jobs(train, none.repeat(len(train), 0))),
                         table.combos)  # fmt: skip
    return Predicted(*(np.asarray(x)[where] for x in found)), np.asarray(line.mean)[where]


def only(table: Table, index: Int[ndarray, "n"]) -> Table:
    """The table with the values of these rows alone: nothing else can be looked at."""
    value = np.full(len(table.value), np.nan, np.float32)
    value[index] = np.asarray(table.value)[index]
    return table._replace(value=value)


def completed(
    predicted: Predicted, value: Float[ndarray, "q"], measured: Int[ndarray, "n"]
) -> Predicted:
    """Predictions of all rows, and measured values, of sd 0, where there are any."""
    mean, sd = (np.array(x, np.float64) for x in predicted)
    mean[measured], sd[measured] = value[measured], 0.0
    return Predicted(mean, sd)


def strongest(effect: Float[ndarray, "q"], protocol: Protocol) -> Int[ndarray, "n"]:
    """The top strongest; ties go to the first row."""
    strength = np.asarray(strong(jnp.asarray(effect), protocol.direction), np.float64)
    return np.argsort(-strength, kind="stable")[: protocol.top]


def likeliest(full: Predicted, protocol: Protocol) -> Int[ndarray, "n"]:
    """The rows most probably among the strongest; ties go to the stronger."""
    mean, sd = (jnp.asarray(x, jnp.float32) for x in full)
    cut = reached(mean, sd, protocol.top, direction=protocol.direction)
    chance = np.asarray(beyond(mean, sd, cut, protocol.direction))
    strength = np.asarray(strong(mean, protocol.direction))
    return np.lexsort((-strength, -chance))[: protocol.top]


def taken(
    arm: Arm,
    predicted: Predicted,
    plain: Float[ndarray, "q"],
    value: Float[ndarray, "q"],
    measured: Int[ndarray, "n"],
    free: Int[ndarray, "f"],
    more: int,
    protocol: Protocol,
) -> Int[ndarray, "b"]:
    """Places in `free` of the rows of greatest acquisition."""
    full = completed(predicted, value, measured)
    cut = reached(*(jnp.asarray(x, jnp.float32) for x in full), protocol.top,
                  direction=protocol.direction)  # fmt: skip
    own = (jnp.asarray(x[free]) for x in (*predicted, plain))
    score = acquisition(arm.acquisition, *own, cut, direction=protocol.direction)
    return np.argsort(-np.asarray(score), kind="stable")[:more]
