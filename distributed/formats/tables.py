"""Pair tables: a row a measurement, as csv, tsv, txt, gz or parquet.

Two label columns and a score (`id1,id2,score`, `a,b,score[,se]`, `gene_a,gene_b,score`, ...), or
one label column `A+B` and a score (`perturbation,score`); a third column of labels (`id3`, `c`,
...) may be empty in rows of two. Singles are rows (g, control),
(control, g) or a lone g; (g, g) and (control, control) are kept apart. A score that is empty, NA
or NaN means "not measured". Our own scores.parquet has a column `test`: one test is read.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from epistax.distributed.errors import BadInput
from epistax.distributed.formats import batchie, gimap, mageck
from epistax.distributed.formats.census import Fact, LeftOut
from epistax.distributed.formats.matrix import is_matrix, read_array, read_matrix
from epistax.distributed.formats.pairtable import PairTable, assemble
from epistax.distributed.formats.sheets import GAPS, Sheet, floats, is_number, open_sheet, strings
from epistax.distributed.formats.where import Where, listed
from epistax.distributed.labels import encode

PAIRS = (
    ("id1", "id2"),
    ("a", "b"),
    ("gene_a", "gene_b"),
    ("gene1", "gene2"),
    ("gene_1", "gene_2"),
    ("genea", "geneb"),
    ("gene1_symbol", "gene2_symbol"),
)
THIRD = ("id3", "c", "gene_c", "gene3", "gene_3", "genec", "gene3_symbol")  # beside those of PAIRS
LABELS = ("perturbation", "condition", "label", "pair")


def read_pairs(
    path: str | Path,
    *,
    columns: Sequence[str] | None = None,
    control: Iterable[str] = (),
    sep: str = "+",
    test: str | None = None,
) -> PairTable:
    """A pair table or a square matrix, whichever the header says it is.

    columns names the label column or columns, the score and perhaps its standard error:
    `label,score`, `a,b,score` or `a,b,score,se`. control replaces the known control names.
    """
    if str(path).endswith(".npz"):
        return read_array(path, control=control, sep=sep)
    if not columns and batchie.is_batchie(path):
        return batchie.read_batchie(path, control=tuple(control), sep=sep, sample=test)
    sheet = open_sheet(path)
    if not columns and gimap.is_interactions(sheet.header):
        sheet, left = gimap.read_interactions(sheet)
        return read_table(sheet, columns=None, control=control, sep=sep, test=test, left=left)
    if not columns and find(sheet.header) is None and is_matrix(sheet):
        return read_matrix(sheet, control=control, sep=sep)
    return read_table(sheet, columns=columns, control=control, sep=sep, test=test)


def read_table(
    sheet: Sheet,
    *,
    columns: Sequence[str] | None,
    control: Iterable[str],
    sep: str,
    test: str | None,
    left: tuple[LeftOut, ...] = (),
) -> PairTable:
    """A table whose header names its columns; left: what of it is left out already."""
    roles = choose(sheet, columns)
    series = dict(zip(roles.all, strings(sheet, roles.all), strict=True))
    gone = blank(series[roles.score])
    for k in roles.labels if gone.any() else ():
        gone = gone & blank(series[k])
    filled = ~gone
    keep, facts = filled, [Fact("rows", "rows", int(filled.sum()), read_as(sheet, roles))]
    if "test" in sheet.header:
        chosen, fact = one_test(sheet, test)
        keep, facts = keep & chosen, [*facts, fact]
    elif test is not None:
        raise BadInput(f"{sheet.source}: has no column 'test' to choose {test!r} in; drop --test")
    if not keep.any():
        raise BadInput(f"{sheet.source}: has a header but no rows; write the table again")
    kept = None if keep.all() else np.flatnonzero(keep)
    if kept is not None:
        series = {k: column.filter(pl.Series(keep)) for k, column in series.items()}
    where = {k: replace(sheet.where(sheet.header[k]), kept=kept) for k in roles.all}
    label, score, se = roles.labels, roles.score, roles.se
    blanks = int((~filled).sum())
    return assemble(
        sheet.source,
        "pair table",
        encode(labels_of(series, roles.named, sep), where[label[0]], sep=sep, control=control),
        floats(series[score], where[score]),
        None if se is None else errors(series[se], where[se]),
        facts=tuple(facts),
        left_out=(*left, *([LeftOut("blank", blanks, "blank lines")] if blanks else [])),
    )


@dataclass(frozen=True)
class Roles:
    """Which columns mean what, by position."""

    labels: tuple[int, ...]
    score: int
    se: int | None = None
    third: int | None = None  # of labels; a cell of it may be empty

    @property
    def named(self) -> tuple[int, ...]:
        """The label columns, the third one too."""
        return self.labels if self.third is None else (*self.labels, self.third)

    @property
    def all(self) -> tuple[int, ...]:
        """Every column that is read, once."""
        more = () if self.se is None else (self.se,)
        return tuple(dict.fromkeys((*self.named, self.score, *more)))


def choose(sheet: Sheet, columns: Sequence[str] | None) -> Roles:
    """The columns the user named, else those known by name."""
    if not columns:
        found = find(sheet.header)
        if found is None:
            raise BadInput(unknown(sheet))
        lower = [name.lower() for name in sheet.header]
        twice = [lower[k] for k in found.all if lower.count(lower[k]) > 1]
        if twice:
            raise BadInput(
                f"{sheet.source}: has two columns {twice[0]!r}; rename one or choose with --columns"
            )
        return found
    if not 2 <= len(columns) <= 4:
        raise BadInput(
            f"--columns: {len(columns)} names; give label,score or a,b,score or a,b,score,se"
        )
    absent = [name for name in columns if name not in sheet.header]
    if absent:
        has = listed([repr(name) for name in sheet.header])
        raise BadInput(f"{sheet.source}: has no column {absent[0]!r}; it has {has}")
    at = [sheet.header.index(name) for name in columns]
    return Roles((at[0],), at[1]) if len(at) == 2 else Roles((at[0], at[1]), *at[2:])


def find(header: Sequence[str]) -> Roles | None:
    """Label columns and score by their usual names, in any case."""
    lower = [name.lower() for name in header]
    if "score" not in lower:
        return None
    labels = labelled(lower)
    if labels is None:
        return None
    score, se = lower.index("score"), lower.index("se") if "se" in lower else None
    return Roles(labels[:2], score, se, *labels[2:])


def labelled(lower: Sequence[str]) -> tuple[int, ...] | None:
    """The label columns, one to three, by their usual names in lower case."""
    for (a, b), c in zip(PAIRS, THIRD, strict=True):
        if a in lower and b in lower:
            return tuple(lower.index(name) for name in (a, b, c) if name in lower)
    return next(((lower.index(label),) for label in LABELS if label in lower), None)


def labels_of(series: Mapping[int, pl.Series], columns: Sequence[int], sep: str) -> list[pl.Series]:
    """One label column or two; where there is a third name the second holds both, `B+C`."""
    found = [series[k] for k in columns[:2]]
    for k in columns[2:]:
        both = (found[1], series[k])
        b, c = (one.cast(pl.String).fill_null("").str.strip_chars() for one in both)
        found[1] = b.zip_with(c.str.to_lowercase().is_in(GAPS), b + sep + c)
    return found


def unknown(sheet: Sheet) -> str:
    """No known columns: what the file has instead, and what to do."""
    has = listed([repr(name) for name in sheet.header])
    if any(is_number(cell) for cell in sheet.header):
        return f"{sheet.source}: its first line is data ({has}); add a header such as id1,id2,score"
    if mageck.is_summary(sheet.header):
        return (
            f"{sheet.source}: is MAGeCK's gene summary, a gene a row and no pairs; give it to"
            " campaign new --genes, or as --side; where its genes are pairs, name the score with"
            " --columns 'id,pos|lfc'"
        )
    remedy = "name two labels and a score with --columns a,b,score"
    if len(sheet.header) == 2:
        remedy += "; known relations go to --known"
    return f"{sheet.source}: is neither a pair table nor a square matrix: it has {has}; {remedy}"


def one_test(sheet: Sheet, test: str | None) -> tuple[np.ndarray, Fact]:
    """The rows of one test of a scores.parquet."""
    column = strings(sheet, [sheet.header.index("test")])[0]
    held = sorted(name for name in column.unique() if name)
    if test is None and len(held) > 1:
        raise BadInput(f"{sheet.source}: holds the tests {listed(held)}; choose one with --test")
    if test is not None and test not in held:
        raise BadInput(f"{sheet.source}: has no test {test!r}; it has {listed(held)}")
    test = test or (held[0] if held else "")
    chosen = (column == test).to_numpy()
    note = f"{len(column) - int(chosen.sum()):,} rows are of other tests" if len(held) > 1 else ""
    return chosen, Fact("test", "test", test, note)


def errors(column: pl.Series, where: Where) -> np.ndarray:
    """Standard errors, NaN where unknown."""
    se = floats(column, where)
    rows = np.flatnonzero(se < 0)
    if len(rows):
        remedy = "correct or empty the cell"
        raise where.fault(rows, column[int(rows[0])], "is a negative standard error", remedy)
    return se


def blank(column: pl.Series) -> np.ndarray:
    """Where a column has nothing at all."""
    return ((column == "") if column.dtype == pl.String else column.is_null()).to_numpy()


def read_as(sheet: Sheet, roles: Roles) -> str:
    """Which columns were taken for what."""
    labels = ", ".join(sheet.header[k] or "(unnamed)" for k in roles.named)
    se = f", se {sheet.header[roles.se]}" if roles.se is not None else ""
    return f"labels {labels}; score {sheet.header[roles.score]}{se}"
