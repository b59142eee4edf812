"""Beliefs by name: what `--belief` chooses from, with defaults by the size of the data."""

from dataclasses import replace
from typing import Any, Literal, TypeAlias

import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array, Float
from numpy import ndarray

from epistax.engine.posterior.ame import AME, ame
from epistax.engine.posterior.gibbs import Gibbs, gibbs
from epistax.engine.posterior.informed import Informed, informed
from epistax.engine.posterior.lowrank import LowRank, lowrank
from epistax.engine.protocols import Posterior
from epistax.engine.reward import Kind

NAMES = ("ame", "informed", "lowrank", "gibbs")
INFORMED = ("ame", "informed")  # those that side information informs
Settings: TypeAlias = AME | Informed | LowRank | Gibbs
LARGE = 1500  # perturbations from which ame's p x p tables and sweeps cost more than they bring


def choose(name: str, *, p: int) -> str:
    """The belief that `auto` stands for, by the number of perturbations; any other is itself."""
    return name if name != "auto" else "informed" if p > LARGE else "ame"


def settings(
    name: str,
    *,
    p: int,
    rank: int | None = None,
    guide: Literal["normal", "lowrank"] = "normal",
    top: float = 0.05,
) -> Settings:
    """The settings of a belief over p perturbations; rank None chooses by p. KeyError if unknown.

    top is the share of pairs that is sought, which sets the scale of ame. For the others: the
    papers search m in {3, 5, 7, 10, 12}; a tenth of p, from 2 to 8, is 5 for their 50 genes.
    """
    m = rank or max(2, min(8, round(p / 10)))
    return {
        "ame": AME(rank=rank, top=top),
        "informed": Informed(ranks=(rank,)) if rank else Informed(),
        "lowrank": LowRank(rank=m, guide=guide),
        "gibbs": Gibbs(rank=m),
    }[name]


def of_rank(config: Settings, rank: int) -> Settings:
    """The same settings with another rank."""
    if isinstance(config, Informed):
        return replace(config, ranks=(rank,))
    return replace(config, rank=rank)


def posterior(
    config: Settings,
    *,
    p: int,
    reward: Kind,
    singles: Float[Array | ndarray, "p"] | None,
    side: Float[ndarray, "p d"] | None = None,
    mesh: Mesh | None = None,
) -> Posterior:
    """The belief of these settings; singles are the single effects, in the units of the score.

    side is what is known of every perturbation, for the beliefs in INFORMED; mesh is for `lowrank`.
    """
    build: dict[type, Any] = {AME: ame, LowRank: lowrank, Gibbs: gibbs, Informed: informed}
    known = None if singles is None else jnp.asarray(singles, jnp.float32)
    more: dict[str, Any] = {"side": side} if isinstance(config, AME | Informed) else {}
    more |= {"mesh": mesh} if isinstance(config, LowRank) else {}
    return build[type(config)](config, p=p, reward=reward, singles=known, **more)
