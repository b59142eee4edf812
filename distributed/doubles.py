"""Tests of the pairs that `rank` keeps and that were measured as doubles, as `score` has them."""

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from epistax.distributed.options import Score
from epistax.distributed.plan import Chunk
from epistax.distributed.prepare import Prepared
from epistax.distributed.progress import Progress
from epistax.distributed.report.scores import FDR
from epistax.distributed.scoring import Scorer
from epistax.engine import pairs as pairs_
from epistax.engine.pairs import Pairs
from epistax.engine.screen import Screen
from epistax.engine.stats.fdr import ADJUSTMENTS


def tested(
    pairs: pl.DataFrame, data: Prepared, asked: Score, progress: Progress
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """The tests of those pairs (a, b) whose double was measured, a column a test and figure."""
    screen, names = data.screen, np.array(data.names)
    order = {name: k for k, name in enumerate(data.names)}
    i, j = (pairs[side].replace_strict(order, return_dtype=pl.Int32).to_numpy() for side in "ab")
    wanted = pairs_.rank(Pairs(i, j), screen.singles)
    here = np.flatnonzero(np.isin(pairs_.rank(screen.pairs, screen.singles), wanted))
    if not len(here):
        return pairs.select("a", "b").clear(), {}
    scorer = Scorer(asked, replace(data, screen=only(screen, here)))
    work = list(scorer.work())
    progress.start(len(work))
    parts = []
    for k, one in enumerate(work):
        parts.append(scorer(Chunk(k, "", one)))
        progress.advance(note=f"tests of {len(here):,} doubles")
    wide, facts = pl.DataFrame({"a": names[screen.pairs.i[here]],
                                "b": names[screen.pairs.j[here]]}), {}  # fmt: skip
    for rows in pl.concat(parts).partition_by("test", maintain_order=True):
        test = rows["test"][0]
        p = rows["p_value"].fill_null(float("nan")).to_numpy()
        q = pl.Series(ADJUSTMENTS["bh"](p)).fill_nan(None)
        figures = {f"{test}_statistic": rows["statistic"], f"{test}_p_value": rows["p_value"]}
        columns = [v.alias(k) for k, v in (figures | {f"{test}_q_value": q}).items()]
        wide = wide.join(rows.select("a", "b").with_columns(columns), on=["a", "b"])
        facts[test] = {"tested": rows["statistic"].drop_nulls().len(),
                       "found": int((q <= FDR).sum())}  # fmt: skip
    return wide, facts


def only(screen: Screen, pairs: np.ndarray) -> Screen:
    """The screen with some of its pairs."""
    chosen = np.r_[np.arange(1 + screen.singles), 1 + screen.singles + pairs]
    classes = (v[chosen] for v in (screen.first, screen.count, screen.units))
    some = Pairs(screen.pairs.i[pairs], screen.pairs.j[pairs])
    return Screen(screen.x, screen.unit, screen.owner, *classes, some)
