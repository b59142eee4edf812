"""Known relations among ranked pairs: how many are found, of how many, and against what.

A pair is found on the upper side where at most a `share` of the null's values are as high as its
own or higher, on the lower side where at most that share are as low or lower, on both sides where
either holds. The null is the rest of the universe, the pairs that are not known, or all of it.
With all of it and both sides this is the recall of EFAAR ("Building, benchmarking, and exploring
perturbative maps of transcriptional and morphological data", Celik et al. 2024), whose threshold
pair (.05, .95) is a share of .05, and whose values are the cosines of every two mean effects.

Beside the recall stand what chance gives, what pairs of equally well-known genes reach, the mean
over genes, and an interval over genes: pairs share genes and are not independent.
"""

from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from epistax.engine.pairs import Pairs, count

Side: TypeAlias = Literal["upper", "lower", "both"]
Null: TypeAlias = Literal["rest", "all"]
DRAWS, LEVEL = 1000, 0.95  # of the interval
ROUNDING = 1e-12  # relative: a share of a count is off by less
DIGITS = 12  # of a cosine
NOTHING = 1e-6  # of the longest effect: shorter is rounding of 32-bit means
BLOCK = 256  # effects whose cosines are taken at once


class Recall(NamedTuple):
    """Figures of one relation on one universe; nan where none is known or the null is empty."""

    found: int
    total: int  # known pairs in the universe: the denominator
    universe: int  # pairs ranked
    null_pairs: int
    recall: float
    low: float  # of the interval
    high: float
    expected: float  # share of the null's pairs that count as found: chance, ties included
    by_degree: float
    macro: float
    genes: int  # with a known partner in the universe


def recall(
    value: Float[ndarray, "q"],
    pairs: Pairs,
    relation: Bool[ndarray, "q"],
    *,
    side: Side,
    share: float,
    null: Null,
    seed: int,
) -> Recall:
    """All figures of the known pairs; value has no nan, 0 < share <= 1/2 is that of one tail."""
    rest = ~relation
    base = np.ones(len(value), bool) if null == "all" else rest
    above, below = thresholds(value[base], side=side, share=share)
    hit = (value > above) | (value < below)
    known, found = Pairs(pairs.i[relation], pairs.j[relation]), hit[relation]
    sizes = (int(found.sum()), len(found), len(value), int(base.sum()))
    mean, genes = macro(found, known)
    if not len(found) or not base.any():
        return Recall(*sizes, *(float("nan"),) * 6, genes)
    low, high = interval(found, known, seed=seed)
    equals = by_degree(hit, pairs, relation)
    return Recall(
        *sizes, float(found.mean()), low, high, float(hit[base].mean()), equals, mean, genes
    )


def thresholds(null: Float[ndarray, "n"], *, side: Side, share: float) -> tuple[float, float]:
    """What a found pair exceeds, or else lies below; infinite where no pair can.

    k = floor(share n) null values may be as extreme as a found one, so that it lies beyond the
    (k+1)-th most extreme of them.
    """
    n, above, below = len(null), np.inf, -np.inf
    k = int(np.floor(share * n * (1 + ROUNDING)))
    if n and side != "lower":
        above = float(np.partition(null, n - k - 1)[n - k - 1])
    if n and side != "upper":
        below = float(np.partition(null, k)[k])
    return above, below


def macro(found: Bool[ndarray, "m"], known: Pairs) -> tuple[float, int]:
    """Mean over genes of the share of their known pairs that is found, and the number of genes."""
    if not len(found):
        return float("nan"), 0
    members = np.concatenate([known.i, known.j])
    partners = np.bincount(members)
    reached = np.bincount(members, weights=np.tile(found, 2))
    has = partners > 0
    return float((reached[has] / partners[has]).mean()), int(has.sum())


def by_degree(hit: Bool[ndarray, "q"], pairs: Pairs, relation: Bool[ndarray, "q"]) -> float:
    """The recall that unknown pairs of equally well-known genes reach; nan where there are none.

    sum d_i d_j [found] / sum d_i d_j over the pairs outside the relation, d being a gene's number
    of known partners: a random relation in which every gene has as many partners as in the known
    one holds the pair (i, j) about as often as d_i d_j (Chung and Lu 2002, "Connected components
    in random graphs with given expected degree sequences").
    """
    d = np.bincount(np.concatenate([pairs.i[relation], pairs.j[relation]]))
    d = np.pad(d, (0, 1 + max(pairs.i.max(), pairs.j.max()) - len(d)))
    rest = ~relation
    weight = d[pairs.i[rest]] * d[pairs.j[rest]]
    total = int(weight.sum())
    return int(weight[hit[rest]].sum()) / total if total else float("nan")


def interval(
    found: Bool[ndarray, "m"],
    known: Pairs,
    *,
    seed: int,
    draws: int = DRAWS,
    level: float = LEVEL,
) -> tuple[float, float]:
    """Percentile bootstrap interval of the recall over genes; nan with less than two known pairs.

    Genes with a known partner are drawn with replacement; a pair counts as often as both its
    members together, w_i w_j. Draws that hold no pair are left out. What is found stays found:
    the thresholds are held fixed. Where genes do not differ it is too wide, up to sqrt(3) times for
    genes of one partner (Owen 2007, "The pigeonhole bootstrap"); where all or none of the pairs
    are found it has no width, which says nothing of the uncertainty.
    """
    if len(found) < 2:
        return float("nan"), float("nan")
    members = np.concatenate([known.i, known.j])
    genes, place = np.unique(members, return_inverse=True)
    first, second = place.reshape(2, -1)
    rng, p, shares = np.random.default_rng(seed), len(genes), []
    for _ in range(draws):
        times = np.bincount(rng.integers(p, size=p), minlength=p)
        weight = times[first] * times[second]
        if weight.any():
            shares.append(weight[found].sum() / weight.sum())
    if not shares:
        return float("nan"), float("nan")
    low, high = np.quantile(shares, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def directed(effects: Float[ndarray, "p d"]) -> Bool[ndarray, "p"]:
    """Which effects have a direction: those longer than rounding."""
    length = np.linalg.norm(effects.astype(np.float64), axis=1)
    return np.asarray((length > 0) & (length > NOTHING * length.max(initial=0)))


def cosines(effects: Float[ndarray, "p d"]) -> Float[ndarray, "q"]:
    """Signed cosine of every two effects, none of length 0, in the order of `pairs.upper`.

    Rounded to DIGITS, so that equal directions tie although sums depend on their order.
    """
    unit = effects.astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    p, at = len(unit), 0
    found = np.empty(count(p))
    for top in range(0, p, BLOCK):
        block = unit[top : top + BLOCK] @ unit[top:].T
        part = block[np.arange(p - top)[None, :] > np.arange(len(block))[:, None]]
        found[at : at + len(part)] = part.round(DIGITS)
        at += len(part)
    return found
