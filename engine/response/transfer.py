"""The default model of responses: effects that carry over between strata, and cells within one.

The change an arm makes is on the log scale of expression nearly the same in every context (the
covariate that matters, a cell type), where it is present at all; whether it is, in a context in
which the arm was never measured, shows in how genes vary together there (`presence`,
`signatures`). Within a stratum an arm takes cells to a common state: one that is already on the
way moves less (`states`, `counterfactual`). Closed forms and sums over a grid: no seeds, no epochs,
and an sd for every number.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int
from numpy import ndarray

from epistax.engine.fit import Hook
from epistax.engine.nets.regulation import Edges
from epistax.engine.response import (
    counterfactual,
    expected,
    roles,
    signatures,
    states,
    structured,
)
from epistax.engine.response.composition import composed
from epistax.engine.response.counterfactual import Fitted
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
        cells = Cells(*(jnp.asarray(x) for x in cells))
        return counterfactual.told(fits, cells, jnp.asarray(arm))

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

    learned, _ = expected.effects(
        groups, strata, context, classes, variation=variation, rounds=config.rounds,
        ridge=config.ridge, wide=config.wide,
    )  # fmt: skip
    seen = groups.count.sum(0)
    parts = composed(arms, seen)
    whole = expected.completed(learned, context, parts, seen=seen > 0)
    if graph is not None:
        own = np.full(arms.shape[1], -1) if hits is None else np.asarray(hits)
        whole = structured.mixed(whole, groups, data.train, data.design, graph, own, context)
        whole = expected.composed_of(whole, parts)
    common = signatures.pooled(variation)
    fitted = Fitted(
        whole.base, whole.shift, whole.shift_sd, whole.way, np.sqrt(whole.within),
        states.moved(data.train, whole, common),
        states.axes(np.asarray(common, float), len(np.asarray(data.train.arm))),
        np.zeros_like(whole.shift),
    )  # fmt: skip
    fitted = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), fitted)
    usual = counterfactual.usual(fitted, data.train)
    return fitted._replace(usual=usual), {"context": covariate}


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
