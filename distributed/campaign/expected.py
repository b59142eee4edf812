"""What a campaign believes of pairs: mean and sd among the perturbations of its last batch."""

from collections import Counter
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from numpy import ndarray

from epistax.distributed.campaign import beliefs, proposing
from epistax.distributed.campaign.files import Campaign
from epistax.distributed.campaign.history import pairs_of
from epistax.engine.effectbelief import EffectBelief
from epistax.engine.pairs import Pairs, upper

MOST = 80  # perturbations of a map


class Expected(NamedTuple):
    """Mean and sd of every pair of some perturbations, [n n]; NaN on the diagonal.

    Rewards in the units of the scores, as the column `predicted` of proposed.csv.
    """

    names: list[str]
    mean: ndarray
    sd: ndarray


def expected(campaign: Campaign) -> Expected | None:
    """From the belief that chose the last batch; None where nothing was believed."""
    choice = proposing.choice(campaign)
    _, config, _ = beliefs.decisions(choice)
    held, _ = proposing.earlier(campaign, lambda _: None)
    if held is None or isinstance(config, EffectBelief):  # of these no belief is kept
        return None
    names = busiest(campaign)
    place = proposing.places(campaign)
    codes = np.sort(np.array([place[name] for name in names], np.int32))
    i, j = upper(len(codes))
    pairs = Pairs(jnp.asarray(codes[i]), jnp.asarray(codes[j]))
    known = beliefs.measured(proposing.then(campaign, len(campaign.proposals) - 1, None))
    mean, sd = map(np.asarray, beliefs.parts(choice)[0].expected(held, known, pairs))
    shown = [campaign.names[code] for code in codes]
    return Expected(shown, square(mean, i, j), square(sd, i, j))


def busiest(campaign: Campaign) -> list[str]:
    """Those of the most pairs of the last batch, filled up with others in their order."""
    counted = Counter(name for pair in pairs_of(campaign.proposals[-1]) for name in pair)
    first = [name for name, _ in counted.most_common()]
    rest = (name for name in campaign.names if name not in counted)
    return [*first, *rest][:MOST]


def square(values: ndarray, i: ndarray, j: ndarray) -> ndarray:
    """Values of the upper triangle on both sides of the diagonal."""
    n = int(max(j)) + 1
    out = np.full((n, n), np.nan)
    out[i, j] = out[j, i] = values
    return out
