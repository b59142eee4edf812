import jax
import jax.numpy as jnp
import numpy as np
import pytest

from epistax.engine.interaction import additivity, paired
from epistax.engine.interaction.arms import Data
from epistax.engine.screen import screen
from epistax.engine.stats.spread import Pooled, assess

SIZES = (30, 12, 8, 5)
SCALE = np.array([1.5, 1.0, 0.5])


def repetitions(reps, seed, *, effect=0.0, wells=None, between=0.0):
    """R(i, j) of `reps` independent quadruples of classes, with its bias by the truth.

    wells: how many cells each well has, by class; cells are of SCALE, wells of `between` SCALE.
    """
    rng = np.random.default_rng(seed)
    wells = [np.ones(n, int) for n in SIZES] if wells is None else wells
    sizes = np.array([w.sum() for w in wells])
    i, j = 2 * rng.normal(size=(2, 3))
    means = [np.zeros(3), i, j, i + j + effect * np.eye(3)[0]]
    x, bias = [], 0.0
    for mean, cells in zip(means, wells, strict=True):
        unit = np.repeat(np.arange(len(cells)), cells)
        y = rng.normal(size=(reps, len(unit), 3))
        y += between * rng.normal(size=(reps, len(cells), 3))[:, unit]
        x.append(mean + SCALE * y)
        share = (cells**2).sum() / cells.sum() ** 2
        bias += (SCALE**2).sum() * (1 / cells.sum() + between**2 * share)
    x = np.concatenate(x, axis=1).reshape(-1, 3)
    unit = np.tile(np.concatenate([np.repeat(np.arange(len(w)), w) for w in wells]), reps)
    count = np.tile(sizes, reps)
    first = np.r_[0, np.cumsum(count)[:-1]]
    numbers = [jnp.asarray(v, jnp.int32) for v in (unit, unit, first, count)]
    data = Data(jnp.asarray(x, jnp.float32), *numbers)
    cov = np.diag(SCALE**2 * (1 + between**2))
    pooled = Pooled(*(jnp.asarray(v, jnp.float32) for v in (cov, np.trace(cov), 1e4, 0.0)))
    return scores(data, pooled, length=int(sizes.max()), reps=reps), bias


def scores(data, pooled, *, length, reps):
    """The code's means of all classes, four at a time."""
    classes = jnp.arange(4 * reps, dtype=jnp.int32)
    contrast = jnp.asarray(additivity.CONTRAST)

    @jax.jit
    def run(data):
        found = additivity.means(classes, data, jnp.eye(3), length=length)
        found = jax.tree.map(lambda v: v.reshape(reps, 4, *v.shape[1:]), found)

        def one(four):
            difference = contrast @ four.mean
            return assess(difference @ difference, contrast, four.spread, pooled)

        return jax.vmap(one)(found)

    return [np.asarray(v, np.float64) for v in run(data)]


def error(values):
    return values.std() / np.sqrt(len(values))


def test_noise_alone_adds_its_trace_and_the_unbiased_score_takes_it_off():
    # A18, with unequal arms
    (unbiased, value, _, _), bias = repetitions(4000, seed=0)
    assert abs(value.mean() - bias) < 3 * error(value)
    assert abs(unbiased.mean()) < 3 * error(unbiased)
    # a bias of one arm's part would be seen
    assert (SCALE**2).sum() / 30 > 4 * error(unbiased)


def test_standard_error_is_the_spread_over_repetitions():
    # A18, at an interaction of 2 in one feature
    (unbiased, _, se, _), _ = repetitions(3000, seed=1, effect=2.0)
    assert abs(unbiased.mean() - 4) < 3 * error(unbiased)
    assert np.sqrt(np.mean(se**2)) == pytest.approx(unbiased.std(), rel=0.1)


@pytest.mark.parametrize("between", [0.0, 1.0])
def test_unequal_wells_are_unbiased_too(between):
    wells = [np.array(w) for w in ([1, 2, 4, 8, 1, 4], [2, 2, 8], [1, 6, 3], [3, 9])]
    (unbiased, value, _, _), bias = repetitions(4000, seed=2, wells=wells, between=between)
    assert abs(value.mean() - bias) < 3 * error(value)
    assert abs(unbiased.mean()) < 3 * error(unbiased)


def effects(seed=0, q=40, d=7):
    return np.random.default_rng(seed).normal(size=(3, q, d)).astype(np.float32)


def test_severity_of_additive_effects():
    # A19
    h_i, h_j, _ = effects()
    h_ij = h_i + h_j
    found = additivity.severity(*(jnp.asarray(v) for v in (h_i, h_j, h_ij)))
    assert tuple(found) == additivity.SEVERITIES == ("min", "max", "sum", "double")
    np.testing.assert_allclose(found["double"], np.abs(h_ij).sum(axis=1), rtol=1e-6)
    np.testing.assert_allclose(found["sum"], 1, atol=1e-6)
    np.testing.assert_allclose(found["min"] + found["max"], found["sum"], atol=2e-6)


def test_severity_is_its_definition():
    h_i, h_j, h_ij = effects(1)
    found = additivity.severity(*(jnp.asarray(v) for v in (h_i, h_j, h_ij)))
    for k in range(len(h_i)):
        sign = np.sign(h_ij[k].astype(np.float64))
        one, two, both = (float(h[k] @ sign) for h in (h_i, h_j, h_ij))
        expected = [min(one, two) / both, max(one, two) / both, (one + two) / both, both]
        got = [float(found[name][k]) for name in additivity.SEVERITIES]
        np.testing.assert_allclose(got, expected, atol=1e-5)
    assert (found["min"] <= found["max"]).all()
    swapped = additivity.severity(*(jnp.asarray(v) for v in (h_j, h_i, h_ij)))
    for name in additivity.SEVERITIES:
        np.testing.assert_allclose(swapped[name], found[name], atol=1e-6)
    # a double with nothing of its singles, and one that does half of what they do together
    half = additivity.severity(*(jnp.asarray(v) for v in (h_i, h_j, (h_i + h_j) / 2)))
    np.testing.assert_allclose(half["sum"], 2, rtol=1e-5)


def test_cosine_is_squared_and_knows_lines_only():
    h_i, h_j, _ = (jnp.asarray(v) for v in effects(2))
    found = np.asarray(additivity.cosine(h_i, h_j))
    a, b = (np.asarray(v, np.float64) for v in (h_i, h_j))
    expected = (a * b).sum(1) ** 2 / ((a**2).sum(1) * (b**2).sum(1))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert (found >= 0).all() and (found <= 1 + 1e-6).all()
    for factor in (3.0, -0.01):
        np.testing.assert_allclose(additivity.cosine(h_i, factor * h_i), 1, atol=1e-6)
    np.testing.assert_allclose(additivity.cosine(h_j, h_i), found, atol=1e-6)
    turned = additivity.cosine(jnp.array([[1.0, 2.0]]), jnp.array([[-2.0, 1.0]]))
    np.testing.assert_allclose(turned, 0, atol=1e-12)
    assert np.isnan(additivity.cosine(jnp.zeros((1, 3)), jnp.ones((1, 3)))).all()


def test_a_composed_double_has_no_interaction():
    h_i, h_j, _ = effects(3)
    np.testing.assert_array_equal(
        additivity.composed(jnp.asarray(h_i), jnp.asarray(h_j)), h_i + h_j
    )


def planted(scale, seed=0, p=14, d=6, n=40):
    """Normal cells of control, singles and all pairs; three pairs interact strongly."""
    rng = np.random.default_rng(seed)
    h = rng.normal(size=(p, d))
    i, j = np.triu_indices(p, 1)
    both = scale * (h[i] + h[j])
    both[:3] += 6.0
    means = np.concatenate([np.zeros((1, d)), h, both])
    codes = np.concatenate(
        [[[-1, -1]], np.stack([np.full(p, -1), np.arange(p)], 1), np.stack([i, j], 1)]
    )
    x = np.repeat(means, n, axis=0) + rng.normal(size=(len(means) * n, d))
    return screen(x.astype(np.float32), np.repeat(codes, n, axis=0), p=p, well=None)


@pytest.mark.parametrize("scale", [1.0, 0.74, 1.3])
def test_the_common_scale_of_doubles_is_found_whatever_interacts(scale):
    found = paired.additive(planted(scale), residual=False, seed=0)
    assert found.scale() == pytest.approx(scale, abs=0.03)


def test_scaled_contrasts_give_back_the_null():
    # of h_ij = .74 (h_i + h_j) + noise: D is noise alone under the scale, and R unbiased around 0
    made = planted(0.74, seed=1)
    rest = np.arange(3, 91)
    plain, given, found = (
        paired.additive(made, residual=False, seed=0, scale=scale) for scale in (1.0, 0.74, None)
    )
    assert plain.contrast == additivity.CONTRAST
    assert sum(given.contrast) == pytest.approx(0) and given.contrast[3] == 1
    assert found.contrast == pytest.approx(given.contrast, abs=0.06)
    p = {name: of.test(rest).p for name, of in (("plain", plain), ("given", given))}
    assert np.mean(p["plain"] < 0.05) > 0.3 and np.mean(p["given"] < 0.05) < 0.15
    r = given.test(rest)
    assert abs(r.statistic.mean()) < 4 * r.statistic.std() / len(rest) ** 0.5
    assert (given.test(np.arange(3)).p < 1e-6).all()


def test_a_few_pairs_tell_nothing_of_a_common_scale():
    assert paired.additive(planted(0.7, p=4), residual=False, seed=0).scale() == 1.0
