"""Side information from a table and from graphs."""

import numpy as np
import pytest

from epistax.distributed.beforehand import beforehand, inputs, read_graph
from epistax.distributed.errors import BadInput
from epistax.distributed.options import Discover

NAMES = tuple(f"g{k:02d}" for k in range(30))
RING = "".join(f"g{k:02d},g{(k + 1) % 20:02d}\n" for k in range(20))


@pytest.fixture
def files(tmp_path):
    (tmp_path / "side.csv").write_text(
        "gene,x\n" + "".join(f"{n},{k}\n" for k, n in enumerate(NAMES))
    )
    (tmp_path / "ring.txt").write_text("a,b\n" + RING)
    (tmp_path / "sets.gmt").write_text("one\tx\tg21\tg22\tg23\n")
    (tmp_path / "other.txt").write_text("a,b\ng01,elsewhere\n")
    return tmp_path


def options(files, side=None, graph=()):
    graph = tuple(str(files / name) for name in graph)
    side = None if side is None else str(files / side)
    return Discover(pairs="x.csv", out="runs", side=side, graph=graph)


def test_a_table_and_graphs_stand_side_by_side(files):
    asked = options(files, "side.csv", ["ring.txt", "sets.gmt"])
    found = beforehand(asked, NAMES)
    assert found.columns == ("x", *(f"graph_{k + 1}" for k in range(8)))
    np.testing.assert_array_equal(found.values[:, 0], np.arange(30))
    both = read_graph(asked.graph, NAMES)
    np.testing.assert_array_equal(found.values[:, 1:], both.values)
    assert both.remarks[0].endswith("20 of its pairs are of the 30 perturbations")
    assert both.remarks[-1] == "--graph: 7 perturbations have no neighbour in it (g20, g24, g25)"
    assert inputs(asked) == (asked.side, *asked.graph)
    assert beforehand(options(files), NAMES) is None and inputs(options(files)) == ()


def test_the_order_of_files_and_repeated_pairs_do_not_matter(files):
    (files / "again.csv").write_text("a,b\ng01,g00\ng21,g22\n")
    one = read_graph([str(files / n) for n in ("ring.txt", "sets.gmt")], NAMES)
    other = read_graph([str(files / n) for n in ("again.csv", "sets.gmt", "ring.txt")], NAMES)
    np.testing.assert_array_equal(one.values, other.values)


def test_a_graph_of_others_is_refused(files):
    with pytest.raises(BadInput, match="none of its pairs has both members in the screen"):
        beforehand(options(files, graph=["other.txt"]), NAMES)
