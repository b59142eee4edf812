from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from epistax.engine.simulate import images, raster

SIZE = 32


@pytest.fixture(scope="module")
def made():
    return images.balls(jax.random.key(0), 256, size=SIZE)


def centroid(alpha):
    alpha = np.asarray(alpha, np.float64)
    at = np.arange(len(alpha))
    return (alpha * at[None, :]).sum() / alpha.sum(), (alpha * at[:, None]).sum() / alpha.sum()


def of_class(made, i, j):
    return (made.codes == np.array([[i, j]])).all(axis=1)


@pytest.mark.parametrize("centre", [(31.5, 31.5), (20.25, 33.7), (12.013, 14.9), (47.0, 49.5)])
def test_a_ball_is_where_it_is_said_to_be_and_as_large(centre):
    alpha = images.ball(jnp.array(centre), 5.0, 64)
    np.testing.assert_allclose(centroid(alpha), centre, atol=1e-3)
    assert np.asarray(alpha, np.float64).sum() == pytest.approx(81.124, abs=0.01)


def test_no_ball_covers_another_or_leaves_the_image():
    z = jnp.linspace(-4, 7, 221)
    centre = np.asarray(jax.vmap(partial(images.centres, size=64))(jnp.tile(z[:, None], (1, 3))))
    assert 5 < centre.min() and centre.max() < 58
    for a, b in ((0, 1), (0, 2), (1, 2)):
        gap = centre[:, None, a, :] - centre[None, :, b, :]
        assert np.hypot(gap[..., 0], gap[..., 1]).min() > 2 * 5 + 2
    assert (np.diff(centre[:, :, 0], axis=0) > 0).all()  # each place tells its latent


def test_colours_show_the_latents(made):
    # where one colour exceeds the others, its ball is; from there back to z
    x = np.asarray(made.x, np.float64)
    assert x.shape == (11 * 256, SIZE, SIZE, 3) and 0 <= x.min() < 0.05 and 0.95 < x.max() <= 1
    for ball in range(3):
        excess = x[..., ball] - np.delete(x, ball, axis=3).max(axis=3)
        alpha = np.where(excess > 0.25, excess, 0)
        across = (alpha * np.arange(SIZE)).sum(axis=(1, 2)) / alpha.sum(axis=(1, 2))
        t = (across / SIZE - 0.15) / 0.7
        found = np.log(t / (1 - t)) / 0.8
        inner = np.abs(made.z[:, ball]) < 2.5
        assert np.abs(found - made.z[:, ball])[inner].max() < 1.2
        assert np.corrcoef(found[inner], made.z[inner, ball])[0, 1] > 0.99


def test_what_no_gene_hits_has_one_law_in_all_classes(made):
    # the third ball stays in its band, which is alike throughout; A moves the first alone
    x = np.asarray(made.x, np.float64).reshape(11, 256, SIZE, SIZE, 3)
    mean, error = x.mean(axis=1), x.std(axis=1) / 16
    z = np.abs(mean[1] - mean[0]) / np.hypot(error[1], error[0])
    assert z[int(0.75 * SIZE) :].max() < 4.6  # of about 800 values
    assert z[: SIZE // 3].max() > 10
    twice = np.abs(mean[5] - mean[1]) / np.hypot(error[5], error[1])  # AB against A
    assert twice.max() < 5


def test_truth_is_that_of_the_tabular_screen(made):
    assert np.asarray(made.separable).tolist() == [False, True, True, True, True, False]
    assert np.asarray(made.score).tolist() == [-2, 0, 0, 0, 0, -2]
    assert of_class(made, 0, 2).sum() == 256
    hit = np.asarray(made.z)[of_class(made, 0, 2)].mean(axis=0)
    np.testing.assert_allclose(hit, [2, 2, 0], atol=4.5 / 16)


def test_backgrounds_are_grey_and_differ_from_image_to_image():
    keys = jax.random.split(jax.random.key(1), 400)
    grey = np.asarray(jax.jit(jax.vmap(partial(images.background, size=SIZE)))(keys))
    # mean of .5; .15^2 * 4 / 8 of variance, over pixels and images together
    assert grey.mean() == pytest.approx(0.5, abs=0.02)
    assert grey.var() == pytest.approx(0.15**2 / 2, rel=0.2)
    assert np.abs(grey[0] - grey[1]).max() > 0.05


def test_waves_are_the_sum_of_their_cosines():
    k, phase = jnp.array([[0.3, -0.2], [0.0, 0.5]]), jnp.array([0.4, 2.0])
    y, x = np.mgrid[:12, :12]
    expected = 2 * np.cos(0.3 * x - 0.2 * y + 0.4) - 3 * np.cos(0.5 * y + 2)
    found = raster.waves(k, phase, jnp.array([2.0, -3.0]), 12)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_picture_depends_on_its_key_alone(made, monkeypatch):
    # compiled or not, and however many are made at once
    _, k_pictures = jax.random.split(jax.random.key(0))
    monkeypatch.setattr(raster, "AT_ONCE", 3)
    few = partial(raster.pictures, draw=partial(images.scene, size=SIZE), noise=0.02)
    compiled = jax.jit(few)
    first, again = (np.asarray(compiled(k_pictures, made.z[:7])) for _ in range(2))
    np.testing.assert_allclose(first, made.x[:7], atol=1e-6)
    np.testing.assert_array_equal(first, again)
    assert np.abs(np.asarray(made.x[0] - made.x[1])).max() > 0.1
