"""All pairs from singles: features against their kernel, exact values against plain numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from epistax.engine import stream
from epistax.engine.interaction import alone, audit, paired
from epistax.engine.interaction.randomfeatures import frequencies, mean_features, waves
from epistax.engine.interaction.ranking import MEASURES, Singles, of_pairs, tile
from epistax.engine.mesh import mesh
from epistax.engine.pairs import Pairs, rank, upper
from epistax.engine.screen import Screen, screen
from epistax.engine.stats.kernels import matern52, rbf

NONE = Pairs(np.zeros(0, np.int32), np.zeros(0, np.int32))


def made(*, p=10, n=40, d=6, control=150, seed=0, active=0.6, doubles=0, ragged=True, wide=()):
    """Genes that shift the mean or do nothing; those of `wide` change the spread alone."""
    rng = np.random.default_rng(seed)
    shift = 1.2 * rng.normal(size=(p, d)) * (np.arange(p) < active * p)[:, None]
    sizes = rng.integers(n // 2, n + 1, size=p) if ragged else np.full(p, n)
    classes = [((-1, -1), control), *(((-1, k), sizes[k]) for k in range(p))]
    both = upper(p)
    classes += [((both.i[k], both.j[k]), n) for k in range(doubles)]
    x, codes = [], []
    for (i, j), count in classes:
        scale = 2.0 if j in wide else 1.0
        mean = sum((shift[k] for k in (i, j) if k >= 0 and k not in wide), np.zeros(d))
        x.append(mean + scale * rng.normal(size=(count, d)))
        codes += [(i, j)] * count
    held = screen(np.concatenate(x).astype(np.float32), np.array(codes), p=p, well=None)
    return held, shift


def embedded(held, kernel="rbf", scale=3.0, **how):
    how = {"count": 256, "seed": 0} | how
    return alone.embed(held, kernel=kernel, length_scale=scale, **how)


def best(singles, measure, number, **how):
    p = len(singles.square)
    held = Singles(*singles[:3], np.float32(singles.origin))
    where = stream.space(p, NONE, size=64)
    return stream.ranked(MEASURES[measure].score, where, held, p=p, size=64, batch=number, **how)


def plain(held: Screen, kernel, scale):
    """Kernel means of all classes in double precision, an observation with itself included."""
    parts = [
        held.x[f : f + n].astype(np.float64) for f, n in zip(held.first, held.count, strict=True)
    ]
    r = [[np.linalg.norm(a[:, None] - b[None], axis=2) for b in parts] for a in parts]
    value = {
        "rbf": lambda v: np.exp(-(v**2) / 2 / scale**2),
        "matern52": lambda v: (
            (1 + 5**0.5 * v / scale + 5 * v**2 / 3 / scale**2) * np.exp(-(5**0.5) * v / scale)
        ),
    }[kernel]
    k = np.array([[value(v).mean() for v in row] for row in r])
    # of the kernel's own form: tr S / n with k(x, x) = 1
    return k, (1 - np.diag(k)) / (held.count - 1)


def formulas(k, e, i, j):
    """Every measure from kernel means; 0 is the control."""
    square = np.diag(k) + k[0, 0] - 2 * k[0]
    inner = k[i, j] - k[0, i] - k[0, j] + k[0, 0] - e[0]
    cosine = inner / np.sqrt(square[i] * square[j])
    return {
        "mmd:near": 1 - 2 * inner / (square[i] + square[j]),
        "mmd:far": k[i, i] + k[j, j] - 2 * k[i, j] - e[i] - e[j],
        "cosine:near": cosine,
        "cosine:far": cosine,
        "cosine:abs": np.abs(cosine),
        "additive": np.sqrt(
            np.maximum(square[i] + square[j] + 2 * inner - e[i] - e[j] - 2 * e[0], 0)
        ),
    }


def test_waves_are_cosine_and_sine():
    turns = np.random.default_rng(0).uniform(-20, 20, size=(50, 40)).astype(np.float32)
    cosine, sine = waves(jnp.asarray(turns))
    angle = 2 * np.pi * turns.astype(np.float64)
    np.testing.assert_allclose(cosine, np.cos(angle), atol=4e-7)
    np.testing.assert_allclose(sine, np.sin(angle), atol=4e-7)


@pytest.mark.parametrize("kernel, gram", [("rbf", rbf), ("matern52", matern52)])
@pytest.mark.parametrize("d, count", [(3, 30), (40, 32)])
def test_products_of_features_are_unbiased_for_the_kernel(kernel, gram, d, count):
    rng = np.random.default_rng(1)
    x = jnp.asarray(rng.normal(size=(2, d)), jnp.float32)
    scale = d**0.5
    wanted = float(gram(x[:1], x[1:], jnp.float32(scale))[0, 0])
    drawn = np.array([
        np.cos(2 * np.pi * frequencies(kernel, d, count, length_scale=scale, seed=s).T
               @ np.asarray(x[0] - x[1])).mean()
        for s in range(150)
    ])  # fmt: skip
    assert abs(drawn.mean() - wanted) < 4 * drawn.std() / 150**0.5 + 1e-4
    turns = jnp.asarray(frequencies(kernel, d, count, length_scale=scale, seed=7))
    one = jnp.ones(1)
    a, b = (mean_features(row[None, :], one, turns) for row in x)
    delta = np.asarray(x[0] - x[1]) @ np.asarray(turns)
    assert float(a @ b) == pytest.approx(np.cos(2 * np.pi * delta).mean(), abs=1e-5)


@pytest.mark.parametrize("kernel", ["rbf", "matern52"])
def test_orthogonal_stratified_frequencies_err_less_than_independent_ones(kernel):
    d, count, scale = 16, 128, 4.0
    rng = np.random.default_rng(2)
    delta = rng.normal(size=(200, d))
    gram = {"rbf": rbf, "matern52": matern52}[kernel]
    points = jnp.asarray(np.r_[np.zeros((1, d)), delta], jnp.float32)
    wanted = np.asarray(gram(points[:1], points[1:], jnp.float32(scale)))[0]

    def error(draw):
        found = [np.cos(delta @ draw(s)).mean(axis=1) - wanted for s in range(20)]
        return np.sqrt(np.mean(np.square(found)))

    def independent(seed):
        rng = np.random.default_rng(seed)
        w = rng.normal(size=(d, count)) / scale
        return w if kernel == "rbf" else w / np.sqrt(rng.chisquare(5, size=count) / 5)

    ours = error(lambda s: 2 * np.pi * frequencies(kernel, d, count, length_scale=scale, seed=s))
    assert ours < {"rbf": 0.6, "matern52": 0.7}[kernel] * error(independent)


@pytest.mark.parametrize("kernel", ["rbf", "matern52"])
def test_exact_values_are_those_of_plain_numpy(kernel):
    held, _ = made()
    found = embedded(held, kernel)
    k, e = plain(held, kernel, 3.0)
    pairs = upper(10)
    np.testing.assert_allclose(found.own, np.diag(k)[1:], atol=1e-6)
    np.testing.assert_allclose(found.singles.excess, e[1:], rtol=2e-3)
    assert found.singles.origin == pytest.approx(e[0], rel=2e-3)
    for name, wanted in formulas(k, e, 1 + pairs.i, 1 + pairs.j).items():
        how = {"kernel": kernel, "length_scale": 3.0}
        value = alone.exact(held, found, pairs, MEASURES[name].formula, **how)
        loose = 2e-3 if name == "additive" else 2e-4
        np.testing.assert_allclose(value, wanted, rtol=1e-3, atol=loose, err_msg=name)


def test_points_are_apart_by_the_kernel_alone():
    x = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
    codes = np.repeat([[-1, -1], [-1, 0], [-1, 1], [-1, 2]], 3, axis=0)
    held = screen(np.repeat(x, 3, axis=0), codes, p=3, well=None)
    found = embedded(held)
    pairs = upper(3)
    value = alone.exact(
        held, found, pairs, MEASURES["mmd:far"].formula, kernel="rbf", length_scale=3.0
    )
    gap = x[1 + pairs.i] - x[1 + pairs.j]
    np.testing.assert_allclose(value, 2 - 2 * np.exp(-(gap**2).sum(axis=1) / 18), atol=1e-5)


def test_means_are_compared_exactly_without_features():
    held, _ = made()
    found = embedded(held, "linear", 1.0)
    mean = np.stack([
        held.x[f : f + n].mean(axis=0, dtype=np.float64)
        for f, n in zip(held.first, held.count, strict=True)
    ])  # fmt: skip
    h = mean[1:] - mean[0]
    np.testing.assert_allclose(found.singles.vector, h, atol=1e-5)
    pairs = upper(10)
    noise = held.x[: held.count[0]].var(axis=0, ddof=1).sum() / held.count[0]
    wanted = (h[pairs.i] * h[pairs.j]).sum(axis=1) - noise
    wanted /= np.linalg.norm(h[pairs.i], axis=1) * np.linalg.norm(h[pairs.j], axis=1)
    value = of_pairs(found.singles, pairs, MEASURES["cosine:near"].formula)
    np.testing.assert_allclose(value, wanted, atol=1e-4)


@pytest.mark.parametrize("name", MEASURES)
def test_a_tile_is_its_pairs_in_either_order_jitted_or_not(name):
    held, _ = made()
    singles = jax.tree.map(jnp.asarray, embedded(held).singles)
    formula, sign, score = MEASURES[name]
    rows, columns = jnp.arange(6), jnp.arange(4, 10)
    value = score(rows, columns, singles)
    np.testing.assert_allclose(value, score(columns, rows, singles).T, atol=1e-5)
    np.testing.assert_allclose(value, jax.jit(score)(rows, columns, singles), atol=1e-5)
    i, j = np.repeat(np.arange(6), 6), np.tile(np.arange(4, 10), 6)
    wanted = sign * of_pairs(singles, Pairs(i.astype(np.int32), j.astype(np.int32)), formula)
    np.testing.assert_allclose(np.ravel(value), wanted, atol=2e-5)
    whole = tile(rows, columns, singles, formula=formula, sign=sign)
    np.testing.assert_array_equal(value, whole)


@pytest.mark.parametrize("name", ["mmd:near", "mmd:far", "cosine:far", "additive"])
def test_the_streamed_top_is_that_of_all_pairs_on_one_device_or_eight(name):
    held, _ = made(p=90, n=12, control=60, ragged=False)
    found = embedded(held, count=64)
    pairs, measure = upper(90), MEASURES[name]
    value = measure.sign * of_pairs(found.singles, pairs, measure.formula)
    order = np.argsort(-value)[:25]
    for devices in (None, mesh()):
        top = best(found.singles, name, 25, mesh=devices)
        np.testing.assert_allclose(top.value, value[order], atol=2e-5)
        assert np.isin(rank(top.pairs, 90), rank(pairs, 90)[np.argsort(-value)[:28]]).all()


def test_doubles_order_of_cells_and_place_do_not_matter():
    held, _ = made(doubles=5)
    lone = alone.unpaired(held)
    assert len(lone.x) == held.first[11] and lone.singles == 10
    found = embedded(lone)
    rng = np.random.default_rng(3)
    order = np.concatenate([
        f + rng.permutation(n) for f, n in zip(lone.first, lone.count, strict=True)
    ])  # fmt: skip
    moved = embedded(lone._replace(x=lone.x[order] + np.float32(0.5)), count=2048)
    same = embedded(lone, count=2048)
    np.testing.assert_allclose(moved.singles.square, same.singles.square, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(moved.p, same.p, atol=0.05)
    kept = np.array([0, 3, 4])
    some = embedded(alone.unpaired(held, kept))
    np.testing.assert_allclose(some.singles.vector, found.singles.vector[kept], atol=1e-6)


def test_eight_devices_say_what_one_says():
    held, _ = made(p=13)
    one, many = embedded(held), embedded(held, mesh=mesh())
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(many), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5)
    how = {"kernel": "rbf", "length_scale": 3.0}
    pairs, formula = upper(13), MEASURES["mmd:far"].formula
    a, b = (alone.exact(held, one, pairs, formula, mesh=m, **how) for m in (None, mesh()))
    np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("kernel", [pytest.param("rbf", marks=pytest.mark.slow), "linear"])
def test_what_does_nothing_is_called_active_at_the_level_and_is_unlike_everything(kernel):
    p_values, near, far = [], [], []
    for seed in range(25):
        held, _ = made(p=16, active=0, seed=seed, d=8, control=300, n=60, ragged=False)
        found = embedded(held, kernel, 4.0 if kernel == "rbf" else 1.0, seed=seed)
        p_values.append(found.p)
        pairs = upper(16)
        near.append(of_pairs(found.singles, pairs, MEASURES["mmd:near"].formula).mean())
        far.append(of_pairs(found.singles, pairs, MEASURES["mmd:far"].formula).mean())
    p_values = np.array(p_values)
    share = (p_values < 0.05).mean(axis=1)
    assert abs(share.mean() - 0.05) < 4 * max(share.std(), 0.03) / 5
    assert abs(np.median(p_values) - 0.5) < 0.12
    assert abs(np.mean(near) - 1) < 4 * np.std(near) / 5
    assert abs(np.mean(far)) < 4 * np.std(far) / 5


def test_weak_and_inert_genes_do_not_crowd_the_top():
    rng = np.random.default_rng(4)
    p, n, d = 30, 80, 6
    shift = np.zeros((p, d))
    shift[:2] = 1.0  # the one pair that does the same
    shift[2:6] = 2.5 * np.linalg.qr(rng.normal(size=(d, 4)))[0].T
    codes = np.r_[[[-1, -1]] * 400, np.repeat([[-1, k] for k in range(p)], n, axis=0)]
    x = np.r_[np.zeros((400, d)), np.repeat(shift, n, axis=0)] + rng.normal(size=(len(codes), d))
    held = screen(x.astype(np.float32), codes, p=p, well=None)
    found = embedded(held)
    top = best(found.singles, "mmd:near", 3)
    assert (top.pairs.i[0], top.pairs.j[0]) == (0, 1) and -top.value[0] < 0.3 < -top.value[1]
    pairs = upper(p)
    nearest = np.argmin(of_pairs(found.singles, pairs, MEASURES["mmd:far"].formula))
    assert pairs.i[nearest] > 5  # by MMD alone two genes that do nothing come first
    assert (found.p[:6] < 1e-6).all() and (found.p[6:] > 1e-3).all()


def test_genes_that_change_the_spread_alone_are_seen_by_mmd_and_not_by_means():
    held, _ = made(p=12, active=0, wide=(3, 8), n=80, control=400, ragged=False)
    by_mmd = best(embedded(held).singles, "mmd:near", 1)
    assert (by_mmd.pairs.i[0], by_mmd.pairs.j[0]) == (3, 8) and -by_mmd.value[0] < 0.3
    means = embedded(held, "linear", 1.0)
    pair = Pairs(np.array([3], np.int32), np.array([8], np.int32))
    assert abs(of_pairs(means.singles, pair, MEASURES["cosine:near"].formula)[0]) < 0.75
    assert (means.p[[3, 8]] > 1e-3).all() and (embedded(held).p[[3, 8]] < 1e-8).all()


def test_of_one_observation_each_nothing_is_known_of_noise():
    x = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    codes = np.array([[-1, -1], *([-1, k] for k in range(4))])
    found = embedded(screen(x, codes, p=4, well=None), "linear", 1.0)
    assert np.isnan(found.p).all() and found.singles.origin == 0
    pair = Pairs(np.array([0], np.int32), np.array([2], np.int32))
    a, b = x[1] - x[0], x[3] - x[0]
    value = of_pairs(found.singles, pair, MEASURES["cosine:near"].formula)
    assert value[0] == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b), rel=1e-4)


def test_noise_of_wells_is_that_of_wells():
    rng = np.random.default_rng(5)
    p, wells, cells = 40, 6, 20
    codes = np.r_[[[-1, -1]] * 600, np.repeat([[-1, k] for k in range(p)], wells * cells, axis=0)]
    well = np.arange(len(codes)) // cells
    x = rng.normal(size=(len(codes), 5)) + 0.7 * rng.normal(size=(well.max() + 1, 5))[well]
    x = x.astype(np.float32)
    by_well = embedded(screen(x, codes, p=p, well=well)).p
    by_cell = embedded(screen(x, codes, p=p, well=None)).p
    assert (by_cell < 0.01).mean() > 0.5 and (by_well < 0.01).mean() < 0.1


def test_recall_of_the_exact_top_and_its_interval():
    exact = np.arange(1000.0)
    near = exact.copy()
    near[[999, 998]] = 0  # two of the ten best are lost
    found = audit.of_pairs(exact, near, 0.01)
    assert (found.found, found.total, found.recall) == (8, 10, 0.8)
    z, n = norm.ppf(0.975), 10
    middle = (0.8 + z**2 / 2 / n) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(0.8 * 0.2 / n + z**2 / 4 / n**2)
    assert (found.low, found.high) == pytest.approx((middle - half, middle + half))
    assert found.correlation == pytest.approx(np.corrcoef(exact, near)[0, 1])
    genes = audit.of_genes(exact, near, audit.drawn(50, 1000, seed=0), 0.01, seed=0)
    assert genes[:3] == found[:3] and genes.low <= 0.8 <= genes.high
    assert np.isnan(audit.of_pairs(exact, np.ones(1000), 0.01).correlation)


def test_pairs_are_drawn_once_each():
    few = audit.drawn(5, 100, seed=0)
    np.testing.assert_array_equal(few, upper(5))
    many = audit.drawn(60_000, 5000, seed=1)
    assert len(np.unique(rank(many, 60_000))) == 5000 and (many.i < many.j).all()
    again = audit.drawn(60_000, 5000, seed=1)
    np.testing.assert_array_equal(many, again)
    dense = audit.drawn(20, 180, seed=2)
    assert len(np.unique(rank(dense, 20))) == 180
    inside = audit.among(100, 7, seed=3)
    assert len(inside.i) == 21 and len(np.unique(np.r_[inside.i, inside.j])) == 7


def test_the_bandwidth_of_singles_is_that_of_their_observations():
    held, _ = made(doubles=3)
    assert paired.bandwidth(alone.unpaired(held), seed=0) == paired.bandwidth(made()[0], seed=0)
