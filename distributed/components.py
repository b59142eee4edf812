"""What a learned embedding gains: the same tests on as many principal components of the input."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import polars as pl

from epistax.distributed import known
from epistax.distributed.embed import Setup, comparable, principal
from epistax.distributed.options import Score
from epistax.distributed.plan import Plan
from epistax.distributed.prepare import Prepared
from epistax.distributed.scoring import Scorer, tests
from epistax.distributed.truth import Labels, judge

QUICK = ("additive", "mmd", "cosine", "severity")  # tests that are done twice
FIGURES = ("auroc", "average_precision", "recall")


def compared(
    options: Score,
    data: Prepared,
    made: Setup,
    labels: list[Labels],
    entries: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """By test, the figures on the embedding (entries has them) and on components of data."""
    quick = tuple(name for name in tests(options) if name.partition(":")[0] in QUICK)
    if made.kind == "pca" or not labels or not quick:
        return {}
    x, _ = principal(data, made)
    screen = data.screen._replace(x=comparable(x, data, made, options.data))
    plain = dataclasses.replace(options, test=quick, null="none")
    scorer = Scorer(plain, dataclasses.replace(data, screen=screen))
    frame = pl.concat([scorer(chunk) for chunk in Plan.of("", scorer.work()).chunks])
    files = [entry for entry in labels if entry.test is None]
    rows = known.by_tests(frame, data.names, files, options)
    found = {}
    for name in quick:
        other = judge(frame, name, labels)
        for relation, figures in known.entries(rows, name, files).items():
            other["known"][relation] |= figures
        if told(other):
            found[name] = {"embedding": told(entries[name]), "components": told(other)}
    return {"components": screen.x.shape[1], "tests": found}


def told(entry: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """The figures of a test by what it was judged by."""
    every = {entry["truth"]: entry} if "truth" in entry else {}
    return {
        name: {key: figures[key] for key in FIGURES if figures.get(key) is not None}
        for name, figures in (every | entry.get("known", {})).items()
    }
