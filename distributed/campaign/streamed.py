"""One round over all pairs of many perturbations, without a list of them.

The same rules and keys as where pairs are listed. A pass asks the policy for the best among pairs
whose members still have room; barred pairs are left out by their positions.
"""

from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np

from epistax.distributed import accelerators
from epistax.distributed.campaign import beliefs, filling
from epistax.distributed.campaign.filling import filled, unknown
from epistax.distributed.campaign.moment import Batch, Choice, Moment, Proposer
from epistax.engine import streamed
from epistax.engine.pairs import Pairs, count, unrank
from epistax.engine.policy import rules
from epistax.engine.policy.catalogue import ALIASES, Settings
from epistax.engine.posterior import informed, lowrank, moments
from epistax.engine.posterior.pieces import Fan, here
from epistax.engine.types import Key

BELIEFS = ("informed", "lowrank")  # those of independent factors: their moments are closed form
LONGER = 16  # of what is wanted, where values do not depend on the rest of the batch
SEPARATE = ("ucb", "us", "greedy", "ids-var", "random")


def propose(moment: Moment) -> Batch:
    """The batch of a round; round 0 is random and needs no belief."""
    choice, rule = moment.choice, moment.rules
    posterior, settings = beliefs.parts(choice)
    # draws of a list of all pairs are limited by its length; here there is none
    settings = replace(settings, draws=choice.options.draws or Settings.draws)
    known = moment.number > 0 and choice.policy != "random"
    belief, info = beliefs.update(moment) if known else (None, {})
    factors = factored(choice, belief) if known else ignorant(choice.p)
    policy = ALIASES.get(choice.policy, choice.policy) if known else "random"
    left = choice.remaining(moment.number, count(choice.p) - len(rule.barred))

    # always as many as a whole batch: another number would be another program
    wanted = rule.size * (LONGER if ruled(rule) and policy in SEPARATE else 1)

    def ask(key: Key, number: int, room: rules.Room) -> tuple[Pairs, np.ndarray]:
        size = wanted
        while True:
            how = replace(settings, batch=size)
            found = best(policy, how, key, factors, rule, room, left, moment.fan)
            # none of the best may be affordable: then further down the list
            if rules.feasible(rule, room, found.pairs).any() or len(found.value) < size:
                return found.pairs, found.value if known else unknown(len(found.value))
            size *= LONGER

    batch = filled(moment, ask, belief, info)
    if not known or not len(batch.pairs.i):
        return batch
    one, empty = replace(settings, batch=1), rules.empty(rule)
    highest = best("greedy", one, filling.key(moment), factors, rule, empty, 1).pairs
    told = Pairs(*(jnp.asarray(np.r_[a, b]) for a, b in zip(batch.pairs, highest, strict=True)))
    mean, sd = map(np.asarray, posterior.expected(belief, beliefs.measured(moment), told))
    return replace(batch, mean=mean[:-1], sd=sd[:-1], best=float(mean[-1]))


def best(
    policy: str,
    settings: Settings,
    key: Key,
    factors: moments.Factors,
    rule: rules.Rules,
    room: rules.Room,
    left: int,
    fan: Fan = here,
) -> streamed.Chosen:
    """The policy's choice among the pairs that are neither barred nor taken, of open genes."""
    out = unrank(np.union1d(rule.barred, room.taken), len(rule.price))
    allowed = rules.affordable_genes(rule, room)
    how = {"remaining": left, "allowed": allowed, "mesh": accelerators.mesh(), "fan": fan}
    return streamed.choose(policy, settings, key, factors, out, **how)


def ruled(rule: rules.Rules) -> bool:
    """Whether pairs may be passed over while the batch fills."""
    return rule.quota is not None or bool(np.isfinite(rule.budget))


def factored(choice: Choice, belief: Any) -> moments.Factors:
    """The independent factors of a belief."""
    if isinstance(belief, informed.Fitted):
        return informed.factors(belief, informed.known(beliefs.side(choice), choice.p))
    return lowrank.factors(belief)


def ignorant(p: int) -> moments.Factors:
    """Factors that say nothing, for random choice."""
    shapes = ((), (), p, p, 1, 1, (p, 1), (p, 1))
    return moments.Factors(*(jnp.zeros(shape) for shape in shapes))


STREAMED = Proposer(propose, beliefs.update, beliefs.restore)
