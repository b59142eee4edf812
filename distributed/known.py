"""Recall of known relations, with its denominator: known.parquet and what the summary says of it.

By every test among the pairs it tested; with `--recall efaar` also by the signed cosine of every
two single effects, as in "Building, benchmarking, and exploring perturbative maps of
transcriptional and morphological data" (Celik et al. 2024).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from epistax.distributed.errors import BadInput
from epistax.distributed.options import Score
from epistax.distributed.truth import Labels
from epistax.engine import pairs as pairs_
from epistax.engine.pairs import Pairs
from epistax.engine.stats.known import Null, Side, cosines, directed, recall

SIDES: tuple[Side, ...] = ("upper", "both")
SINGLES = "cosine:singles"  # the test of the EFAAR benchmark's rows
PAIRS = 200_000_000  # of single effects, beyond which their cosines are not taken
COLUMNS = {
    "test": pl.String,
    "relation": pl.String,
    "side": pl.String,
    "tail": pl.Float64,
    "null": pl.String,
    "found": pl.Int64,
    "total": pl.Int64,
    "universe": pl.Int64,
    "null_pairs": pl.Int64,
    "recall": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "expected": pl.Float64,
    "by_degree": pl.Float64,
    "macro": pl.Float64,
    "genes": pl.Int64,
}


def refuse(options: Score, names: Sequence[str], *, fitted: bool) -> None:
    """Before anything is written: --recall efaar has what it needs."""
    if options.recall != "efaar":
        return
    if not options.known:
        raise BadInput("--recall: efaar needs a file of known relations; name it with --known")
    if fitted:
        raise BadInput(
            "--recall: efaar compares the effects of single perturbations, which --center fit "
            "takes out; choose rest or all"
        )
    if pairs_.count(len(names)) > PAIRS:
        raise BadInput(
            f"--recall: {len(names):,} perturbations have {pairs_.count(len(names)):,} pairs; "
            f"efaar ranks at most {PAIRS:,}; choose rest or all"
        )


def by_tests(
    frame: pl.DataFrame, names: Sequence[str], relations: Sequence[Labels], options: Score
) -> pl.DataFrame:
    """A row a test, relation and side; the pairs ranked are those with a statistic."""
    rows = []
    for part in frame.partition_by("test", maintain_order=True):
        tested = part.filter(pl.col("statistic").is_not_null())
        value = tested["statistic"].to_numpy()
        rows += ranked(part["test"][0], value, index(tested, names), names, relations, options)
    return table(rows)


def by_singles(
    effects: np.ndarray,
    count: np.ndarray,
    names: Sequence[str],
    relations: Sequence[Labels],
    options: Score,
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """The same rows of the EFAAR benchmark, and who is on its map: effects [p, d], count [p]."""
    alone = count > 0
    on_map = np.flatnonzero(alone)[directed(effects[alone])]
    pairs = pairs_.upper(len(on_map))
    pairs = Pairs(*(on_map[side].astype(np.int32) for side in pairs))
    rows = ranked(SINGLES, cosines(effects[on_map]), pairs, names, relations, options)
    facts = {
        "perturbations": len(on_map),
        "no_single": int((~alone).sum()),
        "no_effect": int(alone.sum()) - len(on_map),
    }
    return table(rows), facts


def ranked(
    test: str,
    value: np.ndarray,
    pairs: Pairs,
    names: Sequence[str],
    relations: Sequence[Labels],
    options: Score,
) -> list[dict[str, Any]]:
    """Rows of one test."""
    place, p = pairs_.rank(pairs, len(names)), len(names)
    null: Null = "rest" if options.recall == "rest" else "all"
    rows = []
    for entry in relations:
        known = np.isin(place, pairs_.rank(index(entry.pairs, names), p))
        for side in SIDES:
            figures = recall(
                value,
                pairs,
                known,
                side=side,
                share=options.tail,
                null=null,
                seed=options.seed,
            )
            who = {"test": test, "relation": entry.name, "side": side}
            rows.append(who | {"tail": options.tail, "null": null} | figures._asdict())
    return rows


def index(frame: pl.DataFrame, names: Sequence[str]) -> Pairs:
    """Columns a and b as positions in names."""
    place = dict(zip(names, range(len(names)), strict=True))
    sides = (frame[side].replace_strict(place, return_dtype=pl.Int32) for side in ("a", "b"))
    return Pairs(*(side.to_numpy() for side in sides))


def table(rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Rows as they are written; figures that do not exist are null."""
    return pl.DataFrame(rows, schema=COLUMNS).fill_nan(None)


def entries(frame: pl.DataFrame, test: str, relations: Sequence[Labels]) -> dict[str, Any]:
    """Of each relation by name: one side's figures, and both sides' under `two_sided`."""
    found = {}
    for entry in relations:
        here = frame.filter(pl.col("test") == test, pl.col("relation") == entry.name)
        one, two = here.drop("test", "relation").to_dicts()
        found[entry.name] = {"in_screen": entry.pairs.height} | one | {"two_sided": two}
    return found
