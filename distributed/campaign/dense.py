"""One round over the list of all pairs: belief, policy, batch under the rules.

The keys are those of a retrospective run of the same seed, so a campaign whose pairs are all
measured as they are proposed chooses what `discover` chooses. Under rules the policy is asked
again, with a key folded by the pass, until the batch is full: greedy under the rules where values
do not depend on the rest of the batch, and pass by pass where they do (ids).
"""

from dataclasses import replace
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from epistax.distributed.campaign import beliefs
from epistax.distributed.campaign.moment import Batch, Choice, Moment, Proposer
from epistax.distributed.study import decided
from epistax.engine import rounds
from epistax.engine.pairs import Pairs, count, upper
from epistax.engine.policy import catalogue as policies
from epistax.engine.policy import rules
from epistax.engine.posterior import catalogue as posteriors
from epistax.engine.posterior.ignorant import IGNORANT
from epistax.engine.protocols import Policy, Posterior
from epistax.engine.screen import Measured, gather

MOST = posteriors.LARGE  # perturbations: beyond, no list of all pairs is made


@lru_cache(maxsize=16)  # records of closures: the same object every time, or jit starts anew
def parts(choice: Choice) -> tuple[Posterior, Policy]:
    """The belief and the policy of a campaign."""
    p, options = choice.p, choice.options
    _, belief, settings = decided(options, p=p, q=count(p), batch=choice.batch, top=choice.top)
    policy = policies.policy(choice.policy, settings, p=p)
    if choice.policy == "random":
        return IGNORANT, policy
    singles = None if choice.singles is None else np.array(choice.singles, np.float32)
    return posteriors.posterior(belief, p=p, reward=choice.reward, singles=singles), policy


def measured(moment: Moment) -> Measured:
    """The table that the belief is fitted to."""
    known = moment.measured
    size = len(known.score)
    length = moment.choice.length(size)
    return gather(known.pairs, known.score, known.se, np.arange(size), length=length)


def update(moment: Moment) -> tuple[Any, dict[str, Any]]:
    """The belief at this moment, from that of the round before."""
    posterior, _ = parts(moment.choice)
    _, k_rounds = jax.random.split(jax.random.key(moment.choice.seed))
    k_fit, _ = rounds.keys(k_rounds, moment.number)
    return posterior.fit(k_fit, moment.belief, measured(moment))


def propose(moment: Moment) -> Batch:
    """The batch of a round; round 0 is random and needs no belief."""
    choice, rule = moment.choice, moment.rules
    posterior, policy = parts(choice)
    k_first, k_rounds = jax.random.split(jax.random.key(choice.seed))
    k_choose = rounds.keys(k_rounds, moment.number)[1] if moment.number else k_first
    table = upper(choice.p)
    device = Pairs(jnp.asarray(table.i), jnp.asarray(table.j))
    belief, info = update(moment) if moment.number else (None, {})
    start, room, _ = rules.admit(rule, rules.empty(rule), moment.included)
    free = rules.feasible(rule, rules.empty(rule), table)
    left = choice.remaining(moment.number, int(free.sum()))
    passes = 0

    def ask(number: int, room: rules.Room) -> tuple[Pairs, np.ndarray]:
        nonlocal passes
        passes = number + 1
        key = jax.random.fold_in(k_choose, number) if number else k_choose
        open = rules.feasible(rule, room, table)
        if not open.any():
            return Pairs(table.i[:0], table.j[:0]), np.zeros(0, np.float32)
        if moment.number:
            at, value = rounds.choose(key, posterior, policy, belief, device, open, left)
        elif number:
            at = np.asarray(jax.random.permutation(key, jnp.flatnonzero(open)))
            value = np.full(len(at), np.nan, np.float32)
        else:
            at = np.asarray(rounds.shared_first(key, len(open), min(choice.batch, len(open))))
            value = np.full(len(at), np.nan, np.float32)
        at, value = at[open[at]], value[open[at]]
        return Pairs(table.i[at], table.j[at]), value

    chosen, value, _ = rules.fill(rule, room, ask)
    asked = Pairs(moment.included.i[start], moment.included.j[start])
    pairs = Pairs(np.r_[asked.i, chosen.i], np.r_[asked.j, chosen.j])
    nothing = np.full(len(pairs.i), np.nan)
    batch = Batch(
        pairs, len(start), np.r_[nothing[: len(start)], value], nothing, nothing, np.nan, passes,
        belief, info,
    )  # fmt: skip
    if belief is None or choice.policy == "random" or not len(pairs.i):
        return batch
    mean, var = posterior.moments(belief, Pairs(jnp.asarray(pairs.i), jnp.asarray(pairs.j)))
    every = np.asarray(posterior.moments(belief, device)[0])
    best = float(every[free].max())
    return replace(batch, mean=np.asarray(mean), sd=np.sqrt(np.asarray(var)), best=best)


def restore(data: bytes, moment: Moment) -> Any:
    """The belief that was written down at this moment."""
    return beliefs.decode(data, parts(moment.choice)[0], measured(moment))


DENSE = Proposer(propose, update, restore)
