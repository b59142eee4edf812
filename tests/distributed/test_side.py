"""Reading what is known of perturbations beforehand."""

import numpy as np
import polars as pl
import pytest

from epistax.distributed.errors import BadInput
from epistax.distributed.formats.side import read_side

NAMES = ("A", "B", "C", "D")


@pytest.fixture
def write(tmp_path):
    def put(text, name="side.csv"):
        path = tmp_path / name
        path.write_text(text)
        return str(path)

    return put


def test_rows_come_in_the_order_of_the_names(write):
    side = read_side(write("gene,x,y\nC,3,.3\nA,1,.1\nD,4,.4\nB,2,.2\n"), NAMES)
    np.testing.assert_allclose(side.values, [[1, 0.1], [2, 0.2], [3, 0.3], [4, 0.4]], rtol=1e-6)
    assert side.columns == ("x", "y") and side.remarks == ()
    assert side.values.dtype == np.float32


def test_gaps_take_the_mean_and_nothing_is_left_out_in_silence(write):
    text = "x,gene,note\n1,A,first\n3,B,second\n,C,third\n9,other,fourth\n"
    path = write(text)
    side = read_side(path, NAMES)
    np.testing.assert_allclose(side.values[:, 0], [1, 3, 2, 2])
    assert side.remarks == (
        f"{path}: 1 perturbations are not in it (D): means",
        f"{path}: 1 cells are empty: means",
        f"{path}: 1 rows of other names are not used",
        f"{path}: columns of text are not used: note",
    )


def test_parquet_is_read_like_text(tmp_path, write):
    frame = pl.DataFrame(
        {"symbol": ["B", "A", "C", "D"], "x": [2.5, 1.5, None, 4.5], "n": [2, 1, 3, 4]}
    )
    frame.write_parquet(tmp_path / "side.parquet")
    ours = read_side(str(tmp_path / "side.parquet"), NAMES)
    text = read_side(write("symbol,x,n\nB,2.5,2\nA,1.5,1\nC,,3\nD,4.5,4\n"), NAMES)
    np.testing.assert_array_equal(ours.values, text.values)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("A,1,2\nB,3,4\nC,5,6\n", "has no header; name its columns, the first one gene"),
        ("gene,note\nA,x\nB,y\n", "has no column of numbers beside 'gene'"),
        ("gene,x\nA,1\nA,2\n", "'A' stands in it more than once; give a row a perturbation"),
        ("gene,x\nQ,1\nR,2\n", "none of its names (Q, R) is one of the 4 perturbations (A, B, C)"),
        ("gene,x\nA,1\nB,two\n", "column 'x', line 3: 'two' is not a number"),
        ("gene,x\nA,1\nB,inf\n", "column 'x', line 3: 'inf' is not a finite number"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_said_in_one_line(write, text, said):
    with pytest.raises(BadInput) as problem:
        read_side(write(text), NAMES)
    assert said in str(problem.value) and "\n" not in str(problem.value)
