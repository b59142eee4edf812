"""Draws made beforehand, piece by piece: every policy chooses with them as it does without."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from epistax.engine import rounds
from epistax.engine.pairs import Pairs, upper
from epistax.engine.policy import wanted as wanting
from epistax.engine.policy.catalogue import NAMES, Settings, policy
from epistax.engine.policy.wanted import wanted
from epistax.engine.posterior import moments, pieces, tabled
from epistax.engine.posterior.draws import rewards, sampled
from epistax.engine.protocols import Posterior

P = 20
PAIRS = Pairs(*map(jnp.asarray, upper(P)))
Q = len(PAIRS.i)
KEY = jax.random.key(3)
SAME = Settings(batch=12, draws=40)
CLOSED = Posterior(
    lambda *_: (None, {}),
    moments.of_pairs,
    lambda key, factors, pairs: rewards(sampled(key, factors), pairs),
    lambda factors, measured, pairs: moments.of_pairs(factors, pairs),
)


@pytest.fixture(scope="module")
def belief():
    rng = np.random.default_rng(0)
    x = lambda *shape: jnp.asarray(rng.normal(size=shape), jnp.float32)  # noqa: E731
    sd = lambda *shape: 0.2 + 0.2 * jnp.abs(x(*shape))  # noqa: E731
    return moments.Factors(x(), sd(), x(P), sd(P), x(2), sd(2), x(P, 2), sd(P, 2))


@pytest.fixture(scope="module")
def open():
    return np.random.default_rng(1).random(Q) < 0.7


def choose(name, belief, open, settings=SAME, **how):
    rule = policy(name, settings, p=P)
    return rounds.choose(KEY, CLOSED, rule, belief, PAIRS, open, 24, **how)


@pytest.mark.parametrize("name", NAMES)
def test_a_policy_finds_the_draws_it_asks_for(name, belief, open):
    direct, value = choose(name, belief, open)
    asked = wanted(name, SAME)
    chosen, again = choose(name, belief, open, wanted=asked)
    np.testing.assert_array_equal(chosen, direct)
    np.testing.assert_allclose(again, value, rtol=1e-4, atol=1e-6)
    assert (asked is None) == (name in ("greedy", "ucb", "us", "random", "ts-one"))


def test_more_of_each_draw_is_kept_where_others_took_its_best(belief, open, monkeypatch):
    settings = Settings(batch=60, draws=8)
    direct, value = choose("ts", belief, open, settings)
    monkeypatch.setattr(wanting, "BEST", 2)
    kept = []

    def fan(piece, *shared, **how):
        kept.append(how["best"])
        return pieces.here(piece, *shared, **how)

    chosen, again = choose("ts", belief, open, settings, wanted=wanted("ts", settings), fan=fan)
    assert len(kept) > 1 and kept == [2 * 4**n for n in range(len(kept))]
    np.testing.assert_array_equal(chosen, direct)
    np.testing.assert_allclose(again, value, rtol=1e-5)


def test_fewer_pairs_than_picks_end_the_search(belief):
    few = np.zeros(Q, bool)
    few[[3, 70, 100]] = True
    chosen, value = choose("ts", belief, few, wanted=wanted("ts", SAME))
    assert set(chosen[:3]) == {3, 70, 100} and np.isfinite(value[:3]).all()


def test_a_draw_depends_on_its_number_alone(belief, open):
    how = {"posterior": CLOSED, "best": None}
    draw = partial(pieces.here, tabled.drawn, KEY, belief, PAIRS, jnp.asarray(open), **how)
    (many,), (more,) = draw(count=40), draw(count=70)
    assert many.shape == (40, Q)
    np.testing.assert_array_equal(more[:40], many)
    one = rewards(sampled(jax.random.fold_in(KEY, 37), belief), PAIRS)
    np.testing.assert_allclose(many[37], one, rtol=1e-5, atol=1e-5)


def test_a_draw_that_was_not_made_is_none(belief, open):
    how = {"count": 4, "best": None, "fan": pieces.here}
    held = tabled.table(KEY, CLOSED, belief, PAIRS, jnp.asarray(open), **how)
    sample = tabled.tabled(CLOSED).sample
    np.testing.assert_array_equal(
        sample(jax.random.fold_in(KEY, 2), held, PAIRS), np.asarray(held.value)[2]
    )
    assert np.isnan(sample(jax.random.fold_in(KEY, 4), held, PAIRS)).all()


@pytest.mark.parametrize("count", [1, 31, 32, 33, 96])
def test_pieces_are_equally_long_and_cut_at_the_count(count):
    parts = pieces.numbers(count)
    assert len({len(part) for part in parts}) == 1 and len(parts[0]) == min(count, 32)
    assert np.concatenate(parts)[:count].tolist() == list(range(count))
    one, two = pieces.here(lambda n: (n, np.stack([n, n * n], 1)), count=count)
    np.testing.assert_array_equal(one, np.arange(count))
    np.testing.assert_array_equal(two, np.stack([one, one**2], 1))
