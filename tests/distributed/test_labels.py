import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epistax.distributed.errors import BadInput
from epistax.distributed.formats.where import Where
from epistax.distributed.labels import ABSENT, CONTROL, UNKNOWN, encode, pair_name, role

HERE = Where("cells.csv", "perturbation")


def code(*columns: list[str | None], **options: object) -> tuple[tuple[str, ...], list[list[int]]]:
    made = encode([pl.Series(c, dtype=pl.String) for c in columns], HERE, **options)
    return made.names, made.codes.tolist()


def test_pair_is_one_set_in_either_order() -> None:
    names, codes = code(["B+A", "A+B", " A + B "])
    assert names == ("A", "B")
    assert codes == [[0, 1]] * 3


def test_single_control_diagonal_and_unknown_are_told_apart() -> None:
    names, codes = code(["A", "A+ctrl", "ctrl+A", "A+A", "ctrl", "ctrl+NTC", "", "A+nan"])
    assert names == ("A",)
    assert codes == [
        [ABSENT, 0],
        [CONTROL, 0],
        [CONTROL, 0],
        [0, 0],
        [ABSENT, CONTROL],
        [CONTROL, CONTROL],
        [UNKNOWN, ABSENT],
        [UNKNOWN, 0],
    ]


def test_two_columns_hold_one_set() -> None:
    assert code(["B", "ctrl", None], ["A", "A", "A"]) == (
        ("A", "B"),
        [[0, 1], [CONTROL, 0], [UNKNOWN, 0]],
    )
    assert code(["A+B", "C"], ["control", "A"])[1] == [[ABSENT, CONTROL, 0, 1][1:], [ABSENT, 0, 2]]


@pytest.mark.parametrize(
    "name", ["control", "Control", "CTRL", "non-targeting", "NTC", "negative", "dmso", "Vehicle"]
)
def test_the_known_controls_in_any_case(name: str) -> None:
    assert role(name) == "control"


@pytest.mark.parametrize("name", ["controls", "ctrl1", "non targeting", "neg", "NT", "safe"])
def test_nothing_like_a_control_is_one(name: str) -> None:
    assert role(name) == "perturbation"


@pytest.mark.parametrize("name", ["", "nan", "NaN", "NA", "none", "None", "unassigned", "null"])
def test_unassigned_is_no_control(name: str) -> None:
    assert role(name) == "unassigned"


def test_named_controls_replace_the_list_and_are_exact() -> None:
    assert role("ctrl", ["safe"]) == "perturbation"
    assert role("safe", ["safe"]) == "control"
    assert role("Safe", ["safe"]) == "perturbation"
    assert role("none", ["none"]) == "control"


def test_a_control_that_nowhere_occurs_is_a_mistake() -> None:
    with pytest.raises(BadInput, match="no label is the control 'Neg'; it has 'neg'"):
        code(["A+neg", "B"], control=["Neg"])


def test_empty_part_names_its_lines_and_the_label() -> None:
    with pytest.raises(BadInput) as caught:
        code(["A+B", "A+", "C", "+B", "A++B"])
    message = str(caught.value)
    assert message.startswith("cells.csv: column 'perturbation', line 3: 'A+' has an empty part")
    assert "(3 such lines: 3, 5, 6)" in message


def test_sep_is_literal() -> None:
    assert code(["A|B", "A.B"], sep="|") == (("A", "A.B", "B"), [[0, 2], [ABSENT, 1]])
    with pytest.raises(BadInput, match="--sep"):
        code(["A"], sep="")


def test_order_is_by_code_point() -> None:
    names = code(["b", "B", "É", "a", "Z9", "Z10"])[0]
    assert names == tuple(sorted(names)) == ("B", "Z10", "Z9", "a", "b", "É")
    assert pair_name("b", "B") == pair_name("B", "b") == "B+b"


NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters="+", categories=["L", "N"]), min_size=1
)


@given(st.lists(st.tuples(NAMES, NAMES), min_size=1))
def test_swapping_names_changes_nothing(pairs: list[tuple[str, str]]) -> None:
    a, b = map(list, zip(*pairs, strict=True))
    one, two = code(a, b), code(b, a)
    joined = code([f"{x}+{y}" for x, y in pairs])
    assert one == two == joined


@given(st.lists(NAMES, min_size=1))
def test_codes_point_at_the_names(labels: list[str]) -> None:
    names, codes = code(labels)
    for label, row in zip(labels, np.array(codes)[:, -1].tolist(), strict=True):
        assert row < 0 or names[row] == label.strip()
        assert row >= 0 or role(label.strip()) != "perturbation"
