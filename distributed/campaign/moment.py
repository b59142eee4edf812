"""What the choice of one batch depends on, and what comes of it: all that a proposer sees."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from epistax.distributed.campaign.history import Measurements
from epistax.distributed.options.shared import BeliefOptions
from epistax.engine.pairs import Pairs, count
from epistax.engine.policy.rules import Rules
from epistax.engine.posterior.pieces import Fan, here
from epistax.engine.reward import Kind


@dataclass(frozen=True)
class Choice:
    """How a campaign chooses, from its first day on."""

    seed: int
    policy: str
    reward: Kind
    batch: int
    rounds: int
    top: float
    options: BeliefOptions
    p: int
    singles: tuple[float, ...] | None
    side: str | None  # side.npz

    def length(self, measured: int) -> int:
        """Rows of the measured table: those at the planned end, whole batches more beyond it."""
        batches = max(self.rounds + 1, -(-measured // self.batch))
        return max(measured, min(count(self.p), self.batch * batches))

    def remaining(self, number: int, free: int) -> int:
        """Pairs still to be chosen, this batch included; after the planned rounds one batch."""
        return min(free, self.batch * max(1, self.rounds + 1 - number))


@dataclass(frozen=True)
class Moment:
    """A campaign when a round is to be proposed."""

    number: int
    choice: Choice
    rules: Rules  # of this batch; measured and pending pairs are barred
    included: Pairs  # come first
    measured: Measurements
    belief: Any | None  # of the round before
    fan: Fan = here  # who makes the draws, which changes no bit


@dataclass(frozen=True)
class Batch:
    """Chosen pairs in order; nan where a figure has no meaning.

    mean, sd and best are rewards in the units of the scores.
    """

    pairs: Pairs
    included: int  # how many of them were asked for
    value: np.ndarray
    mean: np.ndarray
    sd: np.ndarray
    best: float  # highest mean among the pairs that were free
    passes: int
    belief: Any | None
    info: dict[str, Any]


class Proposer(NamedTuple):
    """One way of choosing batches; which one serves is a matter of how many genes there are.

    update gives the belief of a moment from that of the round before, the same bits every time;
    restore gives it from the bytes of its file, and fails with beliefs.Unreadable.
    """

    propose: Callable[[Moment], Batch]
    update: Callable[[Moment], tuple[Any, dict[str, Any]]]
    restore: Callable[[bytes, Moment], Any]
