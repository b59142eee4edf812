"""How each run was made: command, seed, versions, inputs, and what it decided itself."""

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from epistax.distributed.flags import asked, specs
from epistax.distributed.options import VERBS
from epistax.distributed.report.sections.blocks import Section, Table, number
from epistax.distributed.report.sections.runs import Run

PASSING = ("config", "json", "quiet", "resume", "force")  # how it was run, not what
SHOWN = 12  # characters of a hash


def section(runs: tuple[Run, ...]) -> Section:
    """A table a run."""
    tables = tuple(
        Table(f"{run.verb}: {run.name}", ("fact", "value"), tuple(rows(run)), names=2)
        for run in runs
    )
    return Section("Run facts", tables)


def rows(run: Run) -> Iterator[tuple[str, str]]:
    """The facts of one run."""
    record = run.record
    yield "command", command(run)
    yield "seed", str(record.get("seed"))
    yield "started", str(record.get("started", ""))
    versions = record.get("versions") or {}
    yield "versions", ", ".join(f"{name} {v}" for name, v in versions.items() if v)
    for entry in record.get("inputs") or ():
        hashed = f"sha256 {entry['sha256'][:SHOWN]}, {entry['bytes']:,} bytes"
        yield "input", f"{entry['path']}, {hashed}"
    yield "run key", str(record["run_key"])
    for name, value in ({"seconds": run.step.get("seconds")} | (record.get("facts") or {})).items():
        if value is not None:
            yield name.replace("_", " "), told(value)
    for policy, setting in (run.summary.get("tuned") or {}).items():
        yield f"tuned {policy}", told(setting) or "the defaults"


def command(run: Run) -> str:
    """The command line that makes the run again: options that are not the default."""
    cls, words = VERBS.get(run.verb), ["epistax", *run.verb.split()]
    if cls is None:
        return " ".join(words)
    table = {name: spec for name, spec in specs(cls).items() if name not in PASSING}
    return shlex.join([*words, *asked(table, run.record["options"])])


def told(value: Any) -> str:
    """A fact as text."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {told(entry)}" for name, entry in value.items())
    if isinstance(value, list):
        return ", ".join(map(told, value))
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "–"}[value]
    return number(value, 4) if isinstance(value, int | float) else str(value)
