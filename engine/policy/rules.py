"""What a batch must keep: a quota of each perturbation, a budget, pairs and genes that are out.

Every rule only closes pairs while a batch fills: a quota is used up, money is spent. So to take
pairs best first and pass over those that break a rule is the greedy batch under the rules, and no
pair that was passed over has to be looked at again. Nothing here is as long as the list of all
pairs: `admit` works on a shortlist of any origin and says whether it ran out before the batch was
full; `open_genes` and the barred pairs say beforehand what need not be put on it.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from epistax.engine.pairs import Pairs, rank


class Rules(NamedTuple):
    """Of one batch. Positions of pairs are those of `pairs.rank`, ascending."""

    size: int  # pairs
    price: Float[ndarray, "p"]  # of a perturbation: a pair costs the sum of its two
    closed: Bool[ndarray, "p"]  # perturbations that may not occur
    barred: Int[ndarray, "m"]  # positions of pairs that may not
    quota: int | None = None  # most pairs of one perturbation
    budget: float = np.inf
    # positions of pairs with a price of their own, and that
    priced: Int[ndarray, "k"] = np.zeros(0, np.int64)
    prices: Float[ndarray, "k"] = np.zeros(0)


class Room(NamedTuple):
    """What is left of a batch: pairs, uses of each perturbation so far, money, what is taken."""

    left: int
    used: Int[ndarray, "p"]
    money: float
    taken: Int[ndarray, "b"]  # positions, in the order of admission


class Admitted(NamedTuple):
    """Which of a shortlist came in; ran_out: it ended before the batch was full."""

    chosen: Int[ndarray, "m"]  # into the shortlist, in its order
    room: Room
    ran_out: bool


def rules(p: int, size: int) -> Rules:
    """No rule but the size."""
    return Rules(size, np.zeros(p), np.zeros(p, bool), np.zeros(0, np.int64))


def empty(rules: Rules) -> Room:
    """The room of a batch that has nothing yet."""
    used = np.zeros(len(rules.price), np.int64)
    return Room(rules.size, used, rules.budget, np.zeros(0, np.int64))


def admit(rules: Rules, room: Room, pairs: Pairs) -> Admitted:
    """Take from a shortlist, best first, every pair that keeps the rules until the batch is full.

    What is not feasible now is not feasible later, so one look decides most of the list.
    """
    at = np.flatnonzero(feasible(rules, room, pairs))
    i, j = (np.asarray(side)[at] for side in pairs)
    code, price = rank(Pairs(i, j), len(rules.price)), cost(rules, Pairs(i, j))
    used, money, chosen = room.used.copy(), room.money, []
    most = np.inf if rules.quota is None else rules.quota
    seen: set[int] = set()
    for k in range(len(at)):
        if len(chosen) == room.left:
            break
        if code[k] in seen or used[i[k]] >= most or used[j[k]] >= most or price[k] > money:
            continue
        seen.add(int(code[k]))
        used[i[k]] += 1
        used[j[k]] += 1
        money -= price[k]
        chosen.append(k)
    left = room.left - len(chosen)
    taken = np.r_[room.taken, code[chosen]]
    return Admitted(at[chosen], Room(left, used, float(money), taken), left > 0)


def fill(
    rules: Rules, room: Room, ask: Callable[[int, Room], tuple[Pairs, Float[ndarray, "m"]]]
) -> tuple[Pairs, Float[ndarray, "b"], Room]:
    """A batch by asking, admitting and asking again, until it is full or nothing more can come in.

    ask(n, room) gives pairs, best first, and their values at the n-th time of asking. Where values
    do not change from one time to the next, the batch is the greedy one under the rules.
    """
    found: list[tuple[ndarray, ndarray, ndarray]] = []
    number = 0
    while room.left:
        pairs, value = ask(number, room)
        chosen, room, _ = admit(rules, room, pairs)
        if not len(chosen):
            break
        found.append((pairs.i[chosen], pairs.j[chosen], value[chosen]))
        number += 1
    if not found:
        none = np.zeros(0, np.int32)
        return Pairs(none, none), np.zeros(0, np.float32), room
    i, j, value = (np.concatenate(part) for part in zip(*found, strict=True))
    return Pairs(i, j), value, room


def feasible(rules: Rules, room: Room, pairs: Pairs) -> Bool[ndarray, "m"]:
    """Which of these pairs could come in next."""
    i, j = np.asarray(pairs.i), np.asarray(pairs.j)
    code, gene = rank(pairs, len(rules.price)), open_genes(rules, room)
    out = np.isin(code, rules.barred) | np.isin(code, room.taken)
    return gene[i] & gene[j] & ~out & (cost(rules, pairs) <= room.money)


def open_genes(rules: Rules, room: Room) -> Bool[ndarray, "p"]:
    """Perturbations of which a pair may still come in, the price of a pair aside."""
    return ~rules.closed & (True if rules.quota is None else room.used < rules.quota)


def affordable_genes(rules: Rules, room: Room) -> Bool[ndarray, "p"]:
    """The open ones whose cheapest pair there is money for; all of them where pairs have prices."""
    open = open_genes(rules, room)
    if len(rules.priced) or open.sum() < 2:
        return open
    one, two = np.partition(rules.price[open], 1)[:2]
    # the partner of the cheapest one is the second
    partner = np.where(rules.price > one, one, two)
    return open & (rules.price + partner <= room.money)


def cost(rules: Rules, pairs: Pairs) -> Float[ndarray, "m"]:
    """The price of each pair: its own, or the sum of its two."""
    price = rules.price[np.asarray(pairs.i)] + rules.price[np.asarray(pairs.j)]
    if len(rules.priced):
        code = rank(pairs, len(rules.price))
        at = np.minimum(np.searchsorted(rules.priced, code), len(rules.priced) - 1)
        price = np.where(rules.priced[at] == code, rules.prices[at], price)
    return price


def most(rules: Rules) -> int:
    """How many pairs a batch can hold by its quota: a graph of that degree has no more edges."""
    genes = int((~rules.closed).sum())
    degree = max(genes - 1, 0) if rules.quota is None else min(rules.quota, max(genes - 1, 0))
    return genes * degree // 2


def cheapest(rules: Rules, count: int) -> Float[ndarray, "m"]:
    """The prices of the `count` cheapest pairs of open perturbations, barred or not, ascending.

    A pair with a member beyond the count + 1 cheapest is no cheaper than the count pairs of the
    cheapest with those; pairs with prices of their own are looked at beside them.
    """
    genes = np.flatnonzero(~rules.closed)
    near = np.sort(genes[np.argsort(rules.price[genes], kind="stable")][: count + 1])
    a, b = np.triu_indices(len(near), k=1)
    some = Pairs(near[a], near[b])
    own = np.isin(rank(some, len(rules.price)), rules.priced)
    every = np.r_[cost(rules, some)[~own], rules.prices]
    return np.sort(every)[:count]
