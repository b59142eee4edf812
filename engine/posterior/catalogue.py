"""Beliefs by name: what `--belief` chooses from, with defaults by the size of the data."""

from typing import Any, Literal

from jaxtyping import Array, Float
from numpy import ndarray

from epistax.engine.posterior.gibbs import Gibbs, gibbs
from epistax.engine.posterior.lowrank import LowRank, lowrank
from epistax.engine.posterior.stacked import Stacked, stacked
from epistax.engine.protocols import Posterior
from epistax.engine.reward import Kind

NAMES = ("stacked", "lowrank", "gibbs")


def settings(
    name: str, *, p: int, rank: int | None = None, guide: Literal["normal", "lowrank"] = "normal"
) -> Stacked | LowRank | Gibbs:
    """The settings of a belief over p perturbations; rank None chooses by p. KeyError if unknown.

    The papers search m in {3, 5, 7, 10, 12}; a tenth of p, from 2 to 8, sits in that range for
    screens of 50 perturbations and was not worse on larger ones.
    """
    m = rank or max(2, min(8, round(p / 10)))
    return {
        "stacked": Stacked(rank=rank),
        "lowrank": LowRank(rank=m, guide=guide),
        "gibbs": Gibbs(rank=m),
    }[name]


def posterior(
    config: Stacked | LowRank | Gibbs,
    *,
    p: int,
    reward: Kind,
    singles: Float[Array | ndarray, "p"] | None,
) -> Posterior:
    """The belief of these settings; singles are the single effects, in the units of the score."""
    build: dict[type, Any] = {Stacked: stacked, LowRank: lowrank, Gibbs: gibbs}
    return build[type(config)](config, p=p, reward=reward, singles=singles)
