import jax.numpy as jnp
import numpy as np
from scipy.stats import norm

from epistax.engine.response import expected, presence
from epistax.engine.response.expected import Priors
from epistax.engine.response.presence import Habits
from epistax.engine.response.strata import Groups


def test_the_strata_of_a_context_are_one_measurement_without_loss():
    """prod_s N(d_s; phi, v_s) = N(d; phi, v) times what does not depend on phi."""
    rng = np.random.default_rng(0)
    groups = Groups(np.full((3, 2), 4), rng.normal(size=(3, 2, 1)), np.ones((3, 2, 1)))
    base, unsure, steep = rng.normal(size=(3, 1)), np.full((3, 1), 0.1), rng.uniform(0.5, 1, (3, 1))
    variance = rng.uniform(0.5, 1, (3, 2, 1))
    mean, pooled, rest = expected.by_context(
        groups, base, unsure, variance, steep, np.zeros(3, np.int64)
    )
    each = (groups.mean[:, 1] - base) / steep
    for phi in (-1.0, 0.3):
        sd = np.sqrt(variance[:, 1] + unsure) / steep
        direct = norm.logpdf(each, phi, sd).sum()
        whole = norm.logpdf(float(mean[0, 1, 0]), phi, np.sqrt(float(pooled[0, 1, 0])))
        np.testing.assert_allclose(whole + rest, direct, rtol=1e-4)


def flat_priors(arms: int) -> Priors:
    t = len(presence.grid())
    habits = Habits(*(jnp.float32(x) for x in (0.85, 0.1, 0.5)))
    flat = jnp.zeros((arms, t)) - jnp.log(t)
    return Priors(flat, jnp.zeros((4, t)) - jnp.log(t), jnp.full(arms, 0.2), habits)


def test_a_change_of_all_genes_is_an_offset():
    rng = np.random.default_rng(1)
    change = np.zeros((2, 2, 200)) + 0.01 * rng.normal(size=(2, 2, 200))
    change[:, 1] += np.array([0.3, -0.2])[:, None]
    change[:, 1, :10] += 1.5
    variance = np.full((2, 2, 200), 1e-4)
    variance[1, 1] = np.inf
    none = expected.no_score(2, 2, 200)
    found, offset, *_ = expected.learn(
        *(jnp.asarray(x, jnp.float32) for x in (change, variance)),
        *none,
        jnp.zeros((2, 200), int),
        flat_priors(2),
    )
    np.testing.assert_allclose(offset[:, 0], 0)
    np.testing.assert_allclose(offset[:, 1], 0.3, atol=0.01)  # that of the context measured
    np.testing.assert_allclose(found.mean[0, 1, :10], 1.5, rtol=0.05)
    assert np.abs(found.mean[0, 1, 10:]).mean() < 0.4 * 0.01  # of the noise
    np.testing.assert_allclose(found.mean[:, 0], 0)


def test_controls_are_told_from_every_arm():
    """An arm that changes nothing says as much of its stratum's mean as controls do."""
    rng = np.random.default_rng(2)
    count = np.array([[10, 990], [10, 990]])
    truth = rng.normal(2, 0.5, size=(2, 1, 400))
    mean = truth + rng.normal(size=(2, 2, 400)) / np.sqrt(count)[:, :, None]
    groups = Groups(count, mean, np.ones((2, 2, 400)))
    strata, context = np.array([[0], [1]]), np.array([0, 1])
    learned, _ = expected.effects(
        groups, strata, context, np.zeros((2, 400), int), variation=None, rounds=3, ridge=2.0,
        wide=0.5,
    )  # fmt: skip
    from_controls = np.sqrt(((mean[:, 0] - truth[:, 0]) ** 2).mean())
    assert np.sqrt(((learned.base - truth[:, 0]) ** 2).mean()) < 0.5 * from_controls
