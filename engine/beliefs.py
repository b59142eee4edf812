"""All beliefs over pair rewards by name: those over a matrix of pairs, and models of effects."""

from typing import Any, Literal, TypeAlias

from jax.sharding import Mesh
from jaxtyping import Array, Float
from numpy import ndarray

from epistax.engine.effectbelief import EffectBelief, Model, effect_belief
from epistax.engine.posterior import catalogue as posteriors
from epistax.engine.protocols import Posterior
from epistax.engine.reward import Kind

EFFECTS: tuple[Model, ...] = ("mixed", "naiad", "naiad-symmetric")  # from single effects
NAMES = (*posteriors.NAMES, *EFFECTS)
INFORMED = (*posteriors.INFORMED, *EFFECTS)  # those that side information informs
Settings: TypeAlias = posteriors.Settings | EffectBelief


def settings(
    name: str,
    *,
    p: int,
    rank: int | None = None,
    guide: Literal["normal", "lowrank"] = "normal",
    top: float = 0.05,
) -> Settings:
    """The settings of a belief over p perturbations, as posterior/catalogue.py has them."""
    for model in EFFECTS:
        if name == model:
            return EffectBelief(model, top=top)
    return posteriors.settings(name, p=p, rank=rank, guide=guide, top=top)


def of_rank(config: Settings, rank: int) -> Settings:
    """The same settings with another rank, for beliefs that have one."""
    return config if isinstance(config, EffectBelief) else posteriors.of_rank(config, rank)


def posterior(
    config: Settings,
    *,
    p: int,
    reward: Kind,
    singles: Float[Array | ndarray, "p"] | None,
    side: Float[ndarray, "p d"] | None = None,
    mesh: Mesh | None = None,
) -> Posterior:
    """The belief of these settings; singles are the single effects, in the units of the score."""
    how: dict[str, Any] = {"p": p, "reward": reward, "singles": singles, "side": side}
    if isinstance(config, EffectBelief):
        return effect_belief(config, **how)
    return posteriors.posterior(config, mesh=mesh, **how)
