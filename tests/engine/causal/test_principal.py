import numpy as np
import pytest

from epistax.engine.causal import principal


def samples(n, g):
    rng = np.random.default_rng(1)
    return (rng.normal(size=(n, 3)) @ rng.normal(size=(3, g)) * 3 + rng.normal(size=(n, g))) + 5.0


@pytest.mark.parametrize(("n", "g"), [(300, 20), (15, 40)])
def test_errors_are_those_of_a_singular_value_decomposition(n, g):
    x = samples(n, g)
    s = np.linalg.svd(x - x.mean(axis=0), compute_uv=False)
    for width in (0, 1, 3, 10):
        made = principal.fitted(x, width)
        assert made.axes.shape == (g, width)
        np.testing.assert_allclose(made.axes.T @ made.axes, np.eye(width), atol=1e-10)
        assert principal.error(made, x) == pytest.approx((s[width:] ** 2).sum() / x.size, rel=1e-8)


def test_new_samples_are_projected_about_the_training_mean():
    x, new = samples(200, 12), samples(250, 12)[200:] * 1.5
    made = principal.fitted(x, 4)
    u = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)[2][:4]
    expected = (new - x.mean(axis=0)) @ u.T @ u + x.mean(axis=0)
    np.testing.assert_allclose(principal.reconstructed(made, new), expected, atol=1e-8)
    assert principal.error(made, new) == pytest.approx(((new - expected) ** 2).mean())
    blind = principal.fitted(x, 0)
    assert principal.error(blind, new) == pytest.approx(((new - x.mean(axis=0)) ** 2).mean())


def test_blocks_make_no_difference_and_width_is_bounded(monkeypatch):
    x = samples(200, 12).astype(np.float32)
    whole = principal.error(principal.fitted(x, 2), x)
    monkeypatch.setattr(principal, "BLOCK", 7)
    assert principal.error(principal.fitted(x, 2), x) == pytest.approx(whole, rel=1e-6)
    assert principal.fitted(x, 50).axes.shape == (12, 12)
    assert principal.fitted(x[:5], 50).axes.shape[1] == 4
