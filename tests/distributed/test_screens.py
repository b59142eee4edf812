"""What becomes of rows: who was perturbed, what is left out, and what the census says."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from epistax.distributed.errors import BadInput
from epistax.distributed.formats.screens import is_screen, read_screen
from epistax.distributed.formats.screentable import ScreenTable
from epistax.distributed.options import Check

Write = Callable[..., Path]


def screen(path: Path, **raw: object) -> ScreenTable:
    return read_screen(path, Check(files=(str(path),), **raw))


def table(rows: str, header: str = "perturbation,e1,e2") -> str:
    return "\n".join([header, *rows.split()]) + "\n"


MIXED = table("""
    A,1,10 ctrl,2,20 B+A,3,30 A+B,4,40 nan,5,50 ,6,60 A+A,7,70 A+B+C,8,80 B+ctrl,9,90
    D+D,10,100 C+A+B,11,110 A,nan,120 B,13, ctrl+NTC,14,140
""")


def test_who_was_perturbed_and_what_is_left_out(write: Write) -> None:
    found = screen(write(MIXED))
    assert found.names == ("A", "B")  # C and D stand only in what is left out
    np.testing.assert_array_equal(
        found.codes, [[-1, 0], [-1, -1], [0, 1], [0, 1], [-1, 1], [-1, -1]]
    )
    np.testing.assert_array_equal(found.x[:, 0], [1, 2, 3, 4, 9, 14])
    np.testing.assert_array_equal(found.x[:, 1], 10 * found.x[:, 0])
    assert found.features == ("e1", "e2")
    left = {entry.key: (entry.count, entry.examples) for entry in found.census.left_out}
    assert left == {
        "unassigned": (2, ("(empty)", "nan")),
        "higher_order": (2, ("A+B+C",)),
        "self": (2, ("A+A", "D+D")),
        "incomplete": (2, ("e1 (1)", "e2 (1)")),
    }
    assert found.census["lost"] == 2


def test_the_figures_of_the_census(write: Write) -> None:
    rows = "A,1,1 A,2,3 A,3,2 B,1,2 A+B,2,2 B+A,3,3 A+C,4,4 ctrl,0,0 NTC,1,0 C+D,1,1"
    census = screen(write(table(rows))).census
    expected = {
        "rows": 10,
        "observations": 10,
        "features": 2,
        "perturbations": 4,
        "controls": 2,
        "control_observations": 2,
        "singles": 2,
        "per_single": 2.0,
        "per_single_min": 1,
        "per_single_max": 3,
        "pairs": 3,
        "per_pair": 1.0,
        "per_pair_min": 1,
        "per_pair_max": 2,
        "without_single": 2,
        "measured_once": 2,
    }
    assert {key: census[key] for key in expected} == expected
    told = census.as_dict()
    assert told["without_single_examples"] == ["A+C", "C+D"]
    assert told["measured_once_examples"] == ["A+C", "C+D"]
    assert told["singles_examples"] == ["C", "D"]
    assert told["controls_examples"] == ["NTC", "ctrl"]
    assert told["label_column"] == "perturbation"
    assert max(map(len, census.lines())) <= 80


def test_a_screen_without_control_is_told_so(write: Write) -> None:
    census = screen(write(table("A,1,1 B,2,2 A+B,3,3"))).census
    assert (census["controls"], census["control_observations"]) == (0, 0)
    assert "no label is a control; name one with --control" in " ".join(
        " ".join(census.lines()).split()
    )


def test_sep_and_control(write: Write) -> None:
    found = screen(write(table("A|B,1,1 0,2,2 A+B|0,3,3")), sep="|", control=("0",))
    assert found.names == ("A", "A+B", "B")
    np.testing.assert_array_equal(found.codes, [[0, 2], [-1, -1], [-1, 1]])


WELLS = "batch,plate,well,perturbation,e1,e2"


def test_wells_are_of_a_batch_and_a_plate(write: Write) -> None:
    rows = "b,1,w,A,1,1 a,1,w,B,2,2 a,2,w,B,3,3 a,1,v,A,4,4 b,1,w,A,5,5 b,1,w,ctrl,6,6"
    found = screen(write(table(rows, WELLS)))
    np.testing.assert_array_equal(found.well, [3, 1, 2, 0, 3, 3])
    assert [found.batches[k] for k in found.batch] == list("baaabb")
    census = found.census.as_dict()
    assert (census["batches"], census["plates"], census["wells"]) == (2, 2, 4)
    assert (census["batches_without_control"], census["batches_without_control_examples"]) == (
        1,
        ["a"],
    )


def test_a_plate_is_the_batch_where_none_is_told(write: Write) -> None:
    rows = "1,w,A,1,1 2,w,B,2,2 1,v,ctrl,3,3"
    found = screen(write(table(rows, "Plate,Well,Perturbation,e1,e2")))
    assert found.batches == ("1", "2")
    np.testing.assert_array_equal(found.well, [1, 2, 0])
    assert found.census["batch_column"] == "Plate"


def test_what_names_no_well_or_batch(write: Write) -> None:
    rows = "b,1,,A,1,1 b,1,,A,2,2 ,1,w,A,3,3 b,1,w,ctrl,4,4 ,1,w,B,5,5"
    found = screen(write(table(rows, WELLS)))
    assert found.batches == ("(unknown)", "b")
    well = found.well.tolist()
    assert well[2] == well[4] and len(set(well)) == 4  # an unknown well is one of its own
    assert (found.census["well_unknown"], found.census["batch_unknown"]) == (2, 2)
    assert found.census["wells"] == 4


@pytest.mark.parametrize(
    ("rows", "raw", "said"),
    [
        (
            "A,1,0 B,2,0 ctrl,3,0",
            {},
            "feature 'e2' (0) is constant; leave such features out, as in",
        ),
        ("A,1,0 B,2,0 ctrl,3,0", {}, "--features '!e2'"),
        ("A,1,0 B,1,0", {}, "every feature is constant: 'e1' (1), 'e2' (0); name others"),
        ("A,1,NA B,2, ctrl,3,nan", {}, "feature 'e2' is without any value"),
        ("A,1,NA B,NA,2", {}, "every observation lacks a value in some feature: e1 (1), e2 (1)"),
        ("A,1,1 B,-inf,2", {}, "column 'e1', line 3: '-inf' is not a finite number"),
        ("A,1,1 B,1e39,2", {}, "column 'e1', line 3: 'inf' is not a finite 32-bit number"),
        ("A,1,1 B,x,2 A,y,2", {}, "column 'e1', line 3: 'x' is not a number (2 such lines: 3, 4)"),
        ("ctrl,1,1 NTC,2,2", {}, "names no perturbation: all 2 observations are controls (NTC, ct"),
        ("nan,1,1 ,2,2", {}, "every label in 'perturbation' is unassigned ('', 'nan')"),
        ("A+A,1,1 nan,2,2", {}, "none of 2 observations can be used: 1 nobody knows what was"),
        ("A+,1,1 B,2,2", {}, "column 'perturbation', line 2: 'A+' has an empty part around '+'"),
        ("A,1,1 B,2,2", {"control": ("NTC",)}, "no label is the control 'NTC'"),
        ("", {}, "has a header but no rows"),
    ],
)
def test_complaints(write: Write, rows: str, raw: dict[str, object], said: str) -> None:
    with pytest.raises(BadInput) as caught:
        screen(write(table(rows)), **raw)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_constant_feature_can_be_left_out(write: Write) -> None:
    path = write(table("A,1,0,5 B,2,0,6 ctrl,3,0,7", "perturbation,e1,e2,e3"))
    assert screen(path, features=("e*", "!e2")).features == ("e1", "e3")


def test_a_feature_is_judged_by_what_is_kept(write: Write) -> None:
    with pytest.raises(BadInput, match=r"feature 'e2' \(0\) is constant"):
        screen(write(table("A,1,0 B,2,0 nan,3,1 A,NA,7")))


def test_lines_keep_their_numbers_after_blank_ones(write: Write) -> None:
    text = "perturbation,e1,e2\nA,1,1\n\n,,\nA+,2,2\n"
    with pytest.raises(BadInput, match="line 5: 'A\\+' has an empty part"):
        screen(write(text))
    found = screen(write(text.replace("A+", "B")))
    assert (found.census["blank"], len(found.x), found.census["rows"]) == (2, 2, 4)
    with pytest.raises(BadInput, match="column 'e1', line 5: 'inf' is not a finite 32-bit"):
        screen(write(text.replace("A+,2", "B,1e300")))


@pytest.mark.parametrize(
    ("text", "raw", "expected"),
    [
        ("perturbation,e1,e2\nA,1,2\n", {}, True),
        ("Perturbation,area,count\nA,1,2\n", {}, True),  # and is told to name its features
        ("gene_a,gene_b,t0,t1\nA,B,1,2\n", {}, True),
        ("x,y,z\nA,1,2\n", {"label_col": ("x",)}, True),
        ("x,y,z\nA,1,2\n", {"features": ("y",)}, True),
        ("x,y,z\nA,1,2\n", {"start": ("y",)}, True),
        ("x,y,z\nA,1,2\n", {}, False),
        ("id1,id2,score\nA,B,1\n", {}, False),
        ("gene_1,gene_2,score,rep_1,rep_2\nA,B,1,1,1\n", {}, False),
        ("perturbation,score\nA+B,1\n", {}, False),
        (",g1,g2\ng1,,1\ng2,1,\n", {}, False),
        ("gene,g1,g2\ng1,,1\ng2,1,\n", {}, False),
        ("entity1,entity2\nA,B\n", {}, False),
    ],
)
def test_what_is_a_screen(write: Write, text: str, raw: dict, expected: bool) -> None:
    assert is_screen(write(text), Check(files=("x",), **raw)) is expected


def test_a_matrix_or_pairs_in_parquet_are_no_screen(tmp_path: Path) -> None:
    pl.DataFrame({"gene": ["g1", "g2"], "g1": [0.0, 1.0], "g2": [1.0, 0.0]}).write_parquet(
        tmp_path / "m.parquet"
    )
    pl.DataFrame({"e1": [0.0, 1.0], "e2": [1.0, 0.0]}).write_parquet(tmp_path / "e.parquet")
    for name in ("m.parquet", "e.parquet"):
        assert not is_screen(tmp_path / name, Check(files=("x",)))


LABELS = ["A", "B", "C", "A+B", "B+C", "C+A", "ctrl", "NTC", "A+ctrl", "nan", "A+A", "A+B+C"]


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60
)
@given(st.data())
def test_the_order_of_rows_is_the_only_thing_it_changes(
    tmp_path: Path, data: st.DataObject
) -> None:
    n = data.draw(st.integers(6, 25))
    pick = lambda values: data.draw(st.lists(st.sampled_from(values), min_size=n, max_size=n))  # noqa: E731
    frame = pl.DataFrame(
        {
            "perturbation": ["A", "B", *pick(LABELS)[2:]],
            "batch": pick(["x", "y", ""]),
            "well": pick(["a1", "a2", "b1"]),
            "e1": [float(k) for k in range(n)],
            "e2": [1.0, 2.0, *pick([0.5, None, 3.0])[2:]],
        }
    )
    order = data.draw(st.permutations(range(n)))
    frame.write_csv(tmp_path / "one.csv")
    frame[order].write_csv(tmp_path / "two.csv")
    one, two = screen(tmp_path / "one.csv"), screen(tmp_path / "two.csv")
    assert (one.names, one.batches, one.features) == (two.names, two.batches, two.features)
    rows = [int(row) for row in one.x[:, 0]]  # e1 numbers the rows
    place = [rows.index(k) for k in order if k in rows]
    for name in ("codes", "x", "batch", "well"):
        np.testing.assert_array_equal(getattr(one, name)[place], getattr(two, name))
    left = [{e.key: e.count for e in found.census.left_out} for found in (one, two)]
    assert left[0] == left[1] and sum(left[0].values()) + len(one.x) == n == one.census["rows"]
    assert [f for f in one.census.facts if f.key] == [f for f in two.census.facts if f.key]
    meant = {
        frozenset(label.replace("NTC", "ctrl").split("+")) - {"ctrl"}
        for label, value in zip(frame["perturbation"], frame["e2"], strict=True)
        if label not in ("nan", "A+A", "A+B+C") and value is not None
    }
    assert meant == {frozenset(one.names[k] for k in row if k >= 0) for row in one.codes.tolist()}
