import jax.numpy as jnp
import numpy as np
import pytest

from epistax.engine.response import states
from epistax.engine.response.expected import Full
from epistax.engine.response.records import Cells


def cells(kappa: float, n: int = 8000, genes: int = 30, seed: int = 0):
    """Two arms; along v, cells of the arm keep kappa of the controls' variance."""
    rng = np.random.default_rng(seed)
    v = rng.normal(size=genes)
    arm = (np.arange(n) % 2).astype(np.int32)
    q = rng.normal(size=n) * 0.4 * np.where(arm == 1, np.sqrt(kappa), 1.0)
    y = (q + arm)[:, None] * v[None, :] + rng.normal(size=(n, genes))
    shift = np.stack([np.zeros(genes), v])[None]
    full = Full(np.zeros((1, genes)), shift, 0 * shift, shift, np.ones((1, genes)))
    return Cells(y.astype(np.float32), arm, np.zeros(n, np.int32)), full, q


@pytest.mark.parametrize("kappa", [0.0, 0.5, 1.0])
def test_what_an_arm_leaves_of_the_differences_is_found(kappa, monkeypatch):
    monkeypatch.setattr(states, "BLOCK", 999)
    data, full, _ = cells(kappa)
    shift = jnp.asarray(full.way, jnp.float32)
    each = states.related(jnp.eye(30) + 0.1, shift)
    each = jnp.where(each > 0, each, 1.0)
    assert float(states.kept(data, full, shift, each)) == pytest.approx(kappa, abs=0.06)


def test_the_share_of_the_way_is_that_of_a_regression():
    """For one factor q of variance 1/5, E[q | score] = cov(q, score) / var(score) score."""
    v, spread = np.linspace(-1, 1, 40), 0.2
    covariance = spread * np.outer(v, v) + np.eye(40)
    found = states.related(
        jnp.asarray(covariance, jnp.float32), jnp.asarray(v, jnp.float32)[None, None]
    )
    size = (v**2).sum()
    exact = spread * size / (spread * size**2 + size)
    # the slope of others' correlations on v leaves out sum v^4 of size^2
    left = 1 - (v**4).sum() / size**2
    np.testing.assert_allclose(found[0, 0], exact * left, rtol=1e-4)
    assert (states.related(jnp.eye(40), jnp.zeros((1, 1, 40))) == 0).all()


def test_axes_are_those_beyond_noise():
    rng = np.random.default_rng(3)
    n, genes = 2000, 50
    load = rng.normal(size=genes)
    r = rng.normal(size=(n, genes)) + rng.normal(size=(n, 1)) * load[None]
    r /= r.std(0)
    found = states.axes(r.T @ r / n, n)
    sizes = (found**2).sum(0)
    assert (sizes > 0).sum() == 1
    top = found[:, sizes > 0][:, 0]
    assert abs(np.corrcoef(top, load / np.sqrt(1 + load**2))[0, 1]) > 0.99
    assert 0.5 < sizes.max() < 1
    assert (states.axes(np.corrcoef(rng.normal(size=(n, genes)).T), n) == 0).all()
