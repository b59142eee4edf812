import jax
import jax.numpy as jnp
import numpy as np

from epistax.engine.interaction import paired
from epistax.engine.screen import screen
from epistax.engine.simulate import tabular
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


def test_the_test_finds_the_six_interacting_pairs():
    made = tabular.disjointness(jax.random.key(1), 1500)
    wells = screen(np.asarray(made.x), made.codes, p=7, well=None)
    scale = paired.bandwidth(wells, seed=0)
    test = paired.disjoint(wells, kernel="rbf", length_scale=scale, seed=0)
    q = benjamini_hochberg(test(np.arange(21)).p.astype(np.float64))
    assert (q[~made.disjoint] <= 0.1).all() and (q[made.disjoint] <= 0.1).sum() <= 2
