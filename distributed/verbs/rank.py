"""`epistax rank DATA`: all pairs of single perturbations, ranked without measuring one.

ranked.parquet    a row a measure and kept pair: score (which ranked all pairs), exact, and the
                  tests of pairs whose double is in DATA
audit.parquet     a row an audited pair: approximate and exact value
"""

import textwrap
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import polars as pl

from epistax.distributed.doubles import tested
from epistax.distributed.formats.screens import read_screen
from epistax.distributed.options import Rank
from epistax.distributed.progress import Progress
from epistax.distributed.rankable import measures, prepare, scoring
from epistax.distributed.ranked import Ranking
from epistax.distributed.report import page
from epistax.distributed.report.scores import FDR, WIDTH, left_out
from epistax.distributed.rundir import RunDir
from epistax.engine.pairs import count

TOP = 10


def run(options: Rank) -> dict[str, Any]:
    """Read, rank, audit, test. Nothing is written before the input is found good."""
    table = read_screen(options.data, options)
    data = prepare(table, options)
    with RunDir.open(options, inputs=[options.data]) as directory:
        if directory.finished:
            return directory.summary
        directory.note(**data.facts)
        with Progress("rank", quiet=options.quiet) as progress:
            for line in (*left_out(table.census), *data.remarks):
                progress.say(line)
            ranking = Ranking(options, data, progress)
            entries, frames, audited = {}, [], []
            for name in measures(options):
                begun = time.monotonic()
                found = ranking(name)
                entries[name] = found.facts | {"seconds": round(time.monotonic() - begun, 1)}
                frames.append(found.frame)
                audited += [] if found.audited is None else [found.audited]
            frame = pl.concat(frames)
            kept = frame.select("a", "b").unique(maintain_order=True)
            asked = replace(scoring(options), bandwidth=ranking.bandwidth)
            tests, facts = tested(kept, data, asked, progress)
        frame = frame.join(tests, on=["a", "b"], how="left", maintain_order="left")
        if "mmd" in entries:
            directory.note(bandwidth=ranking.bandwidth)
        for name, entry in entries.items():
            best = frame.filter(pl.col("measure") == name).head(TOP)
            entry["top"] = best.drop("measure", "rank").to_dicts()
        summary = {
            "input": table.census.as_dict(),
            "perturbations": len(table.names),
            "pairs": count(len(table.names)),
            "measures": entries,
            "tests": facts,
            "ranked": str(directory.write_table("ranked", frame)),
        }
        if audited:
            summary["audit"] = str(directory.write_table("audit", pl.concat(audited)))
        return page.finish(directory, summary)


def describe(summary: Mapping[str, Any]) -> str:
    """Tables of at most 80 columns: what was ranked, how well, and the first pairs."""
    lines: list[str] = []
    for name, entry in summary["measures"].items():
        lines += [line for text in told(name, entry) for line in wrapped(text)]
        lines += [*best(entry), ""]
    for test, entry in summary["tests"].items():
        lines.append(
            f"{test}: {entry['tested']:,} kept pairs have a double, {entry['found']:,} interact at "
            f"an FDR of {FDR:.0%}"
        )
    lines += [f"ranked: {summary['ranked']}"]
    lines += [f"audit:  {summary['audit']}"] if "audit" in summary else []
    return "\n".join([*lines, f"report: {summary['report']}"])


def wrapped(text: str) -> list[str]:
    """Lines of at most WIDTH columns."""
    return textwrap.wrap(text, WIDTH, subsequent_indent="    ", break_long_words=False)


def told(name: str, entry: Mapping[str, Any]) -> Iterator[str]:
    """What was ranked, who was left out, what the audit says."""
    first = f", {entry['order']} first" if entry["order"] in ("near", "far") else ""
    yield (
        f"{name}{first}: {entry['kept']:,} kept of {entry['pairs']:,} pairs of "
        f"{entry['perturbations'] - entry['inactive']:,} perturbations"
    )
    if entry["inactive"]:
        yield f"  left out: {entry['inactive']:,} that do not differ from the control (--active)"
    if not entry["tested"]:
        yield "  one observation each: nothing says which perturbations do nothing"
    if entry.get("audit"):
        yield f"  audit: {audited(entry['audit'])}"


def audited(entry: Mapping[str, Any]) -> str:
    """Recall of the exact top, its interval, over how many pairs."""
    top = f"the exact top {entry['share']:.0%}"
    if "all" in entry:
        found = entry["all"]
        return (
            f"every pair was computed exactly; by random features alone {found['found']:,} of the "
            f"{found['total']:,} of {top} would be found"
        )
    sample = "random" if "random" in entry else "genes"
    found, which = entry[sample], {"random": "random pairs", "genes": "pairs of some"}[sample]
    span = "" if found["low"] is None else f" (95% {found['low']:.3f}-{found['high']:.3f})"
    return f"{found['recall']:.3f}{span} of {top} of {found['pairs']:,} {which} is found"


def best(entry: Mapping[str, Any]) -> list[str]:
    """The first pairs; of their tests the q-values."""
    tests = [k for k in (entry["top"] or [{}])[0] if k.endswith("_q_value")]
    figures = ("score", "exact") if "frequencies" in entry else ("score",)
    head = ("pair", *figures, *(k.removesuffix("_value").replace("_", " ") for k in tests))
    table = [head]
    for row in entry["top"]:
        values = [row[k] for k in (*figures, *tests)]
        table.append(
            (f"{row['a']} + {row['b']}", *("" if v is None else f"{v:.3g}" for v in values))
        )
    wide = [max(len(row[k]) for row in table) for k in range(len(head))]
    wide[0] = min(wide[0], WIDTH - sum(wide[1:]) - 2 * len(head))
    shown = [k for k in range(len(head)) if any(row[k] for row in table[1:])]
    return [
        "  " + "  ".join(clipped(r[k], wide[k]) if k == 0 else r[k].rjust(wide[k]) for k in shown)
        for r in table
        if shown
    ]


def clipped(text: str, width: int) -> str:
    """Left in its column; what is too long ends in dots."""
    return (text if len(text) <= width else text[: width - 3] + "...").ljust(width)
