"""`epistax check`: what is in a file, what will be left out and why, and what it can be used for.

The census of each file is printed as soon as it is read; the first file that cannot be used ends
the run with exit code 2. Nothing is written.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from epistax.distributed import hints
from epistax.distributed.formats.census import Census, Fact
from epistax.distributed.formats.pairtable import PairTable
from epistax.distributed.formats.relations import read_relations
from epistax.distributed.formats.screens import is_screen, read_screen
from epistax.distributed.formats.tables import read_pairs
from epistax.distributed.formats.where import listed
from epistax.distributed.options import Check

QUANTILES = (0.0, 0.05, 0.5, 0.95, 1.0)


def run(options: Check) -> dict[str, Any]:
    """Census of every file, and of every file of known relations against each of them."""
    files = []
    for path in options.files:
        found = read(path, options)
        tell(dated(found), options)
        known = []
        for other in options.known:
            relations = read_relations(other, found.names, measured=found.pairs)
            tell(relations.census, options)
            known.append(relations.census.as_dict())
        files.append(dated(found).as_dict() | found.more | {"known": known})
    return {"n_files": len(files), "files": files}


def describe(summary: dict[str, Any]) -> str:
    """The last line, after the censuses."""
    count = summary["n_files"]
    return f"{count} files can be used" if count > 1 else "the file can be used"


@dataclass(frozen=True)
class Found:
    """What one file holds."""

    census: Census
    names: tuple[str, ...]
    pairs: tuple[np.ndarray, np.ndarray]  # [q] each: the measured ones, i < j
    more: dict[str, Any]  # for JSON only


def read(path: str, options: Check) -> Found:
    """A screen, or a pair table or matrix; --columns is of pair tables only."""
    if not options.columns and is_screen(path, options):
        screen = read_screen(path, options)
        p, two = len(screen.names), screen.codes[screen.codes[:, 0] >= 0].astype(np.int64)
        key = np.unique(two[:, 0] * p + two[:, 1])
        return Found(screen.census, screen.names, (key // p, key % p), {})
    table = read_pairs(
        path,
        columns=options.columns,
        control=options.control,
        sep=options.sep,
        test=options.test,
    )
    return Found(extended(table), table.names, (table.i, table.j), rewards(table))


def dated(found: Found) -> Census:
    """The census, with names that a spreadsheet may have made of genes."""
    names = hints.dates(found.names)
    if not names:
        return found.census
    note = f"{listed(names)}: MARCH1 or SEPT2 before a spreadsheet?"
    fact = Fact("like_dates", "names like dates", len(names), note)
    return replace(found.census, facts=(*found.census.facts, fact))


def extended(table: PairTable) -> Census:
    """The reader's census with the scores' range and what can be sought."""
    low, five, half, high, top = np.quantile(table.score, QUANTILES)
    spread = f"median {half:.4g}; 90 % of pairs within {five:.4g} .. {high:.4g}"
    facts = [Fact("", "scores", f"{low:.4g} .. {top:.4g}", spread)]
    if low == top:
        facts.append(Fact("constant", "constant", True, "all pairs score the same: no best ones"))
    known = table.se > 0
    if known.any():
        median = float(np.median(table.se[known]))
        count = int(known.sum())
        facts.append(Fact("with_se", "standard errors", count, f"median {median:.3g}"))
    useful = rewards(table)
    note = "needs single effects, rows such as (gene, control)"
    if useful["interaction_pairs"]:
        note = f"for {useful['interaction_pairs']:,} pairs, whose two singles are known"
    facts.append(Fact("", "--reward", "score, abs", "every pair"))
    facts.append(Fact("", "--reward", "interaction", note))
    census = table.census
    return Census(census.source, census.kind, (*census.facts, *facts), census.left_out)


def rewards(table: PairTable) -> dict[str, Any]:
    """Which rewards the table serves, and the figures of its scores."""
    both = ~np.isnan(table.singles[table.i]) & ~np.isnan(table.singles[table.j])
    usable = ["score", "abs", *(["interaction"] if both.any() else [])]
    at = np.quantile(table.score, QUANTILES)
    quantiles = {f"{q:g}": float(v) for q, v in zip(QUANTILES, at, strict=True)}
    return {"rewards": usable, "interaction_pairs": int(both.sum()), "quantiles": quantiles}


def tell(census: Census, options: Check) -> None:
    """Print a census, unless only JSON is wanted."""
    if not options.json:
        print(*census.lines(), "", sep="\n")
