"""Streamed rounds equal dense ones (A26)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from epistax.engine import stream, streamdraws
from epistax.engine.mesh import mesh
from epistax.engine.pairs import Pairs, upper
from epistax.engine.policy import ids
from epistax.engine.posterior import moments
from epistax.engine.posterior.draws import Draw


@pytest.fixture(scope="module")
def case():
    """N = 500, k = 64, 3,000 pairs measured, in float64."""
    with jax.enable_x64(True):
        p, k, r = 500, 64, 5
        rng = np.random.default_rng(0)
        draws = Draw(
            *(jnp.asarray(rng.normal(size=shape)) for shape in ((k,), (k, p), (k, r), (k, r, p)))
        )
        pairs = upper(p)
        chosen = rng.choice(len(pairs.i), 3000, replace=False)
        open = np.ones(len(pairs.i), bool)
        open[chosen] = False
        i, j = pairs
        dense = np.stack(
            [
                b + a[i] + a[j] + (u[:, i] * s[:, None] * u[:, j]).sum(0)
                for b, a, s, u in zip(*draws, strict=True)
            ]
        )
        yield p, draws, pairs, Pairs(i[chosen], j[chosen]), jnp.asarray(open), jnp.asarray(dense)


@pytest.mark.parametrize("size", [128, pytest.param(500, marks=pytest.mark.slow)])
def test_streamed_directed_sampling_equals_dense(case, size):
    p, draws, pairs, measured, open, dense = case
    with jax.enable_x64(True):
        where = stream.space(p, measured, size=size)
        remaining = jnp.asarray(2000)
        low, high = streamdraws.extremes(draws, where, p=p, size=size)
        theta = streamdraws.thresholds(draws, where, remaining, low, high, p=p, size=size)
        masked = np.where(open, dense, -np.inf)
        np.testing.assert_allclose(high, masked.max(1), atol=1e-12)
        wanted = np.sort(masked, axis=1)[:, -2000]
        assert (np.abs(theta - wanted) / (high - low)).max() < 1e-8
        found, value = streamdraws.directed_best(
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
        tile = streamdraws.scores(draws, rows, columns)
        inside = (pairs.i < 128) & (pairs.j >= 256) & (pairs.j < 384)
        i, j = pairs.i[inside], pairs.j[inside] - 256
        theta = ids.threshold(dense, open, jnp.asarray(2000))
        v = ids.explained(tile, tile >= theta[:, None, None])[i, j]
        wanted = ids.explained(dense, dense >= theta[:, None])[inside]
        np.testing.assert_allclose(tile.mean(0)[i, j], dense.mean(0)[inside], atol=1e-12)
        np.testing.assert_allclose(v, wanted, atol=1e-12)


def normal(p, r, seed=1):
    rng = np.random.default_rng(seed)
    x = lambda *shape: jnp.asarray(rng.normal(size=shape), jnp.float32)  # noqa: E731
    sd = lambda *shape: 0.2 + 0.1 * jnp.abs(x(*shape))  # noqa: E731
    return moments.Factors(x(), sd(), x(p), sd(p), x(r), sd(r), x(p, r), sd(p, r))


@pytest.fixture(scope="module")
def crowd():
    """300 perturbations, 500 pairs measured, 30 perturbations not allowed."""
    p = 300
    pairs = upper(p)
    rng = np.random.default_rng(2)
    done = np.sort(rng.choice(len(pairs.i), 500, replace=False))
    allowed = np.ones(p, bool)
    allowed[rng.choice(p, 30, replace=False)] = False
    return p, pairs, done, Pairs(pairs.i[done], pairs.j[done]), normal(p, 4), allowed


@pytest.mark.parametrize("barred", [False, True])
def test_the_best_by_tiles_are_those_of_a_sort_of_all_pairs(crowd, barred):
    p, pairs, done, measured, factors, allowed = crowd
    mean, var = moments.of_pairs(factors, pairs)
    expected = jnp.float32(mean.max() + 1)
    for score, args, wanted in (
        (stream.confidence, (jnp.float32(1.5),), mean + 1.5 * jnp.sqrt(var)),
        (stream.uncertainty, (), jnp.sqrt(var)),
        (stream.variance_directed(4.0), (expected,), -((expected - mean) ** 4) / var),
    ):
        value = np.array(wanted)
        value[done] = -np.inf
        if barred:
            value[~(allowed[pairs.i] & allowed[pairs.j])] = -np.inf
        order = np.argsort(-value)[:40]
        for size in (64, 100, 512):
            found = stream.ranked(
                score,
                stream.space(p, measured, size=size),
                factors,
                *args,
                p=p,
                batch=40,
                size=size,
                allowed=allowed if barred else None,
            )
            np.testing.assert_allclose(found.value, value[order], rtol=1e-4)
            assert listed(found.pairs) == listed(Pairs(pairs.i[order], pairs.j[order]))


def listed(pairs):
    return set(zip(pairs.i.tolist(), pairs.j.tolist(), strict=True))


def test_neither_devices_nor_tiles_change_the_best_even_among_ties(crowd):
    p, pairs, done, measured, _, _ = crowd
    steps = normal(p, 4)._replace(  # few distinct means: ties everywhere
        a=jnp.round(normal(p, 4).a), u=jnp.zeros((p, 4)), b=jnp.zeros(())
    )
    found = [
        stream.ranked(
            stream.confidence,
            stream.space(p, measured, size=size),
            steps,
            jnp.float32(0.0),
            p=p,
            batch=200,
            size=size,
            mesh=devices,
        )
        for size, devices in ((64, None), (100, None), (512, None), (64, mesh(8)), (100, mesh(3)))
    ]
    value = np.array(moments.of_pairs(steps, pairs)[0])
    value[done] = -np.inf
    order = np.argsort(-value, kind="stable")
    assert value[order[199]] == value[order[200]]  # a tie across the end of the batch
    order = order[:200]
    for other in found:
        np.testing.assert_array_equal(other.pairs.i, pairs.i[order])
        np.testing.assert_array_equal(other.pairs.j, pairs.j[order])


def test_fewer_open_pairs_than_asked_for_leave_empty_places():
    pairs = upper(4)
    where = stream.space(4, Pairs(pairs.i[:4], pairs.j[:4]), size=8)
    found = stream.ranked(stream.uncertainty, where, normal(4, 2), p=4, batch=5, size=8)
    assert (found.value[2:] == -np.inf).all() and np.isfinite(found.value[:2]).all()
    assert listed(Pairs(found.pairs.i[:2], found.pairs.j[:2])) == {(1, 3), (2, 3)}
    assert (found.pairs.i[2:] == -1).all()


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


@pytest.mark.parametrize("batch", [1, 7, 60, 500, 640])
@pytest.mark.parametrize("levels", [2, 5, 1000])
def test_blocks_of_highest_peak_hold_the_highest_values_and_the_first_of_equal_ones(batch, levels):
    value = np.random.default_rng(batch).integers(levels, size=(40, 16)).astype(np.float32)
    value[:3] = -np.inf
    top, place = stream.highest(jnp.asarray(value), jnp.asarray(value.max(1)), batch)
    order = np.argsort(-value.reshape(-1), kind="stable")[:batch]
    np.testing.assert_array_equal(np.asarray(place), order)
    np.testing.assert_array_equal(np.asarray(top), value.reshape(-1)[order])
