"""The stand-in for L1000: its sizes, its noise, and that compounds do what their bits say."""

import jax
import numpy as np
import pytest
from scipy.stats import kstest, nbinom
from scipy.stats import t as student

from epistax.engine.simulate import l1000

SMALL = l1000.Size(environments=60, genes=200, latents=6, bits=128, scaffolds=8, plates=20)


@pytest.fixture(scope="module")
def made():
    counts = l1000.counts(jax.random.key(0), SMALL)
    return l1000.simulate(jax.random.key(1), np.repeat(np.arange(61), counts), SMALL)


def test_sizes_are_negative_binomial_and_controls_a_twentieth():
    counts = l1000.counts(jax.random.key(2), l1000.Size(environments=20_000))
    each = counts[1:]
    assert each.min() >= 1
    sd = (21.4 + 21.4**2 / 2) ** 0.5
    assert each.mean() == pytest.approx(21.4, abs=4.5 * sd / 20_000**0.5)
    assert each.std() == pytest.approx(sd, rel=0.05)
    shares = [(each == k).mean() for k in (5, 20)]
    np.testing.assert_allclose(shares, nbinom(2, 2 / 23.4).pmf([5, 20]), atol=0.005)
    assert counts[0] / counts.sum() == pytest.approx(0.05, abs=1e-5)
    assert l1000.counts(jax.random.key(2), SMALL).tolist() != [*counts[:61]]


def test_the_usual_size_is_that_of_the_paper():
    held = l1000.compounds(jax.random.key(3), l1000.Size(scaffolds=60)).held_out
    assert len(held) == 1018 and held.sum() == 335 and not held[0]


def test_noise_is_student_with_four_degrees_and_some_of_it_wild():
    noise, outlier = l1000.noise(jax.random.key(4), 4000, 60)
    noise, outlier = np.asarray(noise, np.float64), np.asarray(outlier)
    assert 20 <= outlier.sum() <= 65
    usual = noise[~outlier][:, :10].ravel() / 0.5
    assert kstest(usual, student(4).cdf).pvalue > 0.01
    # five degrees would have .0041 beyond 5
    beyond = (np.abs(noise[~outlier]) > 2.5).mean()
    assert beyond == pytest.approx(2 * student(4).sf(5), abs=4.5 * (0.0075 / 235_000) ** 0.5)
    assert kstest(noise[outlier].ravel() / 2.5, student(4).cdf).pvalue > 0.01


def test_a_compound_moves_its_target_alone_and_by_dose(made):
    rows, c = np.asarray(made.environment), np.asarray(made.c)
    target, offset = np.asarray(made.target), np.asarray(made.offset)
    dose = np.asarray(made.dose)
    assert target[0] == -1 and (dose[rows == 0] == 0).all() and dose[rows > 0].min() > 0
    moved = np.zeros_like(c)
    treated = rows > 0
    saturation = dose / (dose + 1)
    moved[treated, target[rows[treated]]] = (offset[rows] * saturation)[treated]
    left = c - moved
    assert kstest(left.ravel().astype(np.float64), "norm").pvalue > 0.01
    strong = treated & (np.abs(moved).max(axis=1) > 1)
    own = target[rows[strong]]
    assert np.abs(left[strong, own].mean()) < 4.5 / strong.sum() ** 0.5
    assert np.abs(offset).max() <= 3 and np.abs(offset[1:]).mean() > 1


def test_what_is_seen_is_latents_places_and_noise(made):
    seen = np.asarray(made.x) - np.asarray(made.c) @ np.asarray(made.mixing).T
    plate, wild = np.asarray(made.plate), np.asarray(made.outlier)
    means = np.stack([np.median(seen[(plate == p) & ~wild], axis=0) for p in range(20)])
    residual = (seen - means[plate])[~wild]
    assert residual.std() == pytest.approx(0.5 * 2**0.5, rel=0.06)
    # cell lines of sd 1 and plates of sd 1/2: what plates of one line share, and do not
    line = np.array([np.unique(np.asarray(made.line)[plate == p]) for p in range(20)])[:, 0]
    assert np.bincount(line).tolist() == [2] * 10
    pairs = np.stack([means[line == k] for k in range(10)])
    apart = pairs[:, 0] - pairs[:, 1]
    assert apart.std() == pytest.approx(0.5 * 2**0.5, rel=0.3)
    assert pairs.mean(axis=1).std() == pytest.approx((1 + 0.125) ** 0.5, rel=0.15)
    times = [len(np.unique(np.asarray(made.time)[plate == p])) for p in range(20)]
    assert times == [1] * 20
    # plates of one line differ along five factors
    scale = np.linalg.svd(apart, compute_uv=False)
    assert scale[4] > 2 * scale[5] and scale[5] < 1.2 * scale[6]


def test_genes_depend_on_few_latents():
    mixing = np.asarray(l1000.loadings(jax.random.key(5), 978, 50))
    edge = mixing != 0
    assert edge.sum(axis=1).min() >= 1 and edge.sum(axis=1).mean() == pytest.approx(3.05, abs=0.2)
    assert mixing[edge].std() == pytest.approx(0.5, rel=0.06)


def test_compounds_of_one_scaffold_share_bits_and_often_a_target():
    known = l1000.compounds(jax.random.key(6), l1000.Size(environments=300, scaffolds=10))
    bits, target = np.asarray(known.vectors)[1:], np.asarray(known.target)[1:]
    assert set(np.unique(bits)) == {0, 1} and not known.vectors[0].any()
    assert bits.mean() == pytest.approx(1 - (1 - 0.045) * 0.95, abs=0.01)
    alike = np.corrcoef(bits)
    close = (alike > 0.25) & ~np.eye(300, dtype=bool)
    same = target[:, None] == target[None, :]
    far = alike < 0.25
    assert 0.05 < close.mean() < 0.2  # a tenth have the same scaffold
    assert same[close].mean() > 3 * same[far].mean()
    offset = np.asarray(known.offset)[1:]
    both = np.nonzero(close)
    assert np.corrcoef(offset[both[0]], offset[both[1]])[0, 1] > 0.25


def test_one_key_gives_the_same_numbers():
    rows = np.array([0, 1, 1, 2])
    one, again, other = (l1000.simulate(jax.random.key(k), rows, SMALL) for k in (7, 7, 8))
    np.testing.assert_array_equal(one.x, again.x)
    assert not np.array_equal(one.vectors, other.vectors)
