import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from sklearn.metrics.pairwise import rbf_kernel

from epistax.engine.stats import nulls
from epistax.engine.stats.nulls import Units

CONTRAST = np.array([0.5, -0.5, -0.5, 0.5])
SIZES = (14, 5, 9, 7)


def arms(seed=0, sizes=SIZES, equal=True, d=3):
    """Kernel, shares and arms of units in plain numpy; unequal shares as of wells."""
    rng = np.random.default_rng(seed)
    arm = np.repeat(np.arange(len(sizes)), sizes)
    weight = np.ones(len(arm)) if equal else rng.integers(1, 6, len(arm))
    share = weight / np.bincount(arm, weight)[arm]
    x = rng.normal(size=(len(arm), d)) + 0.5 * rng.normal(size=(len(sizes), d))[arm]
    return rbf_kernel(x, gamma=0.2), share, arm


def units(k, share, arm, pad=0):
    """As the code takes them, in the precision in force."""
    gram = np.pad(k * np.outer(share, share), (0, pad), constant_values=0)
    share, arm = (np.pad(v, (0, pad)) for v in (share, arm))
    return Units(
        jnp.asarray(gram, jnp.result_type(float)),
        jnp.asarray(share, jnp.result_type(float)),
        jnp.asarray(arm, jnp.int32),
    )


def spectrum(k, share, arm):
    """Eigenvalues of A, from its definition."""
    weight = np.eye(len(CONTRAST))[arm] * share[:, None]
    h = np.eye(len(arm)) - np.eye(len(CONTRAST))[arm] @ weight.T
    count = np.bincount(arm)
    factor = share * (CONTRAST * np.sqrt(count / (count - 1)))[arm]
    return np.outer(factor, factor) * (h @ k @ h.T)


@pytest.mark.parametrize("equal", [True, False])
def test_statistic_and_null_form_are_their_definitions(equal):
    k, share, arm = arms(equal=equal)
    with jax.enable_x64(True):
        found = units(k, share, arm)
        value = nulls.statistic(found, jnp.asarray(CONTRAST))
        form = np.asarray(nulls.null_form(found, jnp.asarray(CONTRAST)))
    w = CONTRAST[arm] * share
    assert float(value) == pytest.approx(w @ k @ w, rel=1e-12)
    np.testing.assert_allclose(form, spectrum(k, share, arm), atol=1e-15)
    # every block is centred: an arm's units cannot all move together
    for a in range(4):
        np.testing.assert_allclose(form[:, arm == a].sum(axis=1), 0, atol=1e-15)


def test_moments_of_the_gamma_are_those_of_block_sums():
    # A16: the spec's formulas need sums over the ten blocks alone
    k, share, arm = arms()
    mean = variance = 0.0
    c = CONTRAST**2 / (np.array(SIZES) * (np.array(SIZES) - 1))
    for a, b in itertools.product(range(4), repeat=2):
        block = k[np.ix_(arm == a, arm == b)]
        n_a, n_b = block.shape
        square = (
            (block**2).sum()
            - n_b * (block.mean(axis=1) ** 2).sum()
            - n_a * (block.mean(axis=0) ** 2).sum()
            + n_a * n_b * block.mean() ** 2
        )
        variance += 2 * c[a] * c[b] * square
        if a == b:
            mean += c[a] * (np.trace(block) - n_a * block.mean())
    with jax.enable_x64(True):
        found = units(k, share, arm)
        form = np.asarray(nulls.null_form(found, jnp.asarray(CONTRAST)))
        p = float(nulls.gamma(found, jnp.asarray(CONTRAST)))
        value = float(nulls.statistic(found, jnp.asarray(CONTRAST)))
    assert np.trace(form) == pytest.approx(mean, rel=1e-10)
    assert 2 * np.trace(form @ form) == pytest.approx(variance, rel=1e-10)
    expected = stats.gamma.sf(value, mean**2 / variance, scale=variance / mean)
    assert p == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("equal", [True, False])
def test_multiplier_is_the_upper_tail_of_its_form(equal):
    k, share, arm = arms(3, equal=equal)
    w, values = CONTRAST[arm] * share, np.linalg.eigvalsh(spectrum(k, share, arm))
    draws = np.random.default_rng(0).chisquare(1, size=(100_000, len(values))) @ values
    assert draws.mean() == pytest.approx(values.sum(), rel=0.02)
    expected = np.mean(draws >= w @ k @ w)
    p = nulls.multiplier(
        jax.random.key(0), units(k, share, arm), jnp.asarray(CONTRAST), draws=20_000
    )
    assert 0.02 < expected < 0.98
    assert abs(float(p) - expected) < 4 * np.sqrt(expected * (1 - expected) / 15_000)


def test_permutation_is_the_share_of_all_permutations():
    k, share, arm = arms(1, sizes=(3, 4), d=1)
    contrast = np.array([1.0, -1.0])
    statistics = []
    for chosen in itertools.combinations(range(7), 3):
        w = np.where(np.isin(np.arange(7), chosen), 1 / 3, -1 / 4)
        statistics.append(w @ k @ w)
    observed = contrast[arm] * share
    expected = np.mean(np.array(statistics) >= observed @ k @ observed - 1e-9)
    found = units(k, share, arm, pad=3)
    p = nulls.permutation(jax.random.key(1), found, jnp.asarray(contrast), draws=20_000)
    assert abs(float(p) - expected) < 4 * np.sqrt(expected * (1 - expected) / 20_000)


def test_permutation_p_values_are_uniform_where_arms_are_exchangeable():
    rng = np.random.default_rng(2)
    sizes, reps, draws = (8, 4, 6, 5), 800, 199
    arm = np.repeat(np.arange(4), sizes)
    share = (1 / np.array(sizes))[arm]
    x = rng.exponential(size=(reps, len(arm), 2))
    k = np.stack([rbf_kernel(v, gamma=0.3) for v in x])
    gram = jnp.asarray(k * np.outer(share, share), jnp.float32)
    rest = jnp.asarray(share, jnp.float32), jnp.asarray(arm, jnp.int32)

    def one(key, gram):
        return nulls.permutation(
            key, Units(gram, *rest), jnp.asarray(CONTRAST, jnp.float32), draws=draws
        )

    p = np.asarray(jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(0), reps), gram))
    # of 200 equally likely values
    assert stats.kstest(p - 0.5 / (draws + 1), "uniform").pvalue > 0.01
    assert p.min() >= 1 / (draws + 1) - 1e-7


multiplier, permutation = (
    jax.jit(f, static_argnames="draws") for f in (nulls.multiplier, nulls.permutation)
)


@pytest.mark.parametrize("resample", [multiplier, permutation])
def test_keys_padding_and_the_smallest_p_value(resample):
    k, share, arm = arms(4)
    contrast = jnp.asarray(CONTRAST)
    plain, padded = units(k, share, arm), units(k, share, arm, pad=13)
    one, again, other = (
        float(resample(jax.random.key(s), plain, contrast, draws=4000)) for s in (0, 0, 1)
    )
    assert one == again != other
    assert abs(one - other) < 6 * np.sqrt(0.5 * one * (1 - one) / 1000)
    far = float(resample(jax.random.key(0), padded, contrast, draws=4000))
    assert abs(one - far) < 6 * np.sqrt(0.5 * one * (1 - one) / 1000)
    # a statistic that no draw reaches
    k = k + 100 * np.outer(CONTRAST[arm], CONTRAST[arm])
    p = resample(jax.random.key(0), units(k, share, arm), contrast, draws=99)
    assert float(p) == pytest.approx(1 / 100)


@pytest.mark.parametrize("equal", [True, False])
def test_padding_leaves_statistic_form_and_gamma(equal):
    k, share, arm = arms(5, equal=equal)
    contrast = jnp.asarray(CONTRAST)
    plain, padded = units(k, share, arm), units(k, share, arm, pad=13)
    form = np.asarray(nulls.null_form(padded, contrast))
    np.testing.assert_allclose(
        form[: len(k), : len(k)], nulls.null_form(plain, contrast), atol=1e-8
    )
    np.testing.assert_array_equal(form[len(k) :], 0)
    for figure in (nulls.statistic, nulls.gamma):
        assert float(figure(padded, contrast)) == pytest.approx(
            float(figure(plain, contrast)), rel=1e-5
        )


def test_draws_that_tie_with_the_statistic_reach_it():
    drawn = jnp.array([1.0, 1.0 - 1e-6, 0.9, 2.0])
    assert float(nulls.exceedance(drawn, jnp.asarray(1.0))) == pytest.approx(4 / 5)
    assert float(nulls.exceedance(drawn, jnp.asarray(3.0))) == pytest.approx(1 / 5)
