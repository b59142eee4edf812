"""Filling a batch: the pairs that must come first, then pass by pass what the policy says."""

from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import numpy as np

from epistax.distributed.campaign.moment import Batch, Moment
from epistax.engine import rounds
from epistax.engine.pairs import Pairs
from epistax.engine.policy import rules
from epistax.engine.types import Key

# pairs, best first, and their values: of the key of a pass, its number, and the room left
Ask: TypeAlias = Callable[[Key, int, rules.Room], tuple[Pairs, np.ndarray]]


def filled(moment: Moment, ask: Ask, belief: Any, info: dict[str, Any]) -> Batch:
    """The batch of a round; means and sds are not known here."""
    rule, passes = moment.rules, 0
    k_choose = key(moment)
    start, room, _ = rules.admit(rule, rules.empty(rule), moment.included)

    def again(number: int, room: rules.Room) -> tuple[Pairs, np.ndarray]:
        nonlocal passes
        passes = number + 1
        return ask(jax.random.fold_in(k_choose, number) if number else k_choose, number, room)

    chosen, value, _ = rules.fill(rule, room, again)
    pairs = Pairs(np.r_[moment.included.i[start], chosen.i],
                  np.r_[moment.included.j[start], chosen.j])  # fmt: skip
    nothing = np.full(len(pairs.i), np.nan)
    value = np.r_[nothing[: len(start)], value]
    return Batch(pairs, len(start), value, nothing, nothing, np.nan, passes, belief, info)


def key(moment: Moment) -> Key:
    """What a round chooses by: the first random batch has a key of its own."""
    k_first, k_rounds = jax.random.split(jax.random.key(moment.choice.seed))
    return rounds.keys(k_rounds, moment.number)[1] if moment.number else k_first


def unknown(size: int) -> np.ndarray:
    """Values of pairs that no belief has chosen."""
    return np.full(size, np.nan, np.float32)
