"""What verbs that share their chunks out have in common: the tables of a plan, what they say."""

from collections.abc import Sequence
from typing import Any

import polars as pl

from epistax.distributed import backends
from epistax.distributed.crew import Kernel
from epistax.distributed.driver import execute
from epistax.distributed.formats.census import LeftOut
from epistax.distributed.options.shared import ScaleOptions
from epistax.distributed.plan import Plan
from epistax.distributed.progress import Progress
from epistax.distributed.rundir import RunDir
from epistax.distributed.store import Store

PATIENCE = 20  # deadlines that one chunk may take: it fits many models


def shared(
    directory: RunDir,
    work: list[dict[str, Any]],
    kernel: Kernel,
    tables: Sequence[str],
    progress: Progress,
    options: ScaleOptions,
) -> dict[str, pl.DataFrame]:
    """All tables of all chunks, whoever computes them."""
    plan = Plan.of(directory.key, work)
    store = Store(directory.folder("shards"), tables=tuple(tables))
    deadline = PATIENCE * options.deadline
    done = execute(
        plan, kernel, store, backend=backends.of(options), progress=progress, deadline=deadline
    )
    directory.note(crew=done.facts)
    return {name: store.read(plan, name) for name in tables}


def left_out(entry: LeftOut) -> str:
    """What is not used, and why."""
    names = f" ({', '.join(entry.examples)})" if entry.examples else ""
    return f"left out: {entry.count:,} {entry.reason}{names}"
