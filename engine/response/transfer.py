"""The default model of responses: effects that carry over between strata, and cells within one.

The change an arm makes is on the log scale of expression nearly the same in every context (the
covariate that matters, a cell type), where it is present at all; whether it is, in a context in
which the arm was never measured, shows in how genes vary together there (`presence`,
`signatures`). Within a stratum an arm takes cells to a common state: one that is already on the
way moves less,

    Y_i(a) = base_s + shift_sa (1 - q_ia) f'(y_i) / f'(base_s)

with q_ia the share of the way expected given the cell's expression, and f' the slope of log1p of a
rate on its log, where the cell's own denoised expression y_i puts it. Closed forms and sums over a
grid: no seeds, no epochs, and an sd for every number.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from numpy import ndarray

from epistax.engine.fit import Hook
from epistax.engine.nets.regulation import Edges
from epistax.engine.response import expected, roles, signatures, states, widening
from epistax.engine.response.composition import composed
from epistax.engine.response.expected import Full
from epistax.engine.response.records import Cells, Data, Method, Predicted
from epistax.engine.response.strata import Groups, grouped
from epistax.engine.types import Info, Keys


@dataclass(frozen=True)
class Transfer:
    """Static; chosen on simulated worlds that no reported figure is of."""

    rounds: int = 4  # of effects, signatures and baselines in turn
    ridge: float = 2.0  # of the score that tells an arm's cells from the controls
    wide: float = 0.5  # relative sd of scores of present effects
    context: int | None = None  # the covariate effects depend on; None: the likeliest


class Fitted(NamedTuple):
    """What is predicted with."""

    base: Float[Array, "*m c g"]  # mean of the controls
    shift: Float[Array, "*m c a g"]  # what the arm adds to it
    shift_sd: Float[Array, "*m c a g"]
    way: Float[Array, "*m c a g"]  # the shift, less what moves all genes alike
    noise: Float[Array, "*m c g"]  # sd of cells of one stratum and arm
    moved: Float[Array, "*m c a"]  # share of the way, for a score of 1
    axes: Float[Array, "*m g h"]  # along which cells differ, in units of noise


def transfer(
    config: Transfer = Transfer(),
    *,
    graph: Edges | None = None,
    hits: Int[Array | ndarray, "r"] | None = None,
) -> Method:
    """The method; hits says which gene each perturbation hits, -1 for none, for the graph's use."""

    def fitted(keys: Keys, data: Data, hooks: Sequence[Hook]) -> tuple[Fitted, Info]:
        learned, info = learn(config, data, graph, hits)
        several = jax.tree.map(lambda x: jnp.broadcast_to(x, (len(keys), *x.shape)), learned)
        return several, info

    def predict(fits: Fitted, cells: Cells, arm: Int[Array | ndarray, "n"]) -> Predicted:
        return told(fits, Cells(*(jnp.asarray(x) for x in cells)), jnp.asarray(arm))

    return Method(fitted, predict)


def learn(
    config: Transfer,
    data: Data,
    graph: Edges | None,
    hits: Int[Array | ndarray, "r"] | None,
) -> tuple[Fitted, Info]:
    """One fit, of the training cells alone; nothing in it is drawn."""
    arms, strata = np.asarray(data.design.arms), np.asarray(data.design.strata)
    groups = grouped(data.train, strata=len(strata), arms=len(arms))
    classes = roles.classes(graph, hits, arms, groups.mean.shape[2])
    context, covariate = contexts(config, groups, strata, classes)
    size = int(context.max()) + 1
    variation = signatures.variation(data.train, groups.mean.astype(np.float32), context, size)

    def full(groups: Groups) -> Full:
        learned = expected.effects(
            groups, strata, context, classes, variation=variation, rounds=config.rounds,
            ridge=config.ridge, wide=config.wide,
        )[0]  # fmt: skip
        seen = groups.count.sum(0)
        return expected.completed(learned, context, composed(arms, seen), seen=seen > 0)

    whole = full(groups)
    wider = widening.widened(widening.missed(groups, context, full, whole.within))
    sd = np.hypot(wider.factor * whole.shift_sd, wider.share * whole.shift)
    common = signatures.pooled(variation)
    fitted = Fitted(
        whole.base, whole.shift, sd, whole.way, np.sqrt(whole.within),
        states.moved(data.train, whole, common),
        states.axes(np.asarray(common, float), len(np.asarray(data.train.arm))),
    )  # fmt: skip
    told = {"context": covariate, "factor": wider.factor, "share": wider.share}
    return jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), fitted), told


def contexts(
    config: Transfer, groups: Groups, strata: Int[ndarray, "c m"], classes: Int[ndarray, "a g"]
) -> tuple[Int[ndarray, "c"], int]:
    """The context of every stratum, and the covariate it is of: that of the likeliest effects."""
    options = range(strata.shape[1]) if config.context is None else [config.context]
    found = {}
    for covariate in options:
        _, context = np.unique(strata[:, covariate], return_inverse=True)
        if len(options) == 1:
            return context, covariate
        _, info = expected.effects(
            groups, strata, context, classes, variation=None, rounds=2,
            ridge=config.ridge, wide=config.wide,
        )  # fmt: skip
        found[covariate] = (float(info["likelihood"]), context)
    best = max(found, key=lambda name: found[name][0])
    return found[best][1], best


@jax.jit
def told(fits: Fitted, cells: Cells, arm: Int[Array, "n"]) -> Predicted:
    """Means and sds of each cell under another arm, by each fit."""

    def one(fit: Fitted) -> tuple[Array, Array]:
        s, noise, way = cells.stratum, fit.noise[cells.stratum], fit.way[cells.stratum, arm]
        base, shift = fit.base[s], fit.shift[s, arm]
        apart = (cells.y - base - fit.shift[s, cells.arm]) / noise
        share = jnp.clip(fit.moved[s, arm] * jnp.sum(apart * way / noise, axis=1), -1.0, 1.0)
        own = noise * ((apart @ fit.axes) @ fit.axes.T)
        half = base + 0.5 * shift
        steep = jnp.clip(expected.slope(half + own) / expected.slope(half), 0.5, 2.0)
        mean = jnp.maximum(base + steep * (shift - share[:, None] * way), 0.0)
        return mean, jnp.sqrt(noise**2 + fit.shift_sd[s, arm] ** 2)

    mean, sd = jax.lax.map(one, fits)
    return Predicted(mean, sd)
