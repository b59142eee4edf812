import itertools

import jax
import numpy as np
import pytest
from scipy.spatial.distance import pdist
from sklearn.gaussian_process.kernels import Matern
from sklearn.metrics.pairwise import rbf_kernel

from epistax.engine.interaction import additivity, disjointness, drawnnulls, paired
from epistax.engine.mesh import mesh
from epistax.engine.screen import marginal, screen

P = 6
SCALE = 2.5
GRAMS = {
    "rbf": lambda x, y: rbf_kernel(x, y, gamma=0.5 / SCALE**2),
    "matern52": lambda x, y: Matern(length_scale=SCALE, nu=2.5)(x, y),
}


def table(seed=0, *, d=3, alone=(17, 24), together=(9, 16), wells=False, dtype=np.float32):
    """An unbalanced screen of all pairs of P: few padded lengths, every size between."""
    rng = np.random.default_rng(seed)
    pairs = list(itertools.combinations(range(P), 2))
    kinds = [(-1, -1), *((-1, k) for k in range(P)), *pairs]
    sizes = [53, *rng.integers(alone[0], alone[1] + 1, P)]
    sizes += list(rng.integers(together[0], together[1] + 1, len(pairs)))
    codes = np.repeat(np.array(kinds, np.int32), sizes, axis=0)
    shift = 1.5 * rng.normal(size=(P + 1, d)) * (np.arange(P + 1) < P)[:, None]
    x = rng.normal(size=(len(codes), d)) + shift[codes].sum(axis=1)
    x -= x.mean(axis=0)
    order = rng.permutation(len(x))
    # four cells a well or so, within the class
    well = np.arange(len(x)) // 4 if wells else None
    return x[order].astype(dtype), codes[order], well if well is None else well[order]


def rows_of(codes, i, j):
    """Boolean rows of control, i, j and ij."""
    return [(codes == c).all(axis=1) for c in ((-1, -1), (-1, i), (-1, j), (i, j))]


def brute(x, codes, well, gram, contrast):
    """V- and U-statistic of every pair from its own Gram matrix, in float64."""
    x, well = x.astype(np.float64), np.arange(len(x)) if well is None else well
    found = []
    for i, j in itertools.combinations(range(P), 2):
        value = less = 0.0
        arms = [np.flatnonzero(r) for r in rows_of(codes, i, j)]
        for (s, a), (t, b) in itertools.product(zip(contrast, arms, strict=True), repeat=2):
            block = gram(x[a], x[b])
            value += s * t * block.mean()
            if a is b:
                block = block[well[a][:, None] != well[b][None, :]]
            less += s * t * block.mean()
        found.append((less, value))
    return np.array(found).T


@pytest.fixture(scope="module")
def plain():
    x, codes, _ = table()
    return screen(x, codes, p=P, well=None)


@pytest.fixture(scope="module")
def tested(plain):
    """The MMD test of one screen and its answer on all pairs."""
    test = paired.disjoint(plain, kernel="rbf", length_scale=SCALE, seed=0)
    return test, test(np.arange(len(plain.pairs.i)))


@pytest.mark.parametrize("kernel, wells", [("rbf", True), ("matern52", False)])
def test_mmd_of_every_pair_is_brute_force_in_double_precision(kernel, wells):
    # A12 for a whole screen of unequal classes, cells or wells of any size
    x, codes, well = table(1, wells=wells, dtype=np.float64)
    expected = brute(x, codes, well, GRAMS[kernel], disjointness.CONTRAST)
    with jax.enable_x64(True):
        made = screen(x, codes, p=P, well=well)
        test = paired.disjoint(made, kernel=kernel, length_scale=SCALE, seed=0, inference=False)
        found = test(np.arange(len(made.pairs.i)))
    np.testing.assert_allclose(found.biased, expected[1], rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.statistic, expected[0], rtol=0, atol=1e-12)
    assert np.isnan(found.se).all() and np.isnan(found.p).all()


def test_mmd_in_single_precision(plain, tested):
    x, codes, _ = table()
    expected = brute(x, codes, None, GRAMS["rbf"], disjointness.CONTRAST)
    np.testing.assert_allclose(tested[1].biased, expected[1], atol=2e-6)
    np.testing.assert_allclose(tested[1].statistic, expected[0], atol=2e-6)
    assert (tested[1].biased > 1e-4).all()
    assert (tested[1].se > 0).all() and (tested[1].p > 0).all()


def same(one, two, rtol=1e-4, atol=2e-6):
    for field in one._fields:
        np.testing.assert_allclose(
            getattr(one, field), getattr(two, field), rtol=rtol, atol=atol, err_msg=field
        )


def at(scores, index):
    return paired.PairScores(*(v[index] for v in scores))


def test_a_pairs_row_does_not_depend_on_the_others_asked_for(plain, tested):
    test, every = tested
    subset = np.arange(3, 11)
    same(test(subset), at(every, subset))


def test_rows_come_in_the_order_asked_for(plain, tested):
    asked = np.array([7, 2, 11, 2, 0])
    same(tested[0](asked), at(tested[1], asked))
    additive = paired.additive(plain, residual=False, seed=0)
    every = np.arange(len(plain.pairs.i))
    same(additive.test(asked), at(additive.test(every), asked))
    np.testing.assert_allclose(additive.doubles(asked), additive.doubles(every)[asked], atol=1e-6)


def test_names_and_places_of_perturbations_do_not_matter(plain, tested):
    x, codes, _ = table()
    order = np.random.default_rng(2).permutation(P)
    renamed = np.sort(np.where(codes < 0, -1, order[codes]), axis=1).astype(np.int32)
    shift = np.random.default_rng(3).normal(size=3).astype(np.float32)
    made = screen(x + shift, renamed, p=P, well=None)
    found = paired.disjoint(made, kernel="rbf", length_scale=SCALE, seed=5)(np.arange(15))
    number = {pair: k for k, pair in enumerate(itertools.combinations(range(P), 2))}
    places = [
        number[tuple(sorted((int(order[i]), int(order[j]))))]
        for i, j in itertools.combinations(range(P), 2)
    ]
    moved = at(found, np.array(places))
    np.testing.assert_allclose(moved.biased, tested[1].biased, atol=3e-6)
    np.testing.assert_allclose(moved.statistic, tested[1].statistic, atol=3e-6)
    # other landmarks: the null distribution nearly
    np.testing.assert_allclose(moved.se, tested[1].se, rtol=0.1)
    np.testing.assert_allclose(np.log(moved.p), np.log(tested[1].p), atol=0.35)


def linear(x, y):
    return x @ y.T


@pytest.mark.parametrize("d, wells", [(3, True), (70, False)])
def test_additive_scores_are_brute_force(d, wells):
    # 70 features are more than the null distribution has; R itself has them all
    x, codes, well = table(2, d=d, wells=wells)
    if wells:  # of equal size: a class's cells in wells of two
        well = np.zeros(len(x), int)
        for which, code in enumerate(np.unique(codes, axis=0)):
            mine = np.flatnonzero((codes == code).all(axis=1))
            well[mine] = 1000 * which + np.arange(len(mine)) // 2
        lone = np.bincount(well)[well] == 1
        x, codes, well = x[~lone], codes[~lone], well[~lone]
    made = screen(x, codes, p=P, well=well)
    found = paired.additive(made, residual=False, seed=0)
    got = found.test(np.arange(15))
    expected = brute(x, codes, well, linear, additivity.CONTRAST)
    np.testing.assert_allclose(got.biased, expected[1], rtol=2e-5, atol=1e-5)
    np.testing.assert_allclose(got.statistic, expected[0], rtol=2e-4, atol=2e-4)
    assert np.isfinite(got.p).all() and (got.se > 0).all()
    means = [
        [x[r].mean(axis=0) for r in rows_of(codes, i, j)] for i, j in zip(*made.pairs, strict=True)
    ]
    control = means[0][0]
    np.testing.assert_allclose(found.control, control, atol=1e-5)
    np.testing.assert_allclose(
        found.doubles(np.arange(15)), np.stack([m[3] for m in means]) - control, atol=1e-5
    )
    for k, (i, j) in enumerate(zip(*made.pairs, strict=True)):
        np.testing.assert_allclose(found.singles[i], means[k][1] - control, atol=1e-5)
        np.testing.assert_allclose(found.singles[j], means[k][2] - control, atol=1e-5)


def test_residuals_are_judged_by_the_doubles_alone():
    x, codes, _ = table(3)
    made = marginal(x, codes, p=P, well=None, most=24, seed=0)
    found = paired.additive(made, residual=True, seed=0)
    got = found.test(np.arange(15))
    for k, (i, j) in enumerate(zip(*made.pairs, strict=True)):
        mine = x[rows_of(codes, i, j)[3]].astype(np.float64)
        mean, n = mine.mean(axis=0), len(mine)
        assert got.biased[k] == pytest.approx(mean @ mean, rel=1e-4)
        expected = mean @ mean - np.trace(np.cov(mine.T)) / n
        assert got.statistic[k] == pytest.approx(expected, rel=1e-3, abs=1e-4)
    np.testing.assert_array_equal(found.control, 0)


def test_marginal_singles_leave_the_pair_itself_out():
    # blocks between a pair and its members would else hold an observation beside itself
    x, codes, _ = table(3)
    made = marginal(x, codes, p=P, well=None, most=1000, seed=0)
    found = paired.disjoint(made, kernel="rbf", length_scale=SCALE, seed=0, inference=False)
    got = found(np.array([0, 7]))
    both = codes[:, 0] >= 0
    for k, (i, j) in zip((0, 7), ((0, 1), (1, 4)), strict=True):
        member = [(codes == v).any(axis=1) & both for v in (i, j)]
        pair = member[0] & member[1]
        arms = [np.flatnonzero(v) for v in (both, *member, pair)]
        value = 0.0
        for a, b in itertools.product(range(4), repeat=2):
            rows = [arms[a], arms[b]]
            if {a, b} in ({1, 3}, {2, 3}):
                rows = [arms[c] if c == 3 else np.setdiff1d(arms[c], arms[3]) for c in (a, b)]
            block = GRAMS["rbf"](x[rows[0]].astype(float), x[rows[1]].astype(float))
            value += disjointness.CONTRAST[a] * disjointness.CONTRAST[b] * block.mean()
        assert got.biased[k // 7] == pytest.approx(value, abs=2e-6)


def wide(seed=0, *, planted=0.0):
    """Ten disjoint pairs of mixtures, each of perturbations of its own; the first interacts."""
    rng = np.random.default_rng(seed)
    codes = np.array(
        [(-1, -1)] * 300
        + [(-1, k) for k in range(20) for _ in range(72)]
        + [(2 * k, 2 * k + 1) for k in range(10) for _ in range(72)],
        np.int32,
    )
    z = rng.integers(0, 2, len(codes))
    x = rng.normal(size=(len(codes), 4))
    x[:, 0] += 3 * z
    first = (codes[:, 1] % 2 == 0) | (codes[:, 0] >= 0)
    second = (codes[:, 1] % 2 == 1) & (codes[:, 1] >= 0)
    x[:, 2] += 3 * (first & (z == 0))
    x[:, 1] += 3 * (second & (z == 1))
    x[:, 3] += planted * ((codes[:, 0] == 0) & (codes[:, 1] == 1))
    return screen((x - x.mean(axis=0)).astype(np.float32), codes, p=20, well=None)


def test_a_planted_interaction_is_found_and_disjoint_pairs_are_not():
    made = wide(planted=4.0)
    found = paired.disjoint(
        made, kernel="rbf", length_scale=paired.bandwidth(made, seed=0), seed=0
    )(np.arange(10))
    assert found.p[0] < 1e-6 and found.statistic[0] > 5 * found.se[0]
    assert (found.p[1:] > 1e-3).all()
    # one shared control, so not independent: some are above a half nonetheless
    assert np.median(found.p[1:]) > 0.1


def test_spectral_p_values_are_those_of_the_multiplier():
    made = wide(seed=1)
    scale = paired.bandwidth(made, seed=0)
    spectral = paired.disjoint(made, kernel="rbf", length_scale=scale, seed=0)(np.arange(10)).p
    resampled = drawnnulls.resampled(
        made, disjointness.CONTRAST, kernel="rbf", length_scale=scale, method="multiplier",
        draws=2000, seed=0,
    )(np.arange(10))  # fmt: skip
    error = np.sqrt(resampled * (1 - resampled) / 2000)
    # each pools differently what it knows of the doubles' spread
    assert (np.abs(spectral - resampled) < 4 * error + 0.05).all()
    assert len(np.unique(np.round(resampled, 2))) > 5


def test_a_class_of_one_unit_spoils_no_other_pair():
    # a single of one observation, a double of one well, and a single that was never alone
    x, codes, _ = table(4)
    well = np.arange(len(x))
    kept = ~(codes == (-1, 5)).all(axis=1)
    kept[np.flatnonzero((codes == (-1, 2)).all(axis=1))[1:]] = False
    well[(codes == (0, 1)).all(axis=1)] = len(x)
    made = screen(x[kept], codes[kept], p=P, well=well[kept])
    assert made.units[1 + 2] == made.units[1 + P] == 1 and made.count[1 + 5] == 0
    tests = [
        paired.disjoint(made, kernel="rbf", length_scale=SCALE, seed=0),
        paired.additive(made, residual=False, seed=0).test,
    ]
    present = np.asarray(made.pairs.j) != 5  # the others have a single that was never measured
    for test in tests:
        got = test(np.arange(15))
        for values in got:
            assert np.isfinite(values[present]).all()


def test_several_devices_say_what_one_says(plain, tested):
    every = np.arange(len(plain.pairs.i))
    many = mesh(8)
    shared = paired.disjoint(plain, kernel="rbf", length_scale=SCALE, seed=0, mesh=many)
    same(shared(every), tested[1])
    one, eight = (paired.additive(plain, residual=False, seed=0, mesh=m) for m in (None, many))
    same(eight.test(every), one.test(every))
    np.testing.assert_allclose(eight.singles, one.singles, atol=1e-6)


def test_bandwidth_is_the_median_over_a_sample_of_all_classes(plain):
    assert paired.bandwidth(plain, seed=0) == pytest.approx(np.median(pdist(plain.x)), rel=1e-4)
    large = screen(
        np.random.default_rng(0).normal(size=(5000, 2)).astype(np.float32),
        np.full((5000, 2), -1, np.int32),
        p=1,
        well=None,
    )
    one, again, other = (paired.bandwidth(large, seed=s) for s in (0, 0, 1))
    assert one == again != other
    assert one == pytest.approx(np.sqrt(2 * 2 * np.log(2)), rel=0.03)
