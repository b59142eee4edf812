"""Streamed rounds equal dense ones (A26)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from epistax.engine import stream
from epistax.engine.pairs import Pairs, upper
from epistax.engine.policy import ids
from epistax.engine.posterior import moments
from epistax.engine.posterior.maxima import maxima


@pytest.fixture(scope="module")
def case():
    """N = 500, k = 64, 3,000 pairs measured, in float64."""
    with jax.enable_x64(True):
        p, k, r = 500, 64, 5
        rng = np.random.default_rng(0)
        draws = stream.Draws(
            *(jnp.asarray(rng.normal(size=shape)) for shape in ((k,), (k, p), (k, r), (k, p, r)))
        )
        pairs = upper(p)
        chosen = rng.choice(len(pairs.i), 3000, replace=False)
        open = np.ones(len(pairs.i), bool)
        open[chosen] = False
        i, j = pairs
        dense = np.stack(
            [
                b + a[i] + a[j] + (u[i] * s[None] * u[j]).sum(1)
                for b, a, s, u in zip(*draws, strict=True)
            ]
        )
        yield p, draws, pairs, Pairs(i[chosen], j[chosen]), jnp.asarray(open), jnp.asarray(dense)


@pytest.mark.parametrize("size", [128, 500])
def test_streamed_directed_sampling_equals_dense(case, size):
    p, draws, pairs, measured, open, dense = case
    with jax.enable_x64(True):
        where = stream.space(p, measured, size=size)
        remaining = jnp.asarray(2000)
        low, high = stream.extremes(draws, where, p=p, size=size)
        theta = stream.thresholds(draws, where, remaining, low, high, p=p, size=size)
        masked = np.where(open, dense, -np.inf)
        np.testing.assert_allclose(high, masked.max(1), atol=1e-12)
        wanted = np.sort(masked, axis=1)[:, -2000]
        assert (np.abs(theta - wanted) / (high - low)).max() < 1e-8
        found, value = stream.directed_best(
            draws, where, remaining, p=p, size=size, batch=25, lam=4.0
        )
        psi = ids.ratio(
            ids.regret(dense, open),
            ids.information_self(dense, open, remaining),
            dense.var(0),
            4.0,
        )
        order = np.argsort(np.where(open, psi, np.inf), kind="stable")[:25]
        np.testing.assert_array_equal(found.i, pairs.i[order])
        np.testing.assert_array_equal(found.j, pairs.j[order])
        np.testing.assert_allclose(-value, psi[order], rtol=1e-10)


def test_streamed_mean_and_information_equal_dense(case):
    p, draws, pairs, _, open, dense = case
    with jax.enable_x64(True):
        rows, columns = jnp.arange(0, 128), jnp.arange(256, 384)
        tile = stream.scores(draws, rows, columns)
        inside = (pairs.i < 128) & (pairs.j >= 256) & (pairs.j < 384)
        i, j = pairs.i[inside], pairs.j[inside] - 256
        theta = ids.threshold(dense, open, jnp.asarray(2000))
        v = ids.explained(tile, tile >= theta[:, None, None])[i, j]
        wanted = ids.explained(dense, dense >= theta[:, None])[inside]
        np.testing.assert_allclose(tile.mean(0)[i, j], dense.mean(0)[inside], atol=1e-12)
        np.testing.assert_allclose(v, wanted, atol=1e-12)


@pytest.mark.parametrize("size", [64, 100, 512])
def test_upper_confidence_by_tiles_equals_a_sort_of_all_pairs(size):
    p, r = 300, 4
    rng = np.random.default_rng(1)
    x = lambda *shape: jnp.asarray(rng.normal(size=shape), jnp.float32)  # noqa: E731
    factors = moments.Factors(
        x(), jnp.abs(x()), x(p), jnp.abs(x(p)), x(r), jnp.abs(x(r)), x(p, r), jnp.abs(x(p, r))
    )
    pairs = upper(p)
    measured = np.sort(rng.choice(len(pairs.i), 500, replace=False))
    where = stream.space(p, Pairs(pairs.i[measured], pairs.j[measured]), size=size)
    found, value = stream.upper_confidence_best(factors, where, p=p, size=size, batch=40, beta=1.5)
    mean, var = moments.of_pairs(factors, pairs)
    score = np.array(mean + 1.5 * jnp.sqrt(var))
    score[measured] = -np.inf
    order = np.argsort(-score)[:40]
    np.testing.assert_allclose(value, score[order], rtol=1e-4)
    assert set(zip(found.i.tolist(), found.j.tolist(), strict=True)) == set(
        zip(pairs.i[order].tolist(), pairs.j[order].tolist(), strict=True)
    )


@pytest.mark.parametrize("size", [64, 300])
def test_directed_sampling_by_variance_equals_a_sort_of_all_pairs(size):
    p, r = 300, 4
    rng = np.random.default_rng(1)
    x = lambda *shape: jnp.asarray(rng.normal(size=shape), jnp.float32)  # noqa: E731
    narrow = lambda *shape: 0.2 + 0.1 * jnp.abs(x(*shape))  # noqa: E731
    factors = moments.Factors(
        x(), narrow(), x(p), narrow(p), x(r), narrow(r), x(p, r), narrow(p, r)
    )  # fmt: skip
    pairs = upper(p)
    chosen = np.sort(rng.choice(len(pairs.i), 500, replace=False))
    measured = Pairs(pairs.i[chosen], pairs.j[chosen])
    draws = maxima(jax.random.key(2), factors, measured, draws=32, start=64)
    expected = jnp.float32(draws.value.mean())
    where = stream.space(p, measured, size=size)
    found, value = stream.variance_directed_best(
        factors, expected, where, p=p, size=size, batch=40, lam=4.0
    )
    mean, var = moments.of_pairs(factors, pairs)
    psi = np.array(ids.ratio(jnp.maximum(expected - mean, 0), var, var, 4.0))
    psi[chosen] = np.inf
    order = np.argsort(psi)[:40]
    np.testing.assert_allclose(-value, psi[order], rtol=1e-3)
    assert set(zip(found.i.tolist(), found.j.tolist(), strict=True)) == set(
        zip(pairs.i[order].tolist(), pairs.j[order].tolist(), strict=True)
    )


def test_every_open_pair_is_offered_exactly_once():
    p = 37
    pairs = upper(p)
    measured = np.arange(0, len(pairs.i), 5)
    where = stream.space(p, Pairs(pairs.i[measured], pairs.j[measured]), size=8)
    count = np.zeros((p, p), int)
    for n in range(len(where.first)):
        rows, columns, open = stream.part(jax.tree.map(lambda x, n=n: x[n], where), p=p, size=8)
        r, c = np.nonzero(open)
        np.add.at(count, (np.asarray(rows)[r], np.asarray(columns)[c]), 1)
    wanted = np.zeros((p, p), int)
    wanted[pairs.i, pairs.j] = 1
    wanted[pairs.i[measured], pairs.j[measured]] = 0
    np.testing.assert_array_equal(count, wanted)
