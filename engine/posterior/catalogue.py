"""Beliefs by name: what `--belief` chooses from, with defaults by the size of the data."""

from typing import Any, Literal

import jax.numpy as jnp
from jaxtyping import Array, Float
from numpy import ndarray

from epistax.engine.posterior.ame import AME, ame
from epistax.engine.posterior.gibbs import Gibbs, gibbs
from epistax.engine.posterior.lowrank import LowRank, lowrank
from epistax.engine.protocols import Posterior
from epistax.engine.reward import Kind

NAMES = ("ame", "lowrank", "gibbs")
LARGE = 1500  # perturbations from which ame's p x p tables and sweeps cost more than they bring


def choose(name: str, *, p: int) -> str:
    """The belief that `auto` stands for at this size; any other name is itself."""
    return name if name != "auto" else "ame" if p <= LARGE else "lowrank"


def settings(
    name: str,
    *,
    p: int,
    rank: int | None = None,
    guide: Literal["normal", "lowrank"] = "normal",
    top: float = 0.05,
) -> AME | LowRank | Gibbs:
    """The settings of a belief over p perturbations; rank None chooses by p. KeyError if unknown.

    top is the share of pairs that is sought, which sets the scale of ame. For the others: the
    papers search m in {3, 5, 7, 10, 12}; a tenth of p, from 2 to 8, is 5 for their 50 genes.
    """
    m = rank or max(2, min(8, round(p / 10)))
    return {
        "ame": AME(rank=rank, top=top),
        "lowrank": LowRank(rank=m, guide=guide),
        "gibbs": Gibbs(rank=m),
    }[name]


def posterior(
    config: AME | LowRank | Gibbs,
    *,
    p: int,
    reward: Kind,
    singles: Float[Array | ndarray, "p"] | None,
) -> Posterior:
    """The belief of these settings; singles are the single effects, in the units of the score."""
    build: dict[type, Any] = {AME: ame, LowRank: lowrank, Gibbs: gibbs}
    known = None if singles is None else jnp.asarray(singles, jnp.float32)
    return build[type(config)](config, p=p, reward=reward, singles=known)
