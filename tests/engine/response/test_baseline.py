import itertools

import numpy as np

from epistax.engine.response.baseline import settled

STRATA = np.array(list(itertools.product(range(3), range(2))))


def made(rng, interaction: float, genes: int = 300):
    kind, donor = rng.normal(size=(3, genes)), rng.normal(size=(2, genes))
    both = interaction * rng.normal(size=(3, 2, genes))
    return (kind[:, None] + donor[None] + both).reshape(6, genes)


def test_an_additive_stratum_is_told_without_any_cell():
    truth = made(np.random.default_rng(0), 0.0)
    variance = np.full_like(truth, 1e-4)
    variance[3] = np.inf
    mean, told = settled(np.where(np.isinf(variance), 99.0, truth), variance, STRATA)
    np.testing.assert_allclose(mean, truth, atol=1e-8)
    assert np.isfinite(told).all() and (told >= 0).all()


def test_drawing_in_helps_where_strata_are_additive_and_not_where_they_are_not():
    rng = np.random.default_rng(1)
    for interaction, gain in ((0.05, 0.85), (3.0, 1.01)):
        truth = made(rng, interaction)
        measured = truth + 0.3 * rng.normal(size=truth.shape)
        mean, told = settled(measured, np.full_like(truth, 0.09), STRATA)
        error = np.sqrt(((mean - truth) ** 2).mean())
        assert error < gain * np.sqrt(((measured - truth) ** 2).mean())
    np.testing.assert_allclose(error, np.sqrt(told.mean()), rtol=0.1)


def test_strata_too_few_to_judge_by_stay_as_they_are():
    mean = np.array([[1.0], [3.0]])
    variance = np.array([[0.1], [0.2]])
    found = settled(mean, variance, np.array([[0], [1]]))
    np.testing.assert_allclose(found[0], mean)
    np.testing.assert_allclose(found[1], variance)
