"""Information-directed sampling: little regret for much information about the best pairs.

    choose the b smallest  Psi(x) = Delta(x)^lambda / v(x)

Delta(x) = E[max R - R(x)], v(x) = Var(E[R(x) | C(X*)]) where X* are the best pairs still open
(Russo and Van Roy 2018, Oper. Res. 66:230; for pairs: "Automated Discovery of Pairwise
Interactions from Unstructured Data", equations 15-17, which leave C open).
For any function C of X*, v is a lower bound of the information term g (up to a constant), so each
estimator below is legitimate; they differ in C. All work on S [s, q], joint posterior draws.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from epistax.engine.pairs import Pairs
from epistax.engine.types import Key, PerDraw, Values

GROUPS = 32  # most clusters of draws: more would explain little but themselves


def ratio(
    delta: Float[Array, "*q"],
    information: Float[Array, "*q"],
    variance: Float[Array, "*q"],
    lam: float,
) -> Float[Array, "*q"]:
    """Psi of every pair; the information is floored where a pair tells almost nothing."""
    power = int(lam) if lam == int(lam) else lam  # a whole power is a few products
    return delta**power / jnp.maximum(information, 1e-6 * variance + 1e-12)


def regret(s: Float[Array, "s q"], open: Bool[Array, "q"]) -> Values:
    """Delta(x), >= 0 where open: mean over draws of the best open reward, less the mean of x."""
    best = jnp.where(open[None, :], s, -jnp.inf).max(1).mean()
    return best - s.mean(0)


def threshold(s: Float[Array, "s q"], open: Bool[Array, "q"], rank: Int[Array, ""]) -> PerDraw:
    """The rank-th largest open value of every draw, [s], by bisection on the value.

    Exact up to the spacing of float32 inside the draw's range: a full sort of 1e5 values a draw
    costs ten times as much.
    """
    low = jnp.where(open[None, :], s, jnp.inf).min(1)
    high = jnp.where(open[None, :], s, -jnp.inf).max(1)

    def halve(_: Array, bounds: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bounds
        middle = 0.5 * (low + high)
        enough = ((s >= middle[:, None]) & open[None, :]).sum(1) >= rank
        return jnp.where(enough, middle, low), jnp.where(enough, high, middle)

    return jax.lax.fori_loop(0, 40, halve, (low, high))[0]


def information_self(
    s: Float[Array, "s q"], open: Bool[Array, "q"], remaining: Int[Array, ""]
) -> Values:
    """E2: C = whether x itself is among its draw's best `remaining` pairs."""
    return explained(s, s >= threshold(s, open, remaining)[:, None])


def explained(s: Float[Array, "s *q"], inside: Bool[Array, "s *q"]) -> Float[Array, "*q"]:
    """Variance of each pair's reward that its membership explains: alpha (1 - alpha) gap^2."""
    n, n1 = s.shape[0], inside.sum(0)
    sum1 = jnp.where(inside, s, 0.0).sum(0)
    n0, sum0 = n - n1, s.sum(0) - sum1
    gap = sum1 / jnp.maximum(n1, 1) - sum0 / jnp.maximum(n0, 1)
    alpha = n1 / n
    return jnp.where((n1 > 0) & (n0 > 0), alpha * (1 - alpha) * gap**2, 0.0)


def information_groups(
    s: Float[Array, "s q"], group: Int[Array, "s"], *, corrected: bool = True
) -> Values:
    """E1 and E4: C = the group of the draw; variance between groups, less its null expectation."""
    if not corrected:
        return ((group_means(s, group) - s.mean(0)[None, :]) ** 2).mean(0)
    return jnp.maximum(between_less_null(s, group), 0.0)


def between_less_null(s: Float[Array, "s q"], group: Int[Array, "s"]) -> Values:
    """[SSB - (G-1) SSW / (s-G)] / s: unbiased for 0 where the groups mean nothing.

    Uncorrected, G groups of s draws claim (G-1)/s of a variance that has nothing to do with them.
    """
    n, fitted = s.shape[0], group_means(s, group)
    between = ((fitted - s.mean(0)[None, :]) ** 2).sum(0)
    within = ((s - fitted) ** 2).sum(0)
    groups = (1.0 / (group[:, None] == group[None, :]).sum(1)).sum()
    return (between - (groups - 1) * within / jnp.maximum(n - groups, 1.0)) / n


def group_means(s: Float[Array, "s q"], group: Int[Array, "s"]) -> Float[Array, "s q"]:
    """Every draw's mean over the draws of its group."""
    same = (group[:, None] == group[None, :]).astype(s.dtype)
    return (same @ s) / same.sum(1)[:, None]


def information_argmax(
    s: Float[Array, "s q"], open: Bool[Array, "q"], remaining: Int[Array, ""]
) -> Values:
    """E1: C = the draw's best open pair; E2 where nearly every draw has a best pair of its own."""
    group = jnp.where(open[None, :], s, -jnp.inf).argmax(1)
    same = group[:, None] == group[None, :]
    groups = (1.0 / same.sum(1)).sum()
    few = s.shape[0] - groups < s.shape[0] / 4
    return jax.lax.cond(
        few,
        lambda: information_self(s, open, remaining),
        lambda: information_groups(s, group),
    )


def information_clusters(
    key: Key,
    s: Float[Array, "s q"],
    open: Bool[Array, "q"],
    remaining: Int[Array, ""],
    pairs: Pairs,
    p: int,
) -> Values:
    """E4: C = the cluster of the draw's hub profile, how many of its best pairs touch each gene."""
    inside = (s >= threshold(s, open, remaining)[:, None]) & open[None, :]
    zero = jnp.zeros((s.shape[0], p), s.dtype)
    profile = zero.at[:, pairs.i].add(inside).at[:, pairs.j].add(inside)
    return information_groups(s, kmeans(key, profile, groups=min(GROUPS, s.shape[0] // 4)))


def kmeans(key: Key, x: Float[Array, "s d"], *, groups: int, steps: int = 20) -> Int[Array, "s"]:
    """Lloyd's algorithm from distinct random rows; an emptied cluster keeps its centre."""
    centre = x[jax.random.choice(key, x.shape[0], (groups,), replace=False)]

    def nearest(centre: Float[Array, "k d"]) -> Int[Array, "s"]:
        # |x|^2 is the same for all centres of a row
        return ((centre**2).sum(1)[None, :] - 2 * x @ centre.T).argmin(1)

    def step(_: Array, centre: Float[Array, "k d"]) -> Float[Array, "k d"]:
        member = jax.nn.one_hot(nearest(centre), groups, axis=0)
        size = member.sum(1)[:, None]
        return jnp.where(size > 0, member @ x / jnp.maximum(size, 1), centre)

    return nearest(jax.lax.fori_loop(0, steps, step, centre))
