import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist
from scipy.special import digamma
from sklearn.neighbors import NearestNeighbors

from epistax.engine.stats import knn
from epistax.engine.stats import neighbours as nb

SMALL = 1 << 10  # squared distances in a tile: many tiles even of few observations


@pytest.fixture
def x64():
    with jax.enable_x64(True):
        yield


def points(n=150, m=210, d=3, seed=0, decimals=None):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(n, d)), rng.normal(size=(m, d)) + 0.3
    return (x, y) if decimals is None else (x.round(decimals), y.round(decimals))


def sorted_distances(x, y, same):
    distance = cdist(x, y)
    if same:
        np.fill_diagonal(distance, np.inf)
    return np.sort(distance, axis=1)


def shifted(n, d, seed, mu=2.0):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(2, n, d))
    x[:, 0] += mu
    return x, y


def masks(n, m):
    return jnp.ones(n, bool), jnp.ones(m, bool)


@pytest.mark.parametrize("decimals", [None, 0])  # 0: most points are there many times over
@pytest.mark.parametrize("same", [False, True])
@pytest.mark.parametrize("budget", [16, SMALL, nb.BUDGET])
def test_both_ways_are_the_sorted_distance_matrix(same, budget, decimals, x64):
    x, y = points(decimals=decimals)
    y = x if same else y
    expected = sorted_distances(x, y, same)[:, :7]
    found = nb.nearest(jnp.asarray(x), jnp.asarray(y), k=7, same=same, budget=budget)
    np.testing.assert_allclose(found, expected, atol=1e-13)
    np.testing.assert_allclose(nb.tree_nearest(x, cKDTree(y), k=7, same=same), expected, atol=1e-13)


@pytest.mark.parametrize("same", [False, True])
def test_scikit_learn_finds_the_same_neighbours(same):
    x, y = points(n=400, m=500, d=12)
    y = x if same else y
    search = NearestNeighbors(n_neighbors=5, algorithm="brute").fit(y)
    expected = search.kneighbors(None if same else x)[0]
    single = nb.nearest(
        jnp.asarray(x, jnp.float32), jnp.asarray(y, jnp.float32), k=5, same=same, budget=SMALL
    )
    np.testing.assert_allclose(single, expected, rtol=2e-6)
    tree = nb.tree_nearest(x, cKDTree(y), k=5, same=same)
    np.testing.assert_allclose(tree, expected, rtol=1e-10)


def test_close_points_far_from_the_origin_stay_apart():
    x = (1000 + np.random.default_rng(1).uniform(size=(200, 3))).astype(np.float32)
    single = nb.nearest(jnp.asarray(x), jnp.asarray(x), k=3, same=True, budget=SMALL)
    expected = sorted_distances(x.astype(np.float64), x.astype(np.float64), True)[:, :3]
    np.testing.assert_allclose(single, expected, rtol=1e-6)


@pytest.mark.parametrize("decimals", [None, 0])
@pytest.mark.parametrize("same", [False, True])
@pytest.mark.parametrize("scale", [0.4, 1.5])  # few inside, and more than the tree is asked for
def test_what_lies_within_a_radius(same, decimals, scale, x64):
    x, y = points(n=250, m=300, decimals=decimals)
    y = x if same else y
    distance = cdist(x, y)
    if same:
        np.fill_diagonal(distance, np.inf)
    radius = scale * np.random.default_rng(2).uniform(0.5, 1.5, size=len(x))
    radius[::3] = np.sort(distance, axis=1)[::3, 4]  # a neighbour's own distance
    inside = distance <= radius[:, None] * (1 + 1e-13)
    count, furthest = inside.sum(1), np.where(inside, distance, 0).max(1)
    assert decimals == 0 or scale == 0.4 or count.max() > nb.LEAVES
    tiles = nb.within(jnp.asarray(x), jnp.asarray(y), jnp.asarray(radius), same=same, budget=SMALL)
    tree = nb.tree_within(x, cKDTree(y), radius, same=same, budget=1000)
    for found in (tiles, tree):
        np.testing.assert_array_equal(found[0], count)
        np.testing.assert_allclose(found[1], furthest, atol=1e-13)


def test_rows_that_do_not_exist_are_no_neighbours(x64):
    x, y = points()
    real = np.random.default_rng(3).uniform(size=len(y)) < 0.6
    holed = jnp.asarray(np.where(real[:, None], y, np.nan))
    mask, radius = jnp.asarray(real), jnp.full(len(x), 0.7)
    found = nb.nearest(jnp.asarray(x), holed, k=4, mask=mask, budget=SMALL)
    np.testing.assert_allclose(found, sorted_distances(x, y[real], False)[:, :4], atol=1e-13)
    part = nb.within(jnp.asarray(x), holed, radius, mask=mask, budget=SMALL)
    whole = nb.within(jnp.asarray(x), jnp.asarray(y[real]), radius)
    np.testing.assert_array_equal(part[0], whole[0])
    np.testing.assert_allclose(part[1], whole[1], atol=1e-13)


def test_too_few_neighbours_are_at_infinity(x64):
    x, _ = points(n=3)
    for found in (
        nb.nearest(jnp.asarray(x), jnp.asarray(x), k=4, same=True),
        nb.tree_nearest(x, cKDTree(x), k=4, same=True),
    ):
        assert np.isfinite(found[:, :2]).all() and np.isinf(found[:, 2:]).all()


def test_memory_is_of_tiles_and_does_not_grow_with_the_data():
    budget, used = 1 << 16, []
    for n in (2000, 16000):
        x = jax.ShapeDtypeStruct((n, 8), jnp.float32)
        lowered = jax.jit(lambda x, y: nb.nearest(x, y, k=5, budget=budget)).lower(x, x)
        used.append(lowered.compile().memory_analysis().temp_size_in_bytes - 4 * n * (2 * 8 + 6))
    assert max(used) < 4 * 4 * budget
    assert 4 * 4 * budget < 4 * 2000 * 2000 / 10


@pytest.mark.parametrize("k, value", [(1, 1.83), (5, 1.71), (10, 1.64)])
def test_knn_kl_of_shifted_gaussians(k, value):
    # A10: the truth is 2
    each = [knn.estimate(jax.random.key(s), *shifted(4000, 3, s), k=k) for s in range(4)]
    np.testing.assert_allclose(each, value, atol=0.12)


def test_knn_kl_in_one_dimension():
    # A10b
    each = [knn.estimate(jax.random.key(s), *shifted(4000, 1, s, 1.0)) for s in range(4)]
    np.testing.assert_allclose(each, 0.5, atol=0.08)


def test_adaptive_knn_kl_has_less_bias():
    each = [
        knn.estimate(jax.random.key(s), *shifted(4000, 3, s), method="adaptive") for s in range(4)
    ]
    np.testing.assert_allclose(each, 1.88, atol=0.12)
    assert np.mean(each) > np.mean(
        [knn.estimate(jax.random.key(s), *shifted(4000, 3, s)) for s in range(4)]
    )


@pytest.mark.parametrize("method", ["fixed", "adaptive"])
def test_rounded_data_give_what_jittered_data_give(method):
    # A11
    x, y = shifted(3000, 3, 0)
    rng = np.random.default_rng(9)
    rounded = x.round(1), y.round(1)
    jittered = tuple(v + rng.uniform(-0.05, 0.05, size=v.shape) for v in rounded)
    found, other, exact = (
        knn.estimate(jax.random.key(0), *data, method=method)
        for data in (rounded, jittered, (x, y))
    )
    assert np.isfinite(found)
    assert found == pytest.approx(other, abs=0.15)
    assert found == pytest.approx(exact, abs=0.15)
    assert method == "adaptive" or found == pytest.approx(1.685, abs=0.15)


def prepared(key, x, y):
    both = knn.prepare(key, np.concatenate([x, y]), np.repeat([0, 1], [len(x), len(y)]))
    return both[: len(x)], both[len(x) :]


def numpy_fixed(x, y, k):
    own, other = sorted_distances(x, x, True)[:, k - 1], sorted_distances(x, y, False)[:, k - 1]
    return x.shape[1] * np.log(other / own).mean() + np.log(len(y) / (len(x) - 1))


def numpy_adaptive(x, y):
    terms = []
    for own, other in zip(sorted_distances(x, x, True), sorted_distances(x, y, False), strict=True):
        radius = max(own[0], other[0]) * (1 + 1e-13)
        k, e = (own <= radius).sum(), (other <= radius).sum()
        gain = x.shape[1] * np.log(other[e - 1] / own[k - 1])
        terms.append(gain + digamma(k) - digamma(e))
    return np.mean(terms) + np.log(len(y) / (len(x) - 1))


@pytest.mark.parametrize("d", [2, 8, 9])  # either side of the tree's last dimension
def test_either_way_is_the_plain_formula(d, x64):
    x, y = shifted(300, d, 1, 3.0)
    ready = prepared(jax.random.key(5), x, y)
    arrays = (*(jnp.asarray(v) for v in ready), *masks(300, 300))
    expected = numpy_fixed(*ready, 4), numpy_adaptive(*ready)
    brute = knn.fixed(*arrays, k=4, budget=SMALL), knn.adaptive(*arrays, budget=SMALL)
    np.testing.assert_allclose(brute, expected, atol=1e-10)
    whole = (
        knn.estimate(jax.random.key(5), x, y, k=4),
        knn.estimate(jax.random.key(5), x, y, method="adaptive"),
    )
    np.testing.assert_allclose(whole, expected, atol=1e-10)


@pytest.mark.parametrize("name", ["fixed", "adaptive"])
def test_padding_jit_and_vmap_change_nothing(name, x64):
    plain = {"fixed": knn.fixed, "adaptive": knn.adaptive}[name]
    classes = [points(n=80 - 20 * i, m=100 - 30 * i, seed=i) for i in range(3)]

    def pad(values, size):
        return np.concatenate([values, np.full((size - len(values), 3), np.nan)])

    def real(counts, size):
        return jnp.arange(size)[None, :] < jnp.asarray(counts)[:, None]

    stacked = (
        jnp.asarray(np.stack([pad(x, 80) for x, _ in classes])),
        jnp.asarray(np.stack([pad(y, 100) for _, y in classes])),
        real([len(x) for x, _ in classes], 80),
        real([len(y) for _, y in classes], 100),
    )
    alone = [
        plain(jnp.asarray(x), jnp.asarray(y), *masks(len(x), len(y)), budget=SMALL)
        for x, y in classes
    ]
    np.testing.assert_allclose(jax.vmap(plain)(*stacked), alone, atol=1e-12)
    for i in range(3):
        one = knn.BRUTE[name](*(v[i] for v in stacked), budget=SMALL)
        assert float(one) == pytest.approx(float(alone[i]), abs=1e-12)


@pytest.mark.parametrize("name", ["fixed", "adaptive"])
def test_single_precision_suffices_for_knn(name):
    ready = prepared(jax.random.key(0), *shifted(1000, 4, 0))
    single = knn.BRUTE[name](*(jnp.asarray(v, jnp.float32) for v in ready), *masks(1000, 1000))
    double = numpy_fixed(*ready, 5) if name == "fixed" else numpy_adaptive(*ready)
    assert single.dtype == jnp.float32
    # a neighbour at the edge of the radius may be counted or not
    assert float(single) == pytest.approx(double, abs=1e-3 if name == "adaptive" else 1e-4)


@pytest.mark.parametrize("method", ["fixed", "adaptive"])
def test_units_and_constant_columns_do_not_matter(method):
    x, y = shifted(500, 3, 2)
    expected = knn.estimate(jax.random.key(0), x, y, method=method)
    scale, shift = np.array([100.0, 1e-3, 7.0]), np.array([5.0, 0.0, -3.0])
    moved = knn.estimate(jax.random.key(0), x * scale + shift, y * scale + shift, method=method)
    assert moved == pytest.approx(expected, abs=1e-4)
    wider = [np.insert(v, 1, 0.1, axis=1) for v in (x, y)]
    assert knn.estimate(jax.random.key(0), *wider, method=method) == pytest.approx(
        expected, abs=1e-4
    )


@pytest.mark.parametrize("d", [3, 9])
@pytest.mark.parametrize("method", ["fixed", "adaptive"])
def test_classes_too_small_have_no_estimate(method, d):
    x, y = shifted(40, d, 0)
    least = 6 if method == "fixed" else 2
    assert np.isfinite(knn.estimate(jax.random.key(0), x[:least], y, method=method))
    assert np.isnan(knn.estimate(jax.random.key(0), x[: least - 1], y, method=method))
    if method == "fixed":
        assert np.isnan(knn.estimate(jax.random.key(0), x, y[:4], method=method))


@pytest.mark.parametrize("d", [3, 9])
def test_the_same_data_twice_are_finite(d):
    x, _ = shifted(200, d, 0)
    twice = np.concatenate([x, x])
    assert np.isfinite(knn.estimate(jax.random.key(0), twice, twice))
    assert np.isfinite(knn.estimate(jax.random.key(0), twice, twice, method="adaptive"))


@pytest.mark.parametrize(
    "values, step",
    [
        (np.array([0.3, 0.1, 0.7, 0.3]), 0.2),
        (np.array([0.3, 0.1, 0.7, 0.4, 0.4]), 0.1),
        (np.array([5.0, 5.0, 12.0]), 7.0),
        (np.array([0.0, 0.0, 1.0, 2.5, 2.7183]), 0.0),
        (np.arange(6.0) * 0.5, 0.0),  # no ties: nothing to spread
        (np.full(4, 2.0), 0.0),
    ],
)
def test_the_quantisation_step(values, step):
    assert knn.quantum(values) == pytest.approx(step)
    single = values.astype(np.float32).astype(np.float64)
    assert knn.quantum(single) == pytest.approx(step, rel=1e-5)
