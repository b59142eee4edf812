"""The pair table: one row an unordered pair, repeated rows averaged, singles beside it.

`assemble` takes rows as they came: sorted codes of who was perturbed (labels.py) and a score. It
averages in float64 after sorting rows by pair and score, so that neither the order of rows nor
the order of names within a row can change one bit of the result.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from epistax.distributed.errors import BadInput
from epistax.distributed.formats.census import Census, Fact, LeftOut, examples
from epistax.distributed.labels import ABSENT, CONTROL, UNKNOWN, Coded


@dataclass(frozen=True)
class PairTable:
    """Scores of pairs of p perturbations, as the verbs take them."""

    names: tuple[str, ...]  # perturbations, sorted by code point, controls excluded
    i: np.ndarray  # int32 [q], i < j, sorted by (i, j)
    j: np.ndarray
    score: np.ndarray  # float64 [q]
    se: np.ndarray  # float64 [q], 0 where unknown
    singles: np.ndarray  # float64 [p], NaN where not measured
    diagonal: np.ndarray  # float64 [p], NaN where not measured
    census: Census
    more: "Larger" = field(default_factory=lambda: Larger(np.empty((0, 3), np.int32), np.empty(0)))


class Larger(NamedTuple):
    """Combinations of three perturbations or more, repeated rows averaged."""

    codes: np.ndarray  # int32 [t, k], each row sorted, below 0 before its perturbations
    score: np.ndarray  # float64 [t]


class Averaged(NamedTuple):
    """Rows of equal key made one."""

    key: np.ndarray  # int64 [u], ascending
    mean: np.ndarray  # float64 [u]
    count: np.ndarray  # int64 [u]
    sd: np.ndarray  # float64 [u], NaN where count is 1
    se: np.ndarray  # float64 [u], 0 where unknown


def assemble(
    source: str,
    kind: str,
    coded: Coded,
    score: np.ndarray,
    se: np.ndarray | None,
    *,
    facts: tuple[Fact, ...] = (),
    left_out: tuple[LeftOut, ...] = (),
    replicates: bool = True,
) -> PairTable:
    """Rows of codes and scores (NaN = unmeasured) as a table, with the census of what went where.

    replicates: repeated rows are repeated measurements, whose spread gives a standard error;
    False for the two triangles of a matrix, which are one measurement written twice.
    """
    p, codes = len(coded.names), coded.codes
    lo, hi = (codes[:, -2], codes[:, -1]) if codes.shape[1] > 1 else (codes[:, 0],) * 2
    members = np.sum([column >= 0 for column in codes.T], axis=0)  # along rows it takes far longer
    unknown, measured = codes[:, 0] == UNKNOWN, ~np.isnan(score)
    usable = measured & ~unknown

    def averaged(rows: np.ndarray, key: np.ndarray) -> Averaged:
        if rows.all():
            return average(key, score, se, replicates)
        at = np.flatnonzero(rows)
        return average(key[at], score[at], None if se is None else se[at], replicates)

    pair_key = lo.astype(np.int64) * p + hi  # 64 bits: p squared overflows 32 above 46,340 names
    two = members == 2
    pairs = averaged(usable & two & (lo < hi), pair_key)
    diagonal = averaged(usable & two & (lo == hi), hi.astype(np.int64))
    singles = averaged(usable & (members == 1), hi.astype(np.int64))
    control = usable & (members == 0)
    if not len(pairs.key):
        raise BadInput(nothing(source, len(score), coded, measured, unknown))
    table = PairTable(
        names=coded.names,
        i=(pairs.key // p).astype(np.int32),
        j=(pairs.key % p).astype(np.int32),
        score=pairs.mean,
        se=pairs.se,
        singles=spread_out(singles, p),
        diagonal=spread_out(diagonal, p),
        census=Census(source, kind),
        more=larger(codes, score, usable & (members > 2)),
    )
    out = left(coded, measured, unknown, members)
    told = (*facts, *tell(table, coded, pairs, score[control], replicates))
    return PairTable(**{**vars(table), "census": Census(source, kind, told, (*left_out, *out))})


def average(
    key: np.ndarray, value: np.ndarray, se: np.ndarray | None, replicates: bool
) -> Averaged:
    """Mean of the values of each key; se from the rows' own, else from the spread of repeats."""
    if not (key[1:] > key[:-1]).all():
        order = by_key_and_value(key, value, se)
        key, value, se = key[order], value[order], None if se is None else se[order]
    first = np.flatnonzero(np.r_[True, key[1:] != key[:-1]][: len(key)])
    count = np.diff(np.r_[first, len(key)])
    if len(first) == len(key):
        known = np.zeros(len(key)) if se is None else np.nan_to_num(se)
        return Averaged(key, value, count, np.full(len(key), np.nan), known)
    mean = np.add.reduceat(value, first) / count
    squares = np.add.reduceat((value - np.repeat(mean, count)) ** 2, first)
    sd = np.where(count > 1, np.sqrt(squares / np.maximum(count - 1, 1)), np.nan)
    if se is not None:  # NaN in one of the repeats leaves the mean's unknown
        known = np.nan_to_num(np.sqrt(np.add.reduceat(se**2, first)) / count)
    else:
        known = np.nan_to_num(sd / np.sqrt(count)) if replicates else np.zeros(len(count))
    return Averaged(key[first], mean, count, sd, known)


def larger(codes: np.ndarray, score: np.ndarray, rows: np.ndarray) -> Larger:
    """The combinations of these rows; whatever is no perturbation is one and the same."""
    at = np.flatnonzero(rows)
    carried = np.where(codes[at] < 0, ABSENT, codes[at])
    sets, key = np.unique(carried, axis=0, return_inverse=True)
    return Larger(sets, average(key.ravel(), score[at], None, replicates=False).mean)


def by_key_and_value(key: np.ndarray, value: np.ndarray, se: np.ndarray | None) -> np.ndarray:
    """The order of rows by key, and by value where a key repeats.

    A float sum depends on the order of its terms; the order of the file's rows must not matter.
    """
    order = by_key(key)
    ordered = key[order]
    same = ordered[1:] == ordered[:-1]
    if same.any():  # only repeated rows are worth the slower sort
        at = np.flatnonzero(np.r_[same, False] | np.r_[False, same])
        rows = order[at]
        last = (value[rows], key[rows]) if se is None else (se[rows], value[rows], key[rows])
        order[at] = rows[np.lexsort(last)]
    return order


def by_key(key: np.ndarray) -> np.ndarray:
    """The order of rows by key: 16 bits at a time, which numpy counts where it compares longer."""
    order = np.argsort((key & 0xFFFF).astype(np.uint16), kind="stable")
    for shift in range(16, int(key.max()).bit_length(), 16):
        digit = (key[order] >> shift) & 0xFFFF
        order = order[np.argsort(digit.astype(np.uint16), kind="stable")]
    return order


def spread_out(found: Averaged, p: int) -> np.ndarray:
    """One value a perturbation, NaN where there is none."""
    full = np.full(p, np.nan)
    full[found.key] = found.mean
    return full


def tell(
    table: PairTable, coded: Coded, pairs: Averaged, control: np.ndarray, replicates: bool
) -> tuple[Fact, ...]:
    """The figures of a table."""
    p, q = len(table.names), len(table.score)
    possible = p * (p - 1) // 2
    paired = np.zeros(p, bool)
    paired[table.i] = paired[table.j] = True
    bare = np.flatnonzero(~paired)
    no_single = np.flatnonzero(np.isnan(table.singles))
    have = p - len(no_single)
    missing = f"{len(no_single):,} missing" if have and len(no_single) else ""
    repeated = pairs.count > 1
    spread = float(np.median(pairs.sd[repeated])) if repeated.any() else None
    facts = [
        Fact("perturbations", "perturbations", p),
        Fact("pairs", "pairs measured", q, f"of {possible:,} possible ({q / possible:.1%})"),
        Fact(
            "singles",
            "single effects",
            have,
            missing,
            name(table, no_single if have else no_single[:0]),
        ),
        Fact("controls", "control names", len(coded.controls), examples=coded.controls),
    ]
    if len(control):
        facts.append(Fact("control_rows", "control alone", len(control), mean_of(control)))
    if len(bare):
        facts.append(
            Fact("without_pair", "without any pair", len(bare), "perturbations", name(table, bare))
        )
    on_diagonal = int((~np.isnan(table.diagonal)).sum())
    if on_diagonal:
        facts.append(Fact("diagonal", "diagonal (g, g)", on_diagonal, "kept apart from the pairs"))
    if spread is not None and replicates:
        rows = int(pairs.count[repeated].sum())
        note = f"pairs, from {rows:,} rows; median sd within a pair {spread:.3g}"
        facts.append(Fact("averaged", "averaged", int(repeated.sum()), note))
        facts.append(Fact("averaged_rows", "", rows))
        facts.append(Fact("spread", "", spread))
    return tuple(facts)


def left(
    coded: Coded, measured: np.ndarray, unknown: np.ndarray, members: np.ndarray
) -> tuple[LeftOut, ...]:
    """Rows that no figure of the table comes from."""
    gaps = int((~measured & ~unknown).sum())
    many = int((measured & ~unknown & (members > 2)).sum())
    names = tuple(name or "(empty)" for name in coded.unassigned)
    entries = (
        LeftOut("unmeasured", gaps, "without a score: taken as not measured"),
        LeftOut("unassigned", int(unknown.sum()), "nobody knows what was perturbed", names),
        LeftOut("higher_order", many, "three or more perturbations at once"),
    )
    return tuple(entry for entry in entries if entry.count)


def nothing(source: str, rows: int, coded: Coded, measured: np.ndarray, unknown: np.ndarray) -> str:
    """Why a file that reads well holds no pair."""
    if not rows:
        return f"{source}: has a header but no rows; write the table again"
    if not measured.any():
        return f"{source}: none of its {rows:,} rows has a score; fill the score column"
    if unknown.all():
        return f"{source}: every label is unassigned; name the perturbations"
    alone = (coded.codes[:, 0] == CONTROL).all()
    why = (
        f"all labels are controls ({', '.join(coded.controls)})"
        if alone
        else (f"its {int(measured.sum()):,} measured rows are singles, controls or (g, g)")
    )
    return f"{source}: holds no measured pair of two perturbations: {why}; add rows of pairs"


def name(table: PairTable, index: np.ndarray) -> tuple[str, ...]:
    """The first few names."""
    return examples([table.names[int(k)] for k in index[:6]])


def mean_of(values: np.ndarray) -> str:
    """The mean of the control's own rows, in words; sorted, so that row order cannot show."""
    return f"rows, mean {np.sort(values).mean():.4g}" if len(values) else ""
