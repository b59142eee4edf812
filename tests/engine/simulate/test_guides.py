from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import spearmanr

from epistax.engine.simulate import guides, latents


def measures(x):
    """What a microscopist would measure for each latent, in the order of LATENTS."""
    stain = dict(zip(guides.STAINS, np.moveaxis(x - guides.DARK, -1, 0), strict=True))
    nucleus = (stain["DNA"] > 0.27).astype(float)
    area = nucleus.sum(axis=(1, 2))
    dy, dx = np.mgrid[: guides.SIZE, : guides.SIZE] - (guides.SIZE - 1) / 2
    xx, yy, xy = ((nucleus * m).sum(axis=(1, 2)) / area for m in (dx * dx, dy * dy, dx * dy))
    spread = np.sqrt((xx - yy) ** 2 / 4 + xy**2)
    er = stain["ER"]
    steps = np.diff(er, axis=1)[:, :, 1:] ** 2 + np.diff(er, axis=2)[:, 1:] ** 2
    lit = (stain[name] for name in ("actin", "Golgi", "mitochondria"))
    light = [np.where(s > 3 * guides.NOISE, s, 0).sum(axis=(1, 2)) for s in lit]
    longer = np.sqrt(((xx + yy) / 2 + spread) / ((xx + yy) / 2 - spread))
    return np.stack([area, longer, steps.sum(axis=(1, 2)) / (er**2).sum(axis=(1, 2)), *light], 1)


@pytest.fixture(scope="module")
def draw():
    return jax.jit(partial(guides.guides, n=24))


@pytest.fixture(scope="module")
def made(draw):
    return draw(jax.random.key(4))


@pytest.fixture(scope="module")
def clean():
    """Cells without noise, of 54 latents by 12 keys: one compilation for all."""
    draw = jax.jit(jax.vmap(jax.vmap(guides.cell, (None, 0)), (0, None)))
    keys = jax.random.split(jax.random.key(1), 12)
    return lambda z: np.stack([np.asarray(c, np.float64) for c in draw(keys, z)], axis=-1)


def test_each_latent_is_read_from_one_noisy_cell(made):
    z, x = np.asarray(made.z), np.asarray(made.x)
    assert x.shape == (22 * 24, 32, 32, 6) and x.min() >= 0 and x.max() <= 1
    assert (x == 1).mean() < 1e-3  # nothing saturates
    found = spearmanr(z, measures(x.astype(np.float64)))[0][:6, 6:]
    assert (np.diag(found) > [0.97, 0.93, 0.85, 0.97, 0.93, 0.9]).all()
    assert np.abs(found - np.diag(np.diag(found))).max() < 0.5  # by others far less


def test_a_latent_changes_the_cell_step_by_step(clean):
    # the same cell, one latent from -3 to 5: what shows it grows all along, in steps alike
    steps = jnp.linspace(-3, 5, 9)
    z = jnp.concatenate([jnp.zeros((9, 6)).at[:, k].set(steps) for k in range(6)])
    x = clean(z).reshape(12, 6, 9, 32, 32, 6)
    for latent, name in enumerate(guides.LATENTS):
        own = x[:, latent]
        grown = np.array([measures(cell)[:, latent] for cell in own]).mean(axis=0)
        growth = np.diff(np.log(grown))
        assert growth.min() > 0.02 and growth.max() < 6 * growth.min(), name
        change = np.sqrt(((own[:, 1:] - own[:, :-1]) ** 2).sum(axis=(2, 3, 4)))
        assert change.min() > 2 * guides.NOISE, name  # of one step: more than the noise along it


def test_area_of_a_nucleus_does_not_tell_its_elongation(clean):
    x = clean(jnp.zeros((54, 6)).at[27:, 1].set(3.0))
    area = (x[..., 0] - guides.DARK > 0.3).sum(axis=(2, 3)).mean(axis=0)
    assert area[30] == pytest.approx(area[0], rel=0.05)
    assert area[0] == pytest.approx(np.pi * 5.5**2, rel=0.15)


def test_nuclei_lie_in_the_middle_at_any_angle(made):
    z, x = np.asarray(made.z), np.asarray(made.x)
    dna = np.where(x[..., 0] > 0.27, x[..., 0], 0).astype(np.float64)
    at = np.arange(32) - 15.5
    for axis in (1, 2):
        shape = (1, 32, 1) if axis == 1 else (1, 1, 32)
        middle = (dna * at.reshape(shape)).sum(axis=(1, 2)) / dna.sum(axis=(1, 2))
        assert np.abs(middle).max() < 1.2
    long = z[:, 1] > 1
    xx, yy, xy = ((dna[long] * m).sum(axis=(1, 2)) for m in (
        at[None, None, :] ** 2, at[None, :, None] ** 2, at[None, None, :] * at[None, :, None]
    ))  # fmt: skip
    angle = np.arctan2(2 * xy, xx - yy)
    assert np.abs(np.exp(1j * angle).mean()) < 4.5 / long.sum() ** 0.5


def test_genes_hit_different_latents_and_guides_of_one_gene_the_same():
    keys = jax.vmap(jax.random.split)(jax.random.split(jax.random.key(3), 400))
    strength = np.asarray(jax.jit(jax.vmap(guides.strengths))(keys[:, 0], keys[:, 1]))
    hit, most = strength > 0, strength.max(axis=2)
    assert (hit.sum(axis=2) == 2).all() and not (hit[:, 0] & hit[:, 3]).any()
    assert (hit[:, :3] == hit[:, :1]).all() and (hit[:, 3:] == hit[:, 3:4]).all()
    np.testing.assert_array_equal(strength, hit * most[:, :, None])  # one efficiency a guide
    assert len(np.unique(hit[:, 0], axis=0)) == 15  # any two of six, by the key
    efficiency = most / guides.HIT
    assert efficiency.mean() == pytest.approx(0.8, abs=0.01)
    assert efficiency.var() == pytest.approx(0.8 * 0.2 / 11, rel=0.15)
    assert np.corrcoef(efficiency[:, 0], efficiency[:, 1])[0, 1] < 0.2


def test_truth_of_a_screen_of_guides(draw, made):
    i, j = (np.asarray(side) for side in made.pairs)
    same = (i < 3) == (j < 3)
    np.testing.assert_array_equal(~np.asarray(made.separable), same)
    force = np.asarray(made.strength, np.float64).max(axis=1)
    weaker = np.minimum(force[i], force[j])
    np.testing.assert_allclose(made.score, np.where(same, -(weaker**2), 0), rtol=1e-5)
    mean = np.asarray(latents.means(made.strength, latents.classes(6)))
    np.testing.assert_allclose(mean[7].max(), max(force[0], force[1]), rtol=1e-6)  # A1 + A2
    assert (mean[9] > 0).sum() == 4  # A1 + B1
    again, other = (draw(jax.random.key(k)) for k in (4, 5))
    np.testing.assert_array_equal(made.x, again.x)
    assert np.abs(np.asarray(made.x - other.x)).max() > 0.3
