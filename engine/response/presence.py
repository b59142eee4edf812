"""What an arm changes of a gene, where contexts (cell types) agree or have no such effect at all.

A gene's effect is theta in every context but those in which it is absent (its regulator does not
reach it there), up to a relative spread:

    theta ~ sum_g w_g 1{grid_g},     present_k ~ Bernoulli(pi),
    phi_k | theta, present_k ~ N(theta, (spread theta)^2),    0 if absent,
    d_k | phi_k ~ N(phi_k, v_k),
    s_k | theta, present_k ~ (1 - silent) N(rho_k theta, b_k + (rho_k theta wide)^2) + silent S,
    S = .9 N(0, b_k) + .1 U(-1, 1), as where the effect is absent

d_k is what was measured in context k, if anything was; s_k is how the gene varies, among cells of
one arm, with the other genes of the arm's signature: a context in which an effect is absent shows
it there before the arm was ever measured in it. Some effects never show (silent: regulators that
vary among no cells); how many, the contexts tell in which the arm was measured. All by sums over
the grid of theta; adaptive shrinkage in the manner of Stephens (2017), "False discovery rates: a
new deal".
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.stats import norm
from jaxtyping import Array, Float
from numpy import ndarray

from epistax.engine.types import Scalar

NEAREST, FARTHEST, HALF = 0.02, 4.0, 30  # of the grid of theta, on each side of 0
STRONG = 0.2  # |theta| of effects from which presence, spread and silence are learned
FEW = 20.0  # effects that what was believed before is worth
TAIL = 0.1  # share of genes that go with a signature, by as much as may be, without an effect
SILENT = 0.1  # share of effects that scores do not show, before it is learned


class Evidence(NamedTuple):
    """What is known of one arm in k contexts; variance inf where nothing was measured."""

    change: Float[Array, "k g"]
    variance: Float[Array, "k g"]
    score: Float[Array, "k g"]  # how the gene goes with the arm's signature
    slope: Float[Array, "k g"]  # of the score on theta where the effect is present
    noise: Float[Array, "k"]  # variance of the score of a gene without effect; inf: no score
    silent: Scalar  # share of the arm's effects that its scores do not show


class Habits(NamedTuple):
    """What all arms share."""

    present: Scalar  # probability
    spread: Scalar  # sd of effects between contexts, relative to theta
    wide: Scalar  # that of scores


class Effects(NamedTuple):
    """The posterior of one arm."""

    mean: Float[Array, "k g"]
    variance: Float[Array, "k g"]
    theta: Float[Array, "g"]
    present: Float[Array, "k g"]  # probability, given that theta is not 0
    there: Float[Array, "g"]  # probability that theta is not 0
    weights: Float[Array, "g t"]  # posterior of theta on the grid
    likelihood: Scalar  # log p of all that was measured
    strong: Float[Array, "5"]  # sums over strong effects, as `learned` and `silence` read them


def grid() -> Float[ndarray, "t"]:
    """Values of theta: finer near 0."""
    half = np.geomspace(NEAREST, FARTHEST, HALF)
    return np.concatenate([-half[::-1], [0.0], half]).astype(np.float32)


def posterior(evidence: Evidence, log_weights: Float[Array, "g t"], habits: Habits) -> Effects:
    """Effects of one arm, given log prior weights of theta for every gene."""
    theta = jnp.asarray(grid())[None, None, :]
    change, variance = evidence.change[:, :, None], evidence.variance[:, :, None]
    measured = jnp.isfinite(variance)
    variance = jnp.where(measured, variance, 1.0)
    own = (habits.spread * theta) ** 2
    noise = evidence.noise[:, None, None]
    scored = jnp.isfinite(noise)
    noise = jnp.where(scored, noise, 1.0)
    score, told = evidence.score[:, :, None], evidence.slope[:, :, None] * theta

    def log_p(x: Array, mean: Array, variance: Array, known: Array) -> Array:
        return jnp.where(known, norm.logpdf(x, mean, jnp.sqrt(variance)), 0.0)

    here = log_p(change, theta, variance + own, measured)
    shown = log_p(score, told, noise + (habits.wide * told) ** 2, scored)
    unseen = jnp.logaddexp(
        log_p(score, jnp.zeros_like(theta), noise, scored) + jnp.log1p(-TAIL),
        jnp.where(scored, jnp.log(TAIL / 2), jnp.log(TAIL)),
    )
    shown, hidden = shown + jnp.log1p(-evidence.silent), unseen + jnp.log(evidence.silent)
    here += jnp.logaddexp(shown, hidden)
    gone = log_p(change, jnp.zeros_like(theta), variance, measured)
    gone += unseen
    none = theta == 0  # there is nothing to be absent
    here = jnp.where(none, here, here + jnp.log(habits.present))
    gone = jnp.where(none, -jnp.inf, gone + jnp.log1p(-habits.present))
    each = jnp.logaddexp(here, gone)
    total = jnp.sum(each, axis=0) + log_weights
    evidence_of = jax.nn.logsumexp(total, axis=1)
    weights = jnp.exp(total - evidence_of[:, None])
    present = jnp.exp(here - each)
    # of phi given theta and presence
    gain = jnp.where(measured, own / (variance + own), 0.0)
    center = theta + gain * (change - theta)
    left = own * (1 - gain)
    mean = jnp.sum(weights[None] * present * center, axis=2)
    square = jnp.sum(weights[None] * present * (center**2 + left), axis=2)
    there = 1 - weights[:, HALF]
    strong = weights[None] * (jnp.abs(theta) > STRONG) * jnp.any(measured, axis=2)[:, :, None]
    departed = ((center - theta) ** 2 + left) / jnp.where(none, 1.0, theta**2)
    both = strong * present * scored
    quiet = jax.nn.sigmoid(hidden - shown)
    sums = [jnp.sum(x) for x in (strong, strong * present, strong * present * departed, both,
                                 both * quiet)]  # fmt: skip
    return Effects(
        mean=mean,
        variance=jnp.maximum(square - mean**2, 0.0),
        theta=jnp.sum(weights * theta[0], axis=1),
        present=jnp.sum(weights[None] * present * ~none, axis=2)
        / jnp.maximum(there, 1e-9)[None, :],
        there=there,
        weights=weights,
        likelihood=jnp.sum(evidence_of),
        strong=jnp.stack(sums),
    )


def silence(strong: Float[Array, "a 5"]) -> Float[Array, "a"]:
    """Share of each arm's strong effects that its scores do not show, where it was measured."""
    return jnp.clip((FEW * SILENT + strong[:, 4]) / (FEW + strong[:, 3]), 0.02, 0.98)


def learned(habits: Habits, strong: Float[Array, "5"]) -> Habits:
    """Presence and spread from the strong effects of all arms; few of them move neither much."""
    present = (FEW * habits.present + strong[1]) / (FEW + strong[0])
    spread = (FEW * habits.spread**2 + strong[2]) / (FEW + strong[1])
    return Habits(
        jnp.clip(present, 0.5, 0.98),
        jnp.clip(jnp.sqrt(spread), 0.05, 1.0),
        habits.wide,
    )
