"""Analytic errors of linear autoencoders against those of simulated samples."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from epistax.engine.causal import anchors, curves, principal
from epistax.engine.simulate import scm

OFFSETS = np.array([-20.0, -3.0, 0.0, 10.0, 20.0])


def known(case):
    made = scm.two(jax.random.key(2), case, 300)
    mixing, edges, sd = (
        np.asarray(part, np.float64)
        for part in (made.world.mixing, made.world.edges, made.world.sd)
    )
    moves = anchors.moves(mixing, edges)
    shift = np.asarray(made.vectors, np.float64)
    return made, mixing, moves, anchors.law(moves, sd, shift, noise=0.0)


def test_the_law_is_that_of_samples():
    made = scm.sparse(
        jax.random.key(0), 20_000, environments=4, latents=2, features=4, noise=0.3, network=True,
        reference=1,
    )  # fmt: skip
    rows = np.asarray(made.environment)
    x = np.asarray(made.x, np.float64)[rows > 0]
    world = made.world
    mixing, edges, sd = (np.asarray(p, np.float64) for p in (world.mixing, world.edges, world.sd))
    shift = np.asarray(scm.shifts(made.target, made.offset, 2), np.float64)[1:]
    law = anchors.law(anchors.moves(mixing, edges), sd, shift, noise=0.3)
    np.testing.assert_allclose(law.mean, x.mean(axis=0), atol=0.05)
    np.testing.assert_allclose(law.covariance, np.cov(x.T), rtol=0.05, atol=0.15)
    np.testing.assert_allclose(law.within, np.cov(x[rows[1:] == 1].T), rtol=0.05, atol=0.1)


@pytest.mark.parametrize("case", scm.CASES)
def test_simulated_errors_are_the_analytic_ones(case):
    made, mixing, moves, law = known(case)
    keep = anchors.projection(law, 2)
    w = mixing.sum(axis=1)
    dull = np.eye(10) - np.outer(w, w) / (w @ w)
    closed = OFFSETS**2 * ((dull @ mixing[:, 1]) ** 2).sum() / 10
    with jax.enable_x64(True):
        world = jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf, np.float64)), made.world)
        rows = jnp.repeat(jnp.asarray(np.asarray(made.vectors, np.float64)), 300, axis=0)
        learned = principal.fitted(np.asarray(scm.drawn(jax.random.key(1), world, rows)[0]), 2)
        for k in (0, 1):
            analytic = anchors.error(keep, law, moves[:, k], OFFSETS)
            expected = closed if (case, k) == ("dependent", 1) else 0 * OFFSETS
            np.testing.assert_allclose(analytic, expected, rtol=1e-6, atol=1e-10)
            shift = jnp.zeros((5, 40, 2)).at[:, :, k].set(OFFSETS[:, None]).reshape(200, 2)
            x, _, _ = scm.drawn(jax.random.key(3), world, shift)
            found = curves.outside(
                lambda x, v: principal.reconstructed(learned, x)[None],
                np.asarray(x).reshape(5, 40, 10),
                np.zeros((5, 2)),
            )
            assert found.shape == (1, 5)
            np.testing.assert_allclose(found[0], expected, rtol=1e-6, atol=1e-10)


def test_direction_one_loses_what_is_across_the_line_of_training():
    made, mixing, moves, law = known("dependent")
    np.testing.assert_array_equal(moves, np.stack([mixing.sum(axis=1), mixing[:, 1]], axis=1))
    keep = anchors.projection(law, 2)
    np.testing.assert_allclose(np.trace(keep), 1)  # the second axis has no variance
    assert anchors.error(keep, law, moves[:, 1], OFFSETS)[-1] > 1


def test_a_variational_one_shrinks_as_principal_components_do():
    _, mixing, moves, law = known("independent")
    keep = anchors.shrinkage(law, 2)
    values, axes = np.linalg.eigh(mixing @ mixing.T)
    s = sum((1 - 1 / v) * np.outer(a, a) for v, a in zip(values, axes.T, strict=True) if v > 1)
    np.testing.assert_allclose(keep, s, atol=1e-10)
    gain = anchors.error(keep, law, moves[:, 0], OFFSETS) - anchors.error(
        keep, law, moves[:, 0], np.zeros(5)
    )
    lost = ((np.eye(10) - s) @ mixing[:, 0] ** 1.0) ** 2
    np.testing.assert_allclose(gain, OFFSETS**2 * lost.sum() / 10, rtol=1e-9, atol=1e-12)
    # an eigenvalue below the decoder's variance is not kept at all
    assert np.linalg.matrix_rank(anchors.shrinkage(law, 2, variance=values[-2:].mean())) == 1


def test_noise_is_lost_beside_the_axes():
    _, _, moves, law = known("independent")
    noisy = law._replace(within=law.within + 0.25 * np.eye(10))
    keep = anchors.projection(law, 2)
    np.testing.assert_allclose(anchors.error(keep, noisy, moves[:, 0], OFFSETS), 0.25 * 8 / 10)
