"""The default: Bayesian mixed effects of genes and gene factors over a smooth function of singles.

Posterior draws (mixed_sampler.py) are the fit: predictions are means over draws, their sd holds
what is unknown of the parameters and the noise of a measurement. Genes that no row of a fit holds
have effects from the prior, told by their single effects and by side information. Time grows with
the number of combinations, and nothing of their square is ever held.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from numpy import ndarray

from epistax.engine.effects import mixed_sampler as sampler
from epistax.engine.effects import smooth
from epistax.engine.effects.mixed_sampler import Chain, Members, Rows
from epistax.engine.effects.records import Combos, Jobs, Method, Predicted, Table
from epistax.engine.pairs import roomy
from epistax.engine.types import Key, Keys, Scalar

BLOCK = 2**16  # rows that are predicted at once
CURVED = 0.3  # prior sd of a gene's curvature in its single effect, beside that of its slope


@dataclass(frozen=True)
class Mixed:
    """Settings. rank bounds the number of factors from above, the prior prunes them.

    burn, draws: sweeps before the first kept draw, and kept ones; length: of the smooth function,
    in half ranges of the single effects; pull: prior weight of a common noise level, in
    combinations per gene.
    """

    rank: int = 8
    burn: int = 150
    draws: int = 400
    waves: tuple[int, int] = (8, 6)
    length: float = 1.0
    pull: float = 10.0


class Fit(NamedTuple):
    """s draws of one job, in units of `unit` around `centre`; key makes genes never seen."""

    chains: Chain
    centre: Scalar
    unit: Scalar
    key: Array


def mixed(
    config: Mixed,
    *,
    singles: Float[Array | ndarray, "p"],
    side: Float[Array | ndarray, "n d"] | None = None,
) -> Method:
    """The method for p genes of these single effects; side is what else is known of each.

    side makes the prior mean of a gene's effects with its single effect, and is as large as one
    column, however many there are. A code of p or more is a gene never heard of: its effects are
    those of an average gene of its single effect. ValueError where lengths do not agree.
    """
    p = len(singles)
    if side is not None and len(side) != p:
        raise ValueError(f"side has {len(side)} rows for {p} genes; give one a gene")
    s = jnp.asarray(singles, jnp.float32)
    told = None if side is None else standard(side)

    def fit(keys: Keys, table: Table, jobs: Jobs) -> Fit:
        genes, train = np.asarray(table.combos.genes), np.asarray(jobs.train)
        index = np.full((len(train), roomy(int((train >= 0).sum(1).max()))), -1, np.int32)
        for n, row in enumerate(train):
            index[n, : (row >= 0).sum()] = row[row >= 0]
        busy = roomy(max(busiest(genes[row[row >= 0]], p) for row in train))
        found = [members(genes, row, p, busy) for row in index]
        at = jax.tree.map(lambda *x: jnp.asarray(np.stack(x)), *found)
        table = jax.tree.map(jnp.asarray, table)
        return _fit(keys, jnp.asarray(index), at, table, s, told, config=config)

    def predict(fitted: Fit, combos: Combos) -> Predicted:
        genes, alone = np.asarray(combos.genes), np.asarray(combos.singles)
        fresh, size = bool((genes >= p).any()), min(BLOCK, roomy(len(genes)))
        parts = []
        for first in range(0, len(genes), size):
            rows = slice(first, first + size)
            short = size - len(genes[rows])
            part = Combos(np.pad(genes[rows], ((0, short), (0, 0)), constant_values=-1),
                          np.pad(alone[rows], ((0, short), (0, 0))))  # fmt: skip
            found = _predict(fitted, part, s, config=config, fresh=fresh)
            parts.append(jax.tree.map(lambda x, keep=size - short: x[:, :keep], found))
        return jax.tree.map(lambda *x: jnp.concatenate(x, 1), *parts)

    return Method(fit, predict)


def busiest(genes: Int[ndarray, "n k"], p: int) -> int:
    """In how many combinations the most frequent gene is."""
    return int(np.bincount(genes[genes >= 0], minlength=p).max()) if len(genes) else 1


def members(genes: Int[ndarray, "q k"], index: Int[ndarray, "n"], p: int, busy: int) -> Members:
    """Which of the rows `index` (-1 for none) hold each gene, by their places in it."""
    row, place = np.nonzero((genes[index] >= 0) & (index >= 0)[:, None])
    gene = genes[index[row], place]
    each = np.unique(np.stack([gene, row], 1), axis=0)  # a gene with itself is there once
    first = np.searchsorted(each[:, 0], np.arange(p))
    rank = np.arange(len(each)) - first[each[:, 0]]
    rows, there = np.zeros((p, busy), np.int32), np.zeros((p, busy), bool)
    rows[each[:, 0], rank], there[each[:, 0], rank] = each[:, 1], True
    return Members(rows, there)


def about(
    s: Float[Array, "n"], told: Float[Array, "n d"] | None, at: smooth.Singles
) -> Float[Array, "n f"]:
    """Features z of genes: 1, the single effect, its square, and side information."""
    z = (s - at.mean) / at.sd
    columns = [jnp.stack([jnp.ones_like(z), z, CURVED * z * z], 1)]
    if told is not None:
        columns.append(told / np.sqrt(told.shape[1]))
    return jnp.concatenate(columns, 1)


def standard(side: Float[Array | ndarray, "p d"]) -> Float[Array, "p d"]:
    """Columns of mean 0 and sd 1; what is missing is average."""
    side = np.asarray(side, np.float64)
    mean, sd = np.nanmean(side, 0), np.nanstd(side, 0)
    return jnp.asarray(np.nan_to_num((side - mean) / np.maximum(sd, 1e-12)), jnp.float32)


def described(combos: Combos, at: smooth.Singles, config: Mixed) -> tuple[Array, Array, Array]:
    """Features, first places and kind of noise of combinations."""
    x = smooth.features(combos, at, waves=config.waves, length=config.length)
    genes = combos.genes
    earlier = jnp.tril(jnp.ones((genes.shape[1],) * 2, bool), -1)
    again = ((genes[:, :, None] == genes[:, None, :]) & earlier[None]).any(2)
    many = combos.there.sum(1) > 2
    kind = jnp.where(smooth.repeated(combos), 1, jnp.where(many, 2, 0))
    return x, combos.there & ~again, kind


@partial(jax.jit, static_argnames=("config",))
def _fit(
    keys: Keys, index: Array, at: Members, table: Table, s: Array, told: Array | None, *,
    config: Mixed,
) -> Fit:  # fmt: skip
    lie = smooth.lie(s)
    x, first, kind = described(table.combos, lie, config)
    z = about(s, told, lie)

    def one(key: Key, index: Array, at: Members) -> Fit:
        k_start, k_sweep, k_fresh = jax.random.split(key, 3)
        weight = (index >= 0).astype(jnp.float32)
        value = jnp.where(index >= 0, table.value[index], 0.0).astype(jnp.float32)
        many = weight.sum()
        centre = value.sum() / many
        y = weight * (value - centre)
        unit = jnp.maximum(jnp.sqrt((y**2).sum() / many), 1e-12)
        rows = Rows(
            y / unit, weight, table.combos.genes[index], first[index], kind[index], x[index]
        )
        chain = sampler.start(k_start, p=len(s), m=x.shape[1], f=z.shape[1], r=config.rank)

        def step(chain: Chain, t: Array) -> tuple[Chain, Chain]:
            chain = sampler.sweep(jax.random.fold_in(k_sweep, t), chain, rows, at, z, config.pull)
            return chain, chain

        chain = jax.lax.fori_loop(0, config.burn, lambda t, chain: step(chain, t)[0], chain)
        chains = jax.lax.scan(step, chain, config.burn + jnp.arange(config.draws))[1]
        return Fit(chains, centre, unit, k_fresh)

    return jax.vmap(one)(keys, index, at)


@partial(jax.jit, static_argnames=("config", "fresh"))
def _predict(fitted: Fit, combos: Combos, s: Array, *, config: Mixed, fresh: bool) -> Predicted:
    of_draw, zero = teller(combos, s, config, fresh), jnp.zeros(len(combos.genes))

    def one(fit: Fit) -> tuple[Array, Array]:
        def add(total: tuple[Array, Array, Array], drawn: tuple[Chain, Array]) -> Any:
            mean, noise = of_draw(*drawn)
            return (total[0] + mean, total[1] + mean**2, total[2] + noise), None

        keys = jax.random.split(fit.key, config.draws)
        sums = jax.lax.scan(add, (zero, zero, zero), (fit.chains, keys))[0]
        mean, square, noise = (v / config.draws for v in sums)
        sd = jnp.sqrt(jnp.maximum(square - mean**2, 0) + noise)
        return fit.centre + fit.unit * mean, fit.unit * sd

    return Predicted(*jax.lax.map(one, fitted))


@partial(jax.jit, static_argnames=("config", "count"))
def joint(
    key: Key, fit: Fit, combos: Combos, singles: Float[Array, "p"], *, config: Mixed, count: int
) -> Float[Array, "s q"]:
    """`count` joint draws of one job: what measurements of these rows would give, noise and all.

    They are every (draws / count)-th of the chain; genes must be those of the fit.
    """
    of_draw = teller(combos, singles, config, False)
    at = jnp.arange(count) * config.draws // count

    def one(n: Array) -> Array:
        chain, own = jax.tree.map(lambda x: x[n], fit.chains), jax.random.fold_in(key, n)
        mean, noise = of_draw(chain, own)
        return fit.centre + fit.unit * (mean + jnp.sqrt(noise) * jax.random.normal(own, mean.shape))

    return jax.lax.map(one, at)


def teller(
    combos: Combos, s: Array, config: Mixed, fresh: bool
) -> Callable[[Chain, Array], tuple[Array, Array]]:
    """(draw, key) -> mean and noise variance of these rows; the key makes genes never heard of."""
    lie, p = smooth.lie(s), len(s)
    x, first, kind = described(combos, lie, config)
    genes = combos.genes
    known = jnp.where(genes < p, genes, -1) if fresh else genes
    z_new = about(combos.singles.ravel(), None, lie).reshape(-1, genes.shape[1], 3)

    def unheard(chain: Chain, key: Array) -> tuple[Array, Array]:
        """Effects and h of genes without a row in the tables, every one its own."""
        shape = chain.precision.shape
        own = jax.vmap(lambda code: jax.random.normal(jax.random.fold_in(key, code), shape))
        each = jax.vmap(own)(genes) / jnp.sqrt(chain.precision)[None, None]
        usual = config.pull / (config.pull - 2)
        return z_new @ chain.slope[:3] + each, usual * jnp.exp(chain.tilt * z_new[..., 1])

    def of_draw(chain: Chain, key: Array) -> tuple[Array, Array]:
        effect = sampler.found(chain.effect, known, first)
        h = sampler.spreads(chain.spread, known, first)
        if fresh:
            new = genes >= p
            own, wide = unheard(chain, key)
            alone = jnp.where(first[..., None], own, own.at[..., 1:].set(0.0))
            effect = jnp.where(new[..., None], alone, effect)
            h = jnp.where(new & first, wide, h)
        mean = x @ chain.weight + sampler.together(effect)
        return mean, chain.level * chain.kinds[kind] * h.prod(1)

    return of_draw
