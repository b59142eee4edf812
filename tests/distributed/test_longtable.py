"""Screens as tables of observations."""

import gzip
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from epistax.distributed.errors import BadInput
from epistax.distributed.formats.screens import read_screen
from epistax.distributed.formats.screentable import ScreenTable
from epistax.distributed.options import Check

Write = Callable[..., Path]
Refused = Callable[..., str]
FRAME = pl.DataFrame(
    {
        "perturbation": ["A", "ctrl", "A+B", "B", "nan", "ctrl"],
        "plate": [1, 1, 2, 2, 2, 2],
        "emb_0": [0.5, 1.5, -2.25, 3.0, 0.0, 1.0],
        "emb_1": [1, 2, 3, 4, 5, 6],
        "emb_10": [9.0, 8.0, 7.0, 6.0, None, 4.0],
    }
)
EXPECTED = FRAME.filter(pl.col("perturbation") != "nan").select("^emb.*$").to_numpy()
COUNT = ("emb_0", "emb_1", "emb_10")


def read(path: Path, **raw: object) -> ScreenTable:
    return read_screen(path, Check(files=(str(path),), **raw))


def put(frame: pl.DataFrame, folder: Path, form: str) -> Path:
    """Write a frame in one of the forms that are read."""
    path = folder / f"screen.{form}"
    if form == "parquet":
        frame.write_parquet(path)
        return path
    if form == "folder":
        path = folder / "parts.parquet"
        path.mkdir()
        frame.head(2).write_parquet(path / "0.parquet")
        frame.slice(2).write_parquet(path / "1.parquet")
        return path
    buffer = io.BytesIO()
    frame.write_csv(buffer, separator="\t" if form == "tsv" else ",")
    data = buffer.getvalue()
    forms = {"bom": b"\xef\xbb\xbf" + data, "crlf": data.replace(b"\n", b"\r\n")}
    path.write_bytes(gzip.compress(data) if form == "csv.gz" else forms.get(form, data))
    return path


@pytest.mark.parametrize(
    "form", ["csv", "tsv", "txt", "csv.gz", "bom", "crlf", "parquet", "folder"]
)
def test_forms_of_the_same_table(form: str, tmp_path: Path) -> None:
    table = read(put(FRAME, tmp_path, form))
    assert (table.names, table.features, table.batches) == (("A", "B"), COUNT, ("1", "2"))
    np.testing.assert_array_equal(table.codes, [[-1, 0], [-1, -1], [0, 1], [-1, 1], [-1, -1]])
    np.testing.assert_array_equal(table.x, EXPECTED.astype(np.float32))
    np.testing.assert_array_equal(table.batch, [0, 0, 1, 1, 1])
    assert table.census["unassigned"] == 1


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_named_features(form: str, tmp_path: Path) -> None:
    path = put(FRAME.with_columns(area=pl.col("emb_1") * 2), tmp_path, form)
    for words, names in (
        (("area", "emb_0"), ("emb_0", "area")),
        (("emb_1*",), ("emb_1", "emb_10")),
        (("emb_?", "emb_0"), ("emb_0", "emb_1")),
        (("*", "!emb_*"), ("area",)),
    ):
        table = read(path, features=words)
        assert table.features == names
        kept = FRAME.with_columns(area=pl.col("emb_1") * 2).filter(pl.col("perturbation") != "nan")
        np.testing.assert_array_equal(table.x, kept.select(names).to_numpy().astype(np.float32))


def test_numbers_as_names(write: Write) -> None:
    table = read(write("gene,0,1,2\nA,1,2,3\nctrl,4,5,6\n"))
    assert table.features == ("0", "1", "2")
    np.testing.assert_array_equal(table.x, [[1, 2, 3], [4, 5, 6]])


def test_numbered_text_is_no_feature(write: Write) -> None:
    text = "gene_1,gene_2,guide_1,guide_2,pc1,pc2\nA,ctrl,a,b,1.5,2\nA,B,c,d,3,4\n"
    assert read(write(text)).features == ("pc1", "pc2")


@pytest.mark.parametrize("kind", [pl.List(pl.Float64), pl.List(pl.Int32), pl.Array(pl.Float32, 3)])
def test_a_column_of_lists(kind: pl.DataType, tmp_path: Path) -> None:
    vectors = [[1, 2, 3], None, [4, 5, 7], [7, 8, 9]]
    frame = pl.DataFrame({"perturbation": ["A", "B", "ctrl", "B"]})
    path = tmp_path / "s.parquet"
    frame.with_columns(pl.Series("emb", vectors, dtype=kind)).write_parquet(path)
    for raw in ({}, {"features": ("emb",)}):
        table = read(path, **raw)
        assert table.features == ("emb_0", "emb_1", "emb_2")
        np.testing.assert_array_equal(table.x, [vectors[0], vectors[2], vectors[3]])
        np.testing.assert_array_equal(table.codes, [[-1, 0], [-1, -1], [-1, 1]])
        assert table.census["incomplete"] == 1


def test_to_leave_out_is_to_keep_the_others(tmp_path: Path) -> None:
    table = read(put(FRAME, tmp_path, "csv"), features=("!emb_1",))  # and not the plate
    assert table.features == ("emb_0", "emb_10")
    np.testing.assert_array_equal(table.x, EXPECTED[:, [0, 2]].astype(np.float32))
    frame = pl.DataFrame({"gene": ["A", "ctrl"], "n": [1, 2], "v": [[1.0, 2, 3], [4, 5, 6]]})
    frame.write_parquet(tmp_path / "v.parquet")
    vectors = read(tmp_path / "v.parquet", features=("!v_1",))
    assert vectors.features == ("v_0", "v_2")
    np.testing.assert_array_equal(vectors.x, [[1, 3], [4, 6]])


def test_lists_of_other_lengths(tmp_path: Path, refused: Refused) -> None:
    frame = pl.DataFrame({"gene": ["A", "B", "ctrl"], "emb": [[1.0, 2.0], [3.0], [4.0, 5.0]]})
    frame.write_parquet(tmp_path / "s.parquet")
    said = "column 'emb', row 2: has 1 entries where others have 2; give every row as many"
    assert said in refused(tmp_path / "s.parquet")


def test_gaps_inside_of_lists(tmp_path: Path) -> None:
    frame = pl.DataFrame({"gene": ["A", "B", "ctrl"], "emb": [[1.0, None], [3.0, 4.0], [4.0, 5.0]]})
    frame.write_parquet(tmp_path / "s.parquet")
    table = read(tmp_path / "s.parquet")
    np.testing.assert_array_equal(table.x, [[3, 4], [4, 5]])


TWO = "gene_a,gene_b,guide_x,guide_y,e1,e2\nA,B,a1,b1,1.5,2\nB,A,b1,a2,2,3\nctrl,A,,a1,3,4\n"


def test_sides_as_written(write: Write) -> None:
    table = read(write(TWO), guide_col=("guide_x", "guide_y"))
    np.testing.assert_array_equal(table.codes, [[0, 1], [0, 1], [-1, 0]])
    names = np.array(["a1", "a2", "b1", "ctrl"])  # ctrl has no guide: its name stands for it
    assert names[table.sides].tolist() == [["a1", "b1"], ["b1", "a2"], ["ctrl", "a1"]]
    assert table.census["guides"] == 3
    plain = read(write(TWO))
    assert np.array(["A", "B", "ctrl"])[plain.sides].tolist() == [
        ["A", "B"],
        ["B", "A"],
        ["ctrl", "A"],
    ]
    assert plain.sides.dtype == np.int32


def test_one_column_of_labels_has_no_sides(write: Write) -> None:
    assert read(write("perturbation,e1,e2\nA+B,1,2\nctrl,2,3\n")).sides is None


def test_labels_by_name_go_together(write: Write) -> None:
    table = read(write("x,y,e1,e2\nA,B,1.5,2\nB,0,3,4\n"), label_col=("y", "x"), control=("0",))
    np.testing.assert_array_equal(table.codes, [[0, 1], [-1, 1]])


@pytest.mark.parametrize(
    ("text", "words", "said"),
    [
        ("gene,area,size\nA,1,2\n", [], "which columns are features is not told; it has the numb"),
        ("gene,area,size\nA,1,2\n", [], "'area', 'size': name features with --features"),
        ("gene,emb1,emb2\nA,1,2\n", ["--features", "emb3"], "no feature is 'emb3' (did you mean"),
        ("gene,e1,e2,pc1,pc2\nA,1,2,3,4\n", [], "several sorts of columns are numbered: e* (2), p"),
        ("gene,e1,e2\nA,1,2\n", ["--label-col", "Gene"], "has no column 'Gene' (did you mean gene"),
        ("x,e1,e2\nA,1,2\n", ["--features", "e*"], "has no column of labels (perturbation, cond"),
        ("gene,e1,e2\nA,1,2\n", ["--features", "gene"], "no feature is 'gene'"),
        ("gene,e1,e1\nA,1,2\n", ["--features", "e1"], "has two columns 'e1'; rename one"),
        ("gene,gene,e1,e2\nA,A,1,2\n", [], "has two columns 'gene'; rename one"),
        ("gene,plate,name\nA,1,x\n", ["--label-col", "gene"], "has no column of numbers"),
        (TWO, ["--guide-col", "guide_x"], "--guide-col: guide_x is one column; give two"),
        (TWO, ["--guide-col", "a,b,c"], "--guide-col: 3 names"),
        ("gene,e1,e2\nA,1,2\nB,1\n", [], "line 3 has 2 cells where the header has 3"),
        ("gene,e1,e2\nA,1,2\nB,low,3\n", [], "column 'e1', line 3: 'low' is not a number"),
    ],
)
def test_complaints(write: Write, refused: Refused, text: str, words: list[str], said: str) -> None:
    error = refused(write(text), *words)
    assert said in error


def test_text_in_a_parquet_feature(tmp_path: Path) -> None:
    frame = pl.DataFrame({"gene": ["A", "ctrl"], "e": ["1", "2"], "f": [1, 2]})
    frame.write_parquet(tmp_path / "s.parquet")
    table = read(tmp_path / "s.parquet", features=("e", "f"))
    np.testing.assert_array_equal(table.x, [[1, 1], [2, 2]])
    frame.with_columns(e=pl.Series(["1", "x"])).write_parquet(tmp_path / "s.parquet")
    with pytest.raises(BadInput, match="column 'e', row 2: 'x' is not a number"):
        read(tmp_path / "s.parquet", features=("e", "f"))


def test_a_parquet_cut_short(tmp_path: Path, refused: Refused) -> None:
    path = put(FRAME, tmp_path, "parquet")
    path.write_bytes(path.read_bytes()[:-20])
    assert "the parquet file is damaged; copy it again" in refused(path)


def test_the_mapk_screen(shared_data: Path) -> None:
    path = shared_data / "horn2011_mapk/horn2011_long.csv.gz"
    table = read(
        path,
        label_col=("templateSymbol", "querySymbol"),
        guide_col=("templateRID", "queryRID"),
        features=("nrCells", "area", "intensity"),
        batch_col="Platebarcode",
        well_col="Well",
        control=("Ctrl_Fluc",),
    )
    frame = pl.read_csv(path, infer_schema_length=None)
    assert len(frame) == 73_728 == table.census["rows"]
    a, b = frame["templateSymbol"].to_list(), frame["querySymbol"].to_list()
    assert len(set(a) | set(b)) == 99 == len(table.names) + 1
    itself = [k for k in range(len(a)) if a[k] == b[k] != "Ctrl_Fluc"]
    assert table.census["self"] == len(itself)
    kept = np.setdiff1d(np.arange(len(a)), itself)
    features = frame.select("nrCells", "area", "intensity").to_numpy().astype(np.float32)
    np.testing.assert_array_equal(table.x, features[kept])
    carried = [{a[k], b[k]} - {"Ctrl_Fluc"} for k in kept]
    assert [{table.names[k] for k in row if k >= 0} for row in table.codes.tolist()] == carried
    assert table.census["pairs"] == len({frozenset(s) for s in carried if len(s) == 2}) == 4753
    assert table.census["control_observations"] == sum(not s for s in carried) == 2
    plates = frame["Platebarcode"].to_numpy()[kept]
    np.testing.assert_array_equal(np.array(table.batches, int)[table.batch], plates)
    reagents = np.array(sorted(set(frame["templateRID"]) | set(frame["queryRID"])))
    sides = frame.select("templateRID", "queryRID").to_numpy()[kept]
    np.testing.assert_array_equal(reagents[table.sides], sides)
    assert len(np.unique(table.well)) == len(kept)  # a row is a well
