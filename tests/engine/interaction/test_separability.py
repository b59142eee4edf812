import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import kstest, norm

from epistax.engine.interaction import separability, wellnulls
from epistax.engine.interaction.ratiotests import ratio_tests
from epistax.engine.interaction.readout import Readout
from epistax.engine.mesh import mesh
from epistax.engine.screen import screen
from epistax.engine.stats.divergence import GRID, doubtful

FOLDS = 2
MEANS = np.array([[0, 0], [2, 0], [0, 1.5], [1, 0], [2, 1.5], [2, 0.5]])  # 0, A, B, C, AB, AC
CODES = [(-1, -1), (-1, 0), (-1, 1), (-1, 2), (0, 1), (0, 2)]


def exact(n=(400, 300, 310, 290, 200, 190), seed=0, off=0.0):
    """A screen of Gaussians and the read-out of a critic that knows their log-ratios."""
    rng = np.random.default_rng(seed)
    y = np.concatenate([rng.normal(m, size=(k, 2)) for m, k in zip(MEANS, n, strict=True)])
    made = screen(y.astype(np.float32), np.repeat(CODES, n, axis=0), p=3, well=None)
    stands = np.repeat(np.arange(6), n)
    fold = np.concatenate([np.arange(k) % FOLDS for k in n])
    order = np.lexsort((np.arange(len(y)), stands, fold))
    count = np.array(
        [[((stands == c) & (fold == f)).sum() for c in range(6)] for f in range(FOLDS)]
    )
    first = np.r_[0, np.cumsum(count.ravel())[:-1]].reshape(count.shape)
    unit = np.concatenate([np.arange(k) for k in count.ravel()])
    bias = -np.sum(MEANS**2, axis=1) / 2 + off
    bias[0] = 0
    read = Readout(
        jnp.asarray(y[order], jnp.float32),
        jnp.asarray(np.stack([MEANS] * FOLDS), jnp.float32),
        jnp.asarray(np.stack([bias] * FOLDS), jnp.float32),
        *(jnp.asarray(v, jnp.int32) for v in (unit, first, count)),
    )
    rows = {
        (f, c): y[order][first[f, c] : first[f, c] + count[f, c]]
        for f in range(FOLDS)
        for c in range(6)
    }
    return made, read, rows


def log_ratio(y, c):
    return y @ MEANS[c] - np.sum(MEANS[c] ** 2) / 2


def bridge(rows, f, c):
    p, q = (log_ratio(rows[f, k], c) for k in (c, 0))
    c = brentq(lambda s: np.log(expit(s - p).mean()) - np.log(expit(q - s).mean()), -30, 30)
    return p.mean() - c


def run(made, read, pairs=(0, 1), estimator="bridge", tau=5.0, **how):
    kept = np.ones(6, bool)
    tests = ratio_tests(made, kept, read, estimator=estimator, tau=tau, seed=0, **how)
    return tests, tests.test(np.array(pairs))


def test_statistics_are_those_of_a_loop_in_float64():
    made, read, rows = exact()
    tests, found = run(made, read)
    kl = np.array([np.mean([bridge(rows, f, c) for f in range(FOLDS)]) for c in range(1, 6)])
    np.testing.assert_allclose(tests.alone.kl[1:], kl[:3], atol=1e-4)
    np.testing.assert_allclose(found.double, kl[3:], atol=1e-4)
    signed = [kl[3] - kl[0] - kl[1], kl[4] - kl[0] - kl[2]]
    np.testing.assert_allclose(found.kl.value, signed, atol=2e-4)
    for at, (double, i, j) in enumerate([(4, 1, 2), (5, 1, 3)]):
        y = np.concatenate([rows[f, double] for f in range(FOLDS)])
        form = log_ratio(y, double) - log_ratio(y, i) - log_ratio(y, j)
        assert float(found.logform.value[at]) == pytest.approx(form.mean(), abs=1e-4)
        assert float(found.logrms.value[at]) == pytest.approx(np.sqrt(np.mean(form**2)), abs=1e-4)
        se = form.std(ddof=1) / np.sqrt(len(form))
        assert float(found.logform.se[at]) == pytest.approx(se, rel=1e-3, abs=1e-5)
    # A and B act on different axes, A and C do not
    assert abs(found.kl.value[0]) < 4 * found.kl.se[0]
    assert found.kl.value[1] < -2 * found.kl.se[1]
    assert np.abs(found.logform.value[0]) < 1e-4 and found.logrms.value[1] > 1


def test_the_standard_error_is_the_scatter_over_screens():
    pairs = [run(*exact(seed=seed)[:2])[1].kl for seed in range(30)]
    value, se = (np.array([getattr(v, n) for v in pairs]) for n in ("value", "se"))
    np.testing.assert_allclose(se.mean(axis=0), value.std(axis=0, ddof=1), rtol=0.35)


def test_a_constant_of_the_critic_is_taken_off_and_told():
    made, read, _ = exact()
    _, plain = run(made, read)
    _, moved = run(made, exact(off=0.7)[1])
    np.testing.assert_allclose(moved.kl.value, plain.kl.value, atol=2e-3)
    assert (np.asarray(moved.seen.shift) > 0.5).all()
    # (of AB too few controls carry the weights, however good the critic)
    assert np.asarray(doubtful(moved.seen)).all()
    assert np.asarray(doubtful(plain.seen)).tolist() == [True, False]
    # mc takes it at its word, once a class
    (_, a), (_, b) = (run(made, r, estimator="mc") for r in (read, exact(off=0.7)[1]))
    np.testing.assert_allclose(b.kl.value - a.kl.value, -0.7, atol=2e-3)


def test_what_is_said_of_a_pair_does_not_depend_on_the_others():
    made, read, _ = exact()
    _, both = run(made, read)
    for at in (0, 1):
        _, one = run(made, read, pairs=(at,))
        for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(both), strict=True):
            np.testing.assert_allclose(a[0], b[at], rtol=1e-5)


def test_eight_devices_are_one():
    made, read, _ = exact()
    one, eight = (run(made, read, mesh=m)[1] for m in (None, mesh(8)))
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(eight), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_the_common_clip_is_of_the_grid_and_of_all_classes():
    made, read, _ = exact()
    tests, _ = run(made, read, estimator="smile", tau=None)
    assert tests.tau in GRID
    assert run(made, read, estimator="smile", tau=2.0)[0].tau == 2.0


@pytest.mark.parametrize("sd", [0.0, 0.3])
def test_the_critics_own_error_is_found_among_separable_pairs(sd):
    rng = np.random.default_rng(0)
    se = rng.uniform(0.05, 0.15, 4000)
    value = rng.normal(scale=np.hypot(se, sd))
    value[:800] += rng.choice([-2, 2], 800)  # a fifth interacts
    found = separability.excess(value, se)
    assert found == pytest.approx(np.hypot(sd, 0.0), abs=0.12)
    p = separability.p_values(value, se, found)
    assert (p[800:] < 0.05).mean() < 0.06
    np.testing.assert_allclose(
        separability.p_values(np.array([0.5]), np.array([0.3]), 0.4), 2 * norm.sf(1.0)
    )
    assert separability.excess(np.array([0.1, -0.1, 0.05]), np.ones(3)) == 0


@pytest.mark.parametrize(
    "method", [pytest.param("multiplier", marks=pytest.mark.slow), "permutation"]
)
def test_draws_of_the_wells_are_as_wide_as_the_standard_error(method):
    made, read, _ = exact()
    tests, found = run(made, read)
    drawn = tests.null(method, 4000)(np.array([0, 1]))
    for name in ("kl", "logform"):
        draws, se = getattr(drawn, name), np.asarray(getattr(found, name).se)
        assert draws.shape == (2, 4032)  # whole chunks
        np.testing.assert_allclose(draws.std(axis=1), se, rtol=0.05, atol=1e-5)
        np.testing.assert_allclose(draws.mean(axis=1), 0, atol=0.06 * se.max())
    # AB and AC share A and the control, and their draws do
    assert np.corrcoef(drawn.kl)[0, 1] > 0.2


@pytest.mark.slow
def test_draws_do_not_depend_on_company_or_padding():
    made, read, _ = exact(n=(400, 300, 310, 290, 70, 190))
    null = run(made, read)[0].null("permutation", 64)
    one, both = (null(np.array(pairs)) for pairs in ([0], [0, 1]))
    for a, b in zip(one, both, strict=True):
        np.testing.assert_allclose(a[0], b[0], rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_p_values_of_a_separable_pair_are_uniform():
    p = []
    for seed in range(60):
        tests, found = run(*exact(seed=seed)[:2], pairs=(0,))
        draws = tests.null("permutation", 256)(np.array([0])).kl
        p.append(wellnulls.p_values(np.asarray(found.kl.value), draws, 0.0)[0])
    assert kstest(p, "uniform").pvalue > 0.01


def test_the_critics_error_is_folded_into_drawn_p_values():
    value, draws = np.array([0.5, -0.2]), np.zeros((2, 99))
    closed = (1 + 99 * 2 * norm.sf(np.abs(value) / 0.4)) / 100
    np.testing.assert_allclose(wellnulls.p_values(value, draws, 0.4), closed)
    np.testing.assert_allclose(wellnulls.p_values(value, draws, 0.0), 0.01)
    rng = np.random.default_rng(0)
    draws = rng.normal(scale=0.3, size=(2, 20_000))
    wide = wellnulls.p_values(value, draws, 0.4)
    np.testing.assert_allclose(wide, 2 * norm.sf(np.abs(value) / 0.5), atol=0.01)
    draws[1, 3] = np.nan  # one well alone has no departure
    assert np.isnan(wellnulls.p_values(value, draws, 0.4)[1])
    unknown = wellnulls.p_values(np.array([np.nan, 0.1]), np.zeros((2, 9)), 0.0)
    assert np.isnan(unknown[0]) and unknown[1] == 0.1
