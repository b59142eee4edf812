"""The critic that kl, logform and logrms come from: what it is, and how far to trust it."""

from collections.abc import Iterator

import polars as pl

from epistax.distributed.report.sections.blocks import Block, Heading, Table, Text, fixed, padded
from epistax.distributed.report.sections.runs import Run

ROWS, CUT = 50, 10  # classes whose diagnostics are worst, and those that stand open
COLUMNS = {
    "a": pl.String,
    "b": pl.String,
    "n": pl.Int64,
    "kl": pl.Float64,
    "log_z": pl.Float64,
    "ess_unclipped": pl.Float64,
    "shift": pl.Float64,
    "status": pl.String,
}
LOSSES = {"nre_a": "NRE-A", "softmax": "softmax"}


def critic(run: Run) -> Iterator[Block]:
    """A paragraph and the classes that are least to be trusted; nothing without a critic."""
    facts = (run.record.get("facts") or {}).get("critic")
    if not facts:
        return
    yield Heading("Critic")
    steps = facts["steps"]
    bound = f" of rank {facts['rank']}" if facts.get("rank") else ""
    yield Text(
        f"A {facts['encoder']} critic ({'-'.join(map(str, facts['widths']))}, {facts['head']} "
        f"weights{bound}) of {facts['classes']:,} classes, trained by {LOSSES[facts['loss']]} in "
        f"{facts['folds']} folds of {min(steps):,} to {max(steps):,} steps: every observation is "
        f"judged by one that never saw its well. Right for {facts['accuracy']:.1%} of held-out "
        f"observations; a draw among classes is right for {1 / facts['classes']:.1%}."
    )
    frame = run.table("classes", COLUMNS).collect()
    doubtful = frame.filter(pl.col("status") == "doubtful").height
    worst = frame.sort(pl.col("shift").abs(), descending=True, nulls_last=False).head(ROWS)
    rows = []
    for row in worst.iter_rows(named=True):
        name = row["a"] if row["b"] is None else f"{row['a']} + {row['b']}"
        figures = (row["kl"], row["log_z"], row["shift"])
        size = padded(row["ess_unclipped"])
        rows.append((name, row["status"], f"{row['n']:,}", *map(fixed, figures), size))
    head = ("class", "status", "observations", "KL to control", "log Z", "shift", "effective size")
    note = (
        f"{doubtful:,} of {frame.height:,} classes are doubtful: the critic is off by more than "
        "half a nat there, or fewer than 30 controls carry its weights."
    )
    yield Table("Classes by the critic's error", head, tuple(rows), names=2, note=note, cut=CUT)
