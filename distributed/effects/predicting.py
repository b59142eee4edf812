"""Combinations that a fit is asked about: which it can predict, and what it says of them.

Rows keep the order of the file. What cannot be predicted is counted by its reason and listed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from epistax.distributed.campaign import lists
from epistax.distributed.effects import methods
from epistax.distributed.effects.fitting import predicted
from epistax.distributed.effects.reading import labelled, packed
from epistax.distributed.effects.stored import Learned
from epistax.distributed.errors import BadInput
from epistax.distributed.formats.census import LeftOut, examples
from epistax.distributed.formats.sheets import Sheet, floats, open_sheet, strings
from epistax.distributed.formats.tables import labelled as known_labels
from epistax.distributed.formats.tables import labels_of
from epistax.distributed.formats.where import listed
from epistax.distributed.labels import UNKNOWN, Coded, encode
from epistax.distributed.options.effects import EffectsPredict
from epistax.engine.effects.neural import Neural
from epistax.engine.stats import prediction


@dataclass(frozen=True)
class Wanted:
    """Rows that a fit can predict."""

    names: tuple[str, ...]  # of the codes: those of the fit, then those new to it
    singles: np.ndarray  # float32, of all names
    genes: np.ndarray  # int32 [q, k], ascending by name; -1 behind the last
    score: np.ndarray | None  # float64 [q], NaN where not measured
    left_out: tuple[LeftOut, ...]
    rows: int  # of the file


def read_wanted(options: EffectsPredict, learned: Learned) -> Wanted:
    """The rows of the file. BadInput where none of them can be predicted."""
    source = options.wanted
    sheet = open_sheet(source)
    columns = chosen(sheet, options, learned.names)
    held = dict(zip(columns, strings(sheet, columns), strict=True))
    where = sheet.where(sheet.header[columns[0]])
    coded = encode(labels_of(held, columns, options.sep), where, sep=options.sep,
                   control=options.control)  # fmt: skip
    if not len(coded.codes):
        raise BadInput(f"{source}: has a header but no rows; write the table again")
    names, singles, place = vocabulary(options, learned, coded)
    codes = packed(coded.codes)
    found = place[codes]
    left: list[LeftOut] = []
    keep = np.ones(len(codes), bool)
    for key, rows, reason, who in refused(learned, coded, codes, place):
        rows &= keep
        keep &= ~rows
        if rows.any():
            of = [coded.names[c] for c in np.unique(codes[rows]) if who[c]]
            left.append(LeftOut(key, int(rows.sum()), reason, examples(of)))
    if not keep.any():
        why = "; ".join(f"{e.count:,} {e.reason} ({listed(list(e.examples))})" if e.examples
                        else f"{e.count:,} {e.reason}" for e in left)  # fmt: skip
        raise BadInput(f"{source}: none of its {len(codes):,} rows can be predicted: {why}")
    score = measured(sheet)
    genes = found[keep]
    width = learned.k if isinstance(learned.config, Neural) else max(2, genes.shape[1])
    padded = np.full((len(genes), max(width, genes.shape[1])), -1, np.int32)
    padded[:, : genes.shape[1]] = genes
    return Wanted(names, singles, padded[:, :width], None if score is None else score[keep],
                  tuple(left), len(codes))  # fmt: skip


def chosen(sheet: Sheet, options: EffectsPredict, names: Sequence[str]) -> tuple[int, ...]:
    """The label columns: the named ones, else those known by name; names are genes of the fit."""
    if options.columns:
        absent = [name for name in options.columns if name not in sheet.header]
        if absent or len(options.columns) > 3:
            has = listed([repr(name) for name in sheet.header])
            what = f"no column {absent[0]!r}" if absent else "more than three named"
            raise BadInput(f"--columns: {what}; {sheet.source} has {has}; name one to three")
        return tuple(sheet.header.index(name) for name in options.columns)
    found = known_labels([name.lower() for name in sheet.header])
    if found is None:
        has = listed([repr(name) for name in sheet.header])
        if set(sheet.header) & set(names):
            raise BadInput(f"{sheet.source}: its first line is data ({has}); add a header: a,b")
        raise BadInput(
            f"{sheet.source}: has {has}, no columns of labels known by name (a,b; id1,id2; "
            "perturbation); name them with --columns"
        )
    return found


def measured(sheet: Sheet) -> np.ndarray | None:
    """The column score, where there is one."""
    lower = [name.lower() for name in sheet.header]
    if "score" not in lower:
        return None
    at = lower.index("score")
    return floats(strings(sheet, [at])[0], sheet.where(sheet.header[at]))


def vocabulary(
    options: EffectsPredict, learned: Learned, coded: Coded
) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    """Names and single effects of codes, and where the file's names are among them.

    -2 for a name that has no single effect; the last entry, -1, is where there is no gene.
    """
    place = {name: k for k, name in enumerate(learned.names)}
    given: dict[str, float] = {}
    if options.singles is not None:
        for number, (name, text) in lists.table(options.singles, 2, "gene,effect"):
            given[name] = lists.value(text, options.singles, number)
    new = [name for name in coded.names if name in given and name not in place]
    place |= {name: len(learned.names) + k for k, name in enumerate(new)}
    singles = np.r_[learned.singles, [given[name] for name in new]].astype(np.float32)
    found = np.array([*(place.get(name, -2) for name in coded.names), -1], np.int32)
    return (*learned.names, *new), singles, found


def refused(
    learned: Learned, coded: Coded, codes: np.ndarray, place: np.ndarray
) -> Iterator[tuple[str, np.ndarray, str, np.ndarray]]:
    """Each reason why a row is not predicted: its key, rows, words, and the names to blame."""
    found, nobody, p = place[codes], np.zeros(len(place), bool), len(learned.names)
    yield "unassigned", coded.codes[:, 0] == UNKNOWN, "nobody knows what is perturbed", nobody
    size = (codes >= 0).sum(1)
    yield "no_combination", size < 2, "controls or single genes: nothing is combined", nobody
    reason = "with a gene without a single effect; give it with --singles"
    yield "no_single", (found == -2).any(1), reason, place == -2
    if not isinstance(learned.config, Neural):
        return
    reason = f"of more than {learned.k} genes; {learned.model} was fitted to none such"
    yield "larger", size > learned.k, reason, nobody
    if learned.model not in methods.BLIND:
        reason = f"with a gene that {learned.model} was not fitted with; model default can"
        yield "unheard", (found >= p).any(1), reason, place >= p


def predict(learned: Learned, wanted: Wanted) -> tuple[pl.DataFrame, dict[str, Any]]:
    """A row a combination, and the summary."""
    mean, sd = predicted(learned, wanted.genes, wanted.singles)
    half = learned.factor * sd
    seen = np.r_[learned.seen, np.zeros(len(wanted.names) - len(learned.names), bool), True]
    first = np.c_[np.ones(len(mean), bool), wanted.genes[:, 1:] != wanted.genes[:, :-1]]
    unseen = (~seen[wanted.genes] & first).sum(1)
    frame = pl.DataFrame(
        labelled(wanted.names, wanted.genes)
        | {"predicted": mean, "sd": sd, "low": mean - half, "high": mean + half}
        | {"unseen": unseen.astype(np.int64)}
    )
    summary = {
        "step": "predict",
        "model": learned.model,
        "rows": wanted.rows,
        "predicted": len(mean),
        "left_out": [vars(entry) for entry in wanted.left_out],
        "unseen": {str(n): int((unseen == n).sum()) for n in np.unique(unseen)},
    }
    if wanted.score is None or not np.isfinite(wanted.score).any():
        return frame, summary
    there = np.isfinite(wanted.score)
    y, error = wanted.score[there], (wanted.score - mean)[there]
    frame = frame.with_columns(score=pl.Series(wanted.score).fill_nan(None))
    return frame, summary | {
        "measured": int(there.sum()),
        "rmse": prediction.rmse(y, mean[there]),
        "pearson": prediction.pearson(y, mean[there]),
        "covered_90": prediction.covered(error, half[there]),
    }
