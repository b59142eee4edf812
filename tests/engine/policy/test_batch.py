import jax
import jax.numpy as jnp
import numpy as np

from epistax.engine.pairs import upper
from epistax.engine.policy import batch
from epistax.engine.screen import Candidates


def test_best_takes_the_highest_open_pairs_and_breaks_ties_by_position():
    score = jnp.array([1.0, 5.0, 3.0, 5.0, 3.0, 9.0])
    open = jnp.array([True, True, True, True, True, False])
    index, value = batch.best(score, Candidates(upper(4), open, jnp.int32(6)), 4)
    assert index.tolist() == [1, 3, 2, 4]
    assert value.tolist() == [5, 5, 3, 3]


def test_deflation_of_one_factor_in_closed_form():
    # A27: S of rank 1 gives A' = A (1 - a'a / (a'a + k noise)), so v' = v (k noise / (...))^2
    with jax.enable_x64(True):
        rng = np.random.default_rng(0)
        k, q, noise, lam = 40, 30, 0.3, 4.0
        z = rng.normal(size=k)
        s = np.outer(z - z.mean(), rng.normal(size=q)) + rng.normal(size=q)
        s = jnp.asarray(s)
        delta = jnp.asarray(rng.uniform(1, 2, size=q))
        every = jnp.ones(q, bool)
        v = s.var(0)
        index, psi = batch.deflate(s, delta, every, noise, lam, 2)
        first = int((delta**lam / v).argmin())
        assert int(index[0]) == first
        np.testing.assert_allclose(psi[0], delta[first] ** lam / v[first], rtol=1e-8)
        a = s[:, first] - s[:, first].mean()
        left = v * (k * noise / (a @ a + k * noise)) ** 2
        rest = (delta**lam / jnp.maximum(left, 1e-6 * v + 1e-12)).at[first].set(jnp.inf)
        assert int(index[1]) == int(rest.argmin())
        np.testing.assert_allclose(psi[1], rest.min(), rtol=1e-8)


def test_deflation_never_picks_twice_nor_a_closed_pair():
    s = jnp.asarray(np.random.default_rng(1).normal(size=(20, 50)), jnp.float32)
    open = jnp.arange(50) % 2 == 0
    index, _ = batch.deflate(s, jnp.ones(50), open, 0.1, 2.0, 25)
    assert sorted(index.tolist()) == list(range(0, 50, 2))


def test_deflation_spreads_over_correlated_pairs():
    # ten copies of one pair are worth one measurement: the second pick is another pair
    rng = np.random.default_rng(2)
    copied = np.repeat(rng.normal(size=(100, 1)) * 1.5, 10, axis=1)
    s = jnp.asarray(np.concatenate([copied, rng.normal(size=(100, 3))], axis=1), jnp.float32)
    index, _ = batch.deflate(s, jnp.ones(13), jnp.ones(13, bool), 0.05, 2.0, 4)
    assert int(index[0]) < 10
    assert sorted(index[1:].tolist()) == [10, 11, 12]


def test_groups_of_picks_start_afresh_without_those_picked():
    # 16 draws tell two picks apart: four picks are two, then two of what is left
    rng = np.random.default_rng(3)
    s = jnp.asarray(rng.normal(size=(16, 40)), jnp.float32)
    delta, every = jnp.asarray(rng.uniform(1, 2, 40), jnp.float32), jnp.ones(40, bool)
    index, psi = batch.deflate(s, delta, every, 0.1, 4.0, 4)
    first, one = batch.deflate(s, delta, every, 0.1, 4.0, 2)
    second, two = batch.deflate(s, delta, every.at[first].set(False), 0.1, 4.0, 2)
    assert index.tolist() == [*first.tolist(), *second.tolist()]
    np.testing.assert_allclose(psi, jnp.concatenate([one, two]), rtol=1e-6)


def test_picks_from_the_shortlist_are_those_from_all(monkeypatch):
    rng = np.random.default_rng(4)
    s = jnp.asarray(rng.normal(size=(64, 600)), jnp.float32)
    delta, every = jnp.asarray(rng.uniform(0.5, 2, 600), jnp.float32), jnp.ones(600, bool)
    whole = batch.deflate(s, delta, every, 0.5, 8.0, 8)
    monkeypatch.setattr(batch, "SHORTLIST", 100)
    short = batch.deflate(s, delta, every, 0.5, 8.0, 8)
    assert whole[0].tolist() == short[0].tolist()
    np.testing.assert_allclose(whole[1], short[1], rtol=1e-5)
