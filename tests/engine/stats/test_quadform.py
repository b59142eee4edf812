import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from epistax.engine.stats.quadform import survival

KNOWN = 1e9  # degrees of freedom of a scale that is known
TAIL = np.concatenate([[0.99, 0.9, 0.5, 0.1], 10.0 ** -np.arange(2, 13)])


@jax.jit
def tails(x, eigenvalues, mean, variance, dof):
    return jax.vmap(survival)(x, eigenvalues, mean, variance, dof)


def many(x, eigenvalues, mean=0.0, variance=0.0, dof=KNOWN, wide=8):
    """Survival at every x, in single precision; all of one length, so that one compile does."""
    x = np.ravel(x).astype(np.float32)
    padded = np.zeros((len(x), wide), np.float32)
    eigenvalues = np.asarray(eigenvalues, np.float32)
    padded[:, : eigenvalues.shape[-1]] = eigenvalues
    scalars = [np.broadcast_to(np.float32(v), x.shape) for v in (mean, variance, dof)]
    n = -len(x) % 64
    filled = [np.concatenate([v, v[:1].repeat(n, axis=0)]) for v in (x, padded, *scalars)]
    return np.asarray(tails(*map(jnp.asarray, filled)))[: len(x)]


@pytest.mark.parametrize("scale", [1e-6, 1.0, 300.0])
@pytest.mark.parametrize("k", [1, 2, 3, 8])
def test_equal_eigenvalues_are_chi2(k, scale):
    x = stats.chi2.isf(TAIL, k) * scale
    np.testing.assert_allclose(many(x, [scale] * k), TAIL, rtol=1e-2)


@pytest.mark.parametrize("dof", [2, 5, 30, 1000])
@pytest.mark.parametrize("k", [1, 2, 8])
def test_an_uncertain_scale_makes_it_f(k, dof):
    x = k * stats.f.isf(TAIL, k, dof)
    np.testing.assert_allclose(many(x, [1.0] * k, dof=dof), TAIL, rtol=1e-2)


def test_hundreds_of_equal_eigenvalues():
    x = stats.chi2.isf(TAIL, 300) / 300
    # 300 logarithms in single precision cost a digit
    np.testing.assert_allclose(many(x, [1 / 300] * 300, wide=300), TAIL, rtol=2e-2)


def test_the_gaussian_part_alone_is_normal():
    # mean 4 standard deviations above 0, as the form is never negative; x from 0.99 to 1e-12
    x = 2.0 + 0.5 * stats.norm.isf(TAIL)
    np.testing.assert_allclose(many(x, [0.0], mean=2.0, variance=0.25), TAIL, rtol=1e-2)


@pytest.mark.parametrize("mean, variance", [(0.0, 0.0), (1.5, 0.04)])
def test_a_mixed_spectrum_is_what_draws_say(mean, variance):
    spectrum = np.array([2.0, 0.7, 0.3, 0.3, 0.1, 0.02])
    rng = np.random.default_rng(0)
    draws = np.sort(rng.chisquare(1, size=(400_000, 6)) @ spectrum)
    draws = np.sort(rng.normal(mean, np.sqrt(variance), size=len(draws)) + draws)
    x = np.quantile(draws, [0.01, 0.1, 0.5, 0.9, 0.99, 0.999])
    expected = 1 - np.searchsorted(draws, x) / len(draws)
    error = 4 * np.sqrt(expected * (1 - expected) / len(draws))
    got = many(x, spectrum, mean=mean, variance=variance)
    assert (np.abs(got - expected) < error + 2e-3 * expected).all()


def test_a_mixed_spectrum_with_uncertain_scale_is_what_draws_say():
    spectrum, dof = np.array([1.0, 0.5, 0.1]), 7
    rng = np.random.default_rng(1)
    draws = rng.chisquare(1, size=(400_000, 3)) @ spectrum + rng.normal(0.5, 0.1, size=400_000)
    draws = np.sort(draws / (rng.chisquare(dof, size=len(draws)) / dof))
    x = np.quantile(draws, [0.01, 0.1, 0.5, 0.9, 0.99, 0.999])
    expected = 1 - np.searchsorted(draws, x) / len(draws)
    error = 4 * np.sqrt(expected * (1 - expected) / len(draws))
    got = many(x, spectrum, mean=0.5, variance=0.01, dof=dof)
    assert (np.abs(got - expected) < error + 2e-3 * expected).all()


def test_two_pairs_of_eigenvalues_in_closed_form_far_out():
    # a (chi2_2) + b (chi2_2) is hypoexponential
    a, b = 1.0, 0.6
    x = np.linspace(0.1, 50, 30)
    expected = (a * np.exp(-x / (2 * a)) - b * np.exp(-x / (2 * b))) / (a - b)
    np.testing.assert_allclose(many(x, [a, a, b, b]), expected, rtol=1e-2)


def test_zero_and_negative_eigenvalues_count_for_nothing():
    x = stats.chi2.isf(TAIL, 3)
    padded = many(x, [1.0, 1.0, 1.0, 0.0, 0.0, -1e-7, -0.5, 0.0])
    np.testing.assert_allclose(padded, many(x, [1.0, 1.0, 1.0]), rtol=1e-5)


def test_only_x_over_eigenvalues_matters():
    x, spectrum = np.geomspace(0.05, 40, 40), np.array([1.0, 0.4, 0.05])
    plain = many(x, spectrum, mean=0.3, variance=0.02, dof=20)
    for c in (1e-5, 1e4):
        scaled = many(c * x, c * spectrum, mean=0.3 * c, variance=0.02 * c**2, dof=20)
        np.testing.assert_allclose(scaled, plain, rtol=2e-3)


@pytest.mark.parametrize(
    "mean, variance, dof", [(0, 0, KNOWN), (0.5, 0.1, KNOWN), (0, 0, 6), (3, 0.01, 40)]
)
def test_a_larger_statistic_is_never_less_surprising(mean, variance, dof):
    # neighbours may differ by the error of the integral and no more
    p = many(np.geomspace(1e-3, 60, 256), [1.0, 0.4, 0.05], mean=mean, variance=variance, dof=dof)
    assert (np.diff(p) <= 2e-3 * p[1:]).all()
    assert p[0] > 0.98 and p[-1] < 1e-3


@pytest.mark.parametrize("spectrum", [[1.0], [1.0, 1e-4], [0.0], [1.0] * 8])
@pytest.mark.parametrize("mean, variance", [(0.0, 0.0), (0.0, 0.1), (1.0, 0.1), (1.0, 0.0)])
def test_extreme_statistics_have_a_p_value(spectrum, mean, variance):
    x = np.array([0, 1e-30, 1e-6, 1e3, 1e8, 1e30])
    for dof in (1, 10, KNOWN):
        p = many(x, spectrum, mean=mean, variance=variance, dof=dof)
        assert np.isfinite(p).all()
        assert (p >= 1e-30).all() and (p <= 1).all()
        if any(spectrum) and (mean > 0 or variance == 0):
            assert p[0] > 0.99
            assert p[-1] < 1e-10


def normal_and_chi2(x, mean, variance, dof):
    """P(chi2_1 + N(mean, variance) > s x) by quadrature of positive terms."""
    z, point = np.polynomial.hermite_e.hermegauss(64)
    z, point = z[:, None], point[:, None] / point.sum()
    ends = stats.chi2.ppf(1e-14, dof), stats.chi2.isf(1e-14, dof)
    s = np.geomspace(*ends, 600)[None, :] / dof
    density = stats.chi2.pdf(s * dof, dof) * s
    beyond = np.maximum(s * x - mean - np.sqrt(variance) * z, 0)
    return float(np.sum(stats.chi2.sf(beyond, 1) * point * density / density.sum()))


@pytest.mark.parametrize("r", [300, 30_000])
@pytest.mark.parametrize("dof", [4, 30, 300])
@pytest.mark.parametrize("mean", [0.1, 1.0, 10.0])
def test_a_large_narrow_gaussian_part_beside_an_uncertain_scale(mean, dof, r):
    # r small eigenvalues of sum `mean`: the integrand grows to the right, by more the larger r is
    variance = 2 * mean**2 / r
    x = mean + 1 + np.sqrt(2 + variance) * np.array([-0.5, 0.1, 1, 2, 4, 8, 30, 200, 1e5])
    expected = np.array([normal_and_chi2(v, mean, variance, dof) for v in x])
    got = many(x, [1.0], mean=mean, variance=variance, dof=dof)
    seen = expected > 1e-10
    np.testing.assert_allclose(got[seen], expected[seen], rtol=1e-2)
    assert (got[~seen] < 2e-10).all() and (got >= 1e-30).all()


def test_where_nothing_varies_and_nothing_was_seen():
    assert many([0.0], [0.0])[0] > 0.5


def test_jit_is_eager_and_vmap_is_a_loop():
    x = np.array([0.1, 3.0, 20.0], np.float32)
    spectrum, rest = jnp.array([1.0, 0.4, 0.05]), (jnp.asarray(0.3), jnp.asarray(0.02))
    together = many(x, np.asarray(spectrum), mean=0.3, variance=0.02, dof=20)
    for value, expected in zip(x, together, strict=True):
        eager = survival(jnp.asarray(value), spectrum, *rest, jnp.asarray(20.0))
        assert float(eager) == pytest.approx(float(expected), rel=1e-4)


def test_double_precision_agrees_to_more_digits():
    x = np.concatenate([stats.chi2.isf(TAIL, 3), stats.chi2.isf(TAIL, 3)])
    with jax.enable_x64(True):
        n = len(x)
        scalars = [jnp.full(n, v, jnp.float64) for v in (0.0, 0.0, KNOWN)]
        got = tails(jnp.asarray(x), jnp.ones((n, 3), jnp.float64), *scalars)
    # the scale's degrees of freedom end at a million, which 1e-12 can tell from infinity
    np.testing.assert_allclose(got, np.concatenate([TAIL, TAIL]), rtol=2e-3)
