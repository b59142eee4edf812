"""The start of a fit finds what few pairs a perturbation show; axes are turned and nothing said."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from epistax.engine.pairs import Pairs, count, unrank
from epistax.engine.posterior import blocks, informed, spectral
from epistax.engine.screen import Measured

P, RANK = 300, 4


def world(q, d=0, noise=0.5, seed=0):
    """R of unit variance on four components of both signs; what a fit reads, and the truth."""
    rng = np.random.default_rng(seed)
    u, side = rng.normal(size=(P, RANK)), None
    if d:
        side = rng.normal(size=(P, d)).astype("f4")
        u = side @ rng.normal(size=(d, RANK)) / np.sqrt(d)
    s, a = np.array([1, -1, 1, -1]) / 2, 0.5 * rng.normal(size=P)
    pairs = unrank(rng.choice(count(P), 2 * q, replace=False), P)
    truth = a[pairs.i] + a[pairs.j] + (u[pairs.i] * u[pairs.j]) @ s
    score = jnp.asarray(truth + noise * rng.normal(size=2 * q), jnp.float32)
    here = Pairs(*(jnp.asarray(x[:q]) for x in pairs))
    table = Measured(here, score[:q], jnp.zeros(q), jnp.ones(q, bool))
    data = informed.observed(table, "score", None, informed.known(side, P))
    return data, Pairs(*(jnp.asarray(x[q:]) for x in pairs)), truth[q:]


def said(state, pairs):
    return np.asarray(blocks.of_pairs(state, blocks.covariance(state), pairs)[0])


def explained(state, pairs, truth):
    return np.corrcoef(said(state, pairs), truth)[0, 1] ** 2


@pytest.mark.slow
@pytest.mark.parametrize(("q", "d", "least"), [(3000, 0, 0.25), (1500, 10, 0.25)])
def test_a_start_already_predicts_and_a_fit_finds_all(q, d, least):
    data, rest, truth = world(q, d)
    state = spectral.start(jax.random.key(0), data, rank=6)
    begun = explained(state, rest, truth)
    state = jax.jit(lambda s: blocks.run(jax.random.key(0), s, data, learn=5, steps=40,
                                         minibatch=10**6))(state)  # fmt: skip
    assert begun > least and explained(state, rest, truth) > 0.8
    size = np.sort(np.asarray((spectral.principal(state, data).mean[:, 1:] ** 2).mean(0)))
    assert size[2] > 10 * size[1]  # four components, two of them idle
    assert explained(state, rest, truth) > begun


def test_additive_effects_are_those_of_ridge_regression():
    data, _, _ = world(900)
    level, effect, left = spectral.additive(data)
    i, j = map(np.asarray, data.pairs)
    x = np.zeros((900, P))
    x[np.arange(900), i] = x[np.arange(900), j] = 1
    y = np.asarray(data.value)
    exact = np.linalg.solve(x.T @ x + spectral.RIDGE * np.eye(P), x.T @ (y - y.mean()))
    assert abs(float(level) - y.mean()) < 1e-6
    np.testing.assert_allclose(effect, exact, atol=0.02)
    np.testing.assert_allclose(left, y - y.mean() - x @ np.asarray(effect), atol=1e-5)


def test_turned_axes_say_the_same_of_every_pair():
    data, rest, _ = world(3000)
    state = spectral.start(jax.random.key(0), data, rank=RANK)
    shifted = spectral.transformed(state, jnp.eye(RANK + 1), jnp.arange(RANK + 1) / 5)
    state = state._replace(mean=shifted.mean)  # components of mean not 0
    turned = spectral.principal(state, data)
    np.testing.assert_allclose(said(turned, rest), said(state, rest), atol=2e-5)
    u = np.asarray(turned.mean[:, 1:])
    within = u.T @ u / P + np.asarray(blocks.covariance(turned))[:, 1:, 1:].mean(0)
    off = within - np.diag(np.diag(within))
    assert np.abs(u.mean(0)).max() < 1e-4 and np.abs(off).max() < 0.02 * np.diag(within).max()
    assert sorted(np.asarray(turned.sign)) == sorted(np.asarray(state.sign))
    # what the data say is the same: where it is most likely, in either axes
    peak = [
        s._replace(mean=jnp.linalg.solve(s.information, s.shift[..., None])[..., 0])
        for s in (state, turned)
    ]
    np.testing.assert_allclose(said(peak[1], rest), said(peak[0], rest), atol=2e-3)


def test_more_components_than_the_side_information_has_are_idle():
    data, _, _ = world(1500, d=3)
    state = spectral.start(jax.random.key(0), data, rank=6)
    np.testing.assert_array_equal(state.slope[:, 4:], 0.0)
    assert set(np.asarray(state.sign)) <= {-1.0, 1.0} and np.isfinite(state.mean).all()
