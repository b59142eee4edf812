"""The belief of a campaign: how it is fitted, and its file for the warm start of the next round.

Arrays by number, no pickle. The keys are those of a retrospective run of the same seed.
"""

import io
import zipfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import jax
import numpy as np

from epistax.distributed.campaign.moment import Choice, Moment
from epistax.distributed.drawing import believe
from epistax.distributed.study import decided
from epistax.engine import beliefs as catalogue
from epistax.engine import rounds
from epistax.engine.effectbelief import EffectBelief
from epistax.engine.pairs import count
from epistax.engine.policy.catalogue import Settings
from epistax.engine.posterior.gibbs import Gibbs
from epistax.engine.posterior.ignorant import IGNORANT
from epistax.engine.posterior.informed import Informed
from epistax.engine.posterior.pieces import Fan, here, whole
from epistax.engine.protocols import Posterior
from epistax.engine.screen import Measured, gather


class Unreadable(Exception):
    """The bytes hold no belief of this posterior."""


def parts(choice: Choice, fan: Fan = here) -> tuple[Posterior, Settings]:
    """The belief of a campaign and the settings of its policy."""
    _, config, settings = decisions(choice)
    if choice.policy == "random":
        return IGNORANT, settings
    return believer(choice, config, fan if isinstance(config, Gibbs) else here), settings


def decisions(choice: Choice) -> tuple[str, catalogue.Settings, Settings]:
    """The belief by name, its settings, those of the policy."""
    p = choice.p
    return decided(choice.options, p=p, q=count(p), batch=choice.batch, top=choice.top)


@lru_cache(maxsize=16)  # a record of closures: the same object every time, or jit starts anew
def believer(choice: Choice, config: catalogue.Settings, fan: Fan = here) -> Posterior:
    """The posterior of these settings."""
    singles = None if choice.singles is None else np.array(choice.singles, np.float32)
    how = {"p": choice.p, "reward": choice.reward, "singles": singles, "side": side(choice)}
    return believe(config, fan, **how)


def alone(choice: Choice) -> Posterior:
    """The belief as a worker makes it, to draw from."""
    return parts(choice)[0]


def side(choice: Choice) -> np.ndarray | None:
    """What is known of every perturbation beforehand, as it was read."""
    if choice.side is None:
        return None
    with np.load(Path(choice.side), allow_pickle=False) as held:
        return held["0000"]


def measured(moment: Moment) -> Measured:
    """The table that the belief is fitted to."""
    known = moment.measured
    size = len(known.score)
    length = moment.choice.length(size)
    return gather(known.pairs, known.score, known.se, np.arange(size), length=length)


def update(moment: Moment) -> tuple[Any, dict[str, Any]]:
    """The belief at this moment, from that of the round before."""
    posterior, _ = parts(moment.choice, moment.fan)
    _, k_rounds = jax.random.split(jax.random.key(moment.choice.seed))
    k_fit, _ = rounds.keys(k_rounds, moment.number)
    return posterior.fit(k_fit, moment.belief, measured(moment))


def encode(belief: Any) -> bytes:
    """The leaves of the pytree in their order, as npz; the same belief gives the same bytes."""
    buffer = io.BytesIO()
    leaves = jax.tree.leaves(belief)
    np.savez(buffer, **{f"{n:04d}": np.asarray(leaf) for n, leaf in enumerate(leaves)})
    return buffer.getvalue()


def restore(data: bytes, moment: Moment) -> Any:
    """The belief that was written down at this moment."""
    table = jax.tree.map(np.asarray, measured(moment))  # not arrays of jax: a fit may look at them
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as held:
            leaves = [held[name] for name in sorted(held.files)]
    except (ValueError, OSError, zipfile.BadZipFile, KeyError):
        raise Unreadable("it holds no arrays") from None
    _, config, _ = decisions(moment.choice)
    if isinstance(config, EffectBelief):  # every fit of these starts anew: none asks for the last
        return tuple(leaves)
    for posterior in forms(moment.choice):
        shape = jax.eval_shape(lambda key, fit=posterior.fit: fit(key, None, table)[0],
                               jax.random.key(0))  # fmt: skip
        wanted = jax.tree.leaves(shape)
        if [(x.shape, x.dtype) for x in leaves] == [(x.shape, x.dtype) for x in wanted]:
            arrays = [jax.numpy.asarray(leaf) for leaf in leaves]
            return jax.tree.unflatten(jax.tree.structure(shape), arrays)
    raise Unreadable("its arrays are not those of this belief")


def forms(choice: Choice) -> Iterator[Posterior]:
    """The posterior in every shape that its belief may have: one a rank, where it chooses that."""
    _, config, _ = decisions(choice)
    if isinstance(config, Informed):
        for rank in config.ranks:
            yield believer(choice, catalogue.of_rank(config, rank))
    elif isinstance(config, Gibbs):
        yield believer(choice, config, whole)
    else:
        yield parts(choice)[0]
