"""The pairs a retrospective run may choose from, with their true rewards, out of a pair table.

Pairs whose reward cannot be computed (a member without a single effect, where the reward is the
departure from the additive expectation) are counted, listed and left out.
"""

from dataclasses import dataclass

import numpy as np

from epistax.distributed.errors import BadInput
from epistax.distributed.formats.census import LeftOut, examples
from epistax.distributed.formats.pairtable import PairTable
from epistax.engine.pairs import Pairs
from epistax.engine.reward import Kind, reward


@dataclass(frozen=True)
class Pool:
    """Every pair of a run and what is true of it; a policy sees `pairs` and `singles` only."""

    names: tuple[str, ...]
    pairs: Pairs  # int32 [q], i < j
    score: np.ndarray  # float32 [q], as read
    se: np.ndarray  # float32 [q], 0 where unknown
    singles: np.ndarray | None  # float32 [p]; None unless all perturbations have one
    reward: np.ndarray  # float64 [q], from the expectation fitted to all pairs
    left_out: tuple[LeftOut, ...]


def pool(table: PairTable, kind: Kind, *, source: str) -> Pool:
    """The pool of a table under a reward. BadInput where the reward cannot be had at all."""
    i, j, have = table.i, table.j, np.isfinite(table.singles)
    left_out: tuple[LeftOut, ...] = ()
    diagonal = int(np.isfinite(table.diagonal).sum())
    if diagonal:
        left_out += (LeftOut("diagonal", diagonal, "pairs of a perturbation with itself"),)
    keep = np.ones(len(i), bool)
    if kind == "interaction":
        keep = have[i] & have[j]
        if not keep.any():
            raise BadInput(why_no_expectation(table, source))
        lost = [table.names[k] for k in np.flatnonzero(~have)]
        if not keep.all():
            reason = f"pairs of {len(lost):,} perturbations without a single effect"
            left_out += (LeftOut("no_single", int((~keep).sum()), reason, examples(lost)),)
    i, j = i[keep], j[keep]
    used = np.unique(np.r_[i, j])
    place = np.full(len(table.names), -1, np.int32)
    place[used] = np.arange(len(used), dtype=np.int32)
    pairs = Pairs(place[i], place[j])
    score, se = table.score[keep].astype(np.float32), table.se[keep].astype(np.float32)
    singles = table.singles[used].astype(np.float32)
    known = singles if np.isfinite(singles).all() else None
    sides = (None, None) if known is None else (known[pairs.i], known[pairs.j])
    every = np.ones(len(score), bool)
    truth = np.asarray(reward(kind, score, every, *sides), np.float64)
    names = tuple(table.names[k] for k in used)
    return Pool(names, pairs, score, se, known, truth, left_out)


def why_no_expectation(table: PairTable, source: str) -> str:
    """Reward `interaction` was asked of a table that has no usable single effect."""
    have = int(np.isfinite(table.singles).sum())
    found = next((f.value for f in table.census.facts if f.key == "controls"), 0)
    lack = (
        "no control label was found, so there are no single effects"
        if not found
        else f"{have} of {len(table.names)} perturbations have a single effect, no pair has both"
    )
    return (
        f"--reward: 'interaction' needs single effects, and {source} has none it can use: {lack}; "
        "add rows (gene, control), name the control with --control, or choose score or abs"
    )
