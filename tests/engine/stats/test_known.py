import itertools
import math

import numpy as np
import pytest

from epistax.engine.pairs import Pairs, upper
from epistax.engine.stats import known

SIDES = ("upper", "lower", "both")
NULLS = ("rest", "all")


def universe(p, m, *, seed, levels=None, drop=0):
    """Values of the pairs of p genes, in any order of either member, of which m are known."""
    rng = np.random.default_rng(seed)
    pairs = upper(p)
    order = rng.permutation(len(pairs.i))[drop:]
    pairs = Pairs(pairs.i[order], pairs.j[order])
    value = rng.normal(size=len(order))
    if levels:
        value = np.round(value * levels)
    relation = np.zeros(len(order), bool)
    relation[rng.choice(len(order), m, replace=False)] = True
    return value, pairs, relation


def plainly(value, pairs, relation, *, side, share, null):
    """Every figure but the interval, pair by pair from its definition."""
    q = len(value)
    base = [value[k] for k in range(q) if null == "all" or not relation[k]]

    def is_found(v):
        low = sum(b <= v for b in base) / len(base) <= share + 1e-9
        high = sum(b < v for b in base) / len(base) >= 1 - share - 1e-9
        return {"upper": high, "lower": low, "both": low or high}[side]

    hit = [is_found(v) for v in value]
    partners = {}
    for i, j, k, h in zip(pairs.i, pairs.j, relation, hit, strict=True):
        for gene in (i, j):
            partners.setdefault(gene, []).extend([h] * int(k))
    partners = {gene: found for gene, found in partners.items() if found}
    weights = [
        (len(partners.get(i, ())) * len(partners.get(j, ())), h)
        for i, j, k, h in zip(pairs.i, pairs.j, relation, hit, strict=True)
        if not k
    ]
    total = sum(relation)
    found = sum(h for h, k in zip(hit, relation, strict=True) if k)
    return {
        "found": found,
        "total": total,
        "universe": q,
        "null_pairs": len(base),
        "recall": found / total,
        "expected": sum(map(is_found, base)) / len(base),
        "by_degree": sum(w for w, h in weights if h) / sum(w for w, _ in weights),
        "macro": sum(sum(f) / len(f) for f in partners.values()) / len(partners),
        "genes": len(partners),
    }


@pytest.mark.parametrize("null", NULLS)
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(("levels", "drop"), [(None, 0), (None, 40), (2, 0), (0.6, 30)])
@pytest.mark.parametrize("share", [0.05, 0.2, 0.5])
def test_figures_are_those_of_their_definitions(null, side, levels, drop, share):
    data = universe(17, 21, seed=3, levels=levels, drop=drop)
    found = known.recall(*data, side=side, share=share, null=null, seed=0)._asdict()
    for name, wanted in plainly(*data, side=side, share=share, null=null).items():
        assert found[name] == pytest.approx(wanted, abs=1e-12), name


def test_efaar_by_counting():
    rng = np.random.default_rng(0)
    effects = rng.integers(-2, 3, size=(40, 3)).astype(np.float32)  # many share a direction
    effects[[3, 8]] = 0
    effects = effects[known.directed(effects)]
    assert len(effects) == 38
    pairs = upper(len(effects))
    cosine = [
        round(sum(map(float, a * b)) / math.sqrt(float(a @ a) * float(b @ b)), 12)
        for a, b in itertools.combinations(effects, 2)
    ]
    relation = rng.random(len(cosine)) < 0.1
    n = len(cosine)
    for share, right in ((0.05, 0.95), (0.1, 0.9)):
        below = np.array([sum(c < v for c in cosine) for v in cosine]) / n
        up_to = np.array([sum(c <= v for c in cosine) for v in cosine]) / n
        wanted = {"both": (up_to <= share) | (below >= right), "upper": below >= right}
        for side, hit in wanted.items():
            found = known.recall(
                known.cosines(effects), pairs, relation,
                side=side, share=share, null="all", seed=0,
            )  # fmt: skip
            assert found.recall == pytest.approx(hit[relation].mean(), abs=1e-12)
            assert found.expected == pytest.approx(hit.mean(), abs=1e-12)
            assert (found.total, found.null_pairs) == (relation.sum(), n)


@pytest.mark.parametrize("p", [2, 7, known.BLOCK, 2 * known.BLOCK + 3])
def test_cosines_are_those_of_upper_pairs(p):
    effects = np.random.default_rng(p).normal(size=(p, 4)).astype(np.float32)
    effects[p // 2] = -3 * effects[0]
    i, j = upper(p)
    x = effects.astype(np.float64)
    wanted = (x[i] * x[j]).sum(1) / np.linalg.norm(x[i], axis=1) / np.linalg.norm(x[j], axis=1)
    found = known.cosines(effects)
    np.testing.assert_allclose(found, wanted, atol=1e-12)
    assert found[p // 2 - 1] == -1 and np.abs(found).max() == 1
    turned = np.random.default_rng(0).permutation(4)
    assert (known.cosines(3 * x[:, turned]) == found).mean() > 0.999


def test_maps_without_a_pair():
    for p in (0, 1):
        assert known.cosines(np.ones((p, 3), np.float32)).tolist() == []


def test_an_effect_of_rounding_has_no_direction():
    effects = np.array([[1, 2], [0, 0], [1e-9, 0], [0.01, 0]], np.float32)
    assert known.directed(effects).tolist() == [True, False, False, True]
    assert not known.directed(np.zeros((3, 2), np.float32)).any()
    assert known.directed(np.zeros((0, 2), np.float32)).tolist() == []


@pytest.mark.parametrize("null", NULLS)
def test_names_order_and_scale_do_not_matter(null):
    value, pairs, relation = universe(20, 25, seed=1, levels=5)
    how = {"share": 0.1, "null": null, "seed": 0}
    before = known.recall(value, pairs, relation, side="both", **how)
    names = np.random.default_rng(2).permutation(50).astype(np.int32)
    order = np.random.default_rng(3).permutation(len(value))
    renamed = Pairs(names[pairs.j][order], names[pairs.i][order])
    after = known.recall(np.exp(value[order] / 9), renamed, relation[order], side="both", **how)
    same = [f for f in before._fields if f not in ("low", "high")]
    assert [getattr(after, f) for f in same] == pytest.approx([getattr(before, f) for f in same])
    again = known.recall(np.exp(value / 9), pairs, relation, side="both", **how)
    assert again == before
    low = known.recall(value, pairs, relation, side="lower", **how)
    assert low == known.recall(-value, pairs, relation, side="upper", **how)


@pytest.mark.parametrize("null", NULLS)
def test_both_sides_are_the_upper_and_the_lower(null):
    data = universe(25, 60, seed=4)
    up, down, two = (known.recall(*data, side=s, share=0.08, null=null, seed=0) for s in
                     ("upper", "lower", "both"))  # fmt: skip
    assert two.found == up.found + down.found
    for name in ("recall", "expected", "by_degree", "macro"):
        assert getattr(two, name) == pytest.approx(getattr(up, name) + getattr(down, name))
    whole = known.recall(*data, side="both", share=0.5, null=null, seed=0)
    assert whole.recall == whole.macro == whole.by_degree == whole.expected == 1
    assert (whole.low, whole.high) == (1, 1)


def test_ties_are_found_only_where_all_of_them_fit():
    pairs, relation = upper(20), np.arange(190) == 5
    how = {"side": "upper", "null": "rest", "seed": 0}
    for tied, share, found in ((9, 0.05, 1), (10, 0.05, 0), (18, 0.1, 1), (19, 0.1, 0)):
        value = np.zeros(190)
        value[relation] = 1
        value[100 : 100 + tied] = 1
        assert known.recall(value, pairs, relation, share=share, **how).found == found
    same = known.recall(np.zeros(190), pairs, relation, share=0.5, **(how | {"side": "both"}))
    assert (same.found, same.expected, same.recall) == (0, 0, 0)


def test_a_share_is_not_lost_to_rounding():
    # 0.29 * 100 is 28.999999999999996 in binary
    for n, share, k in ((100, 0.29, 29), (60, 0.05, 3), (300, 0.07, 21), (1000, 0.001, 1)):
        above, below = known.thresholds(np.arange(float(n)), side="both", share=share)
        assert (above, below) == (n - 1 - k, k)


def test_nothing_known_or_nothing_else():
    value, pairs, _ = universe(6, 1, seed=0)
    none = known.recall(
        value, pairs, np.zeros(15, bool), side="upper", share=0.05, null="rest", seed=0
    )
    assert none[:4] == (0, 0, 15, 15) and none.genes == 0 and np.isnan(none[4:10]).all()
    every = known.recall(
        value, pairs, np.ones(15, bool), side="both", share=0.05, null="rest", seed=0
    )
    assert every[:4] == (0, 15, 15, 0) and every.genes == 6 and np.isnan(every[4:10]).all()
    against = known.recall(
        value, pairs, np.ones(15, bool), side="upper", share=0.2, null="all", seed=0
    )
    assert against.recall == against.expected == 0.2 and np.isnan(against.by_degree)
    one = known.recall(
        value, pairs, np.arange(15) == 3, side="upper", share=0.5, null="all", seed=0
    )
    assert one.recall in (0, 1) and np.isnan(one.low) and np.isnan(one.high)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("null", NULLS)
def test_a_random_relation_reaches_chance(null, side):
    rng, p, m, share = np.random.default_rng(5), 30, 35, 0.05
    pairs = upper(p)
    q = len(pairs.i)
    found, chance, degrees = [], [], []
    for _ in range(400):
        relation = np.zeros(q, bool)
        relation[rng.choice(q, m, replace=False)] = True
        base = np.ones(q, bool) if null == "all" else ~relation
        value = rng.normal(size=q)
        above, below = known.thresholds(value[base], side=side, share=share)
        hit = (value > above) | (value < below)
        found.append(hit[relation].mean())
        chance.append(hit[base].mean())
        degrees.append(known.by_degree(hit, pairs, relation))
    se = np.std(found) / np.sqrt(len(found))
    n, sides = (q, 1 + (side == "both")) if null == "all" else (q - m, 1 + (side == "both"))
    k = math.floor(share * n)
    # of n + 1 exchangeable values, a given one is among the k + 1 highest
    wanted = sides * (k / n if null == "all" else (k + 1) / (n + 1))
    assert abs(np.mean(found) - wanted) < 3 * se
    assert np.mean(chance) == pytest.approx(sides * k / n)
    assert abs(np.mean(found) - np.mean(chance)) < 3 * se + sides / n
    assert abs(np.mean(degrees) - np.mean(chance)) < 3 * np.std(degrees) / np.sqrt(400) + 1 / n


def test_by_degree_where_only_hubs_are_found():
    # 6 hubs with 4 known partners each (all hubs but one), 10 genes with 1 partner each
    a = [(i, j) for i, j in itertools.combinations(range(6), 2) if (i, j) not in
         ((0, 1), (2, 3), (4, 5))]  # fmt: skip
    b = [(6 + 2 * k, 7 + 2 * k) for k in range(5)]
    pairs = upper(16)
    relation = np.array([pair in a + b for pair in zip(pairs.i, pairs.j, strict=True)])
    hit = (pairs.i < 6) & (pairs.j < 6)
    hubs, mixed, plain = 15 - len(a), 6 * 10, 45 - len(b)
    wanted = 16 * hubs / (16 * hubs + 4 * mixed + plain)
    assert known.by_degree(hit, pairs, relation) == pytest.approx(wanted, abs=1e-15)


def test_by_degree_is_the_recall_of_rewired_relations():
    rng, p = np.random.default_rng(6), 300
    pairs = upper(p)
    pull = rng.pareto(2.5, size=p) + 0.3
    odds = pull[pairs.i] * pull[pairs.j]
    relation = rng.random(len(odds)) < np.minimum(150 * odds / odds.sum(), 0.3)
    hit = pull[pairs.i] + pull[pairs.j] + rng.normal(size=len(odds)) > 3
    edges = [tuple(e) for e in np.stack([pairs.i[relation], pairs.j[relation]], 1).tolist()]
    at = {pair: k for k, pair in enumerate(zip(pairs.i.tolist(), pairs.j.tolist(), strict=True))}
    found = []
    for step in range(30_000):
        x, y = rng.integers(len(edges), size=2)
        (a, b), (c, d) = edges[x], edges[y][:: rng.choice([-1, 1])]
        new = [tuple(sorted(e)) for e in ((a, d), (c, b))]
        if len({a, b, c, d}) == 4 and not set(new) & set(edges):
            edges[x], edges[y] = new
        if step > 1000 and step % 150 == 0:
            found.append(np.mean([hit[at[e]] for e in edges]))
    expected = known.by_degree(hit, pairs, relation)
    assert expected > 1.5 * hit.mean()  # hubs matter here
    assert abs(np.mean(found) - expected) < 0.1 * expected


def test_the_interval_covers_where_genes_differ():
    rng, p, m = np.random.default_rng(7), 40, 160
    pairs = upper(p)

    def chance_of(gene):
        return 1 / (1 + np.exp(-(gene[pairs.i] + gene[pairs.j])))

    truth = np.mean([chance_of(1.2 * rng.normal(size=p)).mean() for _ in range(2000)])
    genes, naive = [], []
    for seed in range(150):
        chosen = rng.choice(len(pairs.i), m, replace=False)
        found = rng.random(len(pairs.i)) < chance_of(1.2 * rng.normal(size=p))
        hit = found[chosen]
        mine = Pairs(pairs.i[chosen], pairs.j[chosen])
        low, high = known.interval(hit, mine, seed=seed, draws=300)
        genes.append(low <= truth <= high)
        naive.append(abs(hit.mean() - truth) < 1.96 * np.sqrt(hit.mean() * (1 - hit.mean()) / m))
    assert np.mean(naive) < 0.75 < 0.9 < np.mean(genes)


def test_the_interval_is_too_wide_by_a_known_factor_where_pairs_share_no_gene():
    n = 600
    matching = Pairs(np.arange(0, 2 * n, 2, np.int32), np.arange(1, 2 * n, 2, np.int32))
    low, high = known.interval(np.arange(n) % 4 == 0, matching, seed=0, draws=2000)
    binomial = 2 * 1.96 * np.sqrt(0.25 * 0.75 / n)
    assert (high - low) / binomial == pytest.approx(np.sqrt(3), rel=0.08)


def test_the_interval_by_hand():
    # genes 0, 1, 2 on a path: the pair (0, 1) is found; a draw of 3 genes holds w0 w1 and w1 w2
    path, found = Pairs(np.array([0, 1], np.int32), np.array([1, 2], np.int32)), [True, False]
    shares = []
    for drawn in itertools.product(range(3), repeat=3):
        w = [drawn.count(gene) for gene in range(3)]
        if w[0] * w[1] + w[1] * w[2]:
            shares.append(w[0] * w[1] / (w[0] * w[1] + w[1] * w[2]))
    for level in (0.2, 0.5):
        ends = known.interval(np.array(found), path, seed=0, draws=4000, level=level)
        wanted = np.quantile(shares, [(1 - level) / 2, (1 + level) / 2])
        np.testing.assert_allclose(ends, wanted, atol=1e-12)
    assert known.interval(np.ones(2, bool), path, seed=1) == (1, 1)
    assert known.interval(np.zeros(2, bool), path, seed=1) == (0, 0)
    assert known.interval(np.array(found), path, seed=1) == known.interval(
        np.array(found), path, seed=1
    )
