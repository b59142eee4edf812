"""Certified maxima are those of all pairs, and say how few perturbations they took."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from epistax.engine.mesh import mesh
from epistax.engine.pairs import Pairs, upper
from epistax.engine.posterior import maxima as m
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


def exhaustive(key, factors, measured, number):
    """One draw's maximum over all open pairs, in float64."""
    draw = m.sampled(jax.random.fold_in(key, number), factors)
    b, a, s, u = (np.asarray(v, np.float64) for v in draw)
    reward = np.triu(b + a[:, None] + a[None, :] + (u * s) @ u.T, 1)
    reward[np.tril_indices(P)] = -np.inf
    reward[np.asarray(measured.i), np.asarray(measured.j)] = -np.inf
    at = reward.argmax()
    return reward.flat[at], at // P, at % P


def test_maxima_are_those_of_all_open_pairs(factors, measured):
    key = jax.random.key(3)
    found = m.maxima(key, factors, measured, draws=DRAWS, start=4)
    assert set(found.kept) <= {4, 16, 64, P} and len(set(found.kept)) > 1
    for n in range(DRAWS):
        value, i, j = exhaustive(key, factors, measured, n)
        assert found.value[n] == pytest.approx(value, rel=1e-5)
        assert (found.pairs.i[n], found.pairs.j[n]) == (i, j)


def test_a_draw_is_looked_at_again_until_nothing_can_be_greater(factors, measured):
    draw = m.sampled(jax.random.key(0), factors)
    best = [m.among(draw, measured, keep=k) for k in (2, 8, 32, P)]
    values = [float(b.value) for b in best]
    assert values == sorted(values)
    first = [bool(b.certified) for b in best].index(True)
    assert first > 0 and all(v == values[first] for v in values[first:])


def test_the_start_company_and_devices_change_nothing(factors, measured):
    key = jax.random.key(5)
    one = m.maxima(key, factors, measured, draws=10, start=8)
    for other in (
        m.maxima(key, factors, measured, draws=10, start=P),
        m.maxima(key, factors, measured, draws=12, start=8),
        m.maxima(key, factors, measured, draws=10, start=8, mesh=mesh(8)),
    ):
        np.testing.assert_allclose(other.value[:10], one.value, rtol=1e-6)
        np.testing.assert_array_equal(other.pairs.i[:10], one.pairs.i)


def test_without_an_open_pair_there_is_no_maximum():
    factors = Factors(*(jnp.zeros(s) for s in ((), (), 3, 3, 1, 1, (3, 1), (3, 1))))
    found = m.maxima(jax.random.key(0), factors, upper(3), draws=2, start=2)
    assert (found.value == -np.inf).all()
