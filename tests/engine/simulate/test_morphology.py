import jax
import numpy as np
import pytest

from epistax.engine.simulate import morphology, morphology_cells, morphology_wells
from epistax.engine.simulate.morphology import biology

P = 50


@pytest.fixture(scope="module")
def genes():
    return biology(jax.random.key(4), P)


@pytest.fixture(scope="module")
def screen(genes):
    return morphology_wells.wells(jax.random.key(5), genes)


@pytest.fixture(scope="module")
def twelve():
    """The same with other seeds."""
    return [biology(jax.random.key(seed), P) for seed in range(12)]


def test_fifty_genes_have_the_published_pathways(genes):
    sizes = np.bincount(genes.pathway)
    assert sizes.tolist() == list(morphology.SIZES) and sizes.sum() == P
    assert int(genes.lethal.sum()) == 15 and len(genes.pairs.i) == 1225
    assert genes.same_pathway.sum() == sum(n * (n - 1) // 2 for n in morphology.SIZES)


def test_the_reward_is_of_rank_four_but_for_lethal_pairs():
    # the off-diagonal table is that of sum_r (.9 c_r)^2 a_r^2 a_r^2': completed, its rank is 4
    with jax.enable_x64(True):
        genes = biology(jax.random.key(0), P)
        squares = np.asarray(genes.activity) ** 2
        weight = np.array(morphology.STRENGTH) ** 2
        table = (squares * weight) @ squares.T
        i, j = genes.pairs
        plain = ~np.asarray(genes.lethal)
        reward = np.asarray(genes.reward)
    np.testing.assert_allclose(reward[plain], table[i, j][plain], rtol=1e-8)
    off = table.copy()
    off[i[plain], j[plain]] = off[j[plain], i[plain]] = reward[plain]
    values = np.linalg.svd(off, compute_uv=False)
    assert values[4] < 1e-8 * values[0] < values[3]
    np.testing.assert_allclose(reward, (np.asarray(genes.gamma) ** 2).sum(1), rtol=1e-12)
    assert (np.abs(reward / table[i, j] - 1)[~plain] > 1e-3).all()


def test_the_fifty_genes_look_like_those_described(twelve):
    # medians over seeds of figures known for one draw: R's quantiles, cosines, their correlation
    found = []
    for genes in twelve:
        reward, effect = np.asarray(genes.reward), np.asarray(genes.effect)
        unit = effect / np.linalg.norm(effect, axis=1, keepdims=True)
        cosine = ((unit @ unit.T) ** 2)[genes.pairs]
        within = genes.same_pathway
        wanted = reward >= np.quantile(reward, 0.95)
        found.append(
            [*np.quantile(reward, [0.5, 0.95]), cosine[within].mean(), cosine[~within].mean(),
             np.corrcoef(reward, cosine)[0, 1], wanted[np.asarray(genes.lethal)].sum()]
        )  # fmt: skip
    half, most, inside, outside, together, lethal = np.median(found, axis=0)
    assert 0.03 < half < 0.09 and 1.5 < most < 4
    assert 0.45 < inside < 0.7 and outside < 0.04 and abs(together) < 0.15
    assert 3 <= lethal <= 8


def test_lethal_pairs_are_likelier_within_pathways(twelve):
    share = np.mean([genes.same_pathway[np.asarray(genes.lethal)] for genes in twelve])
    expected = 6 * 123 / (6 * 123 + 1102)
    assert share == pytest.approx(expected, abs=3 * (expected * (1 - expected) / 180) ** 0.5)


@pytest.mark.parametrize("p, pathways", [(15, 15), (16, 4), (7, 3), (120, 15), (5, 1)])
def test_other_numbers_of_genes_keep_the_proportions(p, pathways):
    sizes = np.bincount(morphology.members(p, pathways), minlength=pathways)
    share = np.array(morphology.SIZES[:pathways]) / sum(morphology.SIZES[:pathways]) * p
    assert sizes.sum() == p and sizes.min() >= 1
    assert (np.abs(sizes - share)[share >= 1] < 1 + (share < 1).sum()).all()


@pytest.mark.parametrize(
    "asked, says",
    [
        ({"pathways": 6}, "`pathways` is 6.*at most the 5 genes"),
        ({"pathways": 0}, "`pathways` is 0"),
        ({"pathways": 2, "d": 5}, "at least 6 features"),
    ],
)
def test_what_cannot_be_is_refused(asked, says):
    with pytest.raises(ValueError, match=says):
        biology(jax.random.key(0), 5, **asked)


def test_every_class_has_its_wells(screen):
    codes, count = np.unique(screen.codes, axis=0, return_counts=True)
    kind = (codes >= 0).sum(1)
    assert [set(count[kind == k]) for k in range(3)] == [{800}, {72}, {12}]
    control = screen.codes[:, 1] < 0
    plate, guide = np.asarray(screen.plate), screen.guide
    assert (np.bincount(plate[control]) == 100).all()
    assert np.ptp(np.bincount(plate)) <= 1
    assert (guide[control] == -1).all()
    assert (np.bincount(guide[~control]) == (~control).sum() // 3).all()


def test_guides_cancel_in_the_contrast_and_leave_the_interaction(genes):
    # mean_ij - mean_i - mean_j + mean_0 = mean_k(eta_ik eta_jk) Gamma_ij, exactly
    eta = jax.random.uniform(jax.random.key(1), (P, 3))
    codes, guide = morphology_wells.layout(P, genes, 2)
    x = np.asarray(morphology_wells.expected(genes, eta, codes, guide), np.float64)
    single = np.stack([x[(codes[:, 0] < 0) & (codes[:, 1] == g)].mean(0) for g in range(P)])
    double = x[codes[:, 0] >= 0].reshape(1225, 6, -1).mean(1)
    i, j = genes.pairs
    work = np.mean(np.asarray(eta)[i] * np.asarray(eta)[j], axis=1)
    left = double - single[i] - single[j]
    np.testing.assert_allclose(left, work[:, None] * np.asarray(genes.gamma), atol=1e-5)
    assert np.abs(x[codes[:, 1] < 0]).max() == 0


def test_plates_shift_and_wells_scatter_as_they_should(screen):
    control = screen.codes[:, 1] < 0
    x, plate = np.asarray(screen.x, np.float64)[control], np.asarray(screen.plate)[control]
    row = np.asarray(screen.row)[control]
    means = np.stack([x[plate == p].mean(0) for p in range(8)])
    residual = []
    for p in range(8):
        here = plate == p
        design = np.stack([np.ones(here.sum()), row[here]], axis=1)
        fit = np.linalg.lstsq(design, x[here], rcond=None)[0]
        residual.append((x[here] - design @ fit).var(0, ddof=2))
    assert np.mean(residual) == pytest.approx(0.25**2, rel=0.02)
    # plates of one batch share its offset: nearer to each other than to the other batch's
    apart = ((means[:, None] - means[None]) ** 2).sum(-1)
    same = np.arange(8) // 4
    inside = apart[(same[:, None] == same) & ~np.eye(8, dtype=bool)].mean()
    assert inside == pytest.approx(2 * 0.09 + 2 * 0.08, rel=0.35)
    assert apart[same[:, None] != same].mean() > inside


def test_raw_scores_recall_the_true_top(genes, screen):
    control = screen.codes[:, 1] < 0
    x, plate = np.asarray(screen.x, np.float64), np.asarray(screen.plate)
    x = x - np.stack([x[control & (plate == p)].mean(0) for p in range(8)])[plate]
    single = np.stack(
        [x[(screen.codes[:, 0] < 0) & (screen.codes[:, 1] == g)].mean(0) for g in range(P)]
    )
    double = x[screen.codes[:, 0] >= 0].reshape(1225, 12, -1).mean(1)
    i, j = genes.pairs
    raw = ((double - single[i] - single[j] + x[control].mean(0)) ** 2).sum(1)
    top = np.argsort(-np.asarray(genes.reward))[:62]
    assert np.isin(np.argsort(-raw)[:62], top).mean() >= 0.8  # .82 to .97 over eight draws
    # its bias: noise of 12, 72, 72 and 800 wells
    bias = 8 * (1 / 12 + 2 / 72 + 1 / 800)
    quiet = np.asarray(genes.reward) < 1e-3
    assert raw[quiet].mean() == pytest.approx(bias, rel=0.05)


@pytest.mark.slow
def test_a_key_decides_everything_and_jit_changes_nothing():
    def both(key):
        k_genes, k_wells = jax.random.split(key)
        small = biology(k_genes, 6, pathways=2, d=10)
        made = morphology_wells.wells(k_wells, small, double=1)
        return small.gamma, made.x

    eager, again, other = both(jax.random.key(1)), both(jax.random.key(1)), both(jax.random.key(2))
    jitted = jax.jit(both)(jax.random.key(1))
    for one, two, three, four in zip(eager, again, other, jitted, strict=True):
        assert (one == two).all() and not np.allclose(one, three)
        np.testing.assert_allclose(one, four, rtol=1e-4, atol=1e-5)


def test_separable_pairs_have_mechanisms_apart(genes):
    # axes of unit variance: the KL score is half of |m_ij|^2 - |m_i|^2 - |m_j|^2
    i, j = genes.pairs
    alone = np.stack([np.full(P, -1), np.arange(P)], axis=1)
    single = np.asarray(morphology_cells.saturated(genes, alone))
    double = np.asarray(morphology_cells.saturated(genes, np.stack([i, j], axis=1)))
    score = 0.5 * ((double**2).sum(1) - (single[i] ** 2).sum(1) - (single[j] ** 2).sum(1))
    made = morphology_cells.saturating(jax.random.key(0), genes, double=2)
    assert np.abs(score[made.apart]).max() < 1e-5 < np.abs(score[~made.apart]).min()
    assert 0.5 < made.apart.mean() < 0.85
    hit = morphology_cells.hits(genes)
    assert made.apart[0] == (not any(a and b for a, b in zip(hit[i[0]], hit[j[0]], strict=True)))
    assert made.x.shape == (5000 + 50 * 500 + 1225 * 2, 15)


@pytest.mark.slow
def test_mixtures_of_disjoint_pairs_agree_in_every_mean():
    # p_ij + p_0 = p_i + p_j: so do means of x and of x^2; where a state is shared they do not
    genes = biology(jax.random.key(3), 8, pathways=4, d=12)
    made = morphology_cells.mixture(jax.random.key(4), genes, double=4000)
    x = np.asarray(made.x, np.float64)
    feature = np.concatenate([x, x**2], axis=1)
    where = {tuple(c): made.codes.tolist().index(list(c)) for c in np.unique(made.codes, axis=0)}
    ends = {c: first + int((made.codes == c).all(1).sum()) for c, first in where.items()}
    mean = {c: feature[where[c] : ends[c]].mean(0) for c in where}
    error = {c: feature[where[c] : ends[c]].var(0) / (ends[c] - where[c]) for c in where}
    z = []
    for i, j in zip(*genes.pairs, strict=True):
        arms = [(i, j), (-1, -1), (-1, i), (-1, j)]
        gap = sum(s * mean[c] for s, c in zip((1, 1, -1, -1), arms, strict=True))
        z.append(np.abs(gap / np.sqrt(sum(error[c] for c in arms))).max())
    z = np.array(z)
    assert 0 < made.apart.sum() < len(z)
    assert z[made.apart].max() < 4.5 and np.median(z[~made.apart]) > 6
