"""Read counts of dual-guide constructs."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from epistax.distributed.formats.screens import is_screen, read_screen
from epistax.distributed.formats.screentable import ScreenTable
from epistax.distributed.options import Check

Write = Callable[..., Path]
Refused = Callable[..., str]
TEXT = """construct\tprobeA\tprobeB\tgeneA\tgeneB\tr1_d3\tr2_d3\tr1_d14\tr2_d14\tr2_d28\tr1_d28
1\tp1\tp2\tA\tB\t100\t200\t50\t300\t10\t70
2\tp2\tp1\tB\tA\t40\t9\t60\t70\t80\t90
3\tp1\tn1\tA\tsafe\t30\t10\t0\t44\t5\t6
4\tn1\tn2\tsafe\tsafe\t500\t600\t700\t800\t900\t999
5\tp3\tp1\t\tA\t11\t22\t33\t44\t55\t66
6\tp2\tn2\tB\tsafe\t70\tNA\t80\t85\t90\t95
"""
NAMED = {
    "control": ("safe",),
    "start": ("r1_d3", "r2_d3"),
    "end": ("r1_d14", "r2_d14", "r1_d28", "r2_d28"),
}
FLAGS = [f"--{name}={','.join(words)}" for name, words in NAMED.items()]


def read(path: Path, **raw: object) -> ScreenTable:
    return read_screen(path, Check(files=(str(path),), **(NAMED | raw)))


def column(name: str) -> list[float]:
    """The counts of a sample, by hand."""
    header, *rows = [line.split("\t") for line in TEXT.splitlines()]
    cells = [row[header.index(name)] for row in rows]
    return [math.nan if cell == "NA" else float(cell) for cell in cells]


def change(start: str, end: str, row: int) -> float:
    """The log fold change of a construct, by hand."""
    a, b = column(start), column(end)
    total = [sum(v for v in counts if v == v) for counts in (a, b)]
    return math.log2((b[row] + 0.5) / total[1]) - math.log2((a[row] + 0.5) / total[0])


def test_fold_changes_by_hand(write: Write) -> None:
    path = write(TEXT, "counts.txt")
    assert is_screen(path, Check(files=("x",)))
    table = read(path)
    # replicate 1: constructs 1, 2, 3, 4, 6 (5 has no label); 2: 1, 3, 4 (2 is rare, 6 not counted)
    rows = [("r1", 0), ("r1", 1), ("r1", 2), ("r1", 3), ("r1", 5), ("r2", 0), ("r2", 2), ("r2", 3)]
    expected = [[change(f"{r}_d3", f"{r}_{day}", k) for day in ("d14", "d28")] for r, k in rows]
    np.testing.assert_allclose(table.x, expected, rtol=1e-6)
    assert table.features == ("r1_d14", "r1_d28")
    pair, a, b, control = [0, 1], [-1, 0], [-1, 1], [-1, -1]
    np.testing.assert_array_equal(table.codes, [pair, pair, a, control, b, pair, a, control])
    assert [table.batches[k] for k in table.batch] == ["r1_d3"] * 5 + ["r2_d3"] * 3
    np.testing.assert_array_equal(table.well, [0, 1, 2, 3, 4, 0, 2, 3])
    probes = np.array(["n1", "n2", "p1", "p2"])[table.sides].tolist()
    first = [["p1", "p2"], ["p2", "p1"], ["p1", "n1"], ["n1", "n2"], ["p2", "n2"]]
    assert probes == [*first, first[0], *first[2:4]]
    assert [table.census[key] for key in ("uncounted", "few_reads", "unassigned")] == [1, 1, 2]
    assert (table.census["rows"], table.census["observations"]) == (12, 8)
    assert (table.census["constructs"], table.census["replicates"]) == (6, 2)


def test_the_least_count_is_kept(write: Write) -> None:
    few = [read(write(TEXT, "c.txt"), min_count=k).census["few_reads"] for k in (0, 9, 10, 11, 31)]
    assert few == [0, 0, 1, 2, 5]


def test_one_replicate_and_one_time(write: Write) -> None:
    table = read(write(TEXT), start=("r2_d3",), end=("r2_d28",), min_count=0)
    np.testing.assert_allclose(table.x[0], [change("r2_d3", "r2_d28", 0)], rtol=1e-6)
    assert table.batches == ("r2_d3",)


def test_some_of_the_times(write: Write) -> None:
    whole, table = read(write(TEXT)), read(write(TEXT), features=("!r1_d14",))
    assert table.features == ("r1_d28",)
    np.testing.assert_array_equal(table.x, whole.x[:, 1:])


def test_other_names_of_genes_and_guides(write: Write) -> None:
    text = TEXT.replace("geneA", "left").replace("geneB", "right").replace("probe", "oligo")
    path = write(text, "counts.txt")
    assert not is_screen(path, Check(files=("x",)))
    table = read(path, label_col=("left", "right"), guide_col=("oligoA", "oligoB"))
    np.testing.assert_array_equal(table.x, read(write(TEXT)).x)
    np.testing.assert_array_equal(table.sides, read(write(TEXT)).sides)


def test_blank_lines(write: Write) -> None:
    table = read(write(TEXT.replace("\n3\t", "\n\n3\t"), "counts.txt"))
    np.testing.assert_array_equal(table.x, read(write(TEXT)).x)
    assert table.census["constructs"] == 6


@pytest.mark.parametrize(
    ("text", "words", "said"),
    [
        (TEXT, [], "which samples are the start is not told; it has 'r1_d3', 'r2_d3', 'r1_d14'"),
        (TEXT, ["--start", "r1_d3"], "name them, as in --start"),
        (
            TEXT,
            [*FLAGS[:2], "--end", "r1_d14,r2_d14,r1_d28"],
            "--end: the number of its samples, 3, is no multiple of the 2",
        ),
        (
            TEXT,
            [*FLAGS[:2], "--end", "r1_d14,r2_d15"],
            "has no column 'r2_d15' (did you mean r2_d1",
        ),
        (TEXT, [*FLAGS[:2], "--end", "r1_d14,r1_d3"], "--start, --end: r1_d3 is named twice"),
        (TEXT, [*FLAGS, "--guide-col", "probeA"], "--guide-col: probeA is one column; give two"),
        (TEXT, [*FLAGS, "--label-col", "geneA"], "counts need two columns of genes; it has"),
        (TEXT.replace("\t9\t", "\t-9\t"), FLAGS, "column 'r2_d3', line 3: '-9' is no number of"),
        (TEXT.replace("\t9\t", "\t9.5\t"), FLAGS, "column 'r2_d3', line 3: '9.5' is no number of"),
        (
            TEXT.replace("\t9\t", "\tmany\t"),
            FLAGS,
            "column 'r2_d3', line 3: 'many' is not a number",
        ),
        (
            TEXT,
            [*FLAGS, "--min-count", "5000"],
            "none of 12 observations can be used: 1 without a count in some sample, 11 fewer",
        ),
    ],
)
def test_complaints(write: Write, refused: Refused, text: str, words: list[str], said: str) -> None:
    assert said in refused(write(text, "counts.txt"), *words)


def test_a_sample_without_reads(write: Write, refused: Refused) -> None:
    text = "geneA,geneB,t0,t1\nA,B,20,0\nA,0,30,0\n"
    error = refused(write(text), "--start", "t0", "--end", "t1")
    assert "the sample 't1' has no reads at all; leave it out" in error


def test_the_a549_screen(shared_data: Path) -> None:
    path = shared_data / "shen2017_a549/A549_CV4_counts_w_everything.txt"
    frame = pl.read_csv(path, separator="\t", infer_schema_length=None)
    samples = frame.columns[5:]
    day3, day14, day21, day28 = (samples[k : k + 2] for k in (0, 2, 4, 6))
    end = (*day14, *day21, *day28)
    table = read(path, control=("0",), start=tuple(day3), end=end)
    assert len(table.names) == 73 and "0" not in table.names
    assert table.features == (day14[0], day21[0], day28[0])
    enough = [frame[name].to_numpy() >= 10 for name in day3]
    assert len(table.x) == enough[0].sum() + enough[1].sum()
    assert table.census["few_reads"] == sum(int((~rows).sum()) for rows in enough)
    expected = []
    for k, rows in enumerate(enough):
        share = [(frame[s] + 0.5) / frame[s].sum() for s in (day3[k], day14[k], day21[k], day28[k])]
        values = np.stack([np.log2((s / share[0]).to_numpy()) for s in share[1:]], axis=1)
        expected.append(values[rows])
    np.testing.assert_allclose(table.x, np.concatenate(expected), rtol=1e-5, atol=1e-6)
    genes = frame.select("geneA", "geneB").cast(pl.String).to_numpy()
    carried = [set(row) - {"0"} for rows in enough for row in genes[rows].tolist()]
    assert [{table.names[k] for k in row if k >= 0} for row in table.codes.tolist()] == carried
    probes = np.array(sorted(set(frame["probeA"]) | set(frame["probeB"])))
    written = frame.select("probeA", "probeB").to_numpy()
    assert len(probes) == table.census["guides"] == table.sides.max() + 1
    np.testing.assert_array_equal(
        probes[table.sides], np.concatenate([written[rows] for rows in enough])
    )
    constructs = np.concatenate([np.flatnonzero(rows) for rows in enough])
    assert len(np.unique(np.stack([constructs, table.well]), axis=1).T) == table.well.max() + 1
