"""Information-directed sampling with estimators that need draws, on a shortlist of the open pairs.

    v(x) = share(x) Var R(x),    Psi(x) = Delta(x)^lambda / v(x),

share being the part of the variance of x's draws that knowing C(X*) explains (policy/ids.py). As
share <= 1, Delta^lambda / Var R bounds Psi from below: a shortlist of its smallest values is
complete where the worst Psi chosen does not exceed the bound of the first pair left out, and is
made longer until it is. Deflation looks at the best of that order alone and needs no more of them.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Float, Int
from numpy import ndarray

from epistax.engine import stream
from epistax.engine.mesh import copied, devices, each
from epistax.engine.pairs import Pairs
from epistax.engine.policy import batch, ids
from epistax.engine.policy.catalogue import Draws, Settings
from epistax.engine.posterior import moments
from epistax.engine.posterior.draws import rewards, sampled
from epistax.engine.posterior.maxima import Maxima, maxima
from epistax.engine.posterior.pieces import Fan, here
from epistax.engine.types import Index, Info, Key, Picked, Scalar, Values

SHORT, WIDER, LONG = 4096, 4, 2**18  # pairs looked at more closely: first, and at most
RANKED = 2048  # of a draw's best pairs, at most so many say what its X* is


class Open(NamedTuple):
    """What all policies choose from: the belief, its tiles, what may be chosen, who draws."""

    factors: moments.Factors
    measured: Pairs
    where: stream.Space
    size: int
    allowed: Bool[ndarray, "p"] | None
    mesh: Mesh | None
    fan: Fan = here

    def best(self, score: Any, *args: Any, batch: int) -> stream.Ranked:
        """The open pairs of highest score."""
        p, how = len(self.factors.a), {"allowed": self.allowed, "mesh": self.mesh}
        return stream.ranked(score, self.where, *args, p=p, size=self.size, batch=batch, **how)

    def tops(self, key: Key, draws: int | Int[ndarray, "s"], count: int = 1) -> Maxima:
        """The greatest open rewards of joint draws: of the first so many, or of these."""
        shared = key, self.factors, self.measured, self.allowed
        if not isinstance(draws, int):
            return Maxima(*greatest(draws, *shared, best=count, mesh=self.mesh))
        return Maxima(*self.fan(greatest, *shared, count=draws, best=count, mesh=self.mesh))

    def drawn(self, key: Key, pairs: Pairs, draws: int) -> Draws:
        """Rewards of the pairs by the draws whose maxima are looked at."""
        made = self.fan(drawn, key, self.factors, pairs, count=draws, mesh=self.mesh)
        return jnp.asarray(made[0])


def expectation(tops: Maxima) -> tuple[Scalar, Info]:
    """E max R over the open pairs as the mean of its draws, and what finding them took."""
    expected = tops.value[:, 0].mean()
    return jnp.float32(expected), kept(tops) | {"expected_best": float(expected)}


def kept(tops: Maxima) -> Info:
    """How many perturbations the draws' maxima took, at the median and at most."""
    return {"kept_median": int(np.median(tops.kept)), "kept_most": int(tops.kept.max())}


def directed(
    name: str, key: Key, open: Open, settings: Settings, lam: float, remaining: int
) -> tuple[stream.Ranked, Info]:
    """The batch of one of the estimators that need draws; draw n depends on (key, n) alone.

    remaining is how many of a draw's best pairs make up its X*, cut at RANKED.
    """
    k_draw, k_group = jax.random.split(key)
    deflated = name == "ids-defl"
    tops = open.tops(k_draw, settings.draws, 1 if deflated else max(1, min(remaining, RANKED)))
    expected, info = expectation(tops)
    length = max(SHORT, 2 * settings.batch)
    if deflated:
        length = settings.batch + batch.among(settings.draws, settings.batch)
    while True:
        found = open.best(stream.variance_directed(lam), open.factors, expected, batch=length + 1)
        there = found.value[:-1] > -np.inf
        pairs = Pairs(*(jnp.asarray(v[:-1][there]) for v in found.pairs))
        mean, var = moments.of_pairs(open.factors, pairs)
        delta, size = jnp.maximum(expected - mean, 0), min(settings.batch, len(mean))
        s = open.drawn(k_draw, pairs, settings.draws)
        if deflated:
            every = jnp.ones(len(delta), bool)
            psi, index = deflate(
                onto(s, mean, var), delta, every, settings.noise, lam=lam, size=size
            )
            break
        information = share(name, k_group, s, tops, p=len(open.factors.a)) * var
        down, index = jax.lax.top_k(-ids.ratio(delta, information, var, lam), size)
        psi = -down
        # the next pair's bound; infinite where every open pair is on the list
        complete = bool(psi[-1] <= -found.value[-1])
        info |= {"complete": complete}
        if complete or length >= LONG:
            break
        length *= WIDER
    chosen = Pairs(*(np.asarray(v)[np.asarray(index)] for v in pairs))
    return stream.Ranked(chosen, -np.asarray(psi)), info | {"shortlist": len(delta)}


@partial(jax.jit, static_argnames=("lam", "size"))
def deflate(
    s: Draws,
    delta: Values,
    open: Bool[Array, "q"],
    noise: Scalar | float,
    *,
    lam: float,
    size: int,
) -> tuple[Picked, Index]:
    """policy/batch.py's, compiled: Psi at the time of the pick, and the places picked."""
    index, psi = batch.deflate(s, delta, open, noise, lam, size)
    return psi, index


def onto(s: Draws, mean: Values, var: Values) -> Draws:
    """The draws moved and stretched onto these means and variances."""
    spread = s.std(0)
    stretch = jnp.where(spread > 0, jnp.sqrt(var) / jnp.where(spread > 0, spread, 1.0), 0.0)
    return mean[None, :] + (s - s.mean(0)[None, :]) * stretch[None, :]


def share(name: str, key: Key, s: Draws, tops: Maxima, *, p: int) -> Values:
    """The part of each pair's variance that its draws' X* explain, from 0 to 1."""
    information = ids.explained(s, s >= jnp.asarray(tops.value[:, -1])[:, None])
    if name == "ids-clusters":
        profile = np.zeros((len(s), p), np.float32)
        draw = np.repeat(np.arange(len(s)), tops.i.shape[1])
        for member in (tops.i.ravel(), tops.j.ravel()):
            np.add.at(profile, (draw[member >= 0], member[member >= 0]), 1)
        groups = min(ids.GROUPS, len(s) // 4)
        information = ids.information_groups(
            s, ids.kmeans(key, jnp.asarray(profile), groups=groups)
        )
    elif name == "ids-argmax":
        first = np.stack([tops.i[:, 0], tops.j[:, 0]], axis=1)
        group = np.unique(first, axis=0, return_inverse=True)[1].ravel()
        if len(s) - len(np.unique(group)) >= len(s) / 4:  # else nearly every draw is a group
            information = ids.information_groups(s, jnp.asarray(group))
    return jnp.clip(information / jnp.maximum(s.var(0), jnp.finfo(s.dtype).tiny), 0, 1)


def greatest(
    numbers: Int[ndarray, "s"],
    key: Key,
    factors: moments.Factors,
    measured: Pairs,
    allowed: Bool[ndarray, "p"] | None,
    *,
    best: int,
    mesh: Mesh | None,
) -> tuple[ndarray, ...]:
    """The piece of `Maxima`: the draws of these numbers."""
    how = {"count": best, "allowed": allowed, "mesh": mesh}
    return tuple(maxima(key, factors, measured, draws=numbers, **how))


def drawn(
    numbers: Int[ndarray, "s"],
    key: Key,
    factors: moments.Factors,
    pairs: Pairs,
    *,
    mesh: Mesh | None,
) -> tuple[Draws]:
    """The piece of rewards of the pairs, shared by the devices."""
    padded = np.pad(numbers, (0, -len(numbers) % devices(mesh)), mode="edge")
    shared = copied((key, factors, pairs), mesh)
    return (each(mesh, of_numbers, split=1)(jnp.asarray(padded), *shared)[: len(numbers)],)


def of_numbers(
    numbers: Int[Array, "s"], key: Key, factors: moments.Factors, pairs: Pairs
) -> Float[Array, "s q"]:
    """Rewards of the pairs by the draws of these numbers."""

    def one(number: Int[Array, ""]) -> Values:
        return rewards(sampled(jax.random.fold_in(key, number), factors), pairs)

    return jax.lax.map(one, numbers)
