import jax.numpy as jnp
import numpy as np

from epistax.engine.response import signatures
from epistax.engine.response.records import Cells


def test_variation_is_the_correlation_of_departures_from_groups(monkeypatch):
    monkeypatch.setattr(signatures, "BLOCK", 37)
    rng = np.random.default_rng(0)
    y = rng.normal(size=(120, 5)).astype(np.float32)
    stratum, arm = (np.asarray(x, np.int32) for x in (rng.integers(4, size=120), np.zeros(120)))
    mean = rng.normal(size=(4, 1, 5))
    context = np.array([0, 1, 0, 1])
    found = signatures.variation(Cells(y, arm, stratum), mean, context, 2)
    for k in range(2):
        rows = context[stratum] == k
        apart = (y - mean[stratum, 0])[rows]
        covariance = apart.T @ apart / rows.sum()
        sd = np.sqrt(np.diag(covariance))
        np.testing.assert_allclose(found.sd[k], sd, rtol=1e-4)
        np.testing.assert_allclose(
            found.correlation[k], covariance / np.outer(sd, sd), rtol=1e-3, atol=1e-5
        )
        assert found.cells[k] == rows.sum()


def test_a_score_leaves_a_genes_own_part_out():
    rng = np.random.default_rng(1)
    r = rng.normal(size=(500, 6)) @ rng.normal(size=(6, 6))
    c = np.corrcoef(r.T)
    v = rng.normal(size=(2, 6))
    factor = signatures.factored(jnp.asarray(c, jnp.float32)[None], 2.0)[0]
    told = signatures.scored(factor, jnp.asarray(c, jnp.float32), jnp.asarray(v, jnp.float32))
    for row, direction in enumerate(v):
        w = np.linalg.solve(c + 2 * np.eye(6), direction)
        for gene in range(6):
            rest = np.where(np.arange(6) == gene, 0, w)
            direct = c[gene] @ rest / np.sqrt(w @ c @ w)
            np.testing.assert_allclose(told[row, gene], direct, rtol=1e-3, atol=1e-5)


def test_slope_and_noise_of_scores():
    effect = jnp.asarray([[1.0, 2.0, 0.0, -1.0]])
    score = 0.3 * effect + jnp.asarray([[0.0, 0.0, 0.4, 0.0]])
    present = jnp.ones((1, 4))
    np.testing.assert_allclose(signatures.shared(score, effect, present), 0.3, rtol=1e-6)
    np.testing.assert_allclose(signatures.shared(-score, effect, present), 0.0)
    null = jnp.asarray([[0.0, 0.0, 1.0, 0.0]])
    np.testing.assert_allclose(
        signatures.unexplained(score, null, jnp.float32(1e6)), 0.16, rtol=1e-4
    )
    low = signatures.unexplained(0 * score, null, jnp.float32(100.0))
    np.testing.assert_allclose(low, 0.01001, rtol=1e-3)
