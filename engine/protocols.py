"""The four records of functions that everything is made of.

A record holds pure functions and nothing else; builders return it and validate once. A record
made of closures hashes by identity: build it once per configuration, outside any loop, or every
call compiles again.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from epistax.engine.pairs import Pairs
from epistax.engine.screen import Candidates, Measured
from epistax.engine.types import Belief, Index, Info, Key, Picked, Values

State: TypeAlias = Any  # a pytree: what the next step needs
Batch: TypeAlias = Any  # a pytree of arrays with a common leading axis

# One update. The key is used for this step only; data may be the whole set or a minibatch.
Step: TypeAlias = Callable[[Key, State, Batch], tuple[State, Info]]


class Model(NamedTuple):
    """What is trained: init makes parameters and batch statistics, apply predicts."""

    init: Callable[[Key, Batch], Any]
    apply: Callable[[Any, Batch], Any]


class Posterior(NamedTuple):
    """A belief over the rewards of all pairs, on one monotone scale of its own.

    fit starts cold from None and warm from an earlier belief. moments are mean and variance, sample
    is one joint draw of the rewards of the given pairs: draws of different pairs share what the
    belief shares. expected is told what the belief was fitted to and gives mean and sd of the
    rewards in the units of the scores, for people to read.
    """

    fit: Callable[[Key, Belief | None, Measured], tuple[Belief, Info]]
    moments: Callable[[Belief, Pairs], tuple[Values, Values]]
    sample: Callable[[Key, Belief, Pairs], Values]
    expected: Callable[[Belief, Measured, Pairs], tuple[Values, Values]]


class Policy(NamedTuple):
    """Which open pairs to measure next: their positions and acquisition values, best first."""

    choose: Callable[[Key, Posterior, Belief, Candidates], tuple[Index, Picked]]
