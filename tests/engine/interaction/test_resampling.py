import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from sklearn.metrics.pairwise import rbf_kernel

from epistax.engine.interaction import disjointness, drawnnulls, resampling
from epistax.engine.screen import screen
from epistax.engine.stats import nulls

SCALE = 2.0
CONTRAST = np.array(disjointness.CONTRAST)


def pairs_of_three(seed=0, wells=None, shift=1.0):
    """Three perturbations and their pairs; all of one distribution but for `shift` of the means."""
    rng = np.random.default_rng(seed)
    kinds = [(-1, -1), (-1, 0), (-1, 1), (-1, 2), (0, 1), (0, 2), (1, 2)]
    codes = np.repeat(np.array(kinds, np.int32), [24, 14, 16, 15, 8, 7, 6], axis=0)
    x = rng.normal(size=(len(codes), 2)) + shift * rng.normal(size=(4, 2))[codes].sum(axis=1)
    well = None
    if wells:
        well = np.arange(len(codes)) // wells
        x += rng.normal(size=(well.max() + 1, 2))[well]
    x = (x - x.mean(axis=0)).astype(np.float32)
    return x, codes, well, screen(x, codes, p=3, well=well)


def p_values(made, method, *, draws=199, seed=0, kernel="rbf", contrast=None):
    contrast = disjointness.CONTRAST if contrast is None else contrast
    options = {"kernel": kernel, "length_scale": SCALE, "draws": draws, "seed": seed}
    return drawnnulls.resampled(made, contrast, method=method, **options)


def form(x, codes, well, i, j):
    """Statistic and the matrix A of one pair, from the definition in float64."""
    arms = [(codes == c).all(axis=1) for c in ((-1, -1), (-1, i), (-1, j), (i, j))]
    parts, share, arm = [], [], []
    for a, mine in enumerate(arms):
        y = np.flatnonzero(mine)
        units = y if well is None else well[y]
        for u in np.unique(units):
            weight = (units == u) / len(y)
            full = np.zeros(len(x))
            full[y] = weight
            parts.append(full)
            share.append(weight.sum())
            arm.append(a)
    parts, share, arm = np.stack(parts), np.array(share), np.array(arm)
    gram = parts @ rbf_kernel(x.astype(float), gamma=0.5 / SCALE**2) @ parts.T
    member = np.eye(4)[arm]
    h = np.eye(len(arm)) - share[:, None] * (member @ member.T)
    count = member.sum(axis=0)
    factor = (CONTRAST * np.sqrt(count / (count - 1)))[arm]
    s = CONTRAST[arm]
    return s @ gram @ s, np.outer(factor, factor) * (h @ gram @ h.T)


@pytest.mark.parametrize("wells", [None, 3])
def test_gamma_p_values_from_the_whole_gram_matrix(wells):
    x, codes, well, made = pairs_of_three(wells=wells)
    got = p_values(made, "gamma")(np.arange(3))
    for k, (i, j) in enumerate(((0, 1), (0, 2), (1, 2))):
        value, matrix = form(x, codes, well, i, j)
        mean, variance = np.trace(matrix), 2 * np.trace(matrix @ matrix)
        expected = stats.gamma.sf(value, mean**2 / variance, scale=variance / mean)
        assert got[k] == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize("wells", [None, 3])
def test_multiplier_p_values_from_the_whole_gram_matrix(wells):
    x, codes, well, made = pairs_of_three(wells=wells)
    got = p_values(made, "multiplier", draws=4000)(np.arange(3))
    rng = np.random.default_rng(0)
    for k, (i, j) in enumerate(((0, 1), (0, 2), (1, 2))):
        value, matrix = form(x, codes, well, i, j)
        drawn = rng.chisquare(1, size=(100_000, len(matrix))) @ np.linalg.eigvalsh(matrix)
        expected = np.mean(drawn >= value)
        assert abs(got[k] - expected) < 4 * np.sqrt(expected * (1 - expected) / 3500)


@pytest.mark.parametrize("method", ["multiplier", "permutation"])
def test_draws_belong_to_the_pair_and_the_seed(method):
    *_, made = pairs_of_three()
    test = p_values(made, method)
    every = test(np.arange(3))
    np.testing.assert_array_equal(test(np.array([1])), every[1:2])
    np.testing.assert_array_equal(p_values(made, method)(np.arange(3)), every)
    assert (p_values(made, method, seed=1)(np.arange(3)) != every).any()
    assert (every >= 1 / 200).all() and (every <= 1).all()


def test_a_large_difference_has_the_smallest_p_value():
    x, codes, _, _ = pairs_of_three()
    x = x + 6 * (codes == (0, 1)).all(axis=1)[:, None].astype(np.float32)
    made = screen(x, codes, p=3, well=None)
    for method in ("multiplier", "permutation"):
        assert p_values(made, method)(np.array([0]))[0] == pytest.approx(1 / 200)
    assert p_values(made, "gamma")(np.array([0]))[0] < 1e-4


def test_whole_wells_are_permuted():
    # three cells a well, all alike: cells permuted one by one would find something in all pairs
    p = []
    for seed in range(12):
        x, codes, well, made = pairs_of_three(seed, wells=3, shift=0.0)
        alike = np.stack([x[well == w].mean(axis=0) for w in range(well.max() + 1)])[well]
        as_wells, as_cells = (
            p_values(screen(alike, codes, p=3, well=w), "permutation")(np.arange(3))
            for w in (well, None)
        )
        p.append((as_wells, as_cells))
    as_wells, as_cells = (np.concatenate(v) for v in zip(*p, strict=True))
    assert np.mean(as_wells < 0.05) < 0.2 < np.mean(as_cells < 0.05)


def test_linear_kernel_tests_means():
    # additivity by resampling: spreads differ, means add up
    rng = np.random.default_rng(1)
    x, codes, _, _ = pairs_of_three()
    additive = np.array([[1.0, 0.0], [0.0, 2.0], [2.0, -1.0], [0.0, 0.0]])[codes].sum(axis=1)
    y = (additive + 0.3 * rng.normal(size=x.shape)).astype(np.float32)
    contrast = (1.0, -1.0, -1.0, 1.0)
    made = screen(y, codes, p=3, well=None)
    got = p_values(made, "multiplier", kernel="linear", contrast=contrast)(np.arange(3))
    assert (got > 0.02).all()
    y += 1.5 * (codes == (1, 2)).all(axis=1)[:, None].astype(np.float32)
    made = screen(y, codes, p=3, well=None)
    got = p_values(made, "multiplier", kernel="linear", contrast=contrast)(np.arange(3))
    assert got[2] < 0.01 and (got[:2] > 0.02).all()


def test_level_where_the_strata_differ():
    # A15: mixtures of which i moves one component and j the other; 400 runs of 80 in each arm
    reps, n, draws = 400, 80, 199
    rng = np.random.default_rng(2)
    z = rng.integers(0, 2, size=(reps, 4, n))
    x = rng.normal(size=(reps, 4, n, 4))
    x[..., 0] += 3 * z
    for a in (1, 3):
        x[:, a, :, 2] += 3 * (z[:, a] == 0)
    for a in (2, 3):
        x[:, a, :, 1] += 3 * (z[:, a] == 1)
    flat = jnp.asarray(x.reshape(reps, 4 * n, 4), jnp.float32)
    share = jnp.full(4 * n, 1 / n)
    arm = jnp.repeat(jnp.arange(4), n)
    contrast = jnp.asarray(disjointness.CONTRAST)

    def one(args):
        key, y = args
        squares = jnp.sum((y[:, None, :] - y[None, :, :]) ** 2, axis=2)
        units = nulls.Units(jnp.exp(-squares / 18) / n**2, share, arm)
        p = nulls.multiplier(key, units, contrast, draws=draws)
        return p, nulls.gamma(units, contrast)

    keys = jax.random.split(jax.random.key(0), reps)
    by_method = jax.jit(lambda k, y: jax.lax.map(one, (k, y)))(keys, flat)
    for p in by_method:
        assert 0.02 < np.mean(np.asarray(p) <= 0.05) <= 0.09
    assert set(resampling.METHODS) == {"gamma", "multiplier", "permutation"}
