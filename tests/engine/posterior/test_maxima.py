"""Certified maxima are those of all pairs, and say how few perturbations they took."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from epistax.engine.mesh import mesh
from epistax.engine.pairs import Pairs, upper
from epistax.engine.posterior import maxima as m
from epistax.engine.posterior.draws import sampled
from epistax.engine.posterior.moments import Factors

P, R, DRAWS = 90, 3, 24


@pytest.fixture(scope="module")
def factors():
    rng = np.random.default_rng(0)
    normal = lambda *shape: jnp.asarray(rng.normal(size=shape), jnp.float32)  # noqa: E731
    wide = lambda *shape: 0.2 + 0.1 * jnp.abs(normal(*shape))  # noqa: E731
    return Factors(
        normal(), wide(), 0.3 * normal(P), wide(P), normal(R), wide(R), normal(P, R), wide(P, R)
    )


@pytest.fixture(scope="module")
def measured():
    pairs = upper(P)
    chosen = np.random.default_rng(1).permutation(len(pairs.i))[:1500]
    return Pairs(pairs.i[chosen], pairs.j[chosen])


def exhaustive(key, factors, measured, number, allowed=None):
    """One draw's open rewards of all pairs in float64, -inf where not open."""
    draw = sampled(jax.random.fold_in(key, number), factors)
    b, a, s, u = (np.asarray(v, np.float64) for v in draw)
    reward = np.triu(b + a[:, None] + a[None, :] + (u.T * s) @ u, 1)
    reward[np.tril_indices(P)] = -np.inf
    reward[np.asarray(measured.i), np.asarray(measured.j)] = -np.inf
    if allowed is not None:
        reward[~allowed] = reward[:, ~allowed] = -np.inf
    return reward


@pytest.mark.parametrize(("count", "barred"), [(1, False), (7, False), (7, True)])
def test_the_greatest_are_those_of_all_open_pairs(factors, measured, count, barred):
    key = jax.random.key(3)
    allowed = np.random.default_rng(2).random(P) < 0.7 if barred else None
    how = {"draws": DRAWS, "count": count, "start": 8}
    found = m.maxima(key, factors, measured, allowed=allowed, **how)
    assert set(found.kept) <= {8, 16, 32, 64, P} and len(set(found.kept)) > 1
    for n in range(DRAWS):
        reward = exhaustive(key, factors, measured, n, allowed)
        order = np.argsort(-reward.ravel())[:count]
        np.testing.assert_allclose(found.value[n], reward.flat[order], rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(found.i[n], order // P)
        np.testing.assert_array_equal(found.j[n], order % P)


def test_no_pair_exceeds_the_bounds_of_its_members(factors):
    none = Pairs(np.zeros(0, np.int32), np.zeros(0, np.int32))
    for n in range(DRAWS):
        draw = sampled(jax.random.fold_in(jax.random.key(1), n), factors)
        reward = exhaustive(jax.random.key(1), factors, none, n)
        bound = np.asarray(draw.b + m.bounds(draw), np.float64)
        assert (np.maximum(reward, reward.T).max(1) <= bound + 1e-4).all()
        a, length = np.asarray(draw.a), np.sqrt((np.abs(draw.s)[:, None] * draw.u**2).sum(0))
        exact = draw.b + a + (a[None, :] + length[:, None] * length[None, :]).max(1)
        assert (bound - exact).mean() < 0.05 * np.abs(exact).mean()  # the chords lose little


def test_few_blocks_or_many_find_the_same(factors, measured, monkeypatch):
    draw = sampled(jax.random.key(0), factors)
    whole = m.greatest(draw, measured, count=9)
    monkeypatch.setattr(m, "RESIDENT", 5 * P)
    for one, other in zip(whole, m.greatest(draw, measured, count=9), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


def test_ties_are_all_found():
    zero = Factors(*(jnp.zeros(s) for s in ((), (), 5, 5, 1, 1, (5, 1), (5, 1))))
    found = m.maxima(jax.random.key(0), zero, Pairs(*upper(2)), draws=1, count=12, start=2)
    pairs = set(zip(found.i[0][:9].tolist(), found.j[0][:9].tolist(), strict=True))
    everything = set(zip(*(v.tolist() for v in upper(5)), strict=True))
    assert pairs == everything - {(0, 1)} and (found.value[0][9:] == -np.inf).all()


def test_a_draw_is_looked_at_again_until_nothing_can_be_greater(factors, measured):
    draw = sampled(jax.random.key(0), factors)
    best = [m.among(draw, measured, keep=k) for k in (2, 8, 32, P)]
    values = [float(b.value[0]) for b in best]
    assert values == sorted(values)
    first = [b.needed <= k for b, k in zip(best, (2, 8, 32, P), strict=True)].index(True)
    assert first > 0 and all(v == values[first] for v in values[first:])


def test_the_start_company_and_devices_change_nothing(factors, measured):
    key = jax.random.key(5)
    one = m.maxima(key, factors, measured, draws=10, start=32)
    for other in (
        m.maxima(key, factors, measured, draws=10, start=P),
        m.maxima(key, factors, measured, draws=12, start=32),
        m.maxima(key, factors, measured, draws=np.arange(10), start=32, count=3),
        m.maxima(key, factors, measured, draws=10, start=32, mesh=mesh(8)),
    ):
        np.testing.assert_allclose(other.value[:10, :1], one.value, rtol=1e-6)
        np.testing.assert_array_equal(other.i[:10, :1], one.i)


def test_without_an_open_pair_there_is_no_maximum():
    factors = Factors(*(jnp.zeros(s) for s in ((), (), 3, 3, 1, 1, (3, 1), (3, 1))))
    found = m.maxima(jax.random.key(0), factors, upper(3), draws=2, start=2)
    assert (found.value == -np.inf).all() and (found.i == -1).all()
