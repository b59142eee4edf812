import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import expit, logsumexp
from scipy.stats import norm

from epistax.engine.stats import divergence as dv


@pytest.fixture
def x64():
    with jax.enable_x64(True):
        yield


def ratios(p, q, p_mask=None, q_mask=None):
    masks = (
        np.ones(t.shape, bool) if mask is None else mask for t, mask in ((p, p_mask), (q, q_mask))
    )
    return dv.Ratios(*(jnp.asarray(v) for v in (p, q, *masks)))


def gaussian(mu, n, seed=0, reps=()):
    """True log-ratios of N(mu, 1) to N(0, 1), KL mu^2 / 2, on n samples of either."""
    rng = np.random.default_rng(seed)
    p, q = rng.normal(mu, size=(*reps, n)), rng.normal(size=(*reps, n))
    return ratios(mu * p - mu**2 / 2, mu * q - mu**2 / 2)


def population_smile(mu, tau):
    a, b = (-tau + mu**2 / 2) / mu, (tau + mu**2 / 2) / mu
    middle = norm.cdf(b - mu) - norm.cdf(a - mu)
    partition = np.exp(-tau) * norm.cdf(a) + middle + np.exp(tau) * norm.sf(b)
    return float(mu**2 / 2 - np.log(partition))


ALL = {name: lambda r, e=e: e(r, 2.0) for name, e in dv.ESTIMATORS.items()}


@pytest.mark.parametrize(
    "mu, tau, value, tolerance",
    [(2.0, 5.0, 2.03259, 0.02), (3.0, 5.0, 4.88161, 0.06), (2.0, 1.0, 2.38904, 0.01)],
)
def test_smile_of_a_true_critic_is_off_by_what_the_clip_removes(mu, tau, value, tolerance, x64):
    # A7
    assert population_smile(mu, tau) == pytest.approx(value, abs=1e-5)
    assert float(dv.smile(gaussian(mu, 1_000_000), tau)) == pytest.approx(value, abs=tolerance)


def test_smile_between_mile_and_the_mean(x64):
    # A8
    r = gaussian(2.0, 3000)
    mile = float(np.mean(r.p)) - (logsumexp(r.q) - np.log(3000))
    assert float(dv.mile(r)) == pytest.approx(mile, abs=1e-9)
    assert float(dv.smile(r, 1e9)) == pytest.approx(mile, abs=1e-9)
    assert float(dv.truncated(r, 1e9)) == pytest.approx(mile, abs=1e-9)
    assert float(dv.smile(r, 1e-12)) == pytest.approx(float(np.mean(r.p)), abs=1e-9)
    assert float(dv.naive(r)) == pytest.approx(float(np.mean(r.p)), abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_the_bridge_takes_a_constant_off(seed):
    # A9
    r = gaussian(2.0, 2000, seed)
    r = r._replace(p=r.p + 0.7, q=r.q + 0.7)
    assert float(dv.bridge(r)) == pytest.approx(2.0, abs=0.12)
    assert float(dv.bridge_shift(r)) == pytest.approx(0.7, abs=0.12)
    assert float(dv.naive(r)) == pytest.approx(2.7, abs=0.15)


@pytest.mark.parametrize("constant", [0.7, -40.0, 3000.0])
def test_which_estimators_a_constant_leaves_alone(constant, x64):
    r = gaussian(2.0, 500)
    moved = r._replace(p=r.p + constant, q=r.q + constant)
    for estimator in (dv.bridge, dv.mile):
        assert float(estimator(moved)) == pytest.approx(float(estimator(r)), abs=1e-8)
    assert float(dv.naive(moved)) == pytest.approx(float(dv.naive(r)) + constant, abs=1e-9)
    # clipped to one end: nothing is left of the correction but tau
    far = float(dv.smile(moved, 2.0) - dv.naive(moved))
    assert abs(constant) < 1 or far == pytest.approx(-2 * np.sign(constant), abs=1e-9)


@pytest.mark.parametrize("mu, n, m", [(0.3, 400, 700), (2.0, 500, 90), (12.0, 300, 300)])
def test_the_bridge_solves_its_equation(mu, n, m, x64):
    r = gaussian(mu, max(n, m))
    r = r._replace(p=r.p[:n], q=r.q[:m], p_mask=r.p_mask[:n], q_mask=r.q_mask[:m])
    p, q = np.asarray(r.p), np.asarray(r.q)
    low, high = min(p.min(), q.min()), max(p.max(), q.max())
    root = brentq(
        lambda c: np.log(expit(q - c).mean()) - np.log(expit(c - p).mean()), low, high, xtol=1e-13
    )
    assert float(dv.bridge_shift(r)) == pytest.approx(root, abs=1e-9)
    assert float(dv.bridge(r)) == pytest.approx(p.mean() - root, abs=1e-9)


def test_the_bridge_halfway_between_what_lies_apart():
    # in single precision sigma(-400) is 0: only its logarithm has a slope
    r = ratios(np.full(5, 420, np.float32), np.full(8, -380, np.float32))
    assert float(dv.bridge_shift(r)) == pytest.approx(20, abs=1e-3)
    assert float(dv.bridge(r)) == pytest.approx(400, abs=1e-3)


def test_kl_of_gaussians_with_a_true_critic(x64):
    """Bias and spread at 2,000 samples a side, over 400 data sets."""
    reps = 400
    cases = {2.0: (0.046, 0.108, 0.144), 3.0: (0.062, 0.194, 0.403)}
    for mu, (sd_naive, sd_smile, sd_mile) in cases.items():
        r = gaussian(mu, 2000, seed=1, reps=(reps,))
        found = {
            "naive": jax.vmap(dv.naive)(r) - mu**2 / 2,
            "bridge": jax.vmap(dv.bridge)(r) - mu**2 / 2,
            "smile": jax.vmap(lambda r: dv.smile(r, 5.0))(r) - population_smile(mu, 5.0),
            "truncated": jax.vmap(lambda r: dv.truncated(r, 2.0))(r) - mu**2 / 2,
        }
        for name, error in found.items():
            # the logarithm of a mean is off by half its relative variance
            se = float(np.std(error)) / np.sqrt(reps)
            slant = 0.5 * float(np.var(error)) if name != "naive" else 0
            assert abs(float(np.mean(error))) < 4 * se + slant, (mu, name)
        assert float(np.std(found["naive"])) == pytest.approx(sd_naive, rel=0.15)
        assert float(np.std(found["smile"])) == pytest.approx(sd_smile, rel=0.25)
        assert float(np.std(found["bridge"])) < float(np.std(found["smile"]))
        assert float(np.std(jax.vmap(dv.mile)(r))) == pytest.approx(sd_mile, rel=0.35)


@pytest.mark.parametrize("tau", [0.5, 1.0, 2.0, 5.0])
def test_the_consistent_form_has_no_clip_bias(tau, x64):
    r = gaussian(2.0, 1_000_000, seed=2)
    assert float(dv.truncated(r, tau)) == pytest.approx(2.0, abs=0.02)
    assert tau == 5.0 or float(dv.smile(r, tau)) > 2.2


def test_the_consistent_form_is_its_formula(x64):
    tau, r = 1.5, gaussian(2.0, 400)
    p, q = np.asarray(r.p), np.asarray(r.q)
    a, b = np.mean(np.exp(q) * (np.abs(q) <= tau)), np.mean(np.abs(p) <= tau)
    c = np.exp(tau) * np.mean(q > tau) + np.exp(-tau) * np.mean(q < -tau)
    expected = p.mean() - np.log((a + c) / (b + c))
    assert float(dv.truncated(r, tau)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", list(ALL))
def test_padding_changes_no_figure(name, x64):
    r = gaussian(2.0, 300)
    junk = np.full(37, np.nan)
    padded = ratios(
        np.concatenate([r.p, junk]),
        np.concatenate([junk, r.q]),
        np.arange(337) < 300,
        np.arange(337) >= 37,
    )
    assert float(ALL[name](padded)) == pytest.approx(float(ALL[name](r)), abs=1e-12)
    for a, b in zip(dv.diagnose(padded, 2.0), dv.diagnose(r, 2.0), strict=True):
        assert float(a) == pytest.approx(float(b), rel=1e-12)
    other = padded._replace(p=jnp.where(padded.p_mask, padded.p, 1e6))
    assert float(ALL[name](other)) == float(ALL[name](padded))


@pytest.mark.parametrize("name", list(ALL))
def test_jitted_and_vmapped_are_the_plain_ones(name, x64):
    r = gaussian(1.5, 200, reps=(4,))
    mask = jnp.arange(200)[None, :] < jnp.array([[200], [150], [20], [199]])
    r = r._replace(p_mask=mask, q_mask=mask)
    each = [jax.tree.map(lambda v, i=i: v[i], r) for i in range(4)]
    plain = [float(ALL[name](one)) for one in each]
    np.testing.assert_allclose(jax.vmap(ALL[name])(r), plain, atol=1e-12)
    np.testing.assert_allclose([jax.jit(ALL[name])(one) for one in each], plain, atol=1e-12)
    shared = jax.vmap(ALL[name], in_axes=(dv.Ratios(0, 0, 0, None),))
    same = r._replace(q_mask=mask[0])
    np.testing.assert_allclose(
        shared(same)[1], ALL[name](each[1]._replace(q_mask=mask[0])), atol=1e-12
    )


@pytest.mark.parametrize("name", list(ALL))
def test_single_precision_suffices(name):
    r = gaussian(2.0, 5000)
    assert r.p.dtype == jnp.float32
    single = float(ALL[name](r))
    with jax.enable_x64(True):
        double = float(ALL[name](ratios(*(np.asarray(v, np.float64) for v in (r.p, r.q)))))
    assert single == pytest.approx(double, abs=2e-5)


def test_diagnostics_are_their_definitions(x64):
    r = gaussian(2.0, 1000)
    seen = dv.diagnose(r, 1.0)
    q = np.asarray(r.q)
    for tau, size in ((1.0, seen.ess), (np.inf, seen.ess_unclipped)):
        w = np.exp(np.clip(q, -tau, tau))
        assert float(size) == pytest.approx(w.sum() ** 2 / (w**2).sum(), rel=1e-12)
    assert float(seen.log_z) == pytest.approx(np.log(np.exp(np.clip(q, -1, 1)).mean()), abs=1e-12)
    assert float(seen.shift) == pytest.approx(float(dv.bridge_shift(r)), abs=1e-12)
    # equal weights are worth as many as there are, one heavy one is worth one; both overflow exp
    even, heavy = np.full(50, 900.0), np.r_[2000.0, np.zeros(49)]
    assert float(dv.effective_size(jnp.asarray(even), jnp.ones(50, bool))) == pytest.approx(50)
    assert float(dv.effective_size(jnp.asarray(heavy), jnp.ones(50, bool))) == pytest.approx(1)


def test_what_is_doubtful():
    sound = gaussian(1.0, 2000)
    moved = sound._replace(p=sound.p + 0.8, q=sound.q + 0.8)
    apart = gaussian(6.0, 500)
    empty = sound._replace(p_mask=jnp.zeros(2000, bool))
    lost = sound._replace(q=sound.q.at[3].set(jnp.nan))
    verdict = [bool(dv.doubtful(dv.diagnose(r, 5.0))) for r in (sound, moved, apart, empty, lost)]
    assert verdict == [False, True, True, True, True]
    assert float(dv.diagnose(apart, 5.0).ess_unclipped) < dv.ESS
    for estimator in ALL.values():
        assert np.isnan(float(estimator(empty)))


def classes(sizes, n=3000, seed=3):
    """Stacked true log-ratios of classes with these KLs."""
    each = [gaussian(float(np.sqrt(2 * kl)), n, seed + i) for i, kl in enumerate(sizes)]
    return jax.tree.map(lambda *v: jnp.stack(v), *each)


def test_one_clip_for_all_classes_by_either_rule(x64):
    grid = jnp.asarray(dv.GRID)
    r = classes([2.0, 2.0, 4.0, 1.0, 3.0])
    curves = jax.vmap(lambda one: dv.curve(one, grid))(r)
    for i, tau in enumerate(dv.GRID):
        assert float(curves[2, i]) == pytest.approx(
            float(dv.smile(jax.tree.map(lambda v: v[2], r), tau)), abs=1e-12
        )
    target = jax.vmap(dv.bridge)(r)
    known = jnp.array([True, True, True, False, False])
    miss = ((np.asarray(curves) - np.asarray(target)[:, None])[:3] ** 2).sum(0)
    chosen = float(dv.match(curves, target, known, grid))
    assert chosen == dv.GRID[int(miss.argmin())]
    padded = curves.at[3:].set(jnp.nan)
    assert float(dv.match(padded, target, known, grid)) == chosen
    triples = jnp.array([[2, 0, 1], [4, 0, 3]])
    c = np.asarray(curves)
    wrong = (c[2] - c[0] - c[1]) ** 2 + (c[4] - c[0] - c[3]) ** 2
    assert float(dv.calibrate(curves, triples, grid)) == dv.GRID[int(wrong.argmin())]


def test_lepskis_clip_is_the_first_that_agrees_with_all_larger(x64):
    grid = jnp.asarray(dv.GRID)
    for seed, mu in enumerate([0.2, 1.0, 2.0, 3.0]):
        r = gaussian(mu, 1000, seed)
        q, n = np.asarray(r.q), 1000
        w = [np.exp(np.clip(q, -t, t)) for t in dv.GRID]
        u = [v / v.mean() for v in w]
        agree = [
            all(
                abs(np.log(w[a].mean()) - np.log(w[b].mean()))
                <= 2 * np.sqrt(np.mean((u[a] - u[b]) ** 2) / n)
                for b in range(a + 1, len(w))
            )
            for a in range(len(w))
        ]
        assert float(dv.lepski(r, grid)) == dv.GRID[agree.index(True)]
        padded = r._replace(
            q=jnp.concatenate([r.q, jnp.full(9, jnp.nan)]), q_mask=jnp.arange(n + 9) < n
        )
        assert float(dv.lepski(padded, grid)) == float(dv.lepski(r, grid))


def log_ratio(z, hit):
    """Of N(2, 1) on the latents hit and N(0, 1) elsewhere to N(0, I), from the two densities."""
    mean = np.where(np.isin(np.arange(z.shape[1]), list(hit)), 2.0, 0.0)
    return jnp.asarray(norm.logpdf(z, mean).sum(axis=1) - norm.logpdf(z).sum(axis=1))


def test_log_forms_are_0_for_a_separable_pair_and_not_for_an_inseparable_one(x64):
    # A1
    rng = np.random.default_rng(0)
    z = rng.normal(size=(4000, 3)) + np.array([2.0, 2.0, 0.0])
    mask = jnp.ones(4000, bool)
    a, c, ac = (log_ratio(z, hit) for hit in ({0}, {1}, {0, 1}))
    np.testing.assert_allclose(ac - a - c, 0, atol=1e-10)
    assert abs(float(dv.log_form(ac, a, c, mask))) < 1e-10
    assert float(dv.log_rms(ac, a, c, mask)) < 1e-10
    z = rng.normal(size=(4000, 3)) + np.array([2.0, 0.0, 0.0])
    ab = log_ratio(z, {0})
    # T_AB - T_A - T_B = -T_A, of mean -KL and variance 4 under p_AB
    assert float(dv.log_form(ab, ab, ab, mask)) == pytest.approx(-2.0, abs=0.1)
    assert float(dv.log_rms(ab, ab, ab, mask)) == pytest.approx(np.sqrt(8), abs=0.1)


def test_separability_without_additive_kl_where_one_acts_upstream(x64):
    # A2
    n, mu, a, b = 400_000, 2.0, 0.5, 1.5
    rng = np.random.default_rng(1)

    def sample(hit_1, hit_2):
        first = rng.normal(mu if hit_1 else 0.0, size=n)
        return first, (b if hit_2 else a) * first + rng.normal(size=n)

    def critic(z, hit_1, hit_2):
        of_1 = norm.logpdf(z[0], mu) - norm.logpdf(z[0]) if hit_1 else 0.0
        of_2 = norm.logpdf(z[1], b * z[0]) - norm.logpdf(z[1], a * z[0]) if hit_2 else 0.0
        return jnp.asarray(of_1 + of_2)

    kls = []
    for hit in ((1, 1), (1, 0), (0, 1)):
        t = critic(sample(*hit), *hit)
        kls.append(dv.naive(ratios(t, t)))
    expected = (b - a) ** 2 * mu**2 / 2
    assert float(dv.signed(*kls)) == pytest.approx(expected, abs=0.03)
    assert float(dv.score(*kls)) == pytest.approx(expected, abs=0.03)
    z = sample(1, 1)
    three = [critic(z, *hit) for hit in ((1, 1), (1, 0), (0, 1))]
    assert abs(float(dv.log_form(*three, jnp.ones(n, bool)))) < 1e-9
    assert float(dv.log_rms(*three, jnp.ones(n, bool))) < 1e-9


def test_the_score_of_gaussian_shifts_is_their_overlap(x64):
    # A3
    rng = np.random.default_rng(2)
    first, second, extra = rng.normal(size=(3, 50, 6))
    double = first + second + extra
    kls = (jnp.asarray(0.5 * (m**2).sum(1)) for m in (double, first, second))
    overlap = (first * second).sum(1) + ((first + second) * extra).sum(1) + 0.5 * (extra**2).sum(1)
    np.testing.assert_allclose(dv.signed(*kls), overlap, atol=1e-12)


def test_scores_of_pairs_forget_order_and_padding(x64):
    rng = np.random.default_rng(3)
    double, first, second = (jnp.asarray(v) for v in rng.normal(size=(3, 60)))
    mask = jnp.arange(60) < 41
    for form in (dv.log_form, dv.log_rms):
        value = float(form(double, first, second, mask))
        assert float(form(double, second, first, mask)) == pytest.approx(value, abs=1e-14)
        cut = [v[:41] for v in (double, first, second, mask)]
        assert float(form(*cut)) == pytest.approx(value, abs=1e-14)
        assert float(form(double.at[50].set(jnp.nan), first, second, mask)) == value
        assert float(jax.jit(form)(double, first, second, mask)) == pytest.approx(value, abs=1e-14)
    assert float(dv.log_rms(double, first, second, mask)) >= abs(
        float(dv.log_form(double, first, second, mask))
    )
    np.testing.assert_array_equal(dv.score(first, double, second), abs(first - double - second))
