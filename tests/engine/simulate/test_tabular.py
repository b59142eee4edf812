import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from epistax.engine.interaction import paired
from epistax.engine.screen import screen
from epistax.engine.simulate import latents, tabular
from epistax.engine.stats.fdr import benjamini_hochberg


def test_pairs_interact_where_they_share_a_component():
    made = tabular.disjointness(jax.random.key(0), 3)
    names = [tabular.GENES[i] + tabular.GENES[j] for i, j in zip(*made.pairs, strict=True)]
    found = {name for name, apart in zip(names, made.disjoint, strict=True) if not apart}
    assert found == {"DE", "DF", "DG", "EF", "EG", "FG"} and len(names) == 21
    assert made.x.shape == (29 * 3, 2) and len(made.codes) == 29 * 3
    assert (np.unique(made.codes, axis=0, return_counts=True)[1] == 3).all()


def test_the_map_is_invertible_and_scales_areas_by_its_gains():
    key, z = jax.random.key(1), jax.random.normal(jax.random.key(2), (200, 2))

    def one(z):
        return tabular.leaky(key, z[None, :], layers=4)[0]

    jacobians = jax.vmap(jax.jacobian(one))(z)
    determinant = np.abs(np.linalg.det(np.asarray(jacobians)))
    low, high = 0.8 ** (2 * 4) * tabular.SLOPE ** (2 * 3), 1.2 ** (2 * 4)
    assert determinant.min() > low and determinant.max() < high
    # of one sign everywhere: with positive slopes the map folds nothing
    assert len(np.unique(np.sign(np.linalg.det(np.asarray(jacobians))))) == 1
    np.testing.assert_allclose(
        jnp.stack([one(v) for v in z[:3]]), tabular.leaky(key, z, layers=4)[:3], rtol=1e-5
    )


def test_control_is_the_mixture_of_the_singles_complements():
    # hit components of A and B are disjoint: mean(AB) + mean(control) = mean(A) + mean(B)
    made = tabular.disjointness(jax.random.key(3), 4000)
    mean = np.asarray(made.x).reshape(29, 4000, 2).mean(axis=1)
    assert np.abs(mean[8] + mean[0] - mean[1] - mean[2]).max() < 0.1
    assert np.abs(mean[1] - mean[0]).max() > 0.1


@pytest.mark.parametrize("kernel", ["rbf", pytest.param("matern52", marks=pytest.mark.slow)])
def test_the_test_finds_the_six_interacting_pairs(kernel):
    made = tabular.disjointness(jax.random.key(1), 1500)
    wells = screen(np.asarray(made.x), made.codes, p=7, well=None)
    scale = paired.bandwidth(wells, seed=0)
    test = paired.disjoint(wells, kernel=kernel, length_scale=scale, seed=0)
    q = benjamini_hochberg(test(np.arange(21)).p.astype(np.float64))
    assert (q[~made.disjoint] <= 0.1).all() and (q[made.disjoint] <= 0.1).sum() <= 2


def inverse(key, y, layers):
    """Of `leaky`, in 64 bits, with the logarithm of its Jacobian's determinant at each row."""
    weights = []
    for k in jax.random.split(key, layers):
        k_left, k_right, k_gain = jax.random.split(k, 3)
        left, right = (np.asarray(jax.random.orthogonal(k, y.shape[1])) for k in (k_left, k_right))
        gain = np.asarray(jax.random.uniform(k_gain, (y.shape[1],), minval=0.8, maxval=1.2))
        weights.append((left * gain[None, :] @ right).astype(np.float64))
    volume = np.zeros(len(y))
    for layer, w in reversed([*enumerate(weights)]):
        if layer < layers - 1:
            volume -= np.log(np.where(y > 0, 1, tabular.SLOPE)).sum(axis=1)
            y = np.where(y > 0, y, y / tabular.SLOPE)
        y = np.linalg.solve(w.T, y.T).T
        volume -= np.log(np.abs(np.linalg.det(w)))
    return y, volume


def test_the_log_ratio_of_a_separable_pair_is_the_sum_of_its_singles():
    # log p_AC/p_0 = log p_A/p_0 + log p_C/p_0 at samples of p_AC, exactly: equation 7; and AB is
    # not, by 2 on average where A, B and AB have one law of KL 2
    made = tabular.separability(jax.random.key(2), 2000)
    mean = np.asarray(latents.means(made.strength, latents.classes(4)), np.float64)
    z = np.asarray(made.z, np.float64)

    def log_form(first, second, both):
        own = z[(made.codes == latents.classes(4)[both]).all(axis=1)]
        t_both, t_first, t_second = (latents.log_ratio(own, mean[k]) for k in (both, first, second))
        return t_both - t_first - t_second

    assert len(log_form(1, 3, 6)) == 2000 and np.abs(log_form(1, 3, 6)).max() < 1e-10
    assert np.abs(log_form(2, 4, 9)).max() < 1e-10
    assert log_form(1, 2, 5).mean() == pytest.approx(-2, abs=4.5 * 2 / 2000**0.5)


def test_log_ratios_are_the_same_of_what_is_seen():
    # densities of y by inverting the map; its Jacobian is in both and cancels
    key, n = jax.random.key(3), 50
    made = tabular.separability(key, n)
    k_map, _ = jax.random.split(key)
    y = np.asarray(tabular.leaky(k_map, made.z, layers=7), np.float64)
    z, volume = inverse(k_map, y, 7)
    np.testing.assert_allclose(z, made.z, atol=2e-5)
    assert volume.std() > 0.3  # the Jacobian is not constant
    np.testing.assert_allclose(tabular.standardised(jnp.asarray(y)), made.x, atol=1e-4)
    for mean in np.asarray(latents.means(made.strength, latents.classes(4)), np.float64)[[1, 3, 6]]:
        seen, control = (norm.logpdf(z, loc=m).sum(axis=1) + volume for m in (mean, np.zeros(3)))
        expected = latents.log_ratio(np.asarray(made.z, np.float64), mean)
        np.testing.assert_allclose(seen - control, expected, atol=2e-4)


def test_pairs_that_hit_one_latent_have_the_law_of_their_singles():
    n = 6000
    made = tabular.separability(jax.random.key(4), n, hit=1.5, latents=4)
    assert made.x.shape == (11 * n, 4)
    assert np.asarray(made.separable).tolist() == [False, True, True, True, True, False]
    np.testing.assert_allclose(made.score, np.array([1, 0, 0, 0, 0, 1]) * -1.125, rtol=1e-6)
    np.testing.assert_allclose(made.x.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(made.x.std(axis=0), 1, atol=1e-4)
    mean = np.asarray(made.x).reshape(11, n, 4).mean(axis=1)
    error = 4.5 * 2**0.5 / n**0.5
    alike = [(1, 2), (1, 5), (3, 4), (3, 10), (6, 7), (6, 8), (6, 9)]  # A B, A AB, C D, C CD, AC ..
    assert max(np.abs(mean[a] - mean[b]).max() for a, b in alike) < error
    apart = [(0, 1), (0, 3), (1, 3), (1, 6), (3, 6)]
    assert min(np.abs(mean[a] - mean[b]).max() for a, b in apart) > 5 * error


def test_one_key_gives_the_same_bytes_and_jit_the_same_numbers():
    made, again, other = (tabular.separability(jax.random.key(k), 40) for k in (5, 5, 6))
    np.testing.assert_array_equal(made.x, again.x)
    assert np.abs(np.asarray(made.x - other.x)).max() > 1
    compiled = jax.jit(lambda key: tabular.separability(key, 40).x)(jax.random.key(5))
    np.testing.assert_allclose(compiled, made.x, atol=1e-5)
