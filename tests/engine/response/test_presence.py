import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from epistax.engine.response import presence
from epistax.engine.response.presence import Evidence, Habits

HABITS = Habits(jnp.float32(0.8), jnp.float32(0.1), jnp.float32(0.5))


def evidence(change, variance, score=None, slope=None, noise=None, silent=0.1) -> Evidence:
    change = np.asarray(change, np.float32)
    none = np.zeros_like(change)
    return Evidence(
        jnp.asarray(change),
        jnp.asarray(variance, jnp.float32),
        jnp.asarray(none if score is None else score, jnp.float32),
        jnp.asarray(none if slope is None else slope, jnp.float32),
        jnp.asarray(np.full(len(change), np.inf) if noise is None else noise, jnp.float32),
        jnp.float32(silent),
    )


def flat(genes: int) -> jax.Array:
    return jnp.full((genes, len(presence.grid())), -np.log(len(presence.grid())))


def test_posterior_is_that_of_a_sum_over_every_case():
    """Two contexts measured and one scored only, against a plain loop in float64."""
    change, variance = [[0.9], [0.1], [0.0]], [[0.04], [0.02], [np.inf]]
    score, slope, noise = [[0.0], [0.0], [0.2]], [[0.0], [0.0], [0.3]], [np.inf, np.inf, 0.01]
    found = presence.posterior(evidence(change, variance, score, slope, noise), flat(1), HABITS)
    total = 0.0
    mean = np.zeros(3)
    for theta in presence.grid().astype(float):
        cases = [(0.8, True), (0.2, False)] if theta else [(1.0, True)]
        each, part = [], []
        for k in range(3):
            p, m = 0.0, 0.0
            for prior, here in cases:
                own = (0.1 * theta) ** 2 if here else 0.0
                center, density = (theta if here else 0.0), prior
                if np.isfinite(variance[k][0]):
                    v, d = variance[k][0], change[k][0]
                    density *= norm.pdf(d, center, np.sqrt(v + own))
                    center += own / (v + own) * (d - center) if here else 0.0
                if np.isfinite(noise[k]):
                    told = slope[k][0] * theta if here else 0.0
                    sd, least = np.sqrt(noise[k] + (0.5 * told) ** 2), np.sqrt(noise[k])
                    own = norm.pdf(score[k][0], told, sd)
                    none = 0.9 * norm.pdf(score[k][0], 0, least) + 0.1 / 2
                    density *= 0.9 * own + 0.1 * none if here else none
                p, m = p + density, m + density * center
            each.append(p)
            part.append(m / p)
        total += np.prod(each)
        mean += np.prod(each) * np.array(part)
    np.testing.assert_allclose(found.mean[:, 0], mean / total, rtol=2e-3, atol=1e-4)
    expected = np.log(total / len(presence.grid()))
    np.testing.assert_allclose(found.likelihood, expected, rtol=1e-4)


def test_nothing_known_changes_nothing():
    found = presence.posterior(evidence(np.zeros((2, 3)), np.full((2, 3), np.inf)), flat(3), HABITS)
    np.testing.assert_allclose(found.likelihood, 0, atol=1e-4)
    np.testing.assert_allclose(found.mean, 0, atol=1e-6)
    np.testing.assert_allclose(found.present, 0.8, rtol=1e-5)


def test_a_score_says_whether_an_effect_is_there_before_it_is_measured():
    variance = [[0.01, 0.01], [np.inf, np.inf]]
    given = evidence(
        [[1.0, 1.0], [0, 0]], variance, [[0, 0], [0.5, 0.0]], np.full((2, 2), 0.5), [np.inf, 0.005]
    )
    found = presence.posterior(given, flat(2), HABITS)
    assert found.present[1, 0] > 0.95 and found.present[1, 1] < 0.4
    assert found.mean[1, 0] > 0.9 and found.mean[1, 1] < 0.45


def test_compiled_is_eager_and_signs_do_not_matter():
    rng = np.random.default_rng(0)
    given = evidence(rng.normal(size=(3, 4)), rng.uniform(0.01, 0.1, (3, 4)))
    plain = presence.posterior(given, flat(4), HABITS)
    quick = jax.jit(presence.posterior)(given, flat(4), HABITS)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), plain, quick)
    other = presence.posterior(given._replace(change=-given.change), flat(4), HABITS)
    np.testing.assert_allclose(other.mean, -plain.mean, rtol=1e-4, atol=1e-5)


def test_habits_are_learned_from_strong_effects():
    """One context of five lacks the effect; the others have it to within a relative 0.3."""
    rng = np.random.default_rng(1)
    theta = rng.choice([-1.0, 1.0], 400) * rng.uniform(0.5, 2, 400)
    effect = theta * (1 + 0.3 * rng.normal(size=(5, 400)))
    absent = rng.uniform(size=(5, 400)) < 0.2
    given = evidence(np.where(absent, 0, effect), np.full((5, 400), 1e-4))
    habits = HABITS
    learn = jax.jit(presence.posterior)
    for _ in range(8):
        habits = presence.learned(habits, learn(given, flat(400), habits).strong)
    assert float(habits.present) == pytest.approx(0.8, abs=0.04)
    assert float(habits.spread) == pytest.approx(0.3, abs=0.06)


def test_effects_that_scores_never_show_are_not_taken_for_absent():
    """Measured in two contexts, where 300 of 400 effects do not show; the third is scored alone."""
    rng = np.random.default_rng(2)
    theta = np.full(400, 1.0)
    change = np.stack([theta, theta, 0 * theta]) + 0.05 * rng.normal(size=(3, 400))
    variance = np.full((3, 400), 0.05**2)
    variance[2] = np.inf
    shows = np.arange(400) < 100
    score = np.where(shows, 0.5, 0.0)[None] + 0.1 * rng.normal(size=(3, 400))
    learn = jax.jit(presence.posterior)
    silent, found = 0.2, []
    for _ in range(4):
        given = evidence(change, variance, score, np.full((3, 400), 0.5), np.full(3, 0.01), silent)
        found.append(learn(given, flat(400), HABITS))
        silent = float(presence.silence(found[-1].strong[None])[0])
    assert silent == pytest.approx(0.75, abs=0.08)
    before, after = (float(x.mean[2, ~shows].mean()) for x in (found[0], found[-1]))
    assert before < 0.6 < after


def test_a_score_alone_makes_no_effect():
    """Measured precisely as none in two contexts, whatever correlations there are in a third."""
    change, variance = np.zeros((3, 1)), np.array([[1e-4], [1e-4], [np.inf]])
    given = evidence(
        change, variance, [[0.0], [0.0], [0.9]], np.full((3, 1), 0.3), np.full(3, 1e-3)
    )
    rare = np.where(presence.grid() == 0, 0.9, 0.1 / 60)
    found = presence.posterior(given, jnp.log(jnp.asarray(rare, jnp.float32))[None], HABITS)
    assert abs(float(found.mean[2, 0])) < 0.15
