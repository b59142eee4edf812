"""One round over the list of all pairs: belief, policy, batch under the rules.

The keys are those of a retrospective run of the same seed, so a campaign whose pairs are all
measured as they are proposed chooses what `discover` chooses. Under rules the policy is asked
again, with a key folded by the pass, until the batch is full: greedy under the rules where values
do not depend on the rest of the batch, and pass by pass where they do (ids).
"""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from epistax.distributed.campaign import beliefs
from epistax.distributed.campaign.filling import filled, unknown
from epistax.distributed.campaign.moment import Batch, Moment, Proposer
from epistax.engine import rounds
from epistax.engine.pairs import Pairs, upper
from epistax.engine.policy import catalogue as policies
from epistax.engine.policy import rules
from epistax.engine.policy.wanted import wanted
from epistax.engine.posterior import catalogue as posteriors
from epistax.engine.types import Key

MOST = posteriors.LARGE  # perturbations: beyond, no list of all pairs is made


def propose(moment: Moment) -> Batch:
    """The batch of a round; round 0 is random and needs no belief."""
    choice, rule = moment.choice, moment.rules
    posterior, settings = beliefs.parts(choice, moment.fan)
    policy = policies.policy(choice.policy, settings, p=choice.p)
    asked = wanted(choice.policy, settings)
    table = upper(choice.p)
    device = Pairs(jnp.asarray(table.i), jnp.asarray(table.j))
    belief, info = beliefs.update(moment) if moment.number else (None, {})
    free = rules.feasible(rule, rules.empty(rule), table)
    left = choice.remaining(moment.number, int(free.sum()))

    def ask(key: Key, number: int, room: rules.Room) -> tuple[Pairs, np.ndarray]:
        open = rules.feasible(rule, room, table)
        if not open.any():
            return Pairs(table.i[:0], table.j[:0]), np.zeros(0, np.float32)
        if moment.number:
            now = (key, posterior, policy, belief, device, open, left)
            at, value = rounds.choose(*now, wanted=asked, fan=moment.fan)
        elif number:
            at = np.asarray(jax.random.permutation(key, jnp.flatnonzero(open)))
            value = unknown(len(at))
        else:
            at = np.asarray(rounds.shared_first(key, len(open), min(choice.batch, len(open))))
            value = unknown(len(at))
        at, value = at[open[at]], value[open[at]]
        return Pairs(table.i[at], table.j[at]), value

    batch = filled(moment, ask, belief, info)
    if belief is None or choice.policy == "random" or not len(batch.pairs.i):
        return batch
    known = beliefs.measured(moment)
    mean, sd = posterior.expected(belief, known, Pairs(*map(jnp.asarray, batch.pairs)))
    every = np.asarray(posterior.expected(belief, known, device)[0])
    best = float(every[free].max())
    return replace(batch, mean=np.asarray(mean), sd=np.asarray(sd), best=best)


DENSE = Proposer(propose, beliefs.update, beliefs.restore)
