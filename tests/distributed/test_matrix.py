import io
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
FULL = ",A,B,C\nA,9,1,\nB,1,,2\nC,NA,2,nan\n"


def values(table: PairTable) -> dict[tuple[str, str], float]:
    return {
        (table.names[i], table.names[j]): s
        for i, j, s in zip(table.i, table.j, table.score.tolist(), strict=True)
    }


def test_gaps_are_unmeasured_and_the_diagonal_is_apart(write: Write) -> None:
    table = read_pairs(write(FULL))
    assert table.census.kind == "square matrix"
    assert values(table) == {("A", "B"): 1.0, ("B", "C"): 2.0}
    np.testing.assert_array_equal(table.diagonal, [9.0, np.nan, np.nan])
    np.testing.assert_array_equal(table.se, 0.0)
    assert (table.census["gaps"], table.census["disagree"], table.census["averaged"]) == (1, 0, 0)


@pytest.mark.parametrize(
    "text",
    [
        "gene,A,B,C\nA,9,1,\nB,,,2\nC,,,\n",  # one triangle
        ",C,A,B\nB,2,1,\nA,,9,1\nC,,,2\n",  # other orders
        "A,B,C\nA,9,1,\nB,1,,2\nC,NA,2,nan\n",  # R: no corner
        FULL.replace(",", "\t"),
        FULL.replace("\n", "\r\n"),
        FULL.replace("\n", "\n\n"),
        FULL.replace("1", " 1"),
        "".join(f'"{line}"\n'.replace(",", '","') for line in FULL.split()),
    ],
)
def test_forms_of_the_same_matrix(write: Write, text: str) -> None:
    table = read_pairs(write(text))
    assert values(table) == {("A", "B"): 1.0, ("B", "C"): 2.0}
    assert table.diagonal[0] == 9.0


def test_two_values_are_averaged_and_told(write: Write) -> None:
    table = read_pairs(write(",A,B,C\nA,,1,5\nB,2,,3\nC,5.0000001,3,\n"))
    assert values(table)["A", "B"] == 1.5
    assert table.census["disagree"] == 1  # 5 and 5.0000001 are one number, rounded
    assert any("A+B" in line for line in table.census.lines())


def test_a_control_row_holds_the_singles(write: Write) -> None:
    table = read_pairs(write(",A,B,ctrl\nA,,1,-.5\nB,1,,\nctrl,-.5,-.25,0\n"))
    assert table.names == ("A", "B")
    np.testing.assert_array_equal(table.singles, [-0.5, -0.25])
    assert (table.census["control_rows"], table.census["gaps"]) == (1, 0)


def test_parquet_with_a_pandas_index(tmp_path: Path) -> None:
    frame = pl.DataFrame({"A": [None, 1.0], "B": [1.0, None], "__index_level_0__": ["A", "B"]})
    frame.write_parquet(tmp_path / "m.parquet")
    assert values(read_pairs(tmp_path / "m.parquet")) == {("A", "B"): 1.0}


def test_npz(tmp_path: Path) -> None:
    x = np.array([[np.nan, 1.0], [1.0, np.nan]], np.float32)
    np.savez(tmp_path / "m.npz", x=x, names=np.array(["B", "A"]))
    assert values(read_pairs(tmp_path / "m.npz")) == {("A", "B"): 1.0}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (",A,B,C\nA,,1,2\nB,1,,3\nD,2,3,\n", "'D' has a row but no column"),
        (",A,B,C\nA,,1,2\nB,1,,3\n", "2 rows and 3 columns do not name the same set: 'C'"),
        (",A,B,B\nA,,1,2\nB,1,,3\nB,2,3,\n", "the row name 'B' occurs more than once"),
        (",A,B\nA,,x\nB,1,\n", "column 'B', line 2: 'x' is not a number"),
        (",A,B\nA,,1\nB,inf,\n", "column 'A', line 3: 'inf' is not a finite number"),
        (",A,B\nA,,1\nB,1\n", "line 3 has 2 cells where the header has 3"),
        (",A,B+C\nA,,1\nB+C,1,\n", "the row 'B+C' is a combination"),
        (",A,B\nA,1,\nB,,1\n", "holds no measured pair"),
        (",A,B\nA,,\nB,,\n", "every cell of the matrix is a gap"),
    ],
)
def test_complaints(write: Write, text: str, said: str) -> None:
    with pytest.raises(BadInput) as caught:
        read_pairs(write(text, "m.csv"))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"x": np.eye(2)}, "has x; a matrix needs the arrays `x` and `names`"),
        ({"x": np.ones((2, 3)), "names": np.array(["A", "B"])}, "`x` is 2 x 3 but `names` has 2"),
        ({"x": np.array([[1, np.inf], [0, 1]]), "names": np.array(["A", "B"])}, "(A, B) is inf"),
        ({"x": np.array([["a"]]), "names": np.array(["A"])}, "not numbers"),
        ({"x": np.eye(1), "names": np.array([None])}, "holds Python objects"),
    ],
)
def test_npz_complaints(tmp_path: Path, content: dict[str, np.ndarray], said: str) -> None:
    np.savez(tmp_path / "m.npz", **content)
    with pytest.raises(BadInput) as caught:
        read_pairs(tmp_path / "m.npz")
    assert said in str(caught.value)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40
)
@given(st.integers(2, 7), st.randoms(use_true_random=False), st.data())
def test_order_and_transpose_do_not_matter(
    tmp_path: Path, p: int, random: object, data: st.DataObject
) -> None:
    cell = st.one_of(st.just(float("nan")), st.floats(-1e9, 1e9))
    x = np.array(data.draw(st.lists(cell, min_size=p * p, max_size=p * p))).reshape(p, p)
    x[0, 1] = 0.1
    names = [f"g{k}" for k in range(p)]

    def read(x: np.ndarray, rows: list[int], columns: list[int]) -> PairTable:
        frame = pl.DataFrame({"": [names[k] for k in rows]})
        cells = {names[k]: pl.Series(x[rows, k], nan_to_null=True) for k in columns}
        buffer = io.BytesIO()
        frame.with_columns(**cells).write_csv(buffer)
        (tmp_path / "m.csv").write_bytes(buffer.getvalue())
        return read_pairs(tmp_path / "m.csv")

    shuffled = [random.sample(range(p), p) for _ in range(2)]
    one, two, three = (
        read(x, [*range(p)], [*range(p)]),
        read(x, *shuffled),
        read(x.T, [*range(p)], [*range(p)]),
    )
    for other in (two, three):
        assert values(one) == values(other)
        np.testing.assert_array_equal(one.diagonal, other.diagonal)
    measured = ~np.isnan(x) | ~np.isnan(x.T)
    assert len(one.score) == int(np.triu(measured, 1).sum())
    assert one.census["gaps"] == p * (p - 1) // 2 - len(one.score)


def test_yeast_emap(shared_data: Path) -> None:
    table = read_pairs(shared_data / "yeast_emap/schuldiner2005_emap.csv.gz")
    p, gaps = len(table.names), table.census["gaps"]
    assert (p, len(table.score) + gaps) == (424, 424 * 423 // 2)
    assert np.isnan(table.diagonal).all()
    assert (2 * gaps + p) / p**2 == pytest.approx(0.075, abs=5e-4)  # cells missing of all
    assert table.census["disagree"] == 0
