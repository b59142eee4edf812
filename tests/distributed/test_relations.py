from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from epistax.distributed.errors import BadInput
from epistax.distributed.formats.relations import Relations, read_relations
from epistax.distributed.formats.tables import read_pairs

Write = Callable[..., Path]
NAMES = ("A", "B", "C", "D")
SMALL = "entity1,entity2\nA,B\nB,A\nC,C\nD,B\nA,X\nX,Y\nA,B\n"


def pairs(found: Relations) -> list[tuple[str, str]]:
    return [(NAMES[i], NAMES[j]) for i, j in zip(found.i, found.j, strict=True)]


def test_each_pair_once_without_direction(write: Write) -> None:
    measured = (np.array([0], np.int32), np.array([1], np.int32))
    found = read_relations(write(SMALL), NAMES, measured=measured)
    assert pairs(found) == [("A", "B"), ("B", "D")]
    assert found.measured.tolist() == [True, False]
    assert (found.i.dtype, found.j.dtype) == (np.int32, np.int32)
    keys = ("rows", "self", "duplicates", "relations", "in_screen", "measured")
    assert [found.census[key] for key in keys] == [7, 1, 2, 4, 2, 1]
    assert max(map(len, found.census.lines()[1:])) <= 80


@pytest.mark.parametrize(
    "text",
    [
        "A,B\nB,D\n",
        "x,y\nA,B\nD,B\n",
        "source\ttarget\nA\tB\nD\tB\n",
        "A B\nD B\n",
        "weight,gene1,gene2\n3,A,B\n4,B,D\n",
        "gene1\tgene2\tcorrelation\nA\tB\t1\nB\tD\t0\n",
        "entity1,entity2\r\n A , B\r\n\r\nB,D\r\n,A\r\n",
    ],
)
def test_headers_are_told_from_data(write: Write, text: str) -> None:
    assert pairs(read_relations(write(text), NAMES)) == [("A", "B"), ("B", "D")]


def test_parquet(tmp_path: Path) -> None:
    pl.DataFrame({"left": ["A"], "right": ["B"]}).write_parquet(tmp_path / "r.parquet")
    assert pairs(read_relations(tmp_path / "r.parquet", NAMES)) == [("A", "B")]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("sets.tsv", "one\tA B\ntwo\tD B X\nthree\tC\n"),
        ("s.gmt", "one\t-\tA\tB\ntwo\t-\tD\tB\tX\n"),
    ],
)
def test_gene_sets(write: Write, name: str, text: str) -> None:
    found = read_relations(write(text, name), NAMES)
    assert pairs(found) == [("A", "B"), ("B", "D")]
    assert found.census["relations"] == 4


def test_order_of_the_screen_is_kept(write: Write) -> None:
    found = read_relations(write("A,B\n"), ("B", "X", "A"))
    assert (found.i.tolist(), found.j.tolist()) == ([0], [2])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("entity1,entity2\na,b\n", "none of its 2 names is in the screen"),
        ("entity1,entity2\na,b\n", "'a' differs in case only"),
        ("entity1,entity2\nENSG01,ENSG02\n", "use one naming scheme"),
        ("entity1\nA\n", "has one column"),
        ("entity1,entity2\n", "has no row with two names"),
        ("", "the file is empty"),
    ],
)
def test_complaints(write: Write, text: str, said: str) -> None:
    with pytest.raises(BadInput) as caught:
        read_relations(write(text), NAMES)
    assert said in str(caught.value)


def test_folder_names_its_files(write: Write, tmp_path: Path) -> None:
    for name in ("CORUM.txt", "HuMAP.txt"):
        write("A,B\n", name)
    with pytest.raises(BadInput, match="is a directory, not a file; it holds CORUM.txt, HuMAP.txt"):
        read_relations(tmp_path, NAMES)


def test_corum_in_k562(shared_data: Path) -> None:
    table = read_pairs(shared_data / "naiad/horlbeck_k562_gamma.csv")
    path = shared_data / "relations/CORUM.txt"
    found = read_relations(path, table.names, measured=(table.i, table.j))
    listed = {
        frozenset(line.split(","))
        for line in path.read_text().splitlines()[1:]
        if set(line.split(",")) <= set(table.names)
    }
    expected = {pair for pair in listed if len(pair) == 2}
    names = np.array(table.names)
    assert {
        frozenset(pair) for pair in zip(names[found.i], names[found.j], strict=True)
    } == expected
    assert len(found.i) == len(expected) == 1419
    assert found.measured.all()
    assert found.census["rows"] == 75_298
