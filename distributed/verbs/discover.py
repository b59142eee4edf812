"""`epistax discover PAIRS`: replay the choice of pairs on a measured table, policy by policy.

curve.parquet, known.parquet    a row a policy, seed and round
chosen.parquet                  every measured pair in the order of choice
tuning.parquet                  with --tune: every combination of settings tried
"""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from epistax.distributed import backends, drawing, tuning
from epistax.distributed.beforehand import beforehand, inputs
from epistax.distributed.crew import Crew, Inline
from epistax.distributed.driver import execute
from epistax.distributed.formats.relations import Relations, by_stem, read_relations
from epistax.distributed.formats.tables import read_pairs
from epistax.distributed.options import Discover
from epistax.distributed.plan import Plan
from epistax.distributed.pool import Pool, pool
from epistax.distributed.progress import Progress
from epistax.distributed.replay import TABLES, Replay
from epistax.distributed.report import curves, discovery, page, summaries
from epistax.distributed.rundir import RunDir
from epistax.distributed.store import Store
from epistax.distributed.study import Study, design
from epistax.distributed.truereward import true_reward

describe = discovery.describe


def run(options: Discover) -> dict[str, Any]:
    """Read, plan, replay, summarise. Nothing is written before the input has been found good."""
    options = backends.settled(options)
    table = read_pairs(
        options.pairs,
        columns=options.columns,
        control=options.control,
        sep=options.sep,
        test=options.test,
    )
    data = pool(table, options.reward, source=options.pairs)
    truth = None
    if options.truth is not None:
        truth = true_reward(options.truth, options.truth_column, options.reward, data)
    side = beforehand(options, data.names)
    study = design(options, data, truth, side)
    relations = known_pairs(options.known, data)
    more = [options.truth] if options.truth else []
    files = [options.pairs, *options.known, *more, *inputs(options)]
    crew = backends.of(options)
    with RunDir.open(options, inputs=files) as directory:
        if directory.finished:
            return directory.summary
        directory.note(**study.facts())
        begun = time.monotonic()
        with Progress("discover", quiet=options.quiet) as progress:
            for line in (*study.remarks(), *(side.remarks if side else ())):
                progress.say(line)
            kernel = Replay(study, relations, progress)
            tuned = {}
            if options.tune:
                tuned = search(directory, study, kernel, progress, crew)
                crew = backends.of(options)
            shards = directory.folder("shards")
            frames = play(directory, study.work(tuned), kernel, progress, shards, crew)
        for name, frame in frames.items():
            directory.write_table(name, frame)
        summary = summaries.of_discovery(study, frames, relations, census=table.census)
        if options.tune:
            summary["tuned"] = tuned
        directory.note(seconds=round(time.monotonic() - begun, 1))
        figures = curves.draw(directory.folder("figures"), study, frames, relations)
        return page.finish(directory, summary | {"figures": figures})


def play(
    directory: RunDir,
    work: list[dict[str, Any]],
    kernel: Replay,
    progress: Progress,
    shards: Path,
    crew: Crew,
) -> dict[str, pl.DataFrame]:
    """All tables of all runs, from a folder of shards of their own.

    The crew shares the runs; a single one stays here, and the crew shares its draws.
    """
    plan, store = Plan.of(directory.key, work), Store(shards, tables=TABLES)
    study, alone = kernel.study, len(work) == 1
    deadline, folder = study.options.deadline, directory.path / drawing.FOLDER
    how = {"progress": progress, "deadline": deadline * (study.rounds + 1)}
    if alone:
        believer = study.tuned(work[0].get("setting", {})).posterior
        with drawing.fan(crew, believer, folder, deadline=deadline) as fan:
            kernel = replace(kernel, fan=fan, beliefs={})
            execute(plan, kernel, store, backend=Inline(), **how)
        facts = drawing.facts(fan)
    else:
        facts = execute(plan, kernel, store, backend=crew, **how).facts
    directory.note(crew=facts)
    return {name: store.read(plan, name) for name in TABLES}


def search(
    directory: RunDir, study: Study, kernel: Replay, progress: Progress, crew: Crew
) -> dict[str, dict[str, Any]]:
    """The best setting of each policy, by runs whose seeds are not reported."""
    work = list(tuning.work(study))
    progress.say(f"tuning: {len(work):,} runs on seeds that are not reported")
    shards = directory.folder("tuning") / "shards"
    shards.mkdir(exist_ok=True)
    curve = play(directory, work, kernel, progress, shards, crew)["curve"]
    runs = curve.with_columns(run=(pl.col("round") == 0).cum_sum()).partition_by("run")
    frame = tuning.table(study, list(zip(work, runs, strict=True)))
    directory.write_table("tuning", frame)
    found = tuning.best(frame)
    for policy, setting in found.items():
        values = ", ".join(f"{name} {value:g}" for name, value in setting.items())
        progress.say(f"tuned: {policy}: {values or 'the defaults'}")
    return found


def known_pairs(paths: tuple[str, ...], data: Pool) -> dict[str, tuple[Relations, np.ndarray]]:
    """Each relation file by its stem: what it holds of the pool."""
    found: dict[str, tuple[Relations, np.ndarray]] = {}
    p = len(data.names)
    code = data.pairs.i.astype(np.int64) * p + data.pairs.j
    for name, path in by_stem(paths).items():
        relations = read_relations(path, data.names, measured=data.pairs)
        inside = np.isin(code, relations.i.astype(np.int64) * p + relations.j)
        found[name] = (relations, inside)
    return found
