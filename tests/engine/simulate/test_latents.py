import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from epistax.engine.pairs import upper
from epistax.engine.simulate import latents

STRENGTH = jnp.array([[1.5, 0, 0.5], [1.0, 0, 0], [0, 2.0, 0], [0, 0, 2.5]])
PAIRS = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]


def log_density(z, mean):
    return norm.logpdf(z, loc=mean).sum(axis=1)


def test_classes_follow_one_another_as_a_screen_numbers_them():
    carried = latents.classes(4)
    assert carried[:5].tolist() == [[-1, -1], [-1, 0], [-1, 1], [-1, 2], [-1, 3]]
    assert [tuple(row) for row in carried[5:].tolist()] == PAIRS
    np.testing.assert_array_equal(carried[5:], np.stack(upper(4), axis=1))


def test_of_two_hits_on_one_latent_the_stronger_counts():
    mean = np.asarray(latents.means(STRENGTH, latents.classes(4)))
    assert mean[0].tolist() == [0, 0, 0] and mean[1].tolist() == [1.5, 0, 0.5]
    assert mean[5].tolist() == [1.5, 0, 0.5] and mean[7].tolist() == [1.5, 0, 2.5]
    assert mean[10].tolist() == [0, 2, 2.5]


def test_log_ratios_are_those_of_the_densities():
    z = np.random.default_rng(0).normal(size=(200, 3))
    for mean in np.asarray(latents.means(STRENGTH, latents.classes(4)), np.float64):
        expected = log_density(z, mean) - log_density(z, np.zeros(3))
        np.testing.assert_allclose(latents.log_ratio(z, mean), expected, atol=1e-12)


def test_scores_are_kl_of_the_pair_less_those_of_its_singles():
    # against the definition, KL(N(m, I) || N(0, I)) = |m|^2 / 2; A and B, A and D share a latent
    made = latents.draw(jax.random.key(0), STRENGTH, 2)
    mean = np.asarray(latents.means(STRENGTH, latents.classes(4)), np.float64)
    kl = (mean**2).sum(axis=1) / 2
    expected = [kl[5 + q] - kl[1 + i] - kl[1 + j] for q, (i, j) in enumerate(PAIRS)]
    np.testing.assert_allclose(made.score, expected, atol=1e-6)
    assert np.asarray(made.separable).tolist() == [False, True, False, True, True, True]
    np.testing.assert_array_equal(np.asarray(made.score) == 0, made.separable)
    assert not np.signbit(np.asarray(made.score)[np.asarray(made.separable)]).any()


def test_draws_have_the_moments_of_their_class():
    n = 20_000
    made = latents.draw(jax.random.key(1), STRENGTH, n)
    z = np.asarray(made.z).reshape(11, n, 3)
    mean = latents.means(STRENGTH, latents.classes(4))
    np.testing.assert_allclose(z.mean(axis=1), mean, atol=4.5 / n**0.5)
    np.testing.assert_allclose(z.var(axis=1), 1, atol=4.5 * (2 / n) ** 0.5)
    each = np.asarray(made.codes).reshape(11, n, 2)
    assert (each == latents.classes(4)[:, None, :]).all()


@pytest.mark.parametrize(("hit", "size"), [(0.0, 3), (-1.0, 3), (2.0, 1)])
def test_four_genes_need_two_latents_and_a_positive_hit(hit, size):
    with pytest.raises(ValueError, match="give a positive one and 2 or more"):
        latents.four(hit, size)
