"""Effects of all arms in all contexts, and the controls of all strata, told from each other.

Changes are on a log scale of expression: where a gene is expressed so little that its log1p hardly
moves with its rate, it is drawn on accordingly. In turn: effects given the controls, the scores of
signatures given the effects, and the controls given the effects, since the cells of every arm say
something of what their stratum is without it.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from numpy import ndarray

from epistax.engine.response import presence, signatures
from epistax.engine.response.baseline import settled
from epistax.engine.response.presence import Effects, Evidence, Habits
from epistax.engine.response.signatures import Variation
from epistax.engine.response.strata import Groups
from epistax.engine.types import Info, Scalar

FLOOR = 0.02  # least slope of log1p on the log of the rate
EVEN = 0.05**2  # variance below which one gene counts no more than another
BELIEF = (0.85, 0.1)  # presence and spread, before anything is learned of them


class Learned(NamedTuple):
    """Controls of c strata, effects in k contexts."""

    base: Float[ndarray, "c g"]
    base_variance: Float[ndarray, "c g"]
    within: Float[ndarray, "c g"]  # variance of cells of one arm
    effect: Float[Array, "k a g"]
    variance: Float[Array, "k a g"]
    offset: Float[Array, "k a"]  # change of all genes alike


class Full(NamedTuple):
    """What every arm adds to every stratum's controls."""

    base: Float[ndarray, "c g"]
    shift: Float[ndarray, "c a g"]
    shift_sd: Float[ndarray, "c a g"]
    way: Float[ndarray, "c a g"]  # the shift, less what moves all genes alike
    within: Float[ndarray, "c g"]


class Priors(NamedTuple):
    """Log weights of the grid of effects, by arm and by what a gene is to it."""

    arm: Float[Array, "a t"]
    role: Float[Array, "4 t"]
    silent: Float[Array, "a"]
    habits: Habits


def slope(base: Float[Array | ndarray, "*n g"]) -> Float[Array | ndarray, "*n g"]:
    """D log1p(rate) / d log(rate) where log1p of the rate is so much."""
    xp = np if isinstance(base, np.ndarray) else jnp
    return 1 - xp.exp(-xp.maximum(base, 0)) + FLOOR


def effects(
    groups: Groups,
    strata: Int[ndarray, "c m"],
    context: Int[ndarray, "c"],
    role: Int[ndarray, "a g"],
    *,
    variation: Variation | None,
    rounds: int,
    ridge: float,
    wide: float,
) -> tuple[Learned, Info]:
    """What is learned; without the variation of genes, from means alone."""
    size, (_, arms, genes) = int(context.max()) + 1, groups.mean.shape
    there = groups.count > 0
    within = pooled(groups)
    variance = np.where(
        there[:, :, None], within[:, None] / np.maximum(groups.count, 1)[:, :, None], np.inf
    )
    base, base_variance = settled(groups.mean[:, 0], variance[:, 0], strata)
    theta = presence.grid()
    flat = np.log(np.where(theta == 0, 0.5, 0.5 / (len(theta) - 1))).astype(np.float32)
    priors = Priors(
        jnp.tile(flat, (arms, 1)),
        jnp.tile(flat, (4, 1)),
        jnp.full(arms, presence.SILENT),
        Habits(*(jnp.float32(x) for x in (*BELIEF, wide))),
    )
    factor = None if variation is None else signatures.factored(variation.correlation, ridge)
    score = no_score(size, arms, genes)
    likelihood = 0.0
    for turn in range(rounds):
        steep = slope(base)
        change, uncertain, apart = by_context(groups, base, base_variance, variance, steep, context)
        effect, offset, likely, priors = learn(change, uncertain, *score, jnp.asarray(role), priors)
        likelihood = float(likely) + apart
        if variation is not None and turn + 1 < rounds:
            unit = np.stack([steep[context == k].mean(0) for k in range(size)])
            score = signed(variation, factor, effect, jnp.asarray(unit, jnp.float32))
        base, base_variance = controls(groups, strata, context, variance, steep, effect, offset)
    learned = Learned(base, base_variance, within, effect.mean, effect.variance, offset)
    return learned, {"likelihood": np.float32(likelihood)}


def pooled(groups: Groups) -> Float[ndarray, "c g"]:
    """Variance of cells about the mean of their arm, in every stratum."""
    free = np.maximum(groups.count - 1, 0)
    total = (free[:, :, None] * groups.variance).sum(1)
    number = free.sum(1)[:, None]
    typical = total.sum(0) / max(number.sum(), 1)
    return np.where(number > 0, total / np.maximum(number, 1), typical[None, :]) + signatures.SMALL


def by_context(
    groups: Groups,
    base: Float[ndarray, "c g"],
    base_variance: Float[ndarray, "c g"],
    variance: Float[ndarray, "c a g"],
    steep: Float[ndarray, "c g"],
    context: Int[ndarray, "c"],
) -> tuple[Float[Array, "k a g"], Float[Array, "k a g"], float]:
    """Mean change of each context's strata, weighted by precision; log p of how they differ."""
    precise = steep[:, None] ** 2 / (variance + base_variance[:, None])
    change = np.where(groups.count[:, :, None] > 0, groups.mean - base[:, None], 0) / steep[:, None]
    size = int(context.max()) + 1
    total, mean = (np.zeros((size, *change.shape[1:])) for _ in range(2))
    np.add.at(total, context, precise)
    np.add.at(mean, context, precise * change)
    measured = total > 0
    mean = mean / np.where(measured, total, 1)
    some = (precise > 0)[:, 1:]
    parts = np.where(some, log_normal(change - mean[context], precise)[:, 1:], 0).sum()
    whole = np.where(measured, log_normal(np.zeros_like(total), total), 0)[:, 1:].sum()
    uncertain = np.where(measured, 1 / np.where(measured, total, 1), np.inf)
    return (
        jnp.asarray(mean, jnp.float32),
        jnp.asarray(uncertain, jnp.float32),
        float(parts - whole),
    )


def log_normal(x: Float[ndarray, "..."], precision: Float[ndarray, "..."]) -> Float[ndarray, "..."]:
    """Log density of N(0, 1 / precision); meaningless where the precision is 0."""
    precision = np.where(precision > 0, precision, 1)
    return 0.5 * (np.log(precision / (2 * np.pi)) - precision * x**2)


def no_score(size: int, arms: int, genes: int) -> tuple[Array, Array, Array]:
    """Scores that say nothing."""
    none = jnp.zeros((size, arms, genes))
    return none, none, jnp.full((size, arms), jnp.inf)


@jax.jit
def learn(
    change: Float[Array, "k a g"],
    variance: Float[Array, "k a g"],
    score: Float[Array, "k a g"],
    along: Float[Array, "k a g"],
    noise: Float[Array, "k a"],
    role: Int[Array, "a g"],
    priors: Priors,
) -> tuple[Effects, Float[Array, "k a"], Scalar, Priors]:
    """Effects and offsets of all arms, arm by arm; log p of all; the priors that effects make.

    What moves the most of the genes alike is a change of the library they share: the offset of
    each context and arm, to which effects are added.
    """
    offset = jnp.where(jnp.arange(len(role)) > 0, offsets(change, variance), 0.0)
    change = change - offset[:, :, None]

    def one(given: tuple) -> tuple[Effects, Array]:
        evidence, role_of, of_arm, silent = given
        mixed = 0.5 * (of_arm[None] + priors.role[role_of])
        mixed = mixed - jax.nn.logsumexp(mixed, axis=1, keepdims=True)
        found = presence.posterior(Evidence(*evidence, silent), mixed, priors.habits)
        by_role = jax.ops.segment_sum(found.weights, role_of, 4)
        return found._replace(weights=jnp.mean(found.weights, axis=0)), by_role

    by_arm = tuple(jnp.moveaxis(x, 1, 0) for x in (change, variance, score, along, noise))
    found, by_role = jax.lax.map(one, (by_arm, role, priors.arm, priors.silent))
    control = jnp.arange(len(role)) == 0
    arms = jnp.where(control[:, None], 0.0, found.weights)
    roles = jnp.sum(jnp.where(control[:, None, None], 0.0, by_role), axis=0)
    strong = jnp.sum(jnp.where(control[:, None], 0.0, found.strong), axis=0)
    everywhere = jnp.sum(arms, axis=0) / jnp.maximum(len(role) - 1, 1)
    roles = (roles + 2 * everywhere[None]) / (jnp.sum(roles, axis=1, keepdims=True) + 2)
    learned = Priors(
        log_even(0.5 * arms + 0.5 * everywhere[None]),
        log_even(roles),
        presence.silence(found.strong),
        presence.learned(priors.habits, strong),
    )
    keep = ~control[:, None]
    found = found._replace(
        mean=jnp.moveaxis(jnp.where(keep[:, None], found.mean, 0.0), 0, 1),
        variance=jnp.moveaxis(jnp.where(keep[:, None], found.variance, 0.0), 0, 1),
        present=jnp.moveaxis(found.present, 0, 1),
        theta=jnp.where(keep, found.theta, 0.0),
    )
    return found, offset, jnp.sum(found.likelihood[1:]), learned


def offsets(change: Float[Array, "k a g"], variance: Float[Array, "k a g"]) -> Float[Array, "k a"]:
    """The weighted median change of every context and arm; of other contexts where not measured."""
    measured = jnp.isfinite(variance[:, :, 0])
    weight = jnp.where(jnp.isfinite(variance), 1 / (variance + EVEN), 0.0)
    order = jnp.argsort(change, axis=2)
    ordered, along = (jnp.take_along_axis(x, order, axis=2) for x in (change, weight))
    reached = jnp.cumsum(along, axis=2) >= 0.5 * jnp.sum(along, axis=2, keepdims=True)
    at = jnp.argmax(reached, axis=2)
    median = jnp.take_along_axis(ordered, at[:, :, None], axis=2)[:, :, 0]
    number = jnp.maximum(jnp.sum(measured, axis=0), 1)
    usual = jnp.sum(jnp.where(measured, median, 0.0), axis=0) / number
    return jnp.where(measured, median, usual[None])


def log_even(weights: Float[Array, "n t"]) -> Float[Array, "n t"]:
    """Log weights that are the same for an effect and its opposite."""
    weights = weights + weights[:, ::-1] + 1e-6
    return jnp.log(weights / jnp.sum(weights, axis=1, keepdims=True))


@jax.jit
def signed(
    variation: Variation,
    factor: Float[Array, "k g g"],
    effect: Effects,
    unit: Float[Array, "k g"],
) -> tuple[Float[Array, "k a g"], Float[Array, "k a g"], Float[Array, "k a"]]:
    """Scores of every context, the slope of each on theta, and their noise."""

    def one(given: tuple) -> tuple[Array, Array, Array]:
        correlation, sd, cells, triangle, mean, present, steep = given
        to_sd = (steep / sd)[None, :]
        score = signatures.scored(triangle, correlation, mean * to_sd)
        each = signatures.shared(score, effect.theta * to_sd, present)
        noise = signatures.unexplained(score, 1 - present * effect.there, cells)
        return score, each[:, None] * to_sd, jnp.where(cells > 1, noise, jnp.inf)

    return jax.lax.map(one, (*variation, factor, effect.mean, effect.present, unit))


def controls(
    groups: Groups,
    strata: Int[ndarray, "c m"],
    context: Int[ndarray, "c"],
    variance: Float[ndarray, "c a g"],
    steep: Float[ndarray, "c g"],
    effect: Effects,
    offset: Float[Array, "k a"],
) -> tuple[Float[ndarray, "c g"], Float[ndarray, "c g"]]:
    """Mean of each stratum's controls from the cells of all its arms, less what those change."""
    change = np.asarray(effect.mean + offset[:, :, None], float)
    shift = steep[:, None] * change[context]
    unsure = steep[:, None] ** 2 * np.asarray(effect.variance, float)[context]
    precise = np.where(groups.count[:, :, None] > 0, 1 / (variance + unsure), 0.0)
    total, least = precise.sum(1), 1e-12
    mean = (precise * (groups.mean - shift)).sum(1) / np.maximum(total, least)
    return settled(mean, np.where(total > 0, 1 / np.maximum(total, least), np.inf), strata)


def completed(
    learned: Learned,
    context: Int[ndarray, "c"],
    weights: Float[ndarray, "a a"],
    *,
    seen: ndarray,
) -> Full:
    """Shifts of every stratum and arm; of an arm without any cells, from those it is made of.

    One that is made of none is predicted to change nothing, give or take what arms usually change.
    """
    effect, variance, offset = (
        np.asarray(x, float) for x in (learned.effect, learned.variance, learned.offset)
    )
    offset = (offset @ weights.T)[:, :, None]
    effect = np.einsum("ab,kbg->kag", weights, effect)
    variance = np.einsum("ab,kbg->kag", weights**2, variance)
    unknown = ~weights.any(1)
    unknown[0] = False
    if unknown.any() and seen[1:].any():
        usual = (effect**2 + variance)[:, 1:][:, seen[1:]].mean(1)
        variance[:, unknown] = usual[:, None]
    steep = slope(learned.base)[:, None]
    return Full(
        base=learned.base,
        shift=steep * (effect + offset)[context],
        shift_sd=np.sqrt(learned.base_variance[:, None] + steep**2 * variance[context]),
        way=steep * effect[context],
        within=learned.within,
    )


def composed_of(full: Full, weights: Float[ndarray, "a a"]) -> Full:
    """Shifts of arms without cells made again from those of the others."""
    shift, way = (np.einsum("ab,cbg->cag", weights, x) for x in (full.shift, full.way))
    return full._replace(shift=shift, way=way)
