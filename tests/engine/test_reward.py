import jax.numpy as jnp
import numpy as np
import pytest

from epistax.engine import reward as rewards
from epistax.engine.reward import Level, Tail, drawn_in, tail


def table(q=400, seed=0):
    rng = np.random.default_rng(seed)
    si, sj = rng.normal(size=(2, q)).astype(np.float32)
    gap = rng.normal(size=q).astype(np.float32)
    return si, sj, gap, np.ones(q, bool)


def test_interaction_of_an_exact_expectation_is_zero():
    si, sj, _, mask = table()
    score = 0.3 + 0.7 * (si + sj) - 0.2 * si * sj
    found = rewards.reward("interaction", score, mask, si, sj)
    np.testing.assert_allclose(found, 0, atol=2e-5)
    np.testing.assert_allclose(
        rewards.expectation(score, mask, si, sj), [0.3, 0.7, -0.2], atol=1e-5
    )


def test_expectation_is_that_of_numpy_on_the_masked_rows_only():
    si, sj, gap, mask = table()
    mask = mask & (np.arange(len(si)) % 3 > 0)
    score = np.where(mask, 0.5 * (si + sj) + gap, np.nan)  # what is not measured is not a number
    x = np.stack([np.ones_like(si), si + sj, si * sj], axis=1)[mask]
    wanted = np.linalg.lstsq(x.astype(np.float64), score[mask], rcond=None)[0]
    np.testing.assert_allclose(rewards.expectation(score, mask, si, sj), wanted, atol=1e-5)


def test_rewards_ignore_the_order_of_the_two_members():
    si, sj, gap, mask = table()
    one = rewards.reward("interaction", gap, mask, si, sj)
    np.testing.assert_array_equal(one, rewards.reward("interaction", gap, mask, sj, si))
    np.testing.assert_array_equal(rewards.reward("abs", gap, mask), np.abs(gap))
    np.testing.assert_array_equal(rewards.reward("score", gap, mask), gap)


def test_interaction_without_singles_says_so():
    with pytest.raises(ValueError, match="single effects"):
        rewards.reward("interaction", np.zeros(3, np.float32), np.ones(3, bool))


@pytest.mark.parametrize("positive", [True, False])
def test_standard_scale_keeps_order_and_has_unit_spread(positive):
    value = np.random.default_rng(1).standard_cauchy(500).astype(np.float32)
    value = np.abs(value) if positive else value
    mask = np.arange(500) < 400
    scale = rewards.scale(value, mask, positive=positive)
    z = np.asarray(rewards.standardise(value, scale, positive=positive))
    assert (np.diff(z[np.argsort(value)]) >= 0).all()
    np.testing.assert_allclose([z[mask].mean(), z[mask].std()], [0, 1], atol=1e-4)


@pytest.mark.parametrize("positive", [True, False])
def test_standard_errors_follow_the_slope_of_the_map(positive):
    value = np.linspace(0.1, 5, 50).astype(np.float32)
    scale = rewards.scale(value, np.ones(50, bool), positive=positive)
    h = 1e-2
    up, down = (rewards.standardise(value + d, scale, positive=positive) for d in (h, -h))
    carried = rewards.standard_error(value, jnp.full(50, 0.3), scale, positive=positive)
    np.testing.assert_allclose(carried, 0.3 * (up - down) / (2 * h), rtol=2e-3)


def test_scale_of_nothing_measured_is_harmless():
    scale = rewards.scale(np.zeros(5, np.float32), np.zeros(5, bool), positive=True)
    assert [float(x) for x in scale] == [1.0, 0.0, 1.0]


def test_a_long_tail_is_drawn_in_and_its_order_kept():
    rng = np.random.default_rng(3)
    value = rng.exponential(size=400).astype(np.float32) ** 3
    value[:40] = 0  # cut off below
    mask = rng.random(400) < 0.5
    found = tail(value, mask)
    assert bool(found.long)
    seen = value[mask & (value > 0)]
    assert float(found.unit) == pytest.approx(np.median(seen), rel=1e-6)
    mapped = np.asarray(drawn_in(value, found))
    np.testing.assert_allclose(mapped, np.log1p(value / np.median(seen)), rtol=1e-5)
    assert (np.argsort(mapped, kind="stable") == np.argsort(value, kind="stable")).all()
    # noise around zero keeps its sign, and what is not measured does not count
    noisy = value + 0.01 * rng.normal(size=400)
    assert bool(tail(noisy, mask).long)
    assert bool(tail(np.where(mask, value, -1e6), mask).long)
    assert (np.sign(np.asarray(drawn_in(noisy, tail(noisy, mask)))) == np.sign(noisy)).all()


def test_scores_of_both_signs_are_left_as_they_are():
    value = np.random.default_rng(4).normal(size=300).astype(np.float32)
    found = tail(value, np.ones(300, bool))
    assert not bool(found.long)
    np.testing.assert_array_equal(drawn_in(value, found), value)
    nothing = tail(value, np.zeros(300, bool))
    assert not bool(nothing.long) and float(nothing.unit) == 1


@pytest.mark.parametrize("long", [True, False])
def test_errors_are_those_of_many_measurements(long):
    """Near 0 too, where the logarithm bends within a standard error."""
    value, se = np.array([0.0, 0.3, 3.0, 40.0]), np.array([0.4, 0.4, 0.5, 2.0])
    to = Level(Tail(jnp.float32(0.7), jnp.array(long)), jnp.float32(0.2), jnp.float32(1.7))
    place = rewards.levelled(jnp.asarray(value, jnp.float32), to)
    noise = np.random.default_rng(0).normal(size=(100_000, 1))
    seen = rewards.levelled(jnp.asarray(value + se * noise, jnp.float32), to)
    found = rewards.error_at(place, jnp.asarray(se, jnp.float32), to)
    np.testing.assert_allclose(found, seen.std(0), rtol=0.03)


def test_a_level_has_mean_0_and_sd_1_and_keeps_the_order():
    rng = np.random.default_rng(1)
    for value in (rng.normal(3, 5, 500), rng.gamma(0.3, 2, 500)):
        value, mask = value.astype(np.float32), np.arange(500) < 400
        to = rewards.level(value, mask, positive=False)
        z = np.asarray(rewards.levelled(value, to))
        assert abs(z[:400].mean()) < 1e-4 and abs(z[:400].std() - 1) < 1e-4
        np.testing.assert_array_equal(np.argsort(z), np.argsort(value))
    assert bool(to.tail.long) and bool(rewards.level(-value, mask, positive=True).tail.long)
