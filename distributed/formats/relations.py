"""Known relations: which pairs of a screen stand in an annotation file.

Any file whose first two columns (or those named entity1, entity2; source, target; ...) are names:
csv, tsv, txt, gz, parquet, with or without a header. Pairs may stand in both directions, more
than once, or with themselves; each counts once, without direction. Gene sets are understood too
(`.gmt`, or name TAB members with blanks between): every two members of a set are a relation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from epistax.distributed.errors import BadInput
from epistax.distributed.formats.census import Census, Fact, LeftOut, examples
from epistax.distributed.formats.sheets import decode, open_sheet, read_bytes, strings
from epistax.distributed.formats.where import short

HEADERS = (
    ("entity1", "entity2"),
    ("id1", "id2"),
    ("a", "b"),
    ("gene1", "gene2"),
    ("gene_a", "gene_b"),
    ("gene_1", "gene_2"),
    ("source", "target"),
    ("protein1", "protein2"),
    ("v1", "v2"),
)
SETS = 0.5  # share of second cells with blanks inside from which a file is one of gene sets


@dataclass(frozen=True)
class Relations:
    """Distinct known pairs with both members in the screen."""

    i: np.ndarray  # int32 [m], positions in the screen's names, i < j, sorted by (i, j)
    j: np.ndarray
    measured: np.ndarray  # bool [m]: among the pairs given as measured
    census: Census


def read_relations(
    path: str | Path,
    names: Sequence[str],
    *,
    measured: tuple[np.ndarray, np.ndarray] | None = None,
) -> Relations:
    """The known pairs among names; measured holds the (i, j) of a PairTable, to count them.

    Fails where no name of the file is one of the screen, as with another naming scheme.
    """
    source, p = str(path), len(names)
    first, second, facts = columns(path, names)
    place = dict(zip(names, range(p), strict=True))
    index = [column_index(column, place) for column in (first, second)]
    everyone = pl.concat([first, second]).unique().to_list()
    shared = [name for name in everyone if name in place]
    if not shared:
        raise BadInput(strangers(source, everyone, names))
    itself = (first == second).to_numpy()
    low = first.zip_with(first <= second, second)
    high = second.zip_with(first <= second, first)
    distinct = int(pl.DataFrame({"a": low, "b": high}).filter(~pl.Series(itself)).n_unique())
    inside = (index[0] >= 0) & (index[1] >= 0) & ~itself
    lo, hi = np.minimum(*index)[inside], np.maximum(*index)[inside]
    key = np.unique(lo * p + hi)
    i, j = (key // p).astype(np.int32), (key % p).astype(np.int32)
    seen = np.zeros(len(key), bool)
    if measured is not None:
        seen = np.isin(key, measured[0].astype(np.int64) * p + measured[1])
    facts = (
        *facts,
        Fact("names", "names", len(everyone), f"{len(shared):,} of them in the screen"),
        Fact("relations", "distinct pairs", distinct, "either direction, without self"),
        Fact("in_screen", "both in the screen", len(key)),
        Fact("measured", "of these, measured", int(seen.sum())),
    )
    loops, repeats = int(itself.sum()), len(first) - int(itself.sum()) - distinct
    left = (
        LeftOut("self", loops, "a name with itself", examples(first.filter(itself).to_list())),
        LeftOut("duplicates", repeats, "repeats, the other direction included"),
    )
    kind = "known relations"
    return Relations(i, j, seen, Census(source, kind, facts, tuple(e for e in left if e.count)))


def by_stem(paths: Sequence[str]) -> dict[str, str]:
    """Files by the name without its endings, numbered where it repeats: CORUM, CORUM-2."""
    found: dict[str, str] = {}
    for path in paths:
        stem = Path(path).name.split(".")[0]
        found[stem if stem not in found else f"{stem}-{len(found) + 1}"] = path
    return found


def columns(
    path: str | Path, names: Sequence[str]
) -> tuple[pl.Series, pl.Series, tuple[Fact, ...]]:
    """Both columns of names, blanks trimmed and rows with an empty name dropped."""
    if str(path).removesuffix(".gz").endswith(".gmt"):
        return sets(gmt(path))
    sheet = open_sheet(path)
    if len(sheet.header) < 2:
        raise BadInput(f"{sheet.source}: has one column; known relations need two names a line")
    known = set(names)
    at = (0, 1) if known & set(sheet.header) else named(sheet.header) or (0, 1)
    body = [column.cast(pl.String).fill_null("").str.strip_chars() for column in strings(sheet, at)]
    first = [sheet.header[k] for k in at]
    titled = sheet.frame is not None or is_header(first, body, known)
    if not titled:
        body = [
            pl.concat([pl.Series([cell], dtype=pl.String), column])
            for cell, column in zip(first, body, strict=True)
        ]
    if len(sheet.header) == 2 and len(body[1]) and body[1].str.contains(r"\S\s+\S").mean() >= SETS:
        return sets([members.split() for members in body[1]])
    filled = (body[0] != "") & (body[1] != "")
    if not filled.any():
        raise BadInput(f"{sheet.source}: has no row with two names; write the relations again")
    others = len(sheet.header) - 2
    note = f"columns {first[0]}, {first[1]}" if titled else "the first two columns, no header"
    note += f"; {others} more not read" if others else ""
    fact = Fact("rows", "rows", int(filled.sum()), note)
    return body[0].filter(filled), body[1].filter(filled), (fact,)


def named(header: Sequence[str]) -> tuple[int, int] | None:
    """Columns with a known pair of names."""
    lower = [name.lower() for name in header]
    for a, b in HEADERS:
        if a in lower and b in lower:
            return lower.index(a), lower.index(b)
    return None


def is_header(first: Sequence[str], body: Sequence[pl.Series], names: set[str]) -> bool:
    """Whether the first line is a title: known words, or names that occur nowhere else.

    A first relation mistaken for a title would have no member in the screen: nothing is lost.
    """
    if names & set(first) or len(first[1].split()) > 1:
        return False
    return bool(named(first)) or not any((cell == c).any() for cell in first for c in body)


def sets(members: Sequence[Sequence[str]]) -> tuple[pl.Series, pl.Series, tuple[Fact, ...]]:
    """All pairs within each set."""
    first: list[str] = []
    second: list[str] = []
    for group in members:
        unique = np.array(sorted(set(group)), dtype=object)
        i, j = np.triu_indices(len(unique), k=1)
        first += unique[i].tolist()
        second += unique[j].tolist()
    fact = Fact("rows", "gene sets", len(members), f"{len(first):,} pairs of members")
    return pl.Series(first, dtype=pl.String), pl.Series(second, dtype=pl.String), (fact,)


def gmt(path: str | Path) -> list[list[str]]:
    """Members of each line: set TAB description TAB member TAB member ..."""
    lines = decode(str(path), read_bytes(path)).splitlines()
    found = [[cell.strip() for cell in line.split("\t")[2:] if cell.strip()] for line in lines]
    if not any(len(group) > 1 for group in found):
        raise BadInput(f"{path}: no line has two members; a gmt line is set TAB text TAB members")
    return [group for group in found if group]


def column_index(column: pl.Series, place: dict[str, int]) -> np.ndarray:
    """Positions in the screen, -1 for names that are not in it."""
    return column.replace_strict(place, default=-1, return_dtype=pl.Int64).to_numpy()


def strangers(source: str, everyone: Sequence[str], names: Sequence[str]) -> str:
    """No name in common: how many, a few of each side, and whether only the case differs."""
    lower = {name.lower() for name in names}
    cased = sorted(name for name in everyone if name.lower() in lower)
    hint = "use one naming scheme for both"
    if cased:
        hint = f"{short(cased[0])} differs in case only ({len(cased):,} such names)"
    here, there = (", ".join(map(short, sorted(side)[:3])) for side in (everyone, names))
    return (
        f"{source}: none of its {len(everyone):,} names is in the screen: 0 in common with the "
        f"{len(names):,} there (here {here}; there {there}); {hint}"
    )
