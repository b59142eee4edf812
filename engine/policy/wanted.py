"""Which joint draws a policy will ask for, so that they can be made before it chooses.

The keys are those of catalogue.py and bandits.py: draw n of fold_in(key, n), where the IDS family
has split a key for its draws off first.
"""

from typing import NamedTuple

import jax

from epistax.engine.policy.catalogue import ALIASES, Settings
from epistax.engine.types import Key

BEST, WIDER = 64, 4  # of each draw's pairs, kept at first for Thompson sampling; steps to more


class Wanted(NamedTuple):
    """How many draws; whether their key is split off; how many pairs of each (None: all)."""

    count: int
    split: bool
    best: int | None

    def key(self, key: Key) -> Key:
        """The key whose fold_in with n is that of draw n."""
        return jax.random.split(key)[0] if self.split else key


def wanted(name: str, settings: Settings) -> Wanted | None:
    """What the policy of this name asks for; None where it needs no draws, or a single one."""
    name = ALIASES.get(name, name)
    if name == "ts-par":
        return Wanted(settings.batch, False, BEST)
    if name == "ids-ts":
        return Wanted(settings.batch, False, None)
    return Wanted(settings.draws, True, None) if name.startswith("ids") else None
