"""A newcomer's first hour, command by command: install, demo, own data, a batch to measure.

    python -m epistax.benchmarks.firsthour CHECKOUT --table norman_gamma.csv --out firsthour.json

clones the checkout into an empty folder, installs it into a fresh environment without any cache,
and then types what the README and the last line of every command say. The newcomer's own data is a
third of the pairs of a measured table (id1,id2,score; a gene with the control is its single
effect), and what comes out last is compared with the rest of it.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from epistax.benchmarks import harness

CONTROL, BATCH, SEED = "negative", 48, 0
MINE, SCREEN = "mine.csv", "screen1"
BIN = ".venv/bin"


class Typed(NamedTuple):
    """One command of the newcomer, and what it is for."""

    part: str
    command: str


HOUR = (
    Typed("install", "git clone --quiet CHECKOUT epistax"),
    Typed("install", "python3.11 -m venv .venv"),
    Typed("install", f"{BIN}/pip install --quiet --no-cache-dir ./epistax"),
    Typed("demo", f"{BIN}/epistax demo --out runs/demo"),
    Typed("own data", f"{BIN}/epistax check {MINE}"),
    Typed("own data", f"{BIN}/epistax campaign new {SCREEN} --genes {MINE} --start {MINE} "
                      f"--batch {BATCH}"),
    Typed("batch", f"{BIN}/epistax campaign propose {SCREEN}"),
)  # fmt: skip


def main() -> None:
    """Run the hour and write it down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--table", type=Path, required=True, help="pairs measured: id1,id2,score")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder)
        rows = options.table.read_text(encoding="utf-8-sig").splitlines()
        (where / MINE).write_text("\n".join(third(rows)) + "\n")
        (where / "CHECKOUT").symlink_to(options.checkout.resolve())
        steps = list(walked(HOUR, where))
        believed = (where / SCREEN / "rounds/0001/proposed.csv").read_text().splitlines()
        record = {
            "steps": steps,
            "commands": len(steps),
            "minutes": round(sum(step["seconds"] for step in steps) / 60, 1),
            "batch": judged(believed, rows),
            "revision": harness.revision(),
            "versions": harness.versions(),
        }
    options.out.write_text(json.dumps(record, indent=1) + "\n")
    print(f"{record['commands']} commands, {record['minutes']} minutes: {options.out}")


def walked(steps: Sequence[Typed], where: Path) -> Iterator[dict[str, Any]]:
    """Each command's seconds and last line. RuntimeError with its complaint where one fails."""
    for part, command in steps:
        print(f"$ {command}", file=sys.stderr)
        begun = time.monotonic()
        done = subprocess.run(
            command, shell=True, cwd=where, capture_output=True, text=True, check=False
        )
        seconds = round(time.monotonic() - begun, 1)
        if done.returncode:
            raise RuntimeError(f"{command}: {done.stderr.strip()}")
        last = (done.stdout.strip().splitlines() or [""])[-1]
        yield {"part": part, "command": command, "seconds": seconds, "last_line": last}


def third(rows: Sequence[str]) -> list[str]:
    """The header, all single effects, and the rows of a third of the pairs."""
    head, *rest = rows
    pairs = sorted({pair(row) for row in rest if CONTROL not in pair(row)})
    kept = set(random.Random(SEED).sample(pairs, len(pairs) // 3))
    return [head, *(row for row in rest if CONTROL in pair(row) or pair(row) in kept)]


def pair(row: str) -> tuple[str, ...]:
    """Its two names in order."""
    return tuple(sorted(row.split(",")[:2]))


def judged(proposed: Sequence[str], rows: Sequence[str]) -> dict[str, Any]:
    """The proposed pairs beside what the whole table measured of them, and of all pairs."""
    head, *chosen = (row.split(",") for row in proposed)
    score: dict[tuple[str, ...], list[float]] = {}
    for row in rows[1:]:
        if CONTROL not in pair(row) and len(set(pair(row))) > 1 and row.split(",")[2]:
            score.setdefault(pair(row), []).append(float(row.split(",")[2]))
    true = [fmean(score[pair(",".join(row))]) for row in chosen]
    told = [float(row[head.index("predicted")]) for row in chosen]
    every = sorted((fmean(v) for v in score.values()), reverse=True)
    best = every[len(every) // 20]
    return {
        "pairs": len(chosen),
        "mean_score": round(fmean(true), 4),
        "mean_predicted": round(fmean(told), 4),
        "mean_of_all_pairs": round(fmean(every), 4),
        "of_the_best_5_percent": sum(value >= best for value in true),
    }


if __name__ == "__main__":
    main()
