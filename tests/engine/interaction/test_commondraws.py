import jax
import numpy as np
import pytest

from epistax.engine.interaction import commondraws, disjointness, drawnnulls
from epistax.engine.mesh import mesh
from epistax.engine.screen import screen

DRAWS = 99


def ragged(seed=0, wells=False):
    """Three perturbations and their pairs, of 5 to 14 observations, three a well."""
    rng = np.random.default_rng(seed)
    kinds = np.array([(-1, -1), (-1, 0), (-1, 1), (-1, 2), (0, 1), (0, 2), (1, 2)], np.int32)
    codes = np.repeat(kinds, [14, 9, 11, 9, 8, 5, 7], axis=0)
    x = rng.normal(size=(len(codes), 2)).astype(np.float32)
    well = np.arange(len(codes)) // 3 if wells else None
    return screen(x, codes, p=3, well=well)


def by_formula(made, k, seed):
    """P-value from the whole Gram matrix and the weights of all observations, in float64."""
    longest = int(made.units.max())
    noise = np.asarray(commondraws.noise(jax.random.key(seed), units=longest, draws=DRAWS))
    i, j = int(made.pairs.i[k]), int(made.pairs.j[k])
    x, plain, drawn = [], [], []
    for a, c in enumerate((0, 1 + i, 1 + j, 1 + made.singles + k)):
        rows = slice(made.first[c], made.first[c] + made.count[c])
        n, units = made.count[c], made.units[c]
        e = noise[a][made.unit[rows]][:, 1:].astype(float)
        scale = disjointness.CONTRAST[a] / n
        x.append(made.x[rows])
        plain.append(np.full(n, scale))
        drawn.append(scale * np.sqrt(units / (units - 1)) * (e - e.mean(axis=0)))
    x, plain, drawn = (np.concatenate(v) for v in (x, plain, drawn))
    gram = np.exp(-((x[:, None] - x[None]) ** 2).sum(axis=-1) / 2)
    null = ((gram @ drawn) * drawn).sum(axis=0)
    return (1 + (null >= plain @ gram @ plain).sum()) / (1 + DRAWS)


@pytest.mark.parametrize("wells", [False, True])
def test_p_values_from_the_whole_gram_matrix_and_the_same_noise(wells):
    made = ragged(wells=wells)
    how = {"kernel": "rbf", "length_scale": 1.0, "draws": DRAWS, "seed": 4}
    found = drawnnulls.multiplied(made, disjointness.CONTRAST, **how)(np.arange(3))
    np.testing.assert_allclose(found, [by_formula(made, k, 4) for k in range(3)], atol=1e-6)
    assert len(set(found.tolist())) > 1


def test_several_devices_say_what_one_says():
    how = {"kernel": "rbf", "length_scale": 1.0, "draws": DRAWS, "seed": 0}
    one, many = (
        drawnnulls.multiplied(ragged(), disjointness.CONTRAST, mesh=m, **how)(np.arange(3))
        for m in (None, mesh(8))
    )
    np.testing.assert_allclose(many, one, atol=1.5 / (1 + DRAWS))


def test_a_units_draws_do_not_depend_on_how_many_there_are():
    few, many = (
        np.asarray(commondraws.noise(jax.random.key(0), units=n, draws=20)) for n in (3, 8)
    )
    np.testing.assert_array_equal(few, many[:, :3])
    assert len(np.unique(many)) == many.size
