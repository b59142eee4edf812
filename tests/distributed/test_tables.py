import gzip
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from epistax.distributed.errors import BadInput
from epistax.distributed.formats.tables import PairTable, read_pairs

Write = Callable[..., Path]

SMALL = """id1,id2,score
B,A,1.0
A,B,2.0
A,C,-0.5
C,negative,0.25
negative,A,0.1
A,negative,0.3
C,C,7
negative,negative,0.01
B,C,
"""


def as_rows(table: PairTable) -> dict[str, float]:
    names = np.array(table.names)
    labels = [f"{a}+{b}" for a, b in zip(names[table.i], names[table.j], strict=True)]
    return dict(zip(labels, table.score.tolist(), strict=True))


def identical(one: PairTable, two: PairTable) -> None:
    assert one.names == two.names
    for field in ("i", "j", "score", "se", "singles", "diagonal"):
        x, y = getattr(one, field), getattr(two, field)
        assert x.dtype == y.dtype
        np.testing.assert_array_equal(x, y, err_msg=field)


def test_every_kind_of_row_goes_where_it_belongs(write: Write) -> None:
    table = read_pairs(write(SMALL))
    assert table.names == ("A", "B", "C")
    assert as_rows(table) == {"A+B": 1.5, "A+C": -0.5}
    np.testing.assert_allclose(table.singles, [0.2, np.nan, 0.25], rtol=1e-15)
    np.testing.assert_array_equal(table.diagonal, [np.nan, np.nan, 7])
    # two repeats of A+B: sd = 1/sqrt 2, standard error 1/2; A+C is alone
    np.testing.assert_allclose(table.se, [0.5, 0.0], rtol=1e-15)
    assert (table.i.dtype, table.j.dtype, table.score.dtype) == (np.int32, np.int32, np.float64)


def test_census_accounts_for_every_row(write: Write) -> None:
    census = read_pairs(write(SMALL + "nan,A,3\n\nA+B,C,4\n")).census
    expected = {
        "rows": 11,
        "perturbations": 3,
        "pairs": 2,
        "singles": 2,
        "controls": 1,
        "control_rows": 1,
        "diagonal": 1,
        "averaged": 1,
        "averaged_rows": 2,
        "unmeasured": 1,
        "unassigned": 1,
        "higher_order": 1,
        "blank": 1,
    }
    assert {key: census[key] for key in expected} == expected
    assert census["spread"] == pytest.approx(np.sqrt(0.5))
    text = census.lines()
    assert max(map(len, text)) <= 80
    assert any("1 missing: B" in line for line in text)
    assert census.as_dict()["left_out"]["unassigned"]["examples"] == ["nan"]


@pytest.mark.parametrize(
    "header", ["id1,id2,score", "a,b,score", "gene_a,gene_b,score", "gene1,gene2,SCORE"]
)
def test_known_headers(write: Write, header: str) -> None:
    identical(read_pairs(write(SMALL.replace("id1,id2,score", header))), read_pairs(write(SMALL)))


@pytest.mark.parametrize("label", ["perturbation", "condition"])
def test_one_label_column(write: Write, label: str) -> None:
    body = (
        "B+A,1.0\nA+B,2.0\nA+C,-0.5\nC,0.25\nnegative+A,0.1\nA+negative,0.3\nC+C,7\nnegative,.01\n"
    )
    identical(read_pairs(write(f"{label},score\n{body}")), read_pairs(write(SMALL)))


def test_dress_does_not_matter(write: Write, tmp_path: Path) -> None:
    plain = read_pairs(write(SMALL))
    quoted = "\n".join(",".join(f'"{c}"' for c in line.split(",")) for line in SMALL.split())
    dressed = {
        "crlf.csv": b"\xef\xbb\xbf" + SMALL.replace("\n", "\r\n").encode(),
        "mac.csv": SMALL.replace("\n", "\r").encode(),
        "tabs.tsv": SMALL.replace(",", "\t").encode(),
        "tabs.txt": SMALL.replace(",", "\t").encode(),
        "semicolons.csv": SMALL.replace(",", ";").encode(),
        "zipped.csv.gz": gzip.compress(SMALL.encode()),
        "zipped.csv": gzip.compress(SMALL.encode()),
        "quoted.csv": quoted.encode(),
        "blanks.csv": SMALL.replace(",", " , ").encode(),
        "no-end.csv": SMALL.rstrip("\n").encode(),
    }
    for name, data in dressed.items():
        identical(read_pairs(write(data, name)), plain)
    frame = pl.read_csv(write(SMALL))
    frame.write_parquet(tmp_path / "pairs.parquet")
    identical(read_pairs(tmp_path / "pairs.parquet"), plain)
    categories = frame.with_columns(pl.col("id1", "id2").cast(pl.Categorical))
    categories.write_parquet(tmp_path / "pairs.parquet")
    identical(read_pairs(tmp_path / "pairs.parquet"), plain)


def test_standard_errors_of_the_file(write: Write) -> None:
    table = read_pairs(write("a,b,score,se\nA,B,1,3\nB,A,2,4\nA,C,5,.5\nB,C,1,\n"))
    np.testing.assert_allclose(table.se, [2.5, 0.5, 0.0])  # sqrt(9 + 16) / 2, own, unknown


def test_columns_are_named(write: Write) -> None:
    path = write("score,x,y,effect,sd\n9,A,B,1,.5\n9,A,C,2,.5\n")
    assert as_rows(read_pairs(path, columns=("x", "y", "effect"))) == {"A+B": 1.0, "A+C": 2.0}
    assert read_pairs(path, columns=("x", "y", "effect", "sd")).se.tolist() == [0.5, 0.5]
    path = write("what,effect\nA+B,1\n")
    assert as_rows(read_pairs(path, columns=("what", "effect"))) == {"A+B": 1.0}


def test_one_test_of_a_scores_table(tmp_path: Path) -> None:
    path = tmp_path / "scores.parquet"
    rows = {"a": ["A", "A"] * 2, "b": ["B", "C"] * 2, "test": ["mmd", "mmd", "kl:mc", "kl:mc"]}
    frame = pl.DataFrame(rows | {"score": [1.0, float("nan"), 3.0, 4.0], "n_a": [7] * 4})
    frame.write_parquet(path)
    assert as_rows(read_pairs(path, test="kl:mc")) == {"A+B": 3.0, "A+C": 4.0}
    mmd = read_pairs(path, test="mmd")
    assert as_rows(mmd) == {"A+B": 1.0}
    assert mmd.census["unmeasured"] == 1
    with pytest.raises(BadInput, match="holds the tests kl:mc, mmd; choose one with --test"):
        read_pairs(path)
    with pytest.raises(BadInput, match="no test 'ks'"):
        read_pairs(path, test="ks")
    frame.filter(pl.col("test") == "mmd").write_parquet(path)
    assert as_rows(read_pairs(path)) == {"A+B": 1.0}


def test_folder_of_parts_is_one_table(tmp_path: Path) -> None:
    folder = tmp_path / "scores.parquet"
    folder.mkdir()
    for k, b in enumerate("BC"):
        part = pl.DataFrame({"a": ["A"], "b": [b], "score": [float(k)]})
        part.write_parquet(folder / f"part-{k}.parquet")
    assert as_rows(read_pairs(folder)) == {"A+B": 0.0, "A+C": 1.0}


@pytest.mark.parametrize("gap", ["", "NA", "na", "NaN", "nan", "N/A", "#N/A", "null", " "])
def test_gaps_are_unmeasured(write: Write, gap: str) -> None:
    table = read_pairs(write(f"id1,id2,score\nA,B,{gap}\nA,C,2\n"))
    assert as_rows(table) == {"A+C": 2.0}
    assert table.names == ("A", "B", "C")
    assert (table.census["unmeasured"], table.census["without_pair"]) == (1, 1)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (
            "A,B,1\nA,C,abc\n\nA,D,x\nA,E,-\n",
            "column 'score', line 3: 'abc' is not a number (3 such lines: 3, 5, 6)",
        ),
        ("A,B,inf\n", "line 2: 'inf' is not a finite number; correct or empty the cell"),
        ("A,B,1\nA,C,-1e999\n", "line 3: '-1e999' is not a finite number"),
        ("A,B,'0,5'\n", "line 2 has 4 cells where the header has 3"),
        ('A,B,"0,5"\n', "line 2: '0,5' is not a number; write decimals with a point"),
        ("A,B,1\nA,C\n", "line 3 has 2 cells where the header has 3"),
        ("A,B,1\nA+,C,1\n", "column 'id1', line 3: 'A+' has an empty part"),
        ("A,A,1\nB,negative,2\n", "holds no measured pair of two perturbations"),
        ("ctrl,negative,2\n", "all labels are controls (ctrl, negative)"),
        ("A,B,\n", "none of its 1 rows has a score"),
        ("", "has a header but no rows"),
        ("\n\n", "has a header but no rows"),
        ("nan,A,1\n", "every label is unassigned"),
    ],
)
def test_complaints(write: Write, rows: str, said: str) -> None:
    with pytest.raises(BadInput) as caught:
        read_pairs(write("id1,id2,score\n" + rows))
    message = str(caught.value)
    assert said in message
    assert "\n" not in message
    assert message.startswith(str(write("")))


def test_long_lists_of_lines_are_cut(write: Write) -> None:
    rows = "A,B,1\n" + "A,C,?\n" * 1203
    with pytest.raises(BadInput, match=r"\(1,203 such lines: 3, 4, 5, 6, 7, \.\.\.\)"):
        read_pairs(write("id1,id2,score\n" + rows))


def test_rows_of_another_test_do_not_shift_numbers(tmp_path: Path) -> None:
    path = tmp_path / "scores.parquet"
    rows = {"a": ["A"] * 4, "b": ["B", "C", "B", "C"], "test": ["x", "x", "y", "y"]}
    pl.DataFrame(rows | {"score": [1.0, 1.0, 1.0, float("inf")]}).write_parquet(path)
    assert len(read_pairs(path, test="x").score) == 2
    with pytest.raises(BadInput, match="row 4: 'inf'"):
        read_pairs(path, test="y")


ROWS = st.lists(
    st.tuples(
        st.sampled_from("ABCDE"),
        st.sampled_from(["A", "B", "C", "D", "E", "ctrl", "NTC"]),
        st.floats(-1e6, 1e6),
    ),
    min_size=1,
    max_size=40,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(ROWS, st.randoms(use_true_random=False))
def test_orders_do_not_matter_to_the_last_bit(
    write: Write, rows: list[tuple[str, str, float]], random: object
) -> None:
    rows = [("A", "B", 0.1), *rows]
    other = [(b, a, s) if random.random() < 0.5 else (a, b, s) for a, b, s in rows]
    random.shuffle(other)
    text = [
        "\n".join(["id1,id2,score", *(f"{a},{b},{s!r}" for a, b, s in r)]) for r in (rows, other)
    ]
    one, two = (read_pairs(write(t)) for t in text)
    identical(one, two)
    assert one.census.lines()[1:] == two.census.lines()[1:]
    for label, mean in as_rows(one).items():
        values = [s for a, b, s in rows if {a, b} == set(label.split("+"))]
        assert mean == pytest.approx(np.mean(values), rel=1e-12, abs=1e-9)


def test_norman(shared_data: Path) -> None:
    table = read_pairs(shared_data / "naiad/norman_gamma.csv")
    on_diagonal = int((~np.isnan(table.diagonal)).sum())
    assert (table.census["rows"], len(table.names), on_diagonal) == (51_984, 112, 112)
    assert len(table.score) + on_diagonal == 6_328
    assert not np.isnan(table.singles).any()
    both = np.r_[table.score, table.diagonal]  # spec: the reference's target
    assert both.mean() == pytest.approx(-0.331, abs=5e-4)
    assert both.std() == pytest.approx(0.174, abs=5e-4)
    assert (both.min(), both.max()) == pytest.approx((-0.749, 0.216), abs=5e-4)
    assert (table.se > 0).all()


def test_k562_is_whole_and_quick(shared_data: Path) -> None:
    path = shared_data / "naiad/horlbeck_k562_gamma.csv"
    read_pairs(path)  # the first call pays for imports inside polars
    start = time.perf_counter()
    table = read_pairs(path)
    seconds = time.perf_counter() - start
    assert len(table.names) == 448
    assert len(table.score) + int((~np.isnan(table.diagonal)).sum()) == 100_576
    assert int((~np.isnan(table.singles)).sum()) == 448
    assert (table.se == 0).all()
    assert seconds < 2  # 0.1 s when idle; the bound allows a busy machine


def test_reader_does_not_import_jax() -> None:
    import subprocess

    code = (
        "import sys, epistax.distributed.formats.tables, epistax.distributed.formats.relations,"
        " epistax.distributed.verbs.check; sys.exit('jax' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-P", "-c", code]).returncode == 0
