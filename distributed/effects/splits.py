"""Which rows train, choose the epoch, and test: the splits of "NAIAD", and harder ones.

Seed k orders the rows by numpy's default_rng(1442 + k): the first n train, the last 30 % test, the
10 % before them validate. Training rows of more and of fewer rows are nested. Held out by genes,
about 30 % of the rows hold a gene that no training row has.
"""

from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Int
from numpy import ndarray

Level: TypeAlias = Literal["pair", "gene", "both_genes"]
FIRST = 1442  # the authors' first seed
TEST, VALIDATION = 0.3, 0.1


class Split(NamedTuple):
    """Rows that can train, in the order in which they do; those that validate, those that test."""

    pool: Int[ndarray, "n"]
    validation: Int[ndarray, "v"]
    test: Int[ndarray, "t"]


def split(seed: int, genes: Int[ndarray, "q k"], level: Level) -> Split:
    """The split of a seed.

    `pair`: any row may test. `gene`: a tested row has exactly one gene that is in no row of the
    pool or of validation, beside others; `both_genes`: all of its genes are such.
    """
    rng, q = np.random.default_rng(FIRST + seed), len(genes)
    order = rng.permutation(q)
    validation = int(VALIDATION * q)
    if level == "pair":
        test = int(TEST * q)
        free, tested = order[: q - test], order[q - test :]
    else:
        there = genes >= 0
        held = apart(rng, genes)
        foreign = (np.r_[held, False][genes] & there).any(1)
        strange = counted(genes, held)
        own = counted(genes, ~held)
        wanted = (strange == 1) & (own > 0) if level == "gene" else (strange > 0) & (own == 0)
        free, tested = order[~foreign[order]], order[wanted[order]]
    return Split(free[: len(free) - validation], free[len(free) - validation :], tested)


def apart(rng: np.random.Generator, genes: Int[ndarray, "q k"]) -> ndarray:
    """Genes held out, [p]: as few of a random order as are in TEST of the rows or more."""
    p = int(genes.max()) + 1
    rank = np.empty(p + 1, int)
    rank[rng.permutation(p)] = np.arange(p)
    rank[p] = p  # of no gene: behind all
    first = np.sort(np.where(genes >= 0, rank[genes], p).min(1))
    return rank[:p] <= first[int(np.ceil(TEST * len(genes))) - 1]


def counted(genes: Int[ndarray, "q k"], of: ndarray) -> Int[ndarray, "q"]:
    """How many distinct genes of a set each row has; a row's genes are in order."""
    new = np.c_[np.ones(len(genes), bool), genes[:, 1:] != genes[:, :-1]]
    return (np.r_[of, False][genes] & (genes >= 0) & new).sum(1)


def sizes(frequency: float, pool: int) -> tuple[int, ...]:
    """Training rows at which each gene is seen about 4, 10 and 20 times, of 1, 2 or 5 times ten.

    frequency is how often one row shows a gene. Those that the pool does not have are left out.
    """
    steps = np.array([a * 10**b for b in range(1, 8) for a in (1, 2, 5)])
    wanted = np.array([4, 10, 20]) / frequency
    near = steps[np.abs(np.log(steps[None, :] / wanted[:, None])).argmin(1)]
    return tuple(int(n) for n in dict.fromkeys(near.tolist()) if n <= pool)
