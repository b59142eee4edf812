"""The reliability plan: faults by the hundred, and what became of the runs they hit.

    python -m epistax.benchmarks.faults > faults.jsonl           every row at its full size
    python -m epistax.benchmarks.faults --rows actors --quick    one row in a few seconds
    python -m epistax.benchmarks.faults --table faults.jsonl     the results as a table

One JSON object a row: what was injected; chunks lost, duplicated and stray files; whether every
byte is that of an undisturbed run; figures of the row, and the goals that it missed. Needs Linux,
and the checkout for the hostile inputs.
"""

import argparse
import importlib
import importlib.metadata
import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

Record: TypeAlias = dict[str, Any]
CASES = Path(__file__).parents[1] / "tests" / "hostile.toml"
BOTH = ("process", "ray")


class Row(NamedTuple):
    """A row of the plan: its module and function, and its two sizes."""

    title: str
    module: str
    function: str
    quick: Mapping[str, Any]
    full: Mapping[str, Any]
    jobs: bool = False  # needs ray[default]


ROWS = {
    "numbers": Row(
        "pair ↔ number, all pairs of 2 to 1,000 genes, edges to 70,000", "files", "numbering",
        {"largest": 150}, {"largest": 1000}),
    "writers": Row(
        "writers killed before every system call; 8 writers race for a name", "files",
        "publication", {"seeds": 1, "rounds": 25}, {"seeds": 20, "rounds": 200}),
    "stops": Row(
        "one process, stopped before each of its chunks", "files", "interruption",
        {"chunks": 7}, {"chunks": 40}),
    "processes": Row(
        "worker processes, random SIGKILL", "crews", "processes",
        {"seeds": 1, "chunks": 150, "workers": 3, "drivers": 1},
        {"seeds": 5, "chunks": 2000, "workers": 20, "drivers": 4}),
    "actors": Row(
        "Ray actors, random SIGKILL", "crews", "actors",
        {"chunks": 80, "nap": 0.05, "seed": 0, "killers": 0, "workers": 2, "drivers": 1,
         "raylets": 1},
        {"chunks": 500, "nap": 0.1, "seed": 1, "killers": 2, "workers": 15, "drivers": 2,
         "raylets": 1}),
    "long": Row(
        "Ray actors, random SIGKILL, the long run", "crews", "actors",
        {"chunks": 80, "nap": 0.05, "seed": 2, "killers": 1, "workers": 1},
        {"chunks": 10_000, "nap": 0.05, "seed": 2, "killers": 2, "workers": 300, "drivers": 40,
         "raylets": 20}),
    "machine": Row(
        "three Ray machines, one of the two that work is killed", "nodes", "machine",
        {"chunks": 150, "nap": 0.05}, {"chunks": 300, "nap": 0.1}),
    "inputs": Row(
        "hostile inputs", "states", "hostile", {"cases": str(CASES)}, {"cases": str(CASES)}),
    "signals": Row(
        "SIGINT, SIGTERM, two signals", "crews", "signals",
        {"executors": ("process",), "chunks": 40}, {"executors": BOTH, "chunks": 100}),
    "job": Row(
        "`ray job stop`, 3 s before Ray kills", "nodes", "job",
        {"chunks": 300}, {"chunks": 600}, jobs=True),
    "states": Row(
        "torn, deleted, truncated, flipped, foreign, linked files; full and read-only disk; two "
        "drivers; another run", "states", "states",
        {"harm": ("torn journal", "truncated shard", "foreign shard")}, {}),
    "stuck": Row(
        "a hang, a slow chunk, kills before the start, memory beyond Ray's threshold", "crews",
        "stuck", {"executors": ("process",), "memory": False},
        {"executors": BOTH, "memory": True}),
    "admission": Row(
        "a cluster with a token: without it, with a wrong one", "nodes", "admission",
        {"jobs": False}, {"jobs": True}, jobs=True),
    "strange": Row(
        "a cluster of another Ray, one without epistax: one line each", "nodes", "strange", {}, {}),
    "overhead": Row(
        "chunks of 1,024 pairs; a look through finished shards", "files", "overhead",
        {"chunks": 200, "shards": 2000, "limit": 0.5, "executors": ("process",)},
        {"chunks": 1000, "shards": 20_000, "limit": 1.0, "executors": BOTH}),
    "score": Row(
        "`score --test additive --test mmd`, Ray, two actors", "score", "scores",
        {"genes": (20,), "workers": 2}, {"genes": (224, 317, 448), "workers": 2}),
}  # fmt: skip


def measured(name: str, *, quick: bool, folder: Path) -> Record:
    """One row, in a folder of its own."""
    from epistax.benchmarks import harness  # here: worker processes import this module again

    row = ROWS[name]
    size = dict(row.quick if quick else row.full)
    module = importlib.import_module(f"epistax.benchmarks.fault{row.module}")
    place = folder / name
    place.mkdir()
    begun = time.monotonic()
    found = getattr(module, row.function)(place, **size)
    seconds = time.monotonic() - begun
    whole = not (found.lost or found.duplicated or found.strays) and found.identical is not False
    return {
        "name": f"faults.{name}",
        "size": {key: value for key, value in size.items() if key != "cases"},
        **found._asdict(),
        "reached": whole and not found.missed,
        "seconds": round(seconds, 1),
        "device": harness.device(),
        "versions": versions(harness.versions()),
    }


def versions(found: Mapping[str, str]) -> dict[str, str]:
    """Of what the figures depend on."""
    wanted = ("python", "epistax", "jax", "numpy")
    more = {name: importlib.metadata.version(name) for name in ("ray", "polars")}
    return {name: found[name] for name in wanted if name in found} | more


def table(records: Sequence[Mapping[str, Any]]) -> str:
    """The results in Markdown."""
    lines = [
        "| what was done to it | faults | lost, twice, stray | bytes as undisturbed | seconds |",
        "|---|---|---|---|---|",
    ]
    for record in records:
        title = ROWS[record["name"].partition(".")[2]].title
        faults = ", ".join(f"{what}: {count:,}" for what, count in record["injected"].items())
        counts = ", ".join(str(record[key]) for key in ("lost", "duplicated", "strays"))
        same = {True: "yes", False: "**no**", None: "–"}[record["identical"]]
        counts = counts if record["identical"] is not None else "–"
        missed = "".join(f"; **missed: {goal}**" for goal in record["missed"])
        what = title + told(record) + missed
        cells = (what, faults or "–", counts, same, f"{record['seconds']:,.0f}")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def told(record: Mapping[str, Any]) -> str:
    """The figures of a row that a reader wants, in words."""
    found, name = record["figures"], record["name"].partition(".")[2]
    chunks = f", {found['chunks']:,} chunks" if "chunks" in found else ""
    words: dict[str, Callable[[], str]] = {
        "numbers": lambda: f": {found['mismatches']} wrong of {found['pairs']:,}",
        "writers": lambda: (
            f": {found['partial_files']} torn files, one winner in "
            f"{found['races_with_one_winner']} races"
        ),
        "machine": lambda: f": done {found['seconds_after']:.0f} s later",
        "inputs": lambda: ": one line each, nothing written, nothing run",
        "signals": lambda: f": out within {max(found['seconds_to_exit'].values()):.1f} s",
        "states": lambda: f": {found['detected']} of {found['of']} found, nothing else made again",
        "overhead": lambda: (
            ": "
            + "; ".join(f"{what} {ms:.1f} ms" for what, ms in found["ms_a_chunk"].items())
            + f"; {found['shards']:,} shards in {found['scan_seconds']:.1f} s"
        ),
        "score": lambda: (
            f": {found['pairs_a_second'][-1]:,} pairs/s of {found['pairs'][-1]:,}; "
            f"{max(found['actor_mb']):,} MB an actor; driver "
            + ", ".join(f"{mb:,}" for mb in found["driver_mb"])
            + f" MB ({max(found['driver_grows_mb'])} more at work than before) at "
            + ", ".join(f"{count:,}" for count in found["pairs"])
            + " pairs"
        ),
    }
    return chunks + (words[name]() if name in words else "")


def main() -> None:
    """Rows as they are asked for, or the table of earlier results."""
    parser = argparse.ArgumentParser(description="one JSON object per row of the plan")
    parser.add_argument("--rows", nargs="+", choices=tuple(ROWS), default=tuple(ROWS))
    parser.add_argument("--quick", action="store_true", help="sizes of a few seconds")
    parser.add_argument("--table", type=Path, help="print this file of results as a table")
    options = parser.parse_args()
    if options.table is not None:
        print(table([json.loads(line) for line in options.table.read_text().splitlines()]))
        return
    with tempfile.TemporaryDirectory() as folder:
        for name in options.rows:
            record = measured(name, quick=options.quick, folder=Path(folder))
            print(json.dumps(record), flush=True)


if __name__ == "__main__":
    main()
