"""The pair score by nearest neighbours, on latents whose divergences are known."""

import jax
import numpy as np
import pytest

from epistax.engine.interaction import nearest
from epistax.engine.mesh import mesh
from epistax.engine.screen import Screen
from epistax.engine.screen import screen as arranged
from epistax.engine.stats import components, knn

HITS = (0, 0, 1, 1)  # the latent that A, B, C and D move
INSEPARABLE = ((0, 1), (2, 3))
METHODS = ("fixed", "adaptive")


def gaussian(n=600, d=3, seed=0, control=None, drop=None) -> Screen:
    """Appendix D.1.1 without its mixing: latents N(0, 1), N(2, 1) where hit, once or twice."""
    rng = np.random.default_rng(seed)
    pairs = [(i, j) for i in range(4) for j in range(i + 1, 4)]
    codes = [(-1, -1)] * (control or n) + [(-1, i) for i in range(4) for _ in range(n)]
    codes += [pair for pair in pairs for _ in range(n)]
    if drop is not None:
        pair, left = drop
        codes = [c for c in codes if c != pair] + [pair] * left
    codes = np.array(codes, np.int32)
    hit = np.zeros((len(codes), d), bool)
    for gene, latent in enumerate(HITS):
        hit[:, latent] |= (codes == gene).any(axis=1)
    x = (rng.normal(size=hit.shape) + 2 * hit).astype(np.float32)
    return arranged(x, codes, p=4, well=None)


def scored(screen, method="fixed", **how):
    space = nearest.space(jax.random.key(0), screen)
    return nearest.separable(space, method=method, **how)(np.arange(len(screen.pairs.i)))


def apart(screen):
    """Of each pair, whether it is separable."""
    pairs = zip(screen.pairs.i.tolist(), screen.pairs.j.tolist(), strict=True)
    return np.array([pair not in INSEPARABLE for pair in pairs])


def rows(screen, c):
    return screen.x[screen.first[c] : screen.first[c] + screen.count[c]]


def wide(screen, d=24, noise=0.1, seed=1):
    """The same latents in more features."""
    rng = np.random.default_rng(seed)
    x = screen.x @ rng.normal(size=(screen.x.shape[1], d))
    return screen._replace(x=(x + noise * rng.normal(size=x.shape)).astype(np.float32))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("d", [3, 9])  # by the tree, and by brute force
def test_inseparable_pairs_score_above_all_separable_ones(d, method):
    screen = gaussian(d=d)
    found, apart_ = scored(screen, method), apart(screen)
    assert np.abs(found[~apart_]).min() > np.abs(found[apart_]).max() + 0.3
    assert (found[~apart_] < -1).all()  # -2 in truth


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("d", [3, 9])
def test_it_is_the_difference_of_three_estimates(d, method):
    screen = gaussian(n=200, control=300, d=d)

    def kl(c):  # on a scale of these two classes, where the score has one for all
        data = rows(screen, c), rows(screen, 0)
        return knn.estimate(jax.random.key(c), *data, method=method)

    found = scored(screen, method)
    for place, (i, j) in enumerate(zip(*screen.pairs, strict=True)):
        wanted = kl(5 + place) - kl(1 + i) - kl(1 + j)
        assert found[place] == pytest.approx(wanted, abs=0.1)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("d", [3, 9])
def test_divergences_are_the_estimators_on_the_prepared_screen(d, method):
    space = nearest.space(jax.random.key(1), gaussian(n=150, control=220, d=d))
    classes = np.array([7, 1, 7, 3])
    found = nearest.divergences(space, method=method)(classes)
    assert found[0] == found[2]
    for c, value in zip(classes, found, strict=True):
        x, y = (np.asarray(rows(space.screen, k)) for k in (c, 0))
        masks = np.ones(len(x), bool), np.ones(len(y), bool)
        wanted = knn.BRUTE[method](*map(jax.numpy.asarray, (x, y, *masks)))
        assert value == pytest.approx(float(wanted), abs=2e-4)


def test_what_a_pair_scores_depends_on_no_order():
    held = gaussian(n=200)
    whole = scored(held)
    space = nearest.space(jax.random.key(0), held)
    test = nearest.separable(space)
    np.testing.assert_array_equal(test(np.array([4, 0])), whole[[4, 0]])
    # other names: gene g becomes 3 - g, so that classes stand in another order and (i, j) turns
    owner, turned = np.asarray(held.owner), np.array([3, 2, 1, 0, -1])
    codes = np.full((len(owner), 2), -1)
    single = (owner >= 1) & (owner <= 4)
    codes[single, 1] = owner[single] - 1
    codes[owner > 4] = np.stack(held.pairs, axis=1)[owner[owner > 4] - 5]
    renamed = np.sort(turned[codes], axis=1).astype(np.int32)
    assert (renamed[codes[:, 0] >= 0, 0] < renamed[codes[:, 0] >= 0, 1]).all()
    other = scored(arranged(np.asarray(held.x), renamed, p=4, well=None))
    place = {pair: k for k, pair in enumerate(zip(*map(list, held.pairs), strict=True))}
    back = [place[tuple(sorted((3 - i, 3 - j)))] for i, j in place]
    np.testing.assert_allclose(other[back], whole, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_rounded_observations_score_as_others_do(method):
    exact = gaussian()
    rounded = exact._replace(x=exact.x.round(1))
    assert len(np.unique(rounded.x, axis=0)) < len(rounded.x)
    found = scored(rounded, method)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found, scored(exact, method), atol=0.35)
    coarse = scored(exact._replace(x=np.minimum(exact.x, 1.5)), method)  # half of a column alike
    assert np.isfinite(coarse).all()


@pytest.mark.parametrize("method", METHODS)
def test_many_features_are_projected_first(method):
    narrow = gaussian(n=400)
    broad = wide(narrow)
    space = nearest.space(jax.random.key(0), broad)
    assert space.features == 24 and space.screen.x.shape[1] == nearest.COMPONENTS
    group = np.repeat(np.arange(len(broad.count)), broad.count)
    spread = np.linalg.svd(knn.standardised(broad.x, group), compute_uv=False) ** 2
    assert space.share == pytest.approx(spread[:10].sum() / spread.sum(), abs=1e-6)
    assert 0.9 < space.share < 1
    found, apart_ = scored(broad, method), apart(broad)
    assert np.abs(found[~apart_]).min() > np.abs(found[apart_]).max()


def test_few_features_are_left_as_they_are():
    plain = nearest.space(jax.random.key(0), gaussian(n=50, d=3))
    assert (plain.features, plain.share) == (3, 1.0)
    still = gaussian(n=50, d=3)
    more = still._replace(x=np.concatenate([still.x, np.ones((len(still.x), 9))], axis=1))
    space = nearest.space(jax.random.key(0), more._replace(x=more.x.astype(np.float32)))
    np.testing.assert_array_equal(space.screen.x, plain.screen.x)


def test_components_are_found_in_blocks_and_of_some_rows(monkeypatch):
    screen = wide(gaussian(n=50))
    group = np.repeat(np.arange(len(screen.count)), screen.count)
    whole, scales = nearest.space(jax.random.key(0), screen), knn.scales(screen.x, group)
    monkeypatch.setattr(knn, "HELD", 1000)  # one column, or 41 rows
    np.testing.assert_allclose(knn.scales(screen.x, group), scales, rtol=1e-12)
    blocks = nearest.space(jax.random.key(0), screen)
    np.testing.assert_allclose(blocks.screen.x, whole.screen.x, atol=1e-4)
    monkeypatch.setattr(components, "ROWS", 200)
    some = nearest.space(jax.random.key(0), screen)
    assert some.share != whole.share and some.share == pytest.approx(whole.share, abs=0.01)


@pytest.mark.parametrize("d", [3, 9])
def test_too_few_observations_say_nothing(d):
    for left in (nearest.LEAST, nearest.LEAST - 1):
        small = gaussian(n=60, d=d, drop=((1, 2), left))
        found = scored(small)
        assert (np.isfinite(found) == (small.count[5:] >= nearest.LEAST)).all()
        assert np.isfinite(found).sum() == (6 if left == nearest.LEAST else 5)
    assert np.isnan(scored(gaussian(n=60, d=d, control=nearest.LEAST - 1))).all()
    still = gaussian(n=60, d=d)
    assert np.isnan(scored(still._replace(x=np.ones_like(still.x)))).all()


def test_eight_devices_give_what_one_gives():
    screen = gaussian(n=100, control=150, d=9)
    np.testing.assert_allclose(scored(screen, mesh=mesh(8)), scored(screen), atol=1e-5)
