"""Principal components, against a singular value decomposition."""

import numpy as np
import pytest

from epistax.engine.stats import components


@pytest.fixture
def z():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 6)) @ rng.normal(size=(6, 24)) + 0.1 * rng.normal(size=(300, 24))
    return (x - x.mean(axis=0)) / x.std(axis=0)


@pytest.mark.parametrize("wide", [False, True])
def test_they_are_those_of_a_singular_value_decomposition(z, wide, monkeypatch):
    if wide:
        monkeypatch.setattr(components, "WIDE", 10)
    one, share = components.leading(z, np.zeros(24), np.ones(24), count=5)
    spread = np.linalg.svd(z, compute_uv=False) ** 2
    np.testing.assert_allclose((one**2).sum(axis=0), spread[:5][::-1])
    assert share == pytest.approx(spread[:5].sum() / spread.sum())
    flipped, _ = components.leading(-z, np.zeros(24), np.ones(24), count=5)
    np.testing.assert_allclose(one, -flipped, atol=1e-9)


def test_columns_are_standardised_first(z):
    scale, shift = np.arange(1.0, 25.0), np.linspace(-3, 3, 24)
    one, _ = components.leading(z * scale + shift, shift, scale, count=3)
    same, _ = components.leading(z, np.zeros(24), np.ones(24), count=3)
    np.testing.assert_allclose(one, same, atol=1e-9)
