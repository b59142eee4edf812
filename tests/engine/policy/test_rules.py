"""Rules of a batch: the greedy batch by brute force, quotas, money, and what cannot be met."""

from itertools import combinations

import numpy as np
import pytest

from epistax.engine.pairs import Pairs, count, rank, unrank, upper
from epistax.engine.policy import rules
from epistax.engine.policy.rules import Rules

P = 12
PAIRS = upper(P)
Q = count(P)


def world(seed):
    """Values of all pairs, and rules of every kind."""
    rng = np.random.default_rng(seed)
    closed = np.zeros(P, bool)
    closed[rng.choice(P, 2, replace=False)] = True
    priced = np.sort(rng.choice(Q, 5, replace=False))
    made = Rules(
        size=int(rng.integers(5, 20)),
        price=rng.uniform(0.5, 2.0, P),
        closed=closed,
        barred=np.sort(rng.choice(Q, 6, replace=False)),
        quota=int(rng.integers(1, 4)),
        budget=float(rng.uniform(8, 30)),
        priced=priced,
        prices=rng.uniform(0.1, 5.0, 5),
    )
    return rng.permutation(Q).astype(np.float32), made


def greedy(value, made):
    """The definition: best first, one pair at a time, each rule written out."""
    special = dict(zip(made.priced.tolist(), made.prices.tolist(), strict=True))
    chosen, spent = [], 0.0
    for k in np.argsort(-value, kind="stable"):
        i, j = int(PAIRS.i[k]), int(PAIRS.j[k])
        price = special.get(int(k), made.price[i] + made.price[j])
        uses = [g for c in chosen for g in (PAIRS.i[c], PAIRS.j[c])]
        if len(chosen) == made.size or made.closed[i] or made.closed[j] or k in made.barred:
            continue
        if max(uses.count(i), uses.count(j)) >= made.quota or spent + price > made.budget:
            continue
        chosen.append(int(k))
        spent += price
    return chosen, spent


def asker(value, made, length):
    """A policy with fixed values that tells its `length` best feasible pairs."""
    asked = []

    def ask(number, room):
        asked.append(number)
        ok = rules.feasible(made, room, PAIRS)
        best = np.argsort(-np.where(ok, value, -np.inf), kind="stable")[:length]
        return Pairs(PAIRS.i[best], PAIRS.j[best]), value[best]

    return ask, asked


@pytest.mark.parametrize("length", [1, 3, Q])
def test_the_batch_is_the_greedy_one_whatever_the_length_of_the_shortlist(length):
    short = 0
    for seed in range(40):
        value, made = world(seed)
        ask, asked = asker(value, made, length)
        pairs, of, room = rules.fill(made, rules.empty(made), ask)
        want, spent = greedy(value, made)
        assert rank(pairs, P).tolist() == want == room.taken.tolist()
        np.testing.assert_array_equal(of, value[want])
        assert made.budget - room.money == pytest.approx(spent)
        assert asked == list(range(len(asked))) and room.left == made.size - len(want)
        short += len(want) < made.size
    assert 0 < short < 40  # both ends are met: a full batch, and rules that leave none


def test_without_rules_one_pass_gives_the_shortlist_as_it_is():
    value, _ = world(1)
    made = rules.rules(P, 9)
    ask, asked = asker(value, made, 9)
    pairs, of, room = rules.fill(made, rules.empty(made), ask)
    assert asked == [0] and room.left == 0
    assert rank(pairs, P).tolist() == np.argsort(-value, kind="stable")[:9].tolist()


def test_a_shortlist_that_repeats_itself_gives_each_pair_once_and_says_that_it_ran_out():
    made = rules.rules(P, 5)
    at = np.array([3, 3, 7, 3, 7])
    chosen, room, ran_out = rules.admit(made, rules.empty(made), Pairs(PAIRS.i[at], PAIRS.j[at]))
    assert chosen.tolist() == [0, 2] and ran_out and room.left == 3
    again, room, ran_out = rules.admit(made, room, Pairs(PAIRS.i[at], PAIRS.j[at]))
    assert not len(again) and room.taken.tolist() == [3, 7] and ran_out
    more = rules.admit(made, room, PAIRS)
    assert more.chosen.tolist() == [0, 1, 2] and not more.ran_out


def test_positions_beyond_32_bits():
    p = 100_000
    made = rules.rules(p, 3)
    far = count(p) - 1 - np.arange(4)
    made = made._replace(barred=np.sort(far[:1]))
    pairs = unrank(far, p)
    chosen, room, _ = rules.admit(made, rules.empty(made), pairs)
    assert chosen.tolist() == [1, 2, 3] and room.taken.tolist() == far[1:].tolist()


def regular(genes, degree):
    """The most edges of a simple graph on few vertices, by trying every one."""
    every = list(combinations(range(genes), 2))
    for size in range(len(every), -1, -1):
        for some in combinations(every, size):
            ends = [v for edge in some for v in edge]
            if all(ends.count(v) <= degree for v in range(genes)):
                return size
    return 0


@pytest.mark.parametrize("genes, degree", [(3, 1), (4, 1), (4, 2), (5, 2), (5, 3), (5, 9), (4, 3)])
def test_the_most_that_a_quota_allows(genes, degree):
    closed = np.arange(genes + 2) >= genes
    made = rules.rules(genes + 2, 1)._replace(closed=closed, quota=degree)
    assert rules.most(made) == regular(genes, degree)


def test_the_cheapest_pairs_are_those_of_a_full_sort():
    for seed in range(30):
        _, made = world(seed)
        open = ~made.closed[PAIRS.i] & ~made.closed[PAIRS.j]
        made = made._replace(priced=made.priced[open[made.priced]],
                             prices=made.prices[open[made.priced]])  # fmt: skip
        every = np.sort(rules.cost(made, PAIRS)[open])
        for size in (1, 4, 20):
            np.testing.assert_allclose(rules.cheapest(made, size), every[:size])


@pytest.mark.parametrize("seed", range(10))
def test_a_gene_is_affordable_where_one_of_its_pairs_is(seed):
    rng = np.random.default_rng(seed)
    price, closed = rng.integers(1, 9, P).astype(float), rng.random(P) < 0.4
    made = rules.rules(P, 5)._replace(price=price, closed=closed, budget=float(rng.integers(2, 14)))
    can = np.zeros(P, bool)
    for i, j in zip(*PAIRS, strict=True):
        if not (closed[i] or closed[j]) and price[i] + price[j] <= made.budget:
            can[[i, j]] = True
    said = rules.affordable_genes(made, rules.empty(made))
    open_genes = ~closed
    assert (said == can).all() or open_genes.sum() < 2
