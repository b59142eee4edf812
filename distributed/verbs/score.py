"""`epistax score DATA`: test every measured pair of a screen.

scores.parquet      a row a pair and test, q_value over all pairs of a test
classes.parquet     with a critic: a row a class, its divergence and diagnostics
shifts.parquet      with --test latent: how far each perturbation shifts each latent, in sds of the
                    controls, without its sign; `discover --side` reads it
known.parquet       with --known: a row a test, relation and side, recall and its denominator
composed.parquet    with --compose: predicted effects of the pairs not measured
"""

import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from epistax.distributed import backends, critics, embed, known, latents
from epistax.distributed.agreement import agreement
from epistax.distributed.components import compared
from epistax.distributed.driver import execute, seconds
from epistax.distributed.errors import BadInput
from epistax.distributed.events import NAME, Events
from epistax.distributed.formats.screens import read_screen
from epistax.distributed.options import Score
from epistax.distributed.plan import Plan
from epistax.distributed.prepare import prepare
from epistax.distributed.progress import Progress
from epistax.distributed.report import page
from epistax.distributed.report import scores as report
from epistax.distributed.rundir import RunDir
from epistax.distributed.scoring import Scorer, tests
from epistax.distributed.store import Store
from epistax.distributed.truth import Labels, judge, relations, truth
from epistax.engine import pairs as pairs_
from epistax.engine.interaction import additivity
from epistax.engine.stats.fdr import ADJUSTMENTS

PART = 5_000_000  # rows of one parquet file
COMPOSED = 50_000_000  # values of composed.parquet
describe = report.describe


def run(options: Score) -> dict[str, Any]:
    """Read, prepare, test, adjust, judge. Nothing is written before the input is found good."""
    options = backends.settled(options)
    embed.refuse(options)
    table = read_screen(options.data, options)
    data = prepare(table, options)
    scorer = Scorer(options, data)
    made = critics.setup(options, data) if critics.asked(options) else None
    embedding = embed.setup(options, table, data)
    labels, files = labels_of(options, table.names)
    known.refuse(options, table.names, fitted=data.residual)
    if options.compose:
        wide = len(table.features) if embedding is None else embedding.features
        refuse_composed(options, data.screen, wide)
    crew = backends.of(options)
    with RunDir.open(options, inputs=[options.data, *files]) as directory:
        if directory.finished:
            return directory.summary
        directory.note(**data.facts)
        plan = Plan.of(directory.key, scorer.work())
        store = Store(directory.folder("shards"), tables=("scores",))
        begun = time.monotonic()
        with Progress("score", quiet=options.quiet) as progress:
            for line in (*report.left_out(table.census), *data.remarks):
                progress.say(line)
            if embedding is not None:
                scorer.data, facts = embed.embedded(directory, options, data, embedding, progress)
            if made is not None:
                for line in critics.left_out(scorer.data, made):
                    progress.say(line)
                read = critics.trained(directory, options, scorer.data, made)
                scorer.critics = critics.Critics(options, scorer.data, made, read)
            done = execute(
                plan,
                scorer,
                store,
                backend=crew,
                progress=progress,
                deadline=options.deadline,
            )
        frame = adjusted(store.read(plan, "scores"), options.fdr)
        written = directory.write_parts("scores", frame, rows=PART)
        taken = seconds(Events(directory.path / NAME))
        directory.note(seconds=round(time.monotonic() - begun, 1), crew=done.facts)
        if scorer.critics is not None and scorer.critics.read is not None:
            directory.write_table("classes", scorer.critics.classes())
        if "latent" in tests(options):
            directory.write_table("shifts", latents.table(scorer.data.names, scorer.latents))
        if any(name.startswith("mmd") for name in tests(options)):
            directory.note(bandwidth=scorer.bandwidth)
        summary = report.summary(frame, tests(options), taken)
        judged = {name: judge(frame, name, labels) for name in tests(options)}
        for name, found in judged.items():
            summary["tests"][name] |= found
        if "additive" in tests(options) and not data.residual:
            used, common = -scorer.additivity.contrast[1], scorer.additivity.scale()
            summary["tests"]["additive"]["scale"] = {"used": used, "common": common}
        if (alike := agreement(frame, tests(options))) is not None:
            summary["agreement"] = alike
        summary |= recalled(directory, frame, scorer, labels, summary["tests"])
        if embedding is not None:
            against = compared(options, data, embedding, labels, summary["tests"])
            summary["embedding"] = facts | against
        if options.compose:
            summary["composed"] = str(directory.write_table("composed", composed(scorer)))
        census = {"input": table.census.as_dict(), "scores": str(written)}
        return page.finish(directory, summary | census)


def labels_of(options: Score, names: tuple[str, ...]) -> tuple[list[Labels], list[Path | str]]:
    """What is known of the pairs, and the files that say so."""
    beside = Path(options.data).parent / "truth.parquet"
    found = relations(options.known, names)
    asked = dict(part.partition("=")[::2] for part in options.truth)
    for name, column in asked.items():
        if not column:
            raise BadInput(f"--truth: {name!r} is not NAME=COLUMN, such as mmd=disjoint")
        if name not in tests(options):
            raise BadInput(f"--truth: {name!r} is not among the tests {', '.join(tests(options))}")
    if not beside.is_file():
        if asked:
            raise BadInput(f"--truth: there is no {beside}; the truth stands beside the data")
        return found, list(options.known)
    return [*truth(beside, tests(options), asked), *found], [beside, *options.known]


def recalled(
    directory: RunDir,
    frame: pl.DataFrame,
    scorer: Scorer,
    labels: list[Labels],
    entries: dict[str, Any],
) -> dict[str, Any]:
    """Write known.parquet; its figures join the tests' entries, the rest is for the summary."""
    options, names = scorer.options, scorer.data.names
    files = [entry for entry in labels if entry.test is None]
    if not files:
        return {}
    rows = known.by_tests(frame, names, files, options)
    more: dict[str, Any] = {}
    for test, entry in entries.items():
        for name, figures in known.entries(rows, test, files).items():
            entry["known"][name] |= figures
    if options.recall == "efaar":
        screen, effects = scorer.data.screen, scorer.additivity.singles
        count = screen.count[1 : 1 + screen.singles]
        singles, facts = known.by_singles(effects, count, names, files, options)
        rows = pl.concat([rows, singles])
        more = {"efaar": facts | {"known": known.entries(singles, known.SINGLES, files)}}
    return more | {"known": str(directory.write_table("known", rows))}


def adjusted(frame: pl.DataFrame, method: str) -> pl.DataFrame:
    """q_value beside p_value, over all pairs of each test; the other columns are not copied."""
    p = frame["p_value"].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    q = np.full(len(p), np.nan)
    for name in frame["test"].unique(maintain_order=True):
        rows = np.flatnonzero((frame["test"] == name).to_numpy())
        q[rows] = ADJUSTMENTS[method](p[rows])
    column = pl.Series("q_value", q).fill_nan(None)
    return frame.insert_column(frame.columns.index("p_value") + 1, column)


def refuse_composed(options: Score, screen: Any, d: int) -> None:
    """Before anything is written: predicted effects of so many pairs fit in a table."""
    values = (pairs_.count(screen.singles) - len(screen.pairs.i)) * d
    if values > COMPOSED:
        raise BadInput(
            f"--compose: the pairs not measured have {values:,} values; at most {COMPOSED:,} fit; "
            "choose fewer --features"
        )


def composed(scorer: Scorer) -> pl.DataFrame:
    """h_i + h_j of every pair of measured singles that was not measured itself."""
    screen, p = scorer.data.screen, scorer.data.screen.singles
    every = pairs_.upper(p)
    here = ~np.isin(pairs_.rank(every, p), pairs_.rank(screen.pairs, p))
    here &= (screen.count[1 + every.i] > 0) & (screen.count[1 + every.j] > 0)
    i, j, names = every.i[here], every.j[here], np.array(scorer.data.names)
    effects = scorer.additivity.singles
    values = np.asarray(additivity.composed(effects[i], effects[j]))
    columns = {name: values[:, k] for k, name in enumerate(scorer.data.features)}
    return pl.DataFrame({"a": names[i], "b": names[j], **columns})
